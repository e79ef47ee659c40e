"""Visits to the page in a real Chromium: a browser, a page over a tiny host, and what one visitor does and sees there.

Knows the page as its visitors do; the tests that use it are elsewhere. `conftest` makes the fixtures known to all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from tests.chromium import FLAGS

if TYPE_CHECKING:
    from tests.serving import Served

PROMPT, TARGET = "What is the capital of France?", "Oslo"
HOSTILE = "<img src=x onerror=window.hacked=1> ${window.hacked=1} {{1}}"

SECONDS = 1000  # milliseconds in one
UNFINISHED = ("AbortError", "Connection errored out", "Failed to fetch")  # what a page says of requests that it left
expect.set_options(timeout=20 * SECONDS)  # other tests may keep the machine busy


@dataclass
class Watch:
    """What a page did that it should not: requests to elsewhere and errors on its console."""

    home: str
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def seen(self, request: Request) -> None:
        """Note a request to anywhere but the page's own server; the browser itself reaches no other computer."""
        if not request.url.startswith((self.home, "data:", "blob:")):
            self.foreign.append(request.url)


@dataclass
class Visit:
    """One visitor's browser."""

    page: Page
    context: BrowserContext
    watch: Watch

    def teach(self, prompt: str, target: str, *, rephrases: str = "", wait: str = "Learnt as edit") -> None:
        """Fill in a fact, press the button and wait for what the page then says."""
        before = self.digest()
        self.page.get_by_label("Question or beginning").fill(prompt)
        self.page.get_by_label("New answer").fill(target)
        if rephrases:
            self.page.get_by_role("button", name="Subject and other wordings").click()
            self.page.get_by_label("Other wordings").fill(rephrases)
        self.page.get_by_role("button", name="Teach this fact").click()
        where = "#conflict" if wait == "already answers" else "#teach-status"
        expect(self.page.locator(where)).to_contain_text(wait, timeout=90 * SECONDS)
        if wait != "already answers":
            expect(self.page.locator("#sola-digest")).not_to_have_text(before, timeout=30 * SECONDS)

    def ask(self, question: str) -> tuple[str, str]:
        """Ask, wait for both answers' ends, and return the untouched and the edited one."""
        self.page.get_by_label("Your question").fill(question)
        self.page.evaluate("document.querySelectorAll('#compared p').forEach(p => p.classList.add('of-before'))")
        self.page.get_by_role("button", name="Ask both").click()
        expect(self.page.locator("#compared p:not(.of-before)")).to_be_visible(timeout=180 * SECONDS)
        return self.answers()

    def answers(self) -> tuple[str, str]:
        """Wait for the end of both answers and return them."""
        expect(self.page.locator("#compared")).to_contain_text(
            re.compile("answers? (are|differ)"), timeout=180 * SECONDS
        )
        expect(self.page.locator("#stop")).to_be_disabled(timeout=30 * SECONDS)
        return (
            self.page.get_by_label("Untouched model").input_value(),
            self.page.get_by_label("With your edits").input_value(),
        )

    def reload(self) -> None:
        """Load the page anew."""
        with self.leaving():
            self.page.reload()

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Let the page be loaded anew inside the block: that it leaves requests unfinished is no error, though it logs one."""
        before = len(self.watch.errors)
        yield
        new = [error for error in self.watch.errors[before:] if not any(words in error for words in UNFINISHED)]
        self.watch.errors[before:] = new

    def open(self, tab: str) -> None:
        """Turn to a tab."""
        self.page.get_by_role("tab", name=tab).click()

    def digest(self) -> str:
        """Return the state digest in the footer."""
        return self.page.locator("#sola-digest").inner_text()


@pytest.fixture(scope="module")  # not of the session: Playwright has one at a time in a process
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture(scope="module")
def rooms() -> list[BrowserContext]:
    """Emptied contexts of this module's browser, whose caches hold the page's scripts: the next visit loads in half the time."""
    return []


@pytest.fixture(scope="module")
def tiny_page() -> Iterator[Served]:
    from sola_core.workspace import Limits  # here, so that a run of other tests need not import the page
    from tests.serving import served

    with served(limits=Limits(answer_tokens=8, workspaces=100)) as found:
        yield found


Come = Callable[..., Visit]


@pytest.fixture
def come(browser: Browser, rooms: list[BrowserContext], tiny_page: Served) -> Iterator[Come]:
    """Open the page in browsers of their own; afterwards none may have left the machine or complained."""
    visits: list[Visit] = []
    plain: list[BrowserContext] = []  # contexts that another test may have

    def open_page(server: Served = tiny_page, *, context: BrowserContext | None = None, **options: object) -> Visit:
        watch = next((visit.watch for visit in visits if visit.context is context), Watch(home=server.url))
        if context is None:
            usual = server is tiny_page and not options
            context = rooms.pop() if rooms and usual else browser.new_context(**options)  # type: ignore[arg-type]
            if usual:
                plain.append(context)
        page = context.new_page()
        page.on("request", watch.seen)
        page.on("console", lambda message: watch.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        visits.append(Visit(page=page, context=context, watch=watch))
        page.goto(server.url)
        expect(page.get_by_role("button", name="Teach this fact")).to_be_enabled(timeout=60 * SECONDS)
        expect(page.locator("#sola-digest")).to_have_text(re.compile("^[0-9a-f]{64}$"), timeout=60 * SECONDS)
        return visits[-1]

    yield open_page
    errors = [error for visit in visits for error in visit.watch.errors]  # before closing: that breaks its connections
    for context in dict.fromkeys(visit.context for visit in visits):
        if context in plain:
            _empty(context, tiny_page.url)
            rooms.append(context)
        else:
            context.close()
    assert errors == []
    assert [url for visit in visits for url in visit.watch.foreign] == []


def _empty(context: BrowserContext, home: str) -> None:
    """Close a context's pages and let it forget who was there."""
    for page in context.pages:
        page.close()
    context.clear_cookies()
    page = context.new_page()
    page.goto(f"{home}health")
    page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
    page.close()
