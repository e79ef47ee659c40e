"""The Compare tab without a browser: what it says, what it draws, what it refuses, and that it leaves the visitor's edits alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import pytest

from sola_core.arena_records import (
    Anew,
    Contender,
    FactOutcome,
    MethodOutcome,
    Reply,
    RetentionPoint,
    TakenBack,
    Track,
    TrackPoint,
)
from sola_core.errors import InvalidInput, SessionRequired
from sola_core.records import Capabilities, Route
from sola_core.studio import Studio, open_studio
from sola_core.ui import compare_markup, compare_undo_words, compare_words
from sola_core.ui import compare_texts as texts
from sola_core.ui.compare_figures import curves_figure, places_figure, undo_figure
from sola_core.ui.compare_handlers import AHEAD, ASKED, GROUPS, PARTS, TAKEN, CompareHandlers
from sola_core.workspace import Limits
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

ME, OTHER = gr.Request(session_hash="me"), gr.Request(session_hash="other")
LINES = "What is the capital of France? | Oslo\nWho wrote the book? <b> | Lyon"
NONE = Capabilities(delete="none", switch="none", shares_weights=True, why="All in <one>.")
EXACT = Capabilities(delete="exact", switch="exact", shares_weights=False, why="Each apart.")


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    found = open_studio(host=tiny_host(), encoder=tiny_encoder(), limits=Limits(answer_tokens=6), use_umap=False)
    yield found
    found.close()


@pytest.fixture
def act(studio: Studio) -> Iterator[CompareHandlers]:
    yield CompareHandlers(studio)
    studio.arenas.close()


def parts(values: Any, names: tuple[str, ...] = PARTS) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


def test_the_tab_offers_every_method_of_the_registry_in_plain_words(studio: Studio) -> None:
    names = [one.name for one in studio.arenas.contenders]
    assert names[0] == "sola" and {"lora", "finetune", "retrieval"} <= set(names)
    for one in studio.arenas.contenders:
        words = compare_words.choice(one)
        assert words.startswith(compare_words.name(one.name)) and texts.UNDOES[one.capabilities.delete] in words
    new = compare_words.choice(Contender(name="new-one", capabilities=NONE))
    assert new == f"new-one: {texts.SHARED}. {texts.UNDOES['none']}"
    assert "All in &lt;one&gt;." in compare_markup.why([Contender(name="new-one", capabilities=NONE)])


@pytest.mark.slow
def test_a_contest_is_run_asked_and_a_fact_taken_back(studio: Studio, act: CompareHandlers) -> None:
    first, *between, last = act.run(["sola", "lora"], LINES, "", ME)
    assert parts(first)["stop"]["interactive"] is True and parts(first)["results"]["visible"] == "hidden"
    assert between and all(len(message) == len(PARTS) for message in between)
    end = parts(last)
    assert "2 facts taught to 2 methods" in end["status"] and end["stop"]["interactive"] is False
    assert end["results"]["visible"] is True and end["after"]["visible"] is True
    assert gr.skip() not in [value for name, value in end.items() if name not in ("undo_chart", "map")]
    assert "2 of 2" in end["table"] and "&lt;b&gt;" in end["details"] and "<b>" not in end["details"]
    assert end["number"]["value"] == 2 and [number for _, number in end["number"]["choices"]] == [1, 2]

    *_, answered = act.ask("What is the capital of France?", "", ME)
    replies = parts(answered, ASKED)
    assert "Oslo" in replies["replies"] and "Fact 1 answered" in replies["replies"]
    assert "Shared by facts 1 and 2" in replies["replies"]
    assert replies["ask_stop"]["interactive"] is False

    *_, done = act.take_back(2, "", ME)
    undone = parts(done, TAKEN)
    assert "taken back by SoLA, not by One shared LoRA" in undone["undo_status"]
    assert undone["undo_group"]["visible"] is True and undone["undo_stop"]["interactive"] is False
    assert "bit for bit" in undone["undo_table"] and "told apart" in undone["undo_table"]
    again = parts(act.resume("", ME))  # as after a reload of the page
    assert again["undo_table"] == undone["undo_table"] and again["table"] == end["table"]
    assert [one["visible"] for one in act.opened("", ME)] == [True, "hidden", True, True, "hidden"]  # type: ignore[index]
    assert [one["visible"] for one in act.opened("", OTHER)] == ["hidden"] * len(GROUPS)  # type: ignore[index]
    assert len(studio.registry) == 0  # the visitor's own edits were never touched


@pytest.mark.slow
def test_another_visitor_sees_and_changes_nothing_of_it(act: CompareHandlers) -> None:
    list(act.run(["sola", "lora"], LINES, "", ME))
    assert parts(act.resume("", OTHER))["after"]["visible"] == "hidden"
    for call in (act.ask("Who wrote the book?", "", OTHER), act.take_back(1, "", OTHER)):
        with pytest.raises(InvalidInput, match="no longer kept"):
            list(call)
    with pytest.raises(SessionRequired):
        act.resume("", gr.Request())
    assert "not by" not in str(act.resume("", ME))


def test_a_run_that_is_stopped_says_so_and_keeps_nothing(studio: Studio, act: CompareHandlers) -> None:
    running = act.run(["sola", "lora"], LINES, "", ME)
    next(running)
    next(running)
    assert act.opened("", ME) == (gr.skip(),) * len(GROUPS)  # another tab was looked at meanwhile
    running.close()
    rest = parts(act.unfinished("", ME))
    assert texts.STOPPED in rest["status"] and rest["after"]["visible"] == "hidden" and len(studio.arenas) == 0
    assert rest["stop"]["interactive"] is False


def test_lines_that_cannot_be_taught_are_told_and_nothing_is_run(studio: Studio, act: CompareHandlers) -> None:
    (message,) = act.run(["sola", "lora"], "Who?\nWhere? | <b>", "", ME)
    told = parts(message)
    assert texts.WRONG_LINES in told["status"] and "Put a |" in told["status"]
    assert len(studio.arenas) == 0


HOSTILE: tuple[Any, ...] = (
    None,
    "",
    "sola",
    7,
    True,
    {"a": 1},
    ["sola"],
    ["sola", "sola"],
    ["sola", 7],
    [["sola"], []],
)


@pytest.mark.parametrize("methods", [*HOSTILE, ["sola", "nobody"], ["sola"] * 9], ids=str)
def test_a_forged_choice_of_methods_is_refused(studio: Studio, act: CompareHandlers, methods: Any) -> None:
    with pytest.raises(InvalidInput, match="two to four"):
        list(act.run(methods, LINES, "", ME))
    assert len(studio.arenas) == 0


@pytest.mark.slow
def test_forged_facts_questions_and_numbers_are_refused(act: CompareHandlers) -> None:
    for facts in (7, ["x"], "x" * 200_000, None, " "):
        with pytest.raises(InvalidInput):
            list(act.run(["sola", "lora"], facts, "", ME))
    list(act.run(["sola", "lora"], LINES, "", ME))
    for question in (None, "", 7, ["x"], "x" * 5000):
        with pytest.raises(InvalidInput):
            list(act.ask(question, "", ME))
    for number in (None, "1", 0, 3, -1, 1.5, True, [1], 10**30):
        with pytest.raises(InvalidInput):
            list(act.take_back(number, "", ME))


# ---- words and pictures ----


def outcome(method: str, *points: tuple[int, int, int], capabilities: Capabilities = EXACT) -> MethodOutcome:
    made = tuple(RetentionPoint(taught=taught, asked=asked, right=right) for taught, asked, right in points)
    facts = tuple(FactOutcome(number=n, outcome="taught", seconds=1.5, right=n == 1) for n in (1, 2, 3, 4))
    return MethodOutcome(method=method, capabilities=capabilities, facts=facts, points=made)


def undone(**changes: Any) -> TakenBack:
    made = TakenBack(
        method="x<y", capabilities=EXACT, done=True, reason="", seconds=0.02, said_before="Oslo", said_after="Paris",
        said_base="Paris", answered_by=(), base_again=True, base_bits=True, others=3, others_same=3, others_bits=3,
        anew=Anew(asked=4, bits=4, state=True, seconds=3.0), start_over=95.0,
    )  # fmt: skip
    return replace(made, **changes)


def test_curves_are_drawn_in_lanes_of_their_own_with_a_sign_beside_the_colour() -> None:
    figure = curves_figure([outcome("sola", (1, 1, 1), (4, 3, 3)), outcome("a<b", (1, 1, 1), (4, 3, 0))], 4)
    drawn = json.loads(figure.to_json())
    sola, other = drawn["data"]
    assert sola["text"] == ["1/1", "3/3"] and other["text"] == ["1/1", "0/3"]
    assert sola["y"] == [1.44, 1.44] and other["y"] == [0.44, 0.0]
    assert sola["marker"]["symbol"] == ["circle", "circle"] and other["marker"]["symbol"] == ["circle", "x"]
    assert "a&lt;b" in str(drawn["layout"]["annotations"]) and "a<b" not in str(drawn["layout"]["annotations"])
    assert curves_figure([outcome("sola"), outcome("lora")], 4)  # before the first point
    head, rows = compare_words.curve_rows([outcome("sola", (1, 1, 1), (4, 3, 2)), outcome("lora", (1, 1, 1))])
    assert head == ("Method", "After 1", "After 4")
    assert rows == [("SoLA", "1 of 1", "2 of 3"), ("One shared LoRA", "1 of 1", texts.WAITING)]


@pytest.mark.parametrize(
    ("changes", "signs", "words"),
    [
        ({}, ("✓", "✓", "✓", "✓"), "yes, bit for bit"),
        ({"base_bits": False, "others_bits": 1}, ("✓", "≈", "≈", "✓"), "the numbers differ"),
        ({"base_bits": False, "base_again": False, "others_bits": 0, "others_same": 2, "answered_by": (1,)},
         ("✓", "✕", "2/3", "✓"), "(by fact 1)"),
        ({"anew": Anew(asked=4, bits=3, state=False, seconds=1.0)}, ("✓", "✓", "✓", "3/4"), "but not what is stored"),
        ({"anew": None, "capabilities": replace(EXACT, delete="approximate")}, ("≈", "✓", "✓", "–"), "not promised"),
        ({"done": False, "capabilities": NONE, "reason": NONE.why, "anew": None, "said_after": "Oslo"},
         ("✕", "✕", "–", "–"), "starting over without it: about 1 min 35 s"),
    ],
)  # fmt: skip
def test_what_taking_back_did_is_told_in_signs_and_words(
    changes: dict[str, Any], signs: tuple[str, ...], words: str
) -> None:
    found = undone(**changes)
    assert compare_undo_words.undo_signs(found) == signs
    assert words in " ".join(compare_undo_words.undo_rows([found])[0])
    drawn = json.loads(undo_figure([found]).to_json())
    assert drawn["data"][0]["text"] == list(signs)
    assert "x&lt;y" in str(drawn["layout"]["annotations"])
    markup = compare_markup.taken_back([found])
    assert "<y" not in markup and ("All in &lt;one&gt;." in markup) == (not found.done)


def test_places_are_drawn_where_they_began_and_ended_and_only_if_somebody_has_circles() -> None:
    def track(number: int, *points: tuple[float, float | None]) -> Track:
        made = tuple(TrackPoint(taught=n, x=x, y=0.0, radius=r) for n, (x, r) in enumerate(points, 1))
        return Track(number=number, points=made, moved=abs(points[-1][0] - points[0][0]))

    still = replace(outcome("sola"), tracks=(track(1, (0.0, None), (0.0, None)),))
    moving = replace(outcome("me<lo"), tracks=(track(1, (0.0, 1.0), (0.5, 2.0)), track(2, (3.0, 1.0))))
    assert compare_words.placed([still, outcome("lora")]) == ()
    assert compare_words.placed([still, outcome("lora"), moving]) == (still, moving)
    drawn = json.loads(places_figure([still, moving]).to_json())
    circles = [shape for shape in drawn["layout"]["shapes"] if shape["xref"] == "x2"]
    assert (
        len(circles) == len(drawn["layout"]["shapes"]) == 3
    )  # fact 1 at first and at the end, fact 2 where it was put
    assert [shape["line"]["dash"] for shape in circles] == ["dot", "solid", "solid"]
    assert (circles[1]["x0"], circles[1]["x1"]) == (-1.5, 2.5)
    assert drawn["layout"]["xaxis2"]["range"][1] > 4.0  # all of it is in the picture
    rows = compare_words.place_rows([still, moving])
    assert rows[0] == ("SoLA", "1", "0.00", "–", "–") and rows[1] == ("me<lo", "1", "0.50", "1.00", "2.00")


def test_who_answered_names_the_fact_and_how_near_it_was() -> None:
    def reply(route: Route, *numbers: int, nearest: tuple[int, float] | None = None) -> str:
        made = Reply(method="sola", text="", route=route, numbers=numbers, nearest=nearest)
        return compare_words.who_answered(made)

    assert reply(Route(kind="edit", edit_ids=("a",), threshold=0.7), 3, nearest=(3, 0.91)) == (
        "Fact 3 answered (0.91, needed: 0.70)"
    )
    assert reply(Route(kind="base", threshold=0.7), nearest=(2, 0.31)) == (
        "No fact: the untouched model answered (nearest: fact 2 with 0.31, needed: 0.70)"
    )
    assert "(nearest: fact 2 with distance 6.20, at most 5.00)" in reply(
        Route(kind="base", threshold=-5.0), nearest=(2, -6.2)
    )
    assert reply(Route(kind="base")) == "No fact: the untouched model answered"
    assert reply(Route(kind="shared"), 1, 2, 3, 4) == "Shared by facts 1 to 4"


@pytest.mark.slow
def test_before_a_fact_is_taken_back_a_method_that_can_says_what_will_happen(
    studio: Studio, act: CompareHandlers
) -> None:
    *_, last = act.run(["sola", "lora"], LINES, "", ME)
    assert parts(last)["foresee"]["visible"] == "hidden"  # neither of them can
    *_, last = act.run(["sola", "rls"], LINES, "", ME)
    assert parts(last)["foresee"]["visible"] is True
    first, *_, last = act.foresee(1, "", ME)
    assert parts(first, AHEAD)["undo_stop"]["interactive"] is True
    end = parts(last, AHEAD)
    assert end["undo_stop"]["interactive"] is False and end["undo_status"] == ""
    assert "RLSEdit" in end["foreseen"] and "Answered otherwise afterwards: " in end["foreseen"]
    assert "Who wrote the book? &lt;b&gt;" in end["foreseen"] and "%" in end["foreseen"]
    for bad in (None, "x", 99, {"a": 1}):
        with pytest.raises(InvalidInput):
            list(act.foresee(bad, "", ME))
    *_, last = act.take_back(1, "", ME)
    assert parts(last, TAKEN)["foreseen"] == ""  # what was foretold has happened
