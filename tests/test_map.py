"""What the map's handlers show, what an edit reaches, the spaces side by side; and what strangers may send."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np
import pytest

from sola_core import EditRequest
from sola_core.asked import AskedQuestion, AskedQuestions
from sola_core.errors import InvalidInput, SessionRequired
from sola_core.spaces import Closeness, closeness
from sola_core.steps import finish
from sola_core.studio import Studio, open_studio
from sola_core.ui import figures, map_words
from sola_core.ui.listing import ROWS_SHOWN, Looking
from sola_core.ui.map import SHOWN_PARTS, MapHandlers
from sola_core.ui.places import MapPicture, MapPoint, MapReach
from sola_core.ui.present import EditRow
from sola_core.ui.spaces import SPACES, SpacesHandlers, nothing
from sola_core.workspace import Limits
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo", rephrases=("capital of France?",))
BOOK = EditRequest(prompt="Who wrote the book? <b>", target="seven blue")
SPAIN = "What is the capital of Spain?"
ME, STRANGER = gr.Request(session_hash="me"), gr.Request(session_hash="stranger")
CHART, NOTE, TABLE, METHOD, REACH, AGAIN, DETAILS = range(7)
HOSTILE: list[Any] = [None, "x", 1.5, -1, 10**12, True, [], {}, {"kind": 0}, "<b>" * 9000]


@pytest.fixture
def studio() -> Iterator[Studio]:
    found = open_studio(host=tiny_host(), encoder=tiny_encoder(), limits=Limits(answer_tokens=2), use_umap=False)
    with found.registry.claim(found.registry.visitor("me")) as workspace:
        workspace.edit(FRANCE)
        workspace.edit(BOOK)
        finish(workspace.ask(FRANCE.prompt))
        finish(workspace.ask(SPAIN))
    yield found
    found.registry.close()


def last(steps: Iterator[tuple[object, ...]]) -> tuple[Any, ...]:
    return list(steps)[-1]


def click(kind: object, number: object) -> gr.EventData:
    return gr.EventData(None, {"kind": kind, "number": number})


# ---- clicks ----


def test_a_click_on_an_edit_tells_its_question_answer_and_state(studio: Studio) -> None:
    act = MapHandlers(studio)
    box, words, button, number = act.pick(None, "", ME, click(0, 2))
    assert "skip" in str(box) or box == gr.skip()
    assert 'data-edit="2"' in str(words) and "seven blue" in str(words) and "&lt;b&gt;" in str(words)
    assert (button["visible"], number) == (True, 2)  # type: ignore[index]


def test_a_click_on_a_question_puts_it_into_the_box_and_tells_who_answered(studio: Studio) -> None:
    box, words, _, number = MapHandlers(studio).pick(None, "", ME, click(1, 1))
    assert box == FRANCE.prompt
    assert "edit 1 answered it" in str(words) and "a moment ago" in str(words)
    assert number == 0


def test_a_click_of_a_visitor_without_a_workspace_finds_the_one_question_asked(studio: Studio) -> None:
    act, asked = MapHandlers(studio), AskedQuestion(number=1, text="hello?", edit_id=None)
    assert act.pick(asked, "", STRANGER, click(1, 1))[0] == "hello?"
    for other in (click(1, 2), click(0, 1)):
        words = act.pick(asked, "", STRANGER, other)[1]
        assert "no longer" in str(words)
    assert FRANCE.prompt not in str(act.draw(None, "", STRANGER)[TABLE])


@pytest.mark.parametrize(("kind", "number"), [*itertools.product([0], HOSTILE[:-1]), *((bad, 1) for bad in HOSTILE)])
def test_what_is_no_point_is_refused(studio: Studio, kind: object, number: object) -> None:
    with pytest.raises(InvalidInput):
        MapHandlers(studio).pick(None, "", ME, click(kind, number))


@pytest.mark.parametrize("sent", HOSTILE)
def test_what_is_no_event_of_the_bridge_is_refused(studio: Studio, sent: object) -> None:
    with pytest.raises(InvalidInput):
        MapHandlers(studio).pick(None, "", ME, gr.EventData(None, sent))


def test_the_chosen_edit_is_found_on_its_page_and_a_search_that_hides_it_is_given_up(studio: Studio) -> None:
    rows = tuple(
        EditRow(id=str(n), number=n, prompt=f"Question {n}?", target="x", subject="", enabled=True, detail="", notes=())
        for n in range(30, 0, -1)
    )
    find = MapHandlers(studio).find
    assert find(rows, Looking(), 30)[0] == 0
    assert find(rows, Looking(), 30 - ROWS_SHOWN)[0] == 1
    assert find(rows, Looking(order="oldest"), 30)[0] == 2
    page, looking, words = find(rows, Looking(words="question 7"), 1)
    assert (page, words) == (2, "") and looking == Looking()
    assert find(rows, Looking(words="question 7"), 7) == (0, Looking(words="question 7"), "question 7")
    for bad in HOSTILE:
        assert find(bad, bad, bad)[0] == 0


# ---- a new layout ----


def test_a_new_layout_belongs_to_one_visitor(studio: Studio) -> None:
    act, before = MapHandlers(studio), places(MapHandlers(studio), STRANGER)
    mine = places(act, ME)
    shown = last(act.relayout(None, "", ME))
    assert "Laid out anew" in shown[0] and "still warming up" in shown[0]
    assert "laid out anew around your edits" in shown[2 + NOTE]
    assert places(act, ME) != mine and places(act, STRANGER) == before


def test_one_who_has_taught_nothing_lays_out_counts_and_compares_nothing(studio: Studio) -> None:
    act, before = MapHandlers(studio), places(MapHandlers(studio), STRANGER)
    for shown in (last(act.relayout(None, "", STRANGER)), last(act.count(True, None, "", STRANGER))):
        assert "Teach a fact first" in shown[0]
        assert len(shown) == 2 + SHOWN_PARTS and shown[2 + REACH] is False
    assert "Teach a fact first" in last(SpacesHandlers(studio).compare("", STRANGER))[0]
    assert places(act, STRANGER) == before
    for handler in (act.relayout, act.again):
        with pytest.raises(SessionRequired):
            list(handler(None, "", gr.Request(session_hash=None)))


def places(act: MapHandlers, who: gr.Request) -> object:
    chart: Any = act.draw(None, "", who)[CHART]
    return [(trace.get("x"), trace.get("y")) for trace in json.loads(chart.plot)["data"][:1]]


# ---- what an edit reaches ----


def test_the_router_itself_is_asked_about_every_text_on_the_map(studio: Studio) -> None:
    act = MapHandlers(studio)
    shown = last(act.count(True, None, "", ME))
    with studio.registry.visit(studio.registry.visitor("me")) as workspace:
        found = workspace.reach.found()
        assert found is not None
        assert set(found) >= {FRANCE.prompt, BOOK.prompt, SPAIN, *workspace.layout.sheet.references}
        assert all(edit_id == workspace.editor.route(text).edit_id for text, edit_id in found.items())
    assert f"all {len(found)} texts" in shown[2 + NOTE]
    assert shown[2 + REACH] is True and shown[2 + AGAIN]["visible"] == "hidden"
    away = last(act.count(False, None, "", ME))
    assert away[2 + REACH] is False and "was asked" not in away[2 + NOTE]


def test_a_count_is_not_shown_for_other_edits_than_it_was_made_for(studio: Studio) -> None:
    act = MapHandlers(studio)
    list(act.count(True, None, "", ME))
    with studio.registry.visit(studio.registry.visitor("me")) as workspace:
        workspace.set_enabled(workspace.edits[0].id, False)
        assert workspace.reach.found() is None
        shown: Any = act.draw(None, "", ME)
        assert "have changed since" in shown[NOTE] and shown[AGAIN]["visible"] is True
        workspace.set_enabled(workspace.edits[0].id, True)
    assert "Count again" not in shown[NOTE]
    assert "was asked about all" in last(act.again(None, "", ME))[2 + NOTE]


def test_a_count_that_is_stopped_keeps_what_it_found_and_says_how_much(studio: Studio) -> None:
    act = MapHandlers(studio)
    steps = act.count(True, None, "", ME)
    for _ in range(3):
        next(steps)
    steps.close()  # type: ignore[attr-defined]
    shown: Any = act.unfinished(None, "", ME)
    assert "asked about 8 of the" in shown[2 + NOTE] and shown[2 + AGAIN]["visible"] is True


@pytest.mark.parametrize("on", [None, "yes", 1, [], {}])
def test_a_switch_that_is_no_switch_is_refused(studio: Studio, on: object) -> None:
    with pytest.raises(InvalidInput):
        list(MapHandlers(studio).count(on, None, "", ME))


def test_reach_is_told_in_words_that_name_its_limits() -> None:
    one = MapReach(what="question", text="q", number=2, start=(0, 0), end=(1, 1))
    picture = MapPicture(background=(), points=(), lines=(), method="pca", left_out=0, reach=(one, one), judged=9)
    words = map_words.reach_words(picture, [1, 2, 3], 9)
    assert "all 9 texts" in words and "edit 2 would answer 2; the other 2 edits none" in words
    assert "decides nothing" in words
    assert "all are switched off" in map_words.reach_words(picture, [], 9)
    none = MapPicture(background=(), points=(), lines=(), method="pca", left_out=0, judged=3)
    assert "3 of the 9 texts" in map_words.reach_words(none, [1], 9)
    assert "no edit would answer any" in map_words.reach_words(none, [1], 9)


# ---- the three spaces ----


def test_the_spaces_show_the_decisions_of_their_own_routers_and_say_what_the_cosines_are(studio: Studio) -> None:
    steps = list(SpacesHandlers(studio).compare("", ME))
    assert all(len(step) == len(nothing("")) for step in steps)
    shown: Any = steps[-1]
    charts, notes, table = shown[5:8], shown[8:11], shown[-1]
    with studio.registry.visit(studio.registry.visitor("me")) as workspace:
        routes = workspace.editor.routes(SPAIN)
        numbers = workspace.numbers()
        vectors = workspace.spaces["hidden"].vectors({f"{e.id}/0": e.prompt for e in workspace.edits})
        one, two = vectors.values()
    for name, chart in zip(SPACES, charts, strict=True):
        lines = [t for t in json.loads(chart["value"].plot)["data"] if t.get("mode") == "lines"]
        ends = len(lines[0]["x"]) // 3 if lines else 0
        assert ends == 1 + (routes[name].edit_id is not None)  # the fact's own wording, and perhaps the other question
        assert (f"edit {numbers[routes[name].edit_id]}" if routes[name].edit_id else "untouched model") in table
    assert f"{float(one @ two):.2f} on average" in notes[0]
    assert "token by token" in notes[2] and "token by token" not in notes[0]


def test_cosines_are_means_over_pairs_and_leave_out_what_has_no_vector() -> None:
    facts = {"a": np.array([1.0, 0]), "b": np.array([0.6, 0.8]), "c": np.array([0.0, 1]), "none": np.zeros(2)}
    found = closeness(facts, [(np.array([0.8, 0.6]), facts["a"]), (np.zeros(2), facts["b"])])
    assert found.between == pytest.approx((0.6 + 0.0 + 0.8) / 3)
    assert found.closest is not None and found.closest[1:] == ("b", "c")
    assert (found.own, found.questions) == (pytest.approx(0.8), 1)
    assert closeness({}, []) == Closeness(between=None, closest=None, own=None, questions=0)


def test_a_space_is_called_muddled_only_where_its_figures_say_so() -> None:
    def say(closest: float, own: float | None) -> str:
        found = Closeness(between=0.5, closest=(closest, "a", "b"), own=own, questions=1)
        return map_words.space_words("hidden", found, {"a": 2, "b": 1}, 0.9)

    assert "lie closer together here than a question" in say(0.97, 0.9)
    assert "edits 1 and 2: 0.97" in say(0.97, 0.9)
    assert "a question lies closer to its own edit" in say(0.8, 0.9)
    assert "closer" not in say(0.97, None)
    assert "are needed" in map_words.space_words("scope", closeness({}, []), {}, 0.7)


# ---- the picture ----


def test_the_frame_is_fixed_and_grows_only_for_a_point_outside() -> None:
    def frame(x: float) -> list[float]:
        point = MapPoint(id="a/0", kind="on", label="1", number=1, text="p", x=x, y=0.0)
        drawn = MapPicture(background=((0.0, 0.0),), points=(point,), lines=(), method="pca", left_out=0)
        return json.loads(figures.map_figure(drawn).to_json())["layout"]["xaxis"]["range"]  # type: ignore[no-any-return]

    assert frame(0.0) == frame(0.9) == [-1.15, 1.15]
    assert frame(1.3) == [-1.6, 1.6]
    assert frame(2.0) == [-2.15, 2.15]


def test_a_point_carries_its_kind_and_number_and_nothing_else() -> None:
    points = (
        MapPoint(id="a/0", kind="off", label="7", number=7, text="secret", x=0, y=0),
        MapPoint(id="question 3", kind="question", label="?3", number=3, text="secret", x=0, y=0),
    )
    drawn = json.loads(
        figures.map_figure(MapPicture(background=(), points=points, lines=(), method="pca", left_out=0)).to_json()
    )
    assert [trace["customdata"] for trace in drawn["data"] if trace.get("customdata")] == [[[0, 7]], [[1, 3]]]


def test_questions_are_remembered_once_and_the_oldest_goes_first() -> None:
    asked = AskedQuestions(2)
    for text in ("a", "b", "a", "c"):
        asked.add(text, None)
    assert [(question.number, question.text) for question in asked()] == [(3, "a"), (4, "c")]
    asked.clear()
    assert asked() == ()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "a moment"), (61, "1 minute"), (3599, "59 minutes"), (3600, "1 hour"), (9000, "2 hours")]
)
def test_how_long_ago_is_said_roughly(seconds: float, words: str) -> None:
    assert map_words.ago(seconds) == f"{words} ago"
