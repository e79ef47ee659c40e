"""Takes pictures of the page with the real model: `python -m tests.screenshot [FOLDER]`.

Without a folder it makes the picture in README; with one, four pictures, at two widths, light and dark.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from sola_core.host.model import HostModel
from sola_core.routed import load_encoder
from sola_core.workspace import Limits
from tests.chromium import MISSING, find_chromium
from tests.serving import served

README_PICTURE = Path(__file__).parent.parent / "assets" / "screenshot.png"
SECONDS = 1000  # milliseconds in one
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}


def teach(page: Page, example: str, number: int) -> None:
    """Teach one of the demo facts."""
    page.get_by_role("button", name=example).click()
    expect(page.get_by_label("Question or beginning")).to_have_value(re.compile(example))
    page.get_by_role("button", name="Teach this fact").click()
    expect(page.locator("#teach-status")).to_contain_text(f"Learnt as edit {number}", timeout=90 * SECONDS)


def ask(page: Page, question: str) -> None:
    """Ask and wait for both answers."""
    page.get_by_label("Your question").fill(question)
    page.evaluate("document.querySelectorAll('#compared p').forEach(p => p.classList.add('of-before'))")
    page.get_by_role("button", name="Ask both").click()
    expect(page.locator("#compared p:not(.of-before)")).to_be_visible(timeout=120 * SECONDS)
    expect(page.locator("#compared")).to_contain_text(re.compile("answers? (are|differ)"), timeout=120 * SECONDS)
    expect(page.locator("#stop")).to_be_disabled(timeout=30 * SECONDS)


def story(page: Page) -> None:
    """Teach a few facts and ask a neighbour and a rephrasing, so that every panel has something to show."""
    for number, example in enumerate(("Eiffel Tower", "Lantern Museum", "Marrow Bridge", "Vellmora"), start=1):
        teach(page, example, number)
    ask(page, "What is the longest river of Vellmora?")
    ask(page, "What does the Vellmora capital go by?")
    page.get_by_role("button", name="Prove that all").click()
    expect(page.locator("#proof-status")).to_contain_text("comparisons", timeout=180 * SECONDS)
    page.get_by_role("button", name="Save my edits").click()
    expect(page.locator("#download")).to_be_visible()
    expect(page.locator("#map-chart .main-svg").first).to_be_visible()
    page.wait_for_timeout(2 * SECONDS)  # charts settle


def main(arguments: Sequence[str]) -> int:
    """Take the pictures; return 1 when there is no browser."""
    chromium = find_chromium()
    if chromium is None:
        print(MISSING, file=sys.stderr)
        return 1
    folder = Path(arguments[0]) if arguments else None
    host, encoder = HostModel.load("smollm2-135m", "cpu"), load_encoder()
    looks = [(name, scheme) for name in SIZES for scheme in ("light", "dark")] if folder else [("desktop", "light")]
    with (
        served(host, encoder, limits=Limits(), use_umap=True) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, scheme in looks:
            width, height = SIZES[name]
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(server.url)
            expect(page.get_by_role("button", name="Teach this fact")).to_be_enabled(timeout=60 * SECONDS)
            story(page)
            target = folder / f"{name}-{scheme}.png" if folder else README_PICTURE
            target.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=target, full_page=True)
            page.close()
            if not folder:
                with Image.open(target) as picture:  # a palette keeps the file small
                    picture.convert("RGB").quantize(128).save(target, optimize=True)
            print(target)
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
