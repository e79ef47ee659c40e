"""The History tab in a real Chromium: looking back at what was done, asking as it was, undoing, saving before a delete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.visits import PROMPT, SECONDS, TARGET, Come

pytestmark = pytest.mark.browser


@pytest.mark.long
def test_the_past_is_shown_and_asked_and_a_switch_undone(come: Come) -> None:
    visit = come(timezone_id="Asia/Tokyo")
    page = visit.page
    visit.teach(PROMPT, TARGET)
    taught = visit.digest()
    page.get_by_label("Edit 1 is on").click()
    expect(page.locator("#edits-summary")).to_contain_text("switched off")
    visit.open("History")
    expect(page.locator("#history-moment")).to_contain_text(
        re.compile(r"Now: after edit 1 was switched off, \d\d:\d\d")
    )
    expect(page.locator("#history-note")).to_contain_text("Asia/Tokyo")
    chart = page.locator("#history-chart .main-svg").first
    expect(chart).to_be_visible()
    page.wait_for_function(  # drawn while its tab was hidden, it takes the width there is
        "() => document.querySelector('#history-chart .main-svg').getBoundingClientRect().width >"
        " 0.8 * document.querySelector('#timeline-card').getBoundingClientRect().width"
    )

    page.locator("#history-slider input[type=range]").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#history-moment")).to_contain_text("After edit 1 was taught")
    expect(page.locator("#history-state")).to_contain_text("→ Oslo")
    page.locator("#then-question textarea").fill(PROMPT)
    page.get_by_role("button", name="Ask as it was then").click()
    expect(page.locator("#then-badge")).to_contain_text("Edit 1 answered", timeout=60 * SECONDS)
    expect(page.locator("#then-answer textarea")).to_have_value(TARGET)
    expect(page.locator("#stop-then")).to_be_disabled()
    assert visit.digest() != taught  # it was only looked at

    page.get_by_role("button", name="Undo the last switch").click()
    expect(page.locator("#undone")).to_contain_text("exactly the one after edit 1 was taught")
    expect(page.locator("#history-moment")).to_contain_text("Now: after edit 1 was switched on")
    expect(page.locator("#undo")).to_be_disabled()
    expect(page.locator("#sola-digest")).to_have_text(taught)
    visit.open("Studio")
    expect(page.locator("#edits-summary")).to_contain_text("1 stored, on")


def test_before_a_delete_a_file_is_offered_and_afterwards_the_past_has_a_gap(come: Come, tmp_path: Path) -> None:
    visit = come()
    page = visit.page
    visit.teach(PROMPT, TARGET)
    page.get_by_role("button", name="Delete edit 1").click()
    page.get_by_role("button", name="Save my edits first").click()
    with page.expect_download() as caught:
        page.locator("#take-1").click()
    caught.value.save_as(tmp_path / "edits.safetensors")
    assert TARGET.encode() in (tmp_path / "edits.safetensors").read_bytes()
    page.get_by_role("button", name="Yes, delete").click()
    expect(page.locator("#edits-summary")).to_contain_text("Nothing is taught")
    visit.open("History")
    page.locator("#history-table").get_by_role("button", name="The same as a table").click()
    expect(page.locator("#history-table")).to_contain_text("Erased edit 1")
    expect(page.locator("#timeline-card")).not_to_contain_text(TARGET)
    page.locator("#history-slider input[type=range]").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#history-state")).to_contain_text("erased edit 1 (deleted")
    page.locator("#then-question textarea").fill(PROMPT)
    page.get_by_role("button", name="Ask as it was then").click()
    expect(page.locator("#then-badge")).to_contain_text("untouched model", timeout=60 * SECONDS)
    expect(page.locator("#then-when")).to_contain_text("may differ")
