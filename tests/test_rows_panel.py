"""The list of edits: search, order and pages, what an open row says, and probing from it; also what strangers may send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from sola_core import EditRequest
from sola_core.edit_probe import Probing
from sola_core.errors import InvalidInput, SessionRequired, UnknownEdit
from sola_core.precedence import covers, uncovered_by
from sola_core.studio import Studio, open_studio
from sola_core.ui import present, row_words
from sola_core.ui.details import MANY, DetailsHandlers
from sola_core.ui.edits import MAX_WORDS, EditsHandlers
from sola_core.ui.listing import ROWS_SHOWN, Looking, found_words, matches, window
from sola_core.ui.present import EditRow
from sola_core.ui.probe import MAX_LINES, ProbeHandlers, at_rest
from sola_core.workspace import Limits
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo", subject="France")
BOOK = EditRequest(prompt="Who wrote the book? <b>", target="seven blue", rephrases=("Whose book is it?",))
ME, YOU = gr.Request(session_hash="me"), gr.Request(session_hash="you")
SEARCH, FOUND, GROUP, FACTS, CHART = range(5)
STATUS, FIGURES, TABLE, STOP, SO_FAR = range(5)


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    found = open_studio(host=tiny_host(), encoder=tiny_encoder(), limits=Limits(answer_tokens=8), use_umap=False)
    with found.registry.claim(found.registry.visitor("me")) as workspace:
        for request in (FRANCE, BOOK):
            workspace.edit(request)
    yield found
    found.registry.close()


def rows_of(studio: Studio) -> tuple[EditRow, ...]:
    with studio.registry.visit(studio.registry.visitor("me")) as workspace:
        edits = workspace.edits
        return present.edit_rows(edits, workspace.numbers(), covers(edits), uncovered_by(edits))


def row(number: int, prompt: str = "", *, enabled: bool = True, target: str = "x", subject: str = "") -> EditRow:
    return EditRow(
        id=f"id{number}", number=number, prompt=prompt or f"Question {number:03}?", target=target, subject=subject,
        enabled=enabled, detail="", notes=(),
    )  # fmt: skip


MANY_ROWS = tuple(row(number) for number in range(30, 0, -1))  # newest first


# ---- search, order, pages ----


def test_a_search_finds_words_of_the_question_the_answer_and_the_subject_whatever_their_case() -> None:
    one = row(1, "Where is the Straße?", target="OSLO", subject="Ærø")
    assert all(matches(one, words) for words in ("", "STRASSE", "oslo where", "ærø", "  is  "))
    assert not matches(one, "oslo rome")


@pytest.mark.parametrize(
    ("order", "numbers"),
    [("newest", [3, 2, 1]), ("oldest", [1, 2, 3]), ("question", [2, 3, 1]), ("off", [2, 3, 1])],
)
def test_rows_come_in_the_order_chosen(order: str, numbers: list[int]) -> None:
    rows = (row(3, "b"), row(2, "A", enabled=False), row(1, "c"))
    assert [one.number for one in window(rows, Looking(order=order), 0, "").first] == numbers


def test_the_open_row_ends_the_first_half_and_nothing_is_lost_or_doubled() -> None:
    part = window(MANY_ROWS, Looking(), 1, "id16")
    assert part.opened is part.first[-1] and part.opened.number == 16
    assert [one.number for one in (*part.first, *part.rest)] == list(range(18, 6, -1))
    closed = window(MANY_ROWS, Looking(), 1, "id30")  # on another page
    assert closed.opened is None and closed.rest == () and len(closed.first) == ROWS_SHOWN


def test_a_page_beyond_the_last_is_the_last() -> None:
    part = window(MANY_ROWS, Looking(), 9, "")
    assert (part.page, part.last) == (2, 2) and [one.number for one in part.first] == [6, 5, 4, 3, 2, 1]
    assert window((), Looking(words="x"), 3, "id1").last == 0


def test_the_line_under_the_search_says_how_many_match() -> None:
    assert found_words(window(MANY_ROWS, Looking(), 0, "")) == ""
    assert found_words(window(MANY_ROWS, Looking(words="question 01"), 0, "")) == "11 of 30 edits match."
    assert found_words(window(MANY_ROWS, Looking(words="zebra"), 0, "")).startswith("No edit matches")


def test_a_search_is_checked_and_begins_on_the_first_page(studio: Studio) -> None:
    look = EditsHandlers(studio, None).look  # type: ignore[arg-type]
    assert look("Oslo", "off") == (Looking(words="Oslo", order="off"), 0)
    assert look(None, "newest")[0] == Looking()
    for words, order in (
        ("x" * (MAX_WORDS + 1), "newest"),
        ("x" * 10**6, "off"),
        (7, "off"),
        ("", "magic"),
        ("", None),
    ):
        with pytest.raises(InvalidInput):
            look(words, order)


# ---- the open row ----


def follow(studio: Studio, rows: object, opened: object, looking: object = Looking(), who: gr.Request = ME) -> Any:
    return DetailsHandlers(studio).follow(rows, looking, 0, opened, "", who)


def test_an_open_row_shows_its_edit_and_escapes_what_was_written(studio: Studio) -> None:
    rows = rows_of(studio)
    shown = follow(studio, rows, rows[0].id)
    facts = str(shown[FACTS])
    assert shown[GROUP]["visible"] is True and shown[CHART]["value"]
    assert "&lt;b&gt;" in facts and "<b>" not in facts and "Whose book is it?" in facts
    with studio.registry.visit(studio.registry.visitor("me")) as workspace:
        assert workspace.edits[1].digest in facts
    assert "numbers in" in facts and "2 keys" in facts and "router “scope”" in facts and "UTC" in facts


def test_a_row_that_is_gone_foreign_or_no_id_at_all_opens_to_nothing(studio: Studio) -> None:
    rows = rows_of(studio)
    for given, opened, who in (
        (rows, "", ME), (rows, "nobody", ME), ((), rows[0].id, ME), (rows, rows[0].id, YOU), (rows, 7, ME),
        ("rows", rows[0].id, ME), (rows, ["x" * 10**6], ME),
    ):  # fmt: skip
        assert follow(studio, given, opened, who=who)[GROUP]["visible"] == "hidden"
    assert follow(studio, rows, rows[0].id, looking={"words": "x"})[GROUP]["visible"] == "hidden"


def test_the_search_is_seen_only_with_many_edits_or_while_something_is_looked_for(studio: Studio) -> None:
    assert follow(studio, MANY_ROWS[:MANY], "")[SEARCH]["visible"] == "hidden"
    assert follow(studio, MANY_ROWS[: MANY + 1], "")[SEARCH]["visible"] is True
    assert follow(studio, MANY_ROWS[:2], "", Looking(words="x"))[SEARCH]["visible"] is True


def test_opening_another_row_forgets_what_was_typed_and_asking_again_in_the_same_does_not(studio: Studio) -> None:
    handlers, one = EditsHandlers(studio, None), row(1)  # type: ignore[arg-type]
    assert handlers.opener(one)("")[:3] == ("id1", "", "") and handlers.opener(one)("id1")[0] == ""
    assert handlers.prober(one)("other", 4)[:4] == (5, "id1", "", "")
    assert handlers.prober(one)("id1", 5)[:4] == (6, "id1", gr.skip(), gr.skip())
    assert handlers.prober(one)(None, "nonsense")[0] == 0
    assert handlers.prober(one)("id1", 5)[4:] == at_rest()


# ---- probing ----


def probe(studio: Studio, edit_id: object, wordings: object = "", neighbours: object = "", who: gr.Request = ME) -> Any:
    return list(ProbeHandlers(studio).probe(edit_id, wordings, neighbours, "", who))


def test_a_probe_counts_with_progress_and_ends_in_a_known_state(studio: Studio) -> None:
    france = rows_of(studio)[-1]
    *running, last = probe(studio, france.id, "France, capital?\n\n", "เมืองหลวงคืออะไร\n")
    assert all("<progress" in one[STATUS] and one[STOP]["interactive"] is True for one in running)
    assert all(len(one) == len(last) == len(at_rest()) and gr.skip() not in one for one in (*running, last))
    assert last[STOP]["interactive"] is False
    assert "1 of 1" in last[FIGURES] and "2 of 2" in last[FIGURES] and "<progress" not in last[STATUS]
    assert last[TABLE].count("<tr>") == 1 + 4 and "(wording, yours)" in last[TABLE]
    assert "neighbour, belongs to edit 2" in last[TABLE] and "&lt;b&gt;" in last[TABLE]
    assert isinstance(last[SO_FAR], Probing) and last[SO_FAR].ended


def test_nothing_to_ask_is_said_and_not_counted_as_a_success(studio: Studio) -> None:
    last = probe(studio, rows_of(studio)[-1].id)[-1]
    assert "not asked" in last[FIGURES] and "Generality: nothing to ask" in last[STATUS]


def test_a_stopped_probe_shows_what_was_asked_and_says_where_it_stopped(studio: Studio) -> None:
    handlers, france = ProbeHandlers(studio), rows_of(studio)[-1]
    steps = handlers.probe(france.id, "", "", "", ME)
    shown = next(one for one in steps if isinstance(one[SO_FAR], Probing) and one[SO_FAR].answered)
    steps.close()
    stopped = handlers.unfinished(shown[SO_FAR], france.id, "", ME)
    assert "Stopped after 1 of 2 questions" in str(stopped[STATUS]) and stopped[TABLE] == shown[TABLE]
    assert gr.skip() not in stopped
    for so_far, opened in ((shown[SO_FAR], "another row"), (None, france.id), ({"edit": 1}, france.id)):
        assert handlers.unfinished(so_far, opened, "", ME) == at_rest()


def test_edits_of_others_unknown_ones_and_wrong_inputs_are_refused(studio: Studio) -> None:
    mine = rows_of(studio)[0].id
    for edit_id, who, error in (
        (mine, YOU, UnknownEdit), ("nobody", ME, UnknownEdit), ("", ME, InvalidInput), (7, ME, InvalidInput),
        ("x" * 10**6, ME, InvalidInput), (mine, gr.Request(), SessionRequired),
    ):  # fmt: skip
        with pytest.raises(error):
            probe(studio, edit_id, who=who)
    for lines in (7, ["x"], "x" * 10**6, "x" * 5000, "q?\n" * (MAX_LINES + 1), "a\x00"):
        for given in ((lines, ""), ("", lines)):
            with pytest.raises(InvalidInput):
                probe(studio, mine, *given)


def test_small_counts_are_told_as_counts() -> None:
    assert [row_words.fraction(*pair) for pair in ((2, 2), (0, 1), (0, 0), (9, 10))] == [
        "2 of 2",
        "0 of 1",
        "not asked",
        "9 of 10 (0.90)",
    ]
