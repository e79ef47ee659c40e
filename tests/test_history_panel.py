"""The History tab without a browser: what it says of a past, what it refuses, and that looking back changes nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from sola_core import EditRequest
from sola_core.errors import InvalidInput, SessionRequired
from sola_core.history import History, history_of
from sola_core.records import Edit, Event
from sola_core.registry import Visitor
from sola_core.studio import Studio, open_studio
from sola_core.ui import border, history_words, texts
from sola_core.ui.edits import EditsHandlers
from sola_core.ui.history import HistoryHandlers
from sola_core.ui.history_figure import history_figure
from sola_core.ui.history_words import MOST_MOMENTS, MOST_ROWS, Clock
from sola_core.workspace import Limits
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo")
BOOK = EditRequest(prompt="Who wrote the book? <b>", target="seven blue")
ME, TOKYO = gr.Request(session_hash="me"), {"zone": "Asia/Tokyo"}
NOON = 1_700_000_000.0  # 14 November 2023, 22:13:20 UTC
CHART, WORDS, STATE, SLIDER, NOTE, TABLE, UNDO, UNDO_WORDS = range(8)
ANSWER, WHO, WHEN, STOP = range(4)


@pytest.fixture
def studio() -> Iterator[Studio]:
    found = open_studio(host=tiny_host(), encoder=tiny_encoder(), limits=Limits(answer_tokens=6), use_umap=False)
    yield found
    found.registry.close()


@pytest.fixture
def visitor(studio: Studio) -> Visitor:
    """A visitor who taught two facts, switched the first off and deleted the second."""
    who = studio.registry.visitor("me")
    with studio.registry.claim(who) as workspace:
        france, book = workspace.edit(FRANCE), workspace.edit(BOOK)
        workspace.set_enabled(france.id, False)
        workspace.delete(book.id)
    return who


def state(studio: Studio, visitor: Visitor) -> tuple[object, ...]:
    with studio.registry.visit(visitor) as workspace:
        return workspace.digest, workspace.editor.events(), workspace.questions


def past(*lines: tuple[str, str], stored: dict[str, bool] | None = None) -> tuple[History, tuple[Edit, ...]]:
    """Return the history of events given by kind and edit, a minute apart, and stand-ins for the edits stored."""
    events: list[Event] = []
    for number, (kind, edit_id) in enumerate(lines, 1):
        told: Any = kind
        events.append(Event(number=number, kind=told, edit_id=edit_id, time=NOON + 60 * number))
    edits: Any = tuple(
        SimpleNamespace(id=edit_id, enabled=on, prompt=f"<i>{edit_id}</i>?") for edit_id, on in (stored or {}).items()
    )
    return history_of(events, edits), edits


UTC = Clock.of("", NOON + 3600)


# ---- words ----


def test_times_are_told_as_in_the_visitors_zone_and_in_utc_when_it_is_not_known() -> None:
    assert (
        Clock.of("Asia/Tokyo", NOON).short(NOON) == "07:13" and Clock.of("Asia/Tokyo", NOON).exact(NOON) == "07:13:20"
    )
    assert Clock.of("Asia/Tokyo", NOON + 86_400).short(NOON) == "15 Nov, 07:13"
    assert Clock.of("UTC", NOON + 400 * 86_400).short(NOON) == "14 Nov 2023, 22:13"
    for unknown in ("", "Mars/Olympus", "Europe", "../../etc/passwd", "x" * 90):
        clock = Clock.of(unknown, NOON)
        assert (clock.name, clock.short(NOON)) == ("UTC", "22:13")


@pytest.mark.parametrize(
    "token", [None, "", 7, {}, {"zone": 7}, {"zone": "../x"}, {"zone": "x" * 500}, {"zone": "a b"}, {"zone": "A/B\n"}]
)
def test_what_cannot_be_a_zone_counts_for_none(token: object) -> None:
    assert border.zone(token) == ""


def test_a_browser_keeps_its_zone_beside_its_token(studio: Studio) -> None:
    kept = border.kept(studio.registry, {"zone": "America/Argentina/Ushuaia"})
    assert kept["zone"] == "America/Argentina/Ushuaia" and studio.registry.is_minted(kept["token"])
    assert border.kept(studio.registry, kept, "hidden") == {**kept, "router": "hidden"}
    assert "zone" not in border.kept(studio.registry, {"zone": "<b>"})


def test_moments_are_told_in_words() -> None:
    history, _ = past(("taught", "a"), ("disabled", "a"), ("enabled", "a"), ("deleted", "a"))
    words = [history_words.moment_words(history, number, UTC) for number in range(5)]
    assert words == [
        "At the start: nothing had been taught",
        "After edit 1 was taught, 22:14",
        "After edit 1 was switched off, 22:15",
        "After edit 1 was switched on, 22:16",
        "Now: after edit 1 was deleted, 22:17",
    ]
    assert history_words.moment_words(past()[0], 0, UTC) == texts.HISTORY_EMPTY


def test_what_was_done_as_one_is_told_as_one() -> None:
    def at_once(*lines: tuple[str, str]) -> str:
        one: Any = [
            Event(number=number, kind=kind, edit_id=edit_id, time=NOON)  # type: ignore[arg-type]
            for number, (kind, edit_id) in enumerate(lines, 1)
        ]
        first = Event(number=0, kind="taught", edit_id="z", time=NOON - 60)
        return history_words.happened(history_of([first, *one], ()).moments[-1])

    assert at_once(("deleted", "z"), ("taught", "a")) == "edit 1 was replaced by edit 2"
    many = [("taught", name) for name in "abcd"]
    assert at_once(*many) == "edits 2 to 5 came from a file"
    assert at_once(*many, ("disabled", "b")) == "edits 2 to 5 came from a file, edit 3 switched off"
    assert at_once(("taught", "a"), ("disabled", "a")) == "edit 2 was taught, edit 2 switched off"


def test_an_erased_edit_has_no_text_and_a_deleted_one_that_is_still_being_erased_says_so() -> None:
    lines = (("taught", "a"), ("taught", "b"), ("deleted", "a"), ("erased", "a"), ("deleted", "b"))
    history, edits = past(*lines)
    drawn = history_words.timeline(history, edits, UTC)
    assert [bar.label for bar in drawn.bars] == ["erased edit 1", "deleted edit 2"]
    rows = history_words.edits_table(history, edits, UTC)
    assert rows[1] == ("Erased edit 1", texts.ERASED_TEXT, "from 22:14 to 22:16", "deleted 22:16:20")
    assert "erased edit 1 (deleted 22:16), deleted edit 2 (deleted 22:18)" in history_words.lost_words(
        history.at(2), UTC
    )
    assert history_words.lost_words(history.at(0), UTC) == ""


def test_the_newest_few_hundred_moments_are_shown_and_the_older_ones_counted() -> None:
    lines = [line for n in range(2000) for line in (("taught", str(n)), ("disabled", str(n)))]
    history, edits = past(*lines, stored={str(n): False for n in range(2000)})
    drawn = history_words.timeline(history, edits, UTC)
    assert drawn.first == history.now - MOST_MOMENTS and len(drawn.bars) == MOST_ROWS
    assert drawn.older == f"Not drawn: {4000 - MOST_MOMENTS:,} older moments and {2000 - MOST_ROWS:,} older edits."
    assert len(history_words.moments_table(history, UTC)) == MOST_MOMENTS + 1
    assert len(history_words.edits_table(history, edits, UTC)) == MOST_MOMENTS
    assert all(piece.start >= drawn.first for bar in drawn.bars for piece in bar.pieces)


def test_the_picture_shows_when_an_edit_was_on_and_writes_no_markup() -> None:
    history, edits = past(
        ("taught", "a"), ("taught", "b"), ("disabled", "a"), ("deleted", "b"), ("erased", "b"), stored={"a": False}
    )
    figure = history_figure(history_words.timeline(history, edits, UTC), 2)
    drawn = {trace["name"]: trace for trace in json.loads(figure.to_json())["data"]}
    assert drawn["on"]["base"] == [0.5] and drawn["on"]["x"] == [2]  # after moments 1 and 2
    assert drawn["off"]["base"] == [2.5] and drawn["off"]["x"] == [2]
    assert drawn["erased since: was on"]["base"] == [1.5] and drawn["deleted"]["x"] == [3.5]
    words = [note["text"] for note in json.loads(figure.to_json())["layout"]["annotations"]]
    assert words == ["<b>1</b>  &lt;i&gt;a&lt;/i&gt;?", "erased edit 2", "the moment shown"]


# ---- handlers ----


def test_the_tab_of_one_who_taught_nothing_is_empty_and_makes_no_workspace(studio: Studio) -> None:
    drawn: Any = HistoryHandlers(studio).draw("", ME)
    assert len(studio.registry) == 0 and texts.HISTORY_EMPTY in drawn[WORDS]
    assert drawn[SLIDER]["interactive"] is False and drawn[SLIDER]["maximum"] > drawn[SLIDER]["minimum"]
    assert drawn[UNDO]["interactive"] is False and texts.UNDO_NONE in drawn[UNDO_WORDS]
    *_, last = HistoryHandlers(studio).ask("Who wrote it?", 0, "", ME)
    assert "untouched model" in str(last[WHO]) and len(studio.registry) == 0


def test_the_tab_shows_the_present_and_turns_to_the_past(studio: Studio, visitor: Visitor) -> None:
    before, act = state(studio, visitor), HistoryHandlers(studio)
    drawn: Any = act.draw(TOKYO, ME)
    assert drawn[SLIDER]["value"] == drawn[SLIDER]["maximum"] == 4 and drawn[SLIDER]["minimum"] == 0
    assert "Now: after edit 2 was deleted" in drawn[WORDS] and "Asia/Tokyo" in drawn[NOTE]
    assert "seven blue" not in str(drawn) and texts.ERASED_TEXT in drawn[TABLE]
    chart, words, shown = act.turn(2, TOKYO, ME)
    assert "After edit 2 was taught" in str(words) and "the moment shown" in str(chart)
    assert "Oslo" in str(shown) and "erased edit 2" in str(shown)
    assert act.turn(2.0, TOKYO, ME)[1:] == (words, shown)  # as a browser may send it
    assert state(studio, visitor) == before


def test_an_answer_of_then_says_when_who_and_what_is_gone(studio: Studio, visitor: Visitor) -> None:
    before = state(studio, visitor)
    first, *pieces, last = HistoryHandlers(studio).ask(FRANCE.prompt, 2, "", ME)
    assert first[STOP]["interactive"] is True and last[STOP]["interactive"] is False  # type: ignore[index]
    assert all(len(message) == 4 and gr.skip() not in message for message in (first, *pieces, last))
    assert last[ANSWER] == "Oslo" and "Edit 1 answered" in str(last[WHO])
    assert "After edit 2 was taught" in str(last[WHEN]) and "may differ" in str(last[WHEN])
    *_, now = HistoryHandlers(studio).ask(FRANCE.prompt, 4, "", ME)
    assert "untouched model" in str(now[WHO]) and "may differ" not in str(now[WHEN])
    assert state(studio, visitor) == before


def test_undo_sets_a_switch_back_and_says_which_state_this_is(studio: Studio, visitor: Visitor) -> None:
    act = HistoryHandlers(studio)
    assert "exactly the one after edit 1 was taught" in act.undo("", ME)
    drawn: Any = act.draw("", ME)
    assert drawn[UNDO]["interactive"] is False and drawn[SLIDER]["maximum"] == 5
    with pytest.raises(InvalidInput, match="no switch to undo"):
        act.undo("", ME)


MOMENTS: tuple[Any, ...] = (
    *("2", "", None, True, [2], {"a": 1}, 1.5, -1, 5, 10**400, 1e308, -(10**400)),
    *(math.nan, math.inf, -math.inf),
)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda value: str(value)[:12])
def test_a_forged_moment_is_refused(studio: Studio, visitor: Visitor, moment: Any) -> None:
    before, act = state(studio, visitor), HistoryHandlers(studio)
    with pytest.raises(InvalidInput):
        act.turn(moment, "", ME)
    with pytest.raises(InvalidInput):
        list(act.ask(FRANCE.prompt, moment, "", ME))
    assert state(studio, visitor) == before


@pytest.mark.parametrize("question", ["", "  ", None, 7, ["x"], "x" * 5000, {"text": "x"}])
def test_a_forged_question_is_refused(studio: Studio, visitor: Visitor, question: Any) -> None:
    with pytest.raises(InvalidInput):
        list(HistoryHandlers(studio).ask(question, 1, "", ME))


def test_a_request_without_a_session_is_refused(studio: Studio) -> None:
    act, nobody = HistoryHandlers(studio), gr.Request(session_hash=None)
    for call in (
        lambda: act.draw("", nobody),
        lambda: act.turn(0, "", nobody),
        lambda: act.undo("", nobody),
        lambda: list(act.ask("Where?", 0, "", nobody)),
    ):
        with pytest.raises(SessionRequired):
            call()


def test_one_visitors_past_is_not_anothers(studio: Studio, visitor: Visitor) -> None:
    other: Any = HistoryHandlers(studio).draw("", gr.Request(session_hash="you"))
    assert texts.HISTORY_EMPTY in other[WORDS] and "Oslo" not in str(other)


def test_before_a_delete_all_edits_can_be_saved(studio: Studio, visitor: Visitor) -> None:
    handlers = EditsHandlers(studio, SimpleNamespace())  # type: ignore[arg-type]
    offered: Any = handlers.save(None, "", ME)
    assert offered["visible"] is True and b"Oslo" in Path(offered["value"]).read_bytes()
    with pytest.raises(InvalidInput, match="no edit to save"):
        handlers.save(None, "", gr.Request(session_hash="you"))
