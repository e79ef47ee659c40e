"""The Compare tab in a real Chromium: facts taught to two methods, one question for both, one fact taken back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from sola_core.ui import compare_texts as texts
from tests.visits import PROMPT, SECONDS, Come

pytestmark = pytest.mark.browser
FACTS = f"{PROMPT} | Oslo\nWho wrote the book? | Lyon\nWhere was the ship built? | Turin"


def test_two_methods_are_compared_asked_and_a_fact_is_taken_back(come: Come) -> None:
    visit = come()
    page, digest = visit.page, visit.digest()
    visit.open("Compare")
    page.get_by_role("checkbox", name="Fact in the prompt").uncheck()
    page.get_by_role("checkbox", name="Fine-tuning").uncheck()
    page.get_by_role("checkbox", name="One shared LoRA").check()
    page.get_by_label(texts.FACTS).fill("Who?")
    page.get_by_role("button", name=texts.RUN).click()
    expect(page.locator("#compare-status")).to_contain_text("Put a | between")
    page.get_by_label(texts.FACTS).fill(FACTS)
    page.get_by_role("button", name=texts.RUN).click()
    expect(page.locator("#compare-status")).to_contain_text("3 facts taught to 2 methods", timeout=90 * SECONDS)
    expect(page.locator("#compare-stop")).to_be_disabled()
    expect(page.locator("#compare-table")).to_contain_text("3 of 3")
    expect(page.locator("#compare-curves .main-svg").first).to_be_visible()
    expect(page.locator("#compare-places-card")).to_be_hidden()  # neither of the two keeps facts at places with circles

    expect(page.locator("#compare-undone")).to_be_hidden()  # nor was anything taken back

    page.get_by_label(texts.QUESTION).fill(PROMPT)
    page.get_by_role("button", name=texts.ASK).click()
    expect(page.get_by_role("region", name="SoLA")).to_contain_text("Fact 1 answered", timeout=60 * SECONDS)
    expect(page.get_by_role("region", name="One shared LoRA")).to_contain_text("1 to 3")
    expect(page.locator("#compare-ask-stop")).to_be_disabled(timeout=60 * SECONDS)

    expect(page.get_by_label(texts.NUMBER)).to_have_value(re.compile("^3: "))
    page.get_by_role("button", name=texts.UNDO).click()
    expect(page.locator("#compare-undo-status")).to_contain_text(
        "taken back by SoLA, not by One shared LoRA", timeout=90 * SECONDS
    )
    expect(page.locator("#compare-undo-table")).to_contain_text("3 of 3 answers bit-equal")
    expect(page.locator("#compare-undo-chart .main-svg").first).to_be_visible()
    assert visit.digest() == digest  # the visitor's own edits were never touched

    visit.reload()
    expect(page.locator("#sola-digest")).to_have_text(digest, timeout=60 * SECONDS)
    page.wait_for_timeout(1 * SECONDS)  # until all has arrived: updates of a tab that was never opened may be lost
    visit.open("Compare")
    expect(page.locator("#compare-undo-chart .main-svg").first).to_be_visible()
    expect(page.locator("#compare-undo-status")).to_contain_text("taken back by SoLA", timeout=60 * SECONDS)
    page.locator("#compare-more").get_by_role("button", name=texts.AS_TABLE).click()
    expect(page.locator("#compare-more")).to_contain_text("After 3")
