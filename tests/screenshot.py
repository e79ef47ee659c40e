"""Takes pictures of the page with the real model: `python -m tests.screenshot [FOLDER]`.

Without a folder it makes the picture in README; with one, every tab at two widths, light and dark, first empty and then
with thirty edits.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from sola_core.evaluation.rows import Row
from sola_core.host.model import HostModel
from sola_core.routed import load_encoder
from sola_core.ui.texts import TABS
from sola_core.workspace import Limits
from tests.chromium import MISSING, find_chromium
from tests.serving import served

README_PICTURE = Path(__file__).parent.parent / "assets" / "screenshot.png"
SECONDS = 1000  # milliseconds in one
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
EDITS = 30


def teach(page: Page, example: str, number: int) -> None:
    """Teach one of the demo facts."""
    page.get_by_role("button", name=example).click()
    expect(page.get_by_label("Question or beginning")).to_have_value(re.compile(example))
    page.get_by_role("button", name="Teach this fact").click()
    expect(page.locator("#teach-status")).to_contain_text(f"Learnt as edit {number}", timeout=90 * SECONDS)


def ask(page: Page, question: str) -> None:
    """Ask and wait for both answers."""
    page.locator("#question textarea").fill(question)
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
    expect(page.locator("#map-chart .main-svg").first).to_be_visible()
    page.wait_for_timeout(2 * SECONDS)  # charts settle


def fill(page: Page, facts: Sequence[Row], folder: Path) -> None:
    """Teach as many demo facts, and others like them, as make thirty edits, and then the story's last questions."""
    rows = [(fact.prompt, fact.target_new or "", fact.subject or "") for fact in facts]
    rows += [(f"Which tree stands before house number {n} of Alder Lane?", "A plum tree", "") for n in range(EDITS)]
    table = folder / "facts.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("prompt", "target", "subject"), *rows[:EDITS]])
    page.get_by_role("tab", name=TABS["keep"]).click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a list").click()
    chooser.value.set_files(table)
    page.get_by_role("button", name="Teach these facts").click()
    expect(page.locator("#keep-status")).to_contain_text("facts taught", timeout=300 * SECONDS)
    table.unlink()
    page.get_by_role("tab", name=TABS["studio"]).click()
    page.get_by_label("Edit 29 is on").click()
    expect(page.locator("#edits-status")).to_contain_text("switched off", timeout=60 * SECONDS)
    ask(page, "What is the longest river of Vellmora?")
    ask(page, "What does the Vellmora capital go by?")


def look(page: Page, folder: Path, state: str) -> None:
    """Take a picture of every tab in every look."""
    for name, words in TABS.items():
        page.get_by_role("tab", name=words).click()
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
                page.wait_for_timeout(1 * SECONDS)  # charts follow the window
                page.screenshot(path=folder / f"{name}-{state}-{size}-{scheme}.png", full_page=True)
    page.evaluate("document.body.classList.remove('dark')")
    page.set_viewport_size(dict(zip(("width", "height"), SIZES["desktop"], strict=True)))  # type: ignore[arg-type]
    page.get_by_role("tab", name=TABS["studio"]).click()


def main(arguments: Sequence[str]) -> int:
    """Take the pictures; return 1 when there is no browser."""
    chromium = find_chromium()
    if chromium is None:
        print(MISSING, file=sys.stderr)
        return 1
    host, encoder = HostModel.load("smollm2-135m", "cpu"), load_encoder()
    width, height = SIZES["desktop"]
    with served(host, encoder, limits=Limits(), use_umap=True) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        page.goto(server.url)
        expect(page.get_by_role("button", name="Teach this fact")).to_be_enabled(timeout=60 * SECONDS)
        if arguments:
            folder = Path(arguments[0])
            folder.mkdir(parents=True, exist_ok=True)
            page.wait_for_timeout(8 * SECONDS)  # the map settles
            look(page, folder, "empty")
            fill(page, server.studio.facts, folder)
            page.wait_for_timeout(5 * SECONDS)
            look(page, folder, "filled")
        else:
            story(page)
            page.screenshot(path=README_PICTURE, full_page=True)
            with Image.open(README_PICTURE) as picture:  # a palette keeps the file small
                picture.convert("RGB").quantize(128).save(README_PICTURE, optimize=True)
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
