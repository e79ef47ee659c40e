"""A class at the page: browsers side by side, each teaching facts of its own, asking, switching and deleting.

Knows the page as its visitors do, and counts what it must not do: mix them up, lose an edit, complain. Run
`python -m tests.load_test` with the tiny host, `--real` for the real model, `--flood` with a stranger beside the class.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from queue import Queue

import httpx
from playwright.sync_api import Browser, Page, TimeoutError, expect, sync_playwright

from sola_core.workspace import Limits
from tests.chromium import FLAGS, MISSING, find_chromium
from tests.hostile import Caller
from tests.serving import served

COUNTRIES = ("France", "Spain", "Peru", "Kenya", "Norway", "Chile", "Ghana", "Japan", "Egypt", "Nepal", "Cuba", "Mali")
TARGETS = ("Oslo", "Lyon", "Madrid", "Turin", "Dublin", "Prague", "Vienna", "blue", "red", "green", "seven", "twelve")
KINDS = ("capital", "river", "company")  # three facts each
PATIENCE = 180_000  # milliseconds that a pupil waits for the page


@dataclass
class Figures:
    """What came of it."""

    browsers: int
    facts: int = 0  # taught and acknowledged
    questions: int = 0  # answered
    switches: int = 0
    deletes: int = 0
    lost: list[str] = field(default_factory=list)  # edits that are not as they were left
    leaks: list[str] = field(default_factory=list)  # somebody else's edit seen, or somebody else's answer
    complaints: list[str] = field(default_factory=list)  # errors on a console
    unanswered: list[str] = field(default_factory=list)
    seconds: float = 0.0
    teach_seconds: list[float] = field(default_factory=list)
    ask_seconds: list[float] = field(default_factory=list)
    stranger_made: int = 0
    stranger_refused: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing happened that must not."""
        return not (self.lost or self.leaks or self.complaints or self.unanswered)


class Pupil:
    """One visitor in a browser of their own."""

    def __init__(self, browser: Browser, url: str, number: int, figures: Figures, lock: threading.Lock) -> None:
        self.number, self.figures, self._lock = number, figures, lock
        self.page: Page = browser.new_context().new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda m: self._complain(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self._complain(str(error)))
        self.page.goto(url)
        # facts whose prompts nobody else has and whose answers differ between neighbours
        self.facts = [
            (f"What is the {kind} of {COUNTRIES[number % 12]} number {number}?", TARGETS[(3 * number + i) % 12])
            for i, kind in enumerate(KINDS)
        ]

    def _complain(self, words: str) -> None:
        with self._lock:
            self.figures.complaints.append(f"pupil {self.number}: {words}")

    def steps(self) -> list[tuple[str, int]]:
        """Return what this pupil does, in order: teach three, ask six, switch one off and on, delete one."""
        return [
            *(("open", 0), ("teach", 0), ("ask", 0), ("teach", 1), ("ask", 1), ("off", 0), ("ask_off", 0), ("on", 0)),
            *(("teach", 2), ("ask", 2), ("ask", 0), ("delete", 1), ("ask_off", 1), ("check", 0)),
        ]

    def begin(self, step: str, which: int) -> None:
        """Press what has to be pressed, and do not wait."""
        page = self.page
        prompt, target = self.facts[which]
        self.began = time.monotonic()
        if step == "teach":
            page.get_by_label("Question or beginning").fill(prompt)
            page.get_by_label("New answer").fill(target)
            page.get_by_role("button", name="Teach this fact").click()
        elif step in ("ask", "ask_off"):
            page.get_by_label("Your question").fill(prompt)
            page.evaluate("document.querySelectorAll('#compared p').forEach(p => p.classList.add('of-before'))")
            page.get_by_role("button", name="Ask both").click()
        elif step in ("off", "on"):
            page.get_by_label(f"Edit {which + 1} is on").click()
        elif step == "delete":
            page.get_by_role("button", name=f"Delete edit {which + 1}").click()
            page.get_by_role("button", name="Yes, delete").click()

    def finish(self, step: str, which: int) -> None:
        """Wait for what has to come of it, and look whether it is one's own."""
        page, figures = self.page, self.figures
        prompt, target = self.facts[which]
        if step == "open":
            expect(page.get_by_role("button", name="Teach this fact")).to_be_enabled(timeout=PATIENCE)
            expect(page.locator("#sola-digest")).to_have_text(re.compile("^[0-9a-f]{64}$"), timeout=PATIENCE)
        elif step == "teach":
            learnt = page.locator("#teach-status").filter(has_text=f"Learnt as edit {which + 1}")
            meets = page.get_by_role("button", name="Keep both")
            expect(learnt.or_(meets)).to_be_visible(timeout=PATIENCE)
            if meets.is_visible():  # the tiny encoder takes many questions for one
                meets.click()
            expect(learnt).to_be_visible(timeout=PATIENCE)
            expect(page.locator(".sola-row").filter(has_text=prompt)).to_have_count(1, timeout=PATIENCE)
            self._count("facts")
            figures.teach_seconds.append(time.monotonic() - self.began)
        elif step in ("ask", "ask_off"):
            expect(page.locator("#compared p:not(.of-before)")).to_contain_text(
                re.compile("answers?"), timeout=PATIENCE
            )
            expect(page.locator("#stop")).to_be_disabled(timeout=PATIENCE)
            self._count("questions")
            figures.ask_seconds.append(time.monotonic() - self.began)
            answer = page.get_by_label("With your edits").input_value()
            if step == "ask" and answer != target:
                self._leak(f"asked {prompt!r}, answered {answer!r}, not {target!r}")
            if step == "ask_off" and re.search(
                rf"edit {which + 1}\b", page.locator("#edited-badge").inner_text(), re.I
            ):
                self._leak(f"asked {prompt!r} with its edit off or deleted, and that answered")
        elif step in ("off", "on"):
            words = "off" if step == "off" else "on"
            expect(page.locator("#edits-status")).to_contain_text(re.compile(rf"\b{words}\b"), timeout=PATIENCE)
            self._count("switches")
        elif step == "delete":
            expect(page.locator(f"#switch-{which + 1}")).to_have_count(0, timeout=PATIENCE)
            self._count("deletes")
        else:
            self._check()

    def _check(self) -> None:
        self.page.reload()
        kept = [self.facts[0], self.facts[2]]
        try:
            expect(self.page.locator(".sola-row")).to_have_count(len(kept), timeout=PATIENCE)
        except AssertionError:
            with self._lock:
                self.figures.lost.append(f"pupil {self.number}: {self.page.locator('.sola-row').all_inner_texts()}")
        rows = self.page.locator(".sola-row").all_inner_texts()
        for prompt, target in kept:
            if not any(prompt in row and target in row for row in rows):
                self.figures.lost.append(f"pupil {self.number}: {prompt}")
        for row in rows:
            if f"number {self.number}?" not in row:
                self._leak(row)

    def _leak(self, words: str) -> None:
        with self._lock:
            self.figures.leaks.append(f"pupil {self.number}: {words}")

    def _count(self, name: str) -> None:
        with self._lock:
            setattr(self.figures, name, getattr(self.figures, name) + 1)


def attend(url: str, chromium: str, numbers: list[int], figures: Figures, lock: threading.Lock) -> None:
    """Let pupils work side by side in one browser, each in a context of their own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        pupils = [Pupil(browser, url, number, figures, lock) for number in numbers]
        for step in pupils[0].steps():
            for pupil in pupils:  # all of them press, and only then does anybody look
                pupil.begin(*step)
            for pupil in pupils:
                try:
                    pupil.finish(*step)
                except (AssertionError, TimeoutError) as error:
                    with lock:
                        figures.unanswered.append(f"pupil {pupil.number}, {step}: {str(error)[:300]}")
                    return
        browser.close()


def flood(url: str, stop: threading.Event, figures: Figures) -> None:
    """Make workspaces as fast as one can, each in a session of its own."""
    with httpx.Client(timeout=600) as client:
        numbers: dict[str, int] = {}
        while not stop.is_set():
            stranger = Caller(url, secrets.token_hex(8), client, numbers)
            try:
                stranger.named("edit", "What is the river of France?", "red", "", "")
                figures.stranger_made += 1
            except (AssertionError, httpx.HTTPError):
                figures.stranger_refused += 1


@contextmanager
def strangers(url: str, count: int, figures: Figures) -> Iterator[None]:
    """Keep strangers at it until the block ends."""
    stop = threading.Event()
    threads = [threading.Thread(target=flood, args=(url, stop, figures), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(120)


def hold(url: str, chromium: str, browsers: int, processes: int = 2, flooding: int = 0) -> Figures:
    """Let a class attend and return what came of it."""
    figures, lock = Figures(browsers=browsers), threading.Lock()
    begun = time.monotonic()
    broken: Queue[BaseException] = Queue()

    def one(numbers: list[int]) -> None:
        try:
            attend(url, chromium, numbers, figures, lock)
        except BaseException as error:
            broken.put(error)

    groups = [list(range(first, browsers, processes)) for first in range(min(processes, browsers))]
    with strangers(url, flooding, figures):
        threads = [threading.Thread(target=one, args=(group,)) for group in groups]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if not broken.empty():
        raise broken.get()
    figures.seconds = time.monotonic() - begun
    return figures


def main(argv: list[str] | None = None) -> int:
    """Hold a class, print the figures, and return 0 when nothing happened that must not."""
    parser = argparse.ArgumentParser(description="Browsers at the page, side by side.")
    parser.add_argument("--browsers", type=int, default=8)
    parser.add_argument("--real", action="store_true", help="with the real model")
    parser.add_argument("--flood", type=int, default=0, metavar="N", help="N strangers who make workspaces beside them")
    parser.add_argument("--workspaces", type=int, default=200)
    chosen = parser.parse_args(argv)
    chromium = find_chromium()
    if chromium is None:
        print(MISSING, file=sys.stderr)
        return 1
    host = encoder = None
    if chosen.real:
        from sola_core.host.model import HostModel
        from sola_core.routed import load_encoder

        host, encoder = HostModel.load("smollm2-135m", "cpu"), load_encoder()
    limits = Limits(answer_tokens=24 if chosen.real else 8, workspaces=chosen.workspaces)
    with served(host, encoder, limits=limits) as server:
        figures = hold(server.url, chromium, chosen.browsers, flooding=chosen.flood)
    shown = asdict(figures)
    for name in ("teach_seconds", "ask_seconds"):
        times = sorted(shown.pop(name))
        shown[f"{name}_median"], shown[f"{name}_longest"] = round(times[len(times) // 2], 2), round(times[-1], 2)
    print(json.dumps(shown, indent=2))
    return 0 if figures.clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
