"""Rows of edits in a real Chromium: opened, probed, searched; and what stands under two answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from sola_core import EditRequest, load_editor
from sola_core.workspace import Limits
from tests.serving import Served, served
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder
from tests.visits import HOSTILE, PROMPT, SECONDS, TARGET, Come

pytestmark = pytest.mark.browser

STORED = 30
STRANGE = "เมืองหลวงคืออะไร"  # the encoder cannot read it, so nothing is routed


@pytest.fixture(scope="module")
def full_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A page over a library that holds many edits."""
    library = str(tmp_path_factory.mktemp("library") / "facts.db")
    host, encoder = tiny_host(), tiny_encoder()
    with load_editor(host=host, encoder=encoder, library=library) as editor:
        first = editor.edit(EditRequest(prompt="Question 1?", target=TARGET))
        trained = editor._trained(first)
        for number in range(2, STORED + 1):  # the same adapter under other questions
            request = EditRequest(prompt=f"Question {number}?", target=TARGET, subject="odd" if number % 2 else None)
            editor._routed.add_many(
                [(type(trained)(request=request, tensors=trained.tensors, training=trained.training), number != 9)]
            )
    with served(host, encoder, library=library, limits=Limits(answer_tokens=8)) as found:
        yield found


def test_an_edit_is_probed_with_lines_of_ones_own_while_the_list_changes_and_the_answers_differ_visibly(
    come: Come,
) -> None:
    visit = come()
    page = visit.page
    visit.teach(PROMPT, TARGET)
    visit.teach(HOSTILE, "red")
    expect(page.locator("#details")).to_be_hidden()

    assert visit.ask(PROMPT)[1] == TARGET
    expect(page.locator("#differing mark")).to_have_count(2)
    expect(page.locator("#first-edited .main-svg").first).to_be_visible()
    page.locator("#compared-table").get_by_role("button", name="The same as a table").click()
    expect(page.locator("#compared-table")).to_contain_text("How probable either model")

    page.get_by_role("button", name="Probe edit 1").click()
    expect(page.locator("#probe-status")).to_contain_text("2 questions asked", timeout=90 * SECONDS)
    expect(page.locator("#details-facts")).to_contain_text("numbers in")
    expect(page.locator("#details-loss .main-svg").first).to_be_visible()
    expect(page.locator("#probe-table tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Add questions of your own").click()
    page.get_by_label("Neighbours of your own").fill(f"{STRANGE}\n{HOSTILE} ?")
    page.get_by_role("button", name="Ask them all").click()
    expect(page.locator("#probe-status")).to_contain_text("4 questions asked", timeout=90 * SECONDS)
    expect(page.locator("#probe-table")).to_contain_text("(neighbour, yours)")
    page.get_by_label("Edit 2 is on").click()  # the rows are drawn anew around the open one
    expect(page.locator("#edits-summary")).to_contain_text("1 switched on")
    expect(page.get_by_label("Neighbours of your own")).to_have_value(f"{STRANGE}\n{HOSTILE} ?")
    expect(page.locator("#probe-table tbody tr")).to_have_count(4)

    page.get_by_role("button", name="Open edit 2").click()  # another row: fresh
    expect(page.locator("#details-facts")).to_contain_text("Nothing while it is switched off")
    expect(page.get_by_label("Neighbours of your own")).to_have_value("")
    expect(page.locator("#probe-table")).to_have_text("")
    page.get_by_role("button", name="Delete edit 2").click()
    page.get_by_role("button", name="Yes, delete").click()
    expect(page.locator("#edits-summary")).to_contain_text("1 stored")
    expect(page.locator("#details")).to_be_hidden()
    assert page.evaluate("window.hacked") is None


@pytest.mark.long
def test_many_edits_are_searched_and_sorted_and_a_probe_can_be_stopped(come: Come, full_page: Served) -> None:
    page = come(full_page).page
    expect(page.locator("#edits-card .sola-row")).to_have_count(12)
    page.get_by_label("Search your edits").press_sequentially("question 2", delay=30)
    expect(page.locator("#found")).to_contain_text("12 of 30 edits match")
    page.get_by_role("button", name="Open edit 12").click()
    expect(page.locator("#details-facts")).to_contain_text("Question 12?")
    page.get_by_label("Edit 29 is on").click()  # the list changes: what was typed and opened stays
    expect(page.locator("#edits-summary")).to_contain_text("28 switched on")
    expect(page.get_by_label("Search your edits")).to_have_value("question 2")
    expect(page.locator("#edits-card .sola-row")).to_have_count(12)
    expect(page.locator("#details-facts")).to_contain_text("Question 12?")

    page.get_by_label("Search your edits").fill("")
    expect(page.locator("#details")).to_be_hidden()  # edit 12 is on another page
    page.get_by_role("button", name="Older edits").click()
    expect(page.locator("#details-facts")).to_contain_text("Question 12?")
    page.get_by_label("Order").click()
    page.get_by_role("option", name="switched off first").click()
    expect(page.locator("#edits-card .sola-row").first).to_contain_text("Question 29?")
    expect(page.locator("#edits-card .sola-row").nth(1)).to_contain_text("Question 9?")

    host = full_page.studio.registry._home.editor.host
    page.get_by_role("button", name="Probe edit 9").click()
    expect(page.locator("#probe-status")).to_contain_text(re.compile("questions asked"), timeout=60 * SECONDS)
    host.lock.acquire()
    try:
        page.get_by_role("button", name="Ask them all").click()
        expect(page.locator("#stop-probe")).to_be_enabled()
        expect(page.locator("#probe-status")).to_contain_text("Asking question 1 of")
        page.locator("#stop-probe").click()
    finally:
        host.lock.release()
    expect(page.locator("#probe-status")).to_contain_text("Stopped after 0 of", timeout=60 * SECONDS)
    expect(page.locator("#stop-probe")).to_be_disabled()
