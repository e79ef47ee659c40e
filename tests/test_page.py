"""The page in a real Chromium: what a visitor does and sees, alone and beside others.

The host is a tiny one; the story with the real model is in test_story.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from sola_core.evaluation.certificate import read_certificate
from tests.serving import Served
from tests.visits import HOSTILE, PROMPT, SECONDS, TARGET, Come

pytestmark = pytest.mark.browser


@pytest.mark.long
def test_two_visitors_have_edits_of_their_own(come: Come) -> None:
    one, two = come(), come()
    one.teach(PROMPT, TARGET)
    two.teach(PROMPT, "Lyon")
    assert one.ask(PROMPT)[1] == TARGET
    assert two.ask(PROMPT)[1] == "Lyon"
    expect(one.page.locator("#edits-card")).to_contain_text("→ Oslo")
    expect(one.page.locator("#edits-card")).not_to_contain_text("Lyon")
    assert one.digest() != two.digest()


def test_edits_are_found_again_after_a_reload_and_in_a_second_tab(come: Come) -> None:
    visit = come()
    visit.teach(PROMPT, TARGET)
    digest = visit.digest()
    visit.reload()
    expect(visit.page.locator("#edits-summary")).to_contain_text("1 stored, on", timeout=30 * SECONDS)
    assert visit.digest() == digest
    tab = come(context=visit.context)
    expect(tab.page.locator("#edits-summary")).to_contain_text("1 stored, on", timeout=30 * SECONDS)
    assert tab.ask(PROMPT)[1] == TARGET


def test_an_example_fills_the_boxes_and_the_question(come: Come) -> None:
    page = come().page
    page.get_by_role("button", name="Eiffel Tower").click()
    expect(page.get_by_label("New answer")).to_have_value("Rome")
    expect(page.get_by_label("Question or beginning")).to_have_value("In which city does the Eiffel Tower stand?")
    expect(page.get_by_label("Your question")).to_have_value("In which city does the Eiffel Tower stand?")


@pytest.mark.long
def test_teaching_what_is_answered_already_asks_whether_to_replace_or_to_keep_both(come: Come) -> None:
    visit = come()
    visit.teach(PROMPT, TARGET)
    first = visit.digest()
    visit.teach(PROMPT, "Lyon", wait="already answers")
    expect(visit.page.locator("#conflict")).to_contain_text("Edit 1 already answers this very question")
    visit.page.get_by_role("button", name="Do not teach").click()
    expect(visit.page.locator("#conflict")).to_be_hidden()
    assert visit.digest() == first

    visit.teach(PROMPT, "Lyon", wait="already answers")
    visit.page.get_by_role("button", name="Keep both").click()
    expect(visit.page.locator("#edits-summary")).to_contain_text("2 stored", timeout=60 * SECONDS)
    expect(visit.page.locator("#edits-card")).to_contain_text("without this one, edit 1 answers")
    assert visit.ask(PROMPT)[1] == "Lyon"

    visit.teach(PROMPT, "red", wait="already answers")
    visit.page.get_by_role("button", name="Replace the old one").click()
    expect(visit.page.locator("#teach-status")).to_contain_text("Edit 2 was replaced", timeout=60 * SECONDS)
    expect(visit.page.locator("#edits-summary")).to_contain_text("2 stored", timeout=30 * SECONDS)
    assert visit.ask(PROMPT)[1] == "red"


@pytest.mark.long
def test_a_delete_asks_back_and_says_what_comes_to_light(come: Come) -> None:
    visit = come()
    visit.teach(PROMPT, TARGET)
    visit.teach(PROMPT, "Lyon", wait="already answers")
    visit.page.get_by_role("button", name="Keep both").click()
    expect(visit.page.locator("#edits-summary")).to_contain_text("2 stored", timeout=60 * SECONDS)
    visit.page.get_by_role("button", name="Delete edit 2").click()
    expect(visit.page.locator("#edits-card")).to_contain_text("Delete edit 2 for good?")
    visit.page.get_by_role("button", name="Keep it").click()
    expect(visit.page.get_by_role("button", name="Keep it")).to_have_count(0)
    visit.page.get_by_role("button", name="Delete edit 2").click()
    visit.page.get_by_role("button", name="Yes, delete").click()
    expect(visit.page.locator("#edits-status")).to_contain_text(
        "exactly the one after edit 1 was taught", timeout=20 * SECONDS
    )
    expect(visit.page.locator("#edits-summary")).to_contain_text("1 stored, on", timeout=20 * SECONDS)
    assert visit.ask(PROMPT)[1] == TARGET


def test_cancelling_leaves_no_trace(come: Come, tiny_page: Served) -> None:
    visit = come()
    before, rooms = visit.digest(), len(tiny_page.studio.registry)
    target = "Rotterdam Lyon Oslo Madrid Turin Dublin Prague Vienna blue red green seven twelve " * 2  # takes its time
    visit.page.get_by_label("Question or beginning").fill(PROMPT)
    visit.page.get_by_label("New answer").fill(target)
    tiny_page.studio.registry._home.editor.host.lock.acquire()  # nothing trains until the button was pressed
    try:
        visit.page.get_by_role("button", name="Teach this fact").click()
        expect(visit.page.locator("#cancel")).to_be_enabled(timeout=20 * SECONDS)
        visit.page.get_by_role("button", name="Cancel").click()
    finally:
        tiny_page.studio.registry._home.editor.host.lock.release()
    expect(visit.page.locator("#teach-status")).to_contain_text("left no trace", timeout=60 * SECONDS)
    expect(visit.page.locator("#cancel")).to_be_disabled()
    expect(visit.page.locator("#edits-summary")).to_contain_text("Nothing is taught yet")
    assert visit.digest() == before
    assert len(tiny_page.studio.registry) == rooms
    visit.teach(PROMPT, TARGET)  # and the page goes on


def test_bad_input_is_told_in_words_and_the_page_goes_on(come: Come) -> None:
    visit = come()
    for prompt, target, words in (
        ("   ", "x", "prompt is empty"),
        ("ok?", "", "new answer is empty"),
        ("x" * 5000, "y", "5,000 characters"),
    ):
        visit.page.get_by_label("Question or beginning").fill(prompt)
        visit.page.get_by_label("New answer").fill(target)
        visit.page.get_by_role("button", name="Teach this fact").click()
        expect(visit.page.get_by_test_id("toast-text")).to_contain_text(words, timeout=20 * SECONDS)
        visit.page.get_by_test_id("toast-close").click()
        expect(visit.page.get_by_test_id("toast-text")).to_have_count(0)
    visit.teach(PROMPT, TARGET)
    visit.watch.errors.clear()  # gradio logs the refusal


def test_what_a_visitor_writes_never_becomes_markup(come: Come) -> None:
    visit = come()
    visit.teach(HOSTILE, "red", rephrases=f"{HOSTILE} again")
    visit.ask(HOSTILE)
    for table in ("#why-table", "#map-table"):
        visit.page.locator(table).get_by_role("button", name="The same as a table").click()
    visit.page.get_by_role("button", name="Delete edit 1").click()
    expect(visit.page.locator("#edits-card")).to_contain_text("<img src=x onerror")
    expect(visit.page.locator("#why-table")).to_contain_text("${window.hacked=1}")
    assert visit.page.evaluate("window.hacked") is None
    assert visit.page.locator("img[src='x']").count() == 0
    visit.teach(HOSTILE, "blue", wait="already answers")
    assert visit.page.evaluate("window.hacked") is None


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        pytest.param("เมืองหลวงคืออะไร", "Oslo", marks=pytest.mark.long),
        pytest.param("🦊🌙?", "red", marks=pytest.mark.long),
        pytest.param("ما هي العاصمة؟", "blue", marks=pytest.mark.long),
    ],
)
def test_texts_in_other_scripts_are_taught_and_found_by_their_own_wording(come: Come, prompt: str, target: str) -> None:
    visit = come()
    visit.teach(prompt, target)
    assert visit.ask(prompt)[1] == target
    assert visit.ask("เมืองไหนใหญ่ที่สุด")[0] == visit.ask("เมืองไหนใหญ่ที่สุด")[1]
    expect(visit.page.locator("#why-sentence")).to_contain_text("cannot read this question")


def test_edits_are_saved_loaded_by_another_visitor_and_proved(come: Come, tmp_path: Path) -> None:
    visit, other = come(), come()
    visit.teach(PROMPT, TARGET)
    visit.open("Proof")
    visit.page.get_by_role("button", name="Save my edits").click()
    with visit.page.expect_download() as caught:
        visit.page.locator("#download").click()
    file = tmp_path / "edits.safetensors"
    caught.value.save_as(file)
    other.open("Proof")
    with other.page.expect_file_chooser() as chooser:
        other.page.get_by_role("button", name="Load saved edits").click()
    chooser.value.set_files(file)
    expect(other.page.locator("#keep-status")).to_contain_text("1 edit stored", timeout=60 * SECONDS)
    expect(other.page.locator("#sola-digest")).to_have_text(visit.digest(), timeout=30 * SECONDS)
    other.page.get_by_role("button", name="Prove that all").click()
    expect(other.page.locator("#proof-status")).to_contain_text("no difference in a single bit", timeout=90 * SECONDS)
    with other.page.expect_download() as caught:
        other.page.locator("#certificate").click()
    caught.value.save_as(tmp_path / "certificate.json")
    assert read_certificate(tmp_path / "certificate.json").state_digest == visit.digest()


def test_a_list_is_previewed_and_taught(come: Come, tmp_path: Path) -> None:
    visit, table = come(), tmp_path / "facts.csv"
    table.write_text(f"prompt,target\n{PROMPT},{TARGET}\nWho wrote the book?,red\n{HOSTILE},\n", encoding="utf-8")
    visit.open("Proof")
    with visit.page.expect_file_chooser() as chooser:
        visit.page.get_by_role("button", name="Choose a list").click()
    chooser.value.set_files(table)
    expect(visit.page.locator("#keep-status")).to_contain_text("2 facts can be taught. 1 row cannot")
    visit.page.get_by_role("button", name="Teach these facts").click()
    expect(visit.page.locator("#keep-status")).to_contain_text("2 facts taught", timeout=90 * SECONDS)
    visit.open("Studio")
    expect(visit.page.locator("#edits-summary")).to_contain_text("2 stored")
    assert visit.page.evaluate("window.hacked") is None


@pytest.mark.long
def test_four_visitors_at_once_can_all_use_their_rows(come: Come) -> None:
    visits = [come() for _ in range(4)]
    for visit in visits:
        visit.page.get_by_label("Question or beginning").fill(PROMPT)
        visit.page.get_by_label("New answer").fill(TARGET)
    for visit in visits:
        visit.page.get_by_role("button", name="Teach this fact").click()
    for visit in visits:
        expect(visit.page.locator("#edits-summary")).to_contain_text("1 stored, on", timeout=90 * SECONDS)
    for visit in visits:
        visit.page.get_by_label("Edit 1 is on").click()
    for visit in visits:
        expect(visit.page.locator("#edits-summary")).to_contain_text("1 stored, switched off", timeout=30 * SECONDS)
    for visit in visits:
        visit.page.get_by_role("button", name="Delete edit 1").click()
        visit.page.get_by_role("button", name="Yes, delete").click()
    for visit in visits:
        expect(visit.page.locator("#edits-summary")).to_contain_text("Nothing is taught", timeout=30 * SECONDS)


@pytest.mark.long
def test_the_list_turns_pages_when_it_is_long(come: Come, tmp_path: Path) -> None:
    visit, table = come(), tmp_path / "facts.csv"
    table.write_text("prompt,target\n" + "".join(f"{sign},{TARGET}\n" for sign in "กขคงจฉชซญดตถท"), encoding="utf-8")
    visit.open("Proof")
    with visit.page.expect_file_chooser() as chooser:
        visit.page.get_by_role("button", name="Choose a list").click()
    chooser.value.set_files(table)
    visit.page.get_by_role("button", name="Teach these facts").click()
    expect(visit.page.locator("#keep-status")).to_contain_text("13 facts taught", timeout=90 * SECONDS)
    visit.open("Studio")
    expect(visit.page.get_by_role("button", name="Delete edit 13")).to_be_visible()
    expect(visit.page.get_by_role("button", name="Delete edit 1", exact=True)).to_have_count(0)
    visit.page.get_by_role("button", name="Older edits").click()
    expect(visit.page.get_by_role("button", name="Delete edit 1", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1440, "light"),
        (390, "dark"),
        pytest.param(1440, "dark", marks=pytest.mark.long),
        pytest.param(390, "light", marks=pytest.mark.long),
    ],
)
def test_the_page_fits_its_window(come: Come, width: int, scheme: str) -> None:
    visit = come(viewport={"width": width, "height": 900}, color_scheme=scheme)
    visit.teach(
        "What is the capital of France, and " + "very " * 30 + "long?", "RotterdamLyonOsloMadridTurinDublinPrague"
    )
    visit.ask(PROMPT)
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("#teach-card", "#edits-card", "#ask-card", "#why-card", "#map-card"):
        box = page.locator(name).bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width
    expect(page.locator("#routers-chart .main-svg").first).to_be_visible()
    visit.ask(PROMPT)  # a picture that is drawn again must not come out wider
    expect(page.locator("#routers-chart .main-svg").first).to_be_visible()
    for chart in ("#loss-chart", "#why-chart", "#routers-chart", "#map-chart"):
        box = page.locator(f"{chart} .main-svg").first.bounding_box()
        assert box is not None and box["width"] > 200 and box["height"] > 80
    for table in ("#why-table", "#routers-table", "#map-table"):
        page.locator(table).get_by_role("button", name="The same as a table").click()
        expect(page.locator(f"{table} table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name_and_every_picture_a_table(come: Come) -> None:
    visit = come()
    visit.teach(PROMPT, TARGET)
    visit.ask(PROMPT)
    nameless = visit.page.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, select')]
            .filter(e => e.offsetParent !== null)
            .filter(e => !(e.innerText || e.getAttribute('aria-label') || e.title ||
                           (e.labels && [...e.labels].some(l => l.innerText.trim()))))
            .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    for table in ("#why-table", "#routers-table", "#map-table"):
        visit.page.locator(table).get_by_role("button", name="The same as a table").click()
        expect(visit.page.locator(f"{table} table")).to_contain_text("capital of France")
    assert visit.page.get_by_role("heading", level=1).count() == 1


@pytest.mark.long
def test_points_on_the_map_keep_their_places_when_others_arrive(come: Come) -> None:
    visit = come()
    visit.teach(PROMPT, TARGET)
    read = """() => document.querySelector('#map-chart .js-plotly-plot').data
        .filter(t => t.name !== undefined).flatMap(t => (t.hovertext || []).map((h, i) => [h, t.x[i], t.y[i]]))"""
    expect(visit.page.locator("#map-chart")).to_contain_text("edit, on", timeout=30 * SECONDS)
    before = {text: (x, y) for text, x, y in visit.page.evaluate(read)}
    visit.ask("Who wrote the book?")
    visit.teach("Which company makes the engine of the ship?", "red")
    expect(visit.page.locator("#edits-summary")).to_contain_text("2 stored", timeout=30 * SECONDS)
    visit.page.wait_for_function(
        "() => document.querySelector('#map-chart .js-plotly-plot').data.some(t => (t.hovertext || []).length > 1)"
    )
    after = {text: (x, y) for text, x, y in visit.page.evaluate(read)}
    assert PROMPT in before and len(after) == 3
    assert after[PROMPT] == before[PROMPT]


@pytest.mark.long
def test_a_visitor_switches_the_router_for_themselves_and_finds_it_again(come: Come) -> None:
    visit, other = come(), come()
    visit.teach(PROMPT, TARGET)
    page, words = visit.page, "What is the capital of Spain?"
    visit.ask(words)
    expect(page.locator("#why-router")).to_contain_text("scope")
    expect(page.locator("#routers-words")).to_contain_text("What each router would have done")
    expect(page.locator("#routers-chart")).to_contain_text("scope, used")
    scope = page.locator("#why-sentence").inner_text()

    page.get_by_role("radio", name="hidden:").click()
    expect(page.locator("#sola-router")).to_have_text("hidden")
    expect(page.locator("#why-router")).to_contain_text("scope")  # what was decided stays
    assert page.locator("#why-sentence").inner_text() == scope
    visit.ask(words)
    expect(page.locator("#why-router")).to_contain_text("hidden")
    expect(page.locator("#routers-chart")).to_contain_text("hidden, used")
    page.locator("#routers-table").get_by_role("button", name="The same as a table").click()
    expect(page.locator("#routers-table tbody tr")).to_have_count(3)
    expect(page.locator("#routers-table tbody tr").nth(2)).to_contain_text("hidden, used")

    visit.reload()
    expect(page.locator("#sola-router")).to_have_text("hidden")
    expect(page.get_by_role("radio", name="hidden:")).to_be_checked()
    other.reload()
    expect(other.page.locator("#sola-digest")).to_have_text(re.compile("^[0-9a-f]{64}$"))
    expect(other.page.locator("#sola-router")).to_have_text("scope")
    expect(other.page.get_by_role("radio", name="scope:")).to_be_checked()


@pytest.mark.long
def test_questions_asked_one_right_after_the_other_end_in_the_comparison_of_the_last(come: Come) -> None:
    visit = come()
    visit.teach(PROMPT, TARGET)
    for words in (PROMPT, "What is the capital of Spain?", "Who wrote the book?"):
        visit.ask(words)
    expect(visit.page.locator("#routers-words")).to_contain_text("Who wrote the book?")
    expect(visit.page.locator("#routers-words")).to_contain_text("outers")
    expect(visit.page.locator("#routers-chart .main-svg").first).to_be_visible()


@pytest.mark.long
def test_a_router_chosen_before_anything_is_taught_makes_no_workspace_and_is_kept(
    come: Come, tiny_page: Served
) -> None:
    visit, rooms = come(), len(tiny_page.studio.registry)
    page = visit.page
    page.get_by_role("radio", name="sentence:").click()
    expect(page.locator("#sola-router")).to_have_text("sentence")
    visit.reload()
    expect(page.locator("#sola-router")).to_have_text("sentence")
    expect(page.get_by_role("radio", name="sentence:")).to_be_checked()
    assert len(tiny_page.studio.registry) == rooms
    visit.teach(PROMPT, TARGET)
    expect(page.locator("#sola-router")).to_have_text("sentence")
    visit.ask("What is the capital of Spain?")
    expect(page.locator("#why-router")).to_contain_text("sentence")
