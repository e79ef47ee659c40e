"""The lesson in a real Chromium: the whole of it by keyboard, found again after a reload, named and within its window."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from sola_core.lesson import STEPS
from sola_core.ui import lesson_texts as texts
from tests.visits import SECONDS, Come, Visit

pytestmark = pytest.mark.browser

FACT = {
    texts.PROMPT: "What is the capital of France?",
    texts.TARGET: "Oslo",
    texts.REPHRASE: "Is it known? What is the capital of France?",  # too far for the tiny router
    texts.NEIGHBOUR: "In what city did the painter live?",
    texts.SUBJECT: "France",
}
CLOSER = "Which is the capital of France?"
FOCUSED = """() => {
  const e = document.activeElement, label = e.labels && e.labels[0];
  return (e.getAttribute('aria-label') || (label && label.innerText) || e.innerText || '').trim().split('\\n')[0];
}"""
RING = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control of this name has the focus, which must be seen."""
    for _ in range(80):
        if page.evaluate(FOCUSED) == name:
            assert page.evaluate(RING), f"the focus on {name!r} cannot be seen"
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {name!r}")


def type_in(page: Page, name: str, text: str) -> None:
    """Go to a box by keyboard and type into it."""
    tab_to(page, name)
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def expect_focus(page: Page, name: str) -> None:
    """Wait until the control of this name has the focus."""
    page.wait_for_function(f"name => ({FOCUSED})() === name", arg=name, timeout=30 * SECONDS)


def expect_step(page: Page, number: int) -> None:
    """Wait until a step, 1 to 7, is the one that is shown."""
    current = page.locator(".sola-step[aria-current=step]")
    expect(current).to_have_count(1)
    expect(current).to_contain_text(texts.STEPS[STEPS[number - 1]].name)


def outcome(page: Page, sign: str) -> None:
    """Wait for what a step found: ✓ or ■."""
    expect(page.locator("#lesson-outcome")).to_contain_text(sign, timeout=90 * SECONDS)


def onward(number: int) -> str:
    """Return the name of the button that goes on to a step, 1 to 7."""
    title = texts.STEPS[STEPS[number - 1]].title
    return texts.NEXT.format(name=title[0].lower() + title[1:])


def test_the_whole_lesson_is_done_by_keyboard_and_goes_on_after_a_reload(come: Come) -> None:
    visit = come()
    page, keys, start = visit.page, visit.page.keyboard, visit.digest()
    tab_to(page, "Studio")
    keys.press("ArrowRight")
    tab_to(page, "Lesson")
    keys.press("Enter")
    expect(page.locator("#lesson-go")).to_be_enabled()
    for name, text in FACT.items():
        type_in(page, name, text)
    tab_to(page, texts.STEPS["ask"].button)
    keys.press("Enter")
    for number in (1, 2, 3):
        outcome(page, "✓")
        expect_focus(page, onward(number + 1))
        keys.press("Space")
        expect_step(page, number + 1)
        expect_focus(page, texts.STEPS[STEPS[number]].button)
        keys.press("Enter")

    outcome(page, "■")  # the fourth step: this wording is not found, and the page says so
    expect(page.locator("#lesson-outcome")).to_contain_text("an edit answers from")
    expect_focus(page, texts.REPHRASE_NOW)
    expect(page.locator("#edits-summary")).to_contain_text("1 stored, on")  # the other tabs follow
    visit.reload()
    tab_to(page, "Lesson")
    keys.press("Enter")
    expect_step(page, 4)
    outcome(page, "■")
    type_in(page, texts.REPHRASE_NOW, CLOSER)
    keys.press("Enter")
    outcome(page, "✓")
    expect_focus(page, onward(5))
    keys.press("Enter")
    expect_step(page, 5)

    for number in (5, 6, 7):
        expect_focus(page, texts.STEPS[STEPS[number - 1]].button)
        keys.press("Enter")
        outcome(page, "✓")
        if number < 7:
            expect_focus(page, onward(number + 1))
            keys.press("Enter")
            expect_step(page, number + 1)
    expect(page.locator("#lesson-outcome")).to_contain_text("All 7 steps were reached")
    expect(page.locator("#lesson-prints tbody tr")).to_have_count(4)
    expect(page.locator(".sola-step.sola-done")).to_have_count(7)
    expect(page.locator("#sola-digest")).to_have_text(start)
    expect(page.locator("#edits-summary")).to_contain_text("Nothing is taught yet")
    expect_focus(page, texts.START_AGAIN)
    for fold in (texts.WHY, texts.NOTES):
        tab_to(page, fold)
        keys.press("Enter")
    expect(page.locator("#lesson-notes")).to_contain_text("Ask the class")
    expect(page.locator("#lesson-why")).to_contain_text("SHA-256")
    tab_back(page, texts.START_AGAIN)
    keys.press("Enter")
    expect_step(page, 1)
    expect_focus(page, texts.STEPS["ask"].button)


def tab_back(page: Page, name: str) -> None:
    """Press Shift and Tab until the control of this name has the focus."""
    for _ in range(20):
        if page.evaluate(FOCUSED) == name:
            return
        page.keyboard.press("Shift+Tab")
    raise AssertionError(f"Shift and Tab do not reach {name!r}")


def named_and_within(visit: Visit, width: int) -> None:
    nameless = visit.page.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, select')]
            .filter(e => e.offsetParent !== null)
            .filter(e => !(e.innerText || e.getAttribute('aria-label') || e.title ||
                           (e.labels && [...e.labels].some(l => l.innerText.trim()))))
            .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_the_lesson_fits_its_window_and_every_control_has_a_name(come: Come, width: int, scheme: str) -> None:
    visit = come(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = visit.page
    visit.open("Lesson")
    expect(page.locator("#lesson-go")).to_be_enabled()
    named_and_within(visit, width)
    page.get_by_label(texts.PROMPT, exact=True).fill("Pneumonoultramicroscopicsilicovolcanoconiosis" * 3 + "?")
    page.locator("#lesson-go").click()
    outcome(page, "✓")
    small = page.locator(".sola-lesson-title").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    page.get_by_label(texts.LARGE).check()
    large = page.locator(".sola-lesson-title").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    assert large > 1.3 * small >= 1.3 * 20
    page.get_by_role("button", name=re.compile("^Next")).click()
    expect_step(page, 2)
    named_and_within(visit, width)
