"""What the page says: pure functions from records to rows, sentences, markup, figures and JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sola_core.comparison import SideBySide
from sola_core.evaluation.facts import read_facts
from sola_core.precedence import covers, uncovered_by
from sola_core.records import Answer, Candidate, Edit, EditRequest, KeysMade, Route, TrainingRecord, TrainingStep
from sola_core.resources import asset
from sola_core.routing.router import ROUTERS
from sola_core.studio import About
from sola_core.ui import explain, figures, markup, present, texts, wire
from sola_core.ui.places import MapLine, MapPicture, MapPoint, picture
from sola_core.workspace import AskedQuestion, Limits, Moment

HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} & \"quotes\" 'too' `tick`"


def made(
    edit_id: str, prompt: str, *, target: str = "Oslo", rephrases: tuple[str, ...] = (), enabled: bool = True
) -> Edit:
    training = TrainingRecord(
        losses=(3.0, 1.0, 0.04),
        steps=3,
        seconds=1.25,
        target_probability=0.97,
        already_known=False,
        held=True,
        method="sola",
        settings={},
        device="cpu",
        compute_dtype="float32",
        threads=1,
        versions={},
    )
    return Edit(
        id=edit_id,
        request=EditRequest(prompt=prompt, target=target, rephrases=rephrases),
        enabled=enabled,
        created=0.0,
        training=training,
        digest="d" * 64,
    )


def route(reason: str, *scores: tuple[str, float, bool], chosen: str | None = None, threshold: float = 0.6) -> Route:
    return Route(
        kind="edit" if chosen else "base",
        edit_ids=(chosen,) if chosen else (),
        candidates=tuple(Candidate(edit_id=e, score=s, enabled=on) for e, s, on in scores),
        threshold=threshold,
        router="scope",
        score_kind="probability",
        reason=reason,  # type: ignore[arg-type]
    )


def answer(text: str, stopped: str = "end", tokens: int = 3) -> Answer:
    return Answer(
        text=text,
        route=Route(kind="base"),
        stopped=stopped,  # type: ignore[arg-type]
        tokens=tokens,
        first_token_seconds=0.1,
        seconds=0.2,
    )


OLD, NEW, OTHER = made("a", "Who wrote it?"), made("b", "Who  wrote it?", target="Rome"), made("c", "Where is it?")
NUMBERS = {"a": 1, "b": 2, "c": 3}


# ---- precedence ----


def test_the_later_of_two_equal_edits_covers_the_earlier_and_uncovers_it_when_it_goes() -> None:
    edits = (OLD, NEW, OTHER)
    assert covers(edits) == {"a": ("b",), "b": (), "c": ()}
    assert uncovered_by(edits) == {"b": "a"}


def test_a_switched_off_edit_covers_nothing() -> None:
    edits = (OLD, replace(NEW, enabled=False))
    assert covers(edits)["a"] == ()
    assert uncovered_by(edits) == {}


def test_of_three_equal_edits_only_the_last_step_back_is_announced() -> None:
    third = made("z", "Who wrote it?", target="Bern")
    assert uncovered_by((OLD, NEW, third)) == {"z": "b"}


def test_a_shared_rephrasing_is_uncovered_too() -> None:
    older = made("o", "Whose work is it?", rephrases=("Who wrote it?",))
    assert uncovered_by((older, OLD)) == {"a": "o"}


def test_a_rephrasing_covers_an_older_prompt_too() -> None:
    wide = made("w", "Whose work is it?", rephrases=("Who wrote it?",))
    assert uncovered_by((OLD, wide)) == {"w": "a"}


# ---- rows and sentences ----


def test_the_newest_edit_comes_first_and_says_what_it_stands_before() -> None:
    edits = (OLD, NEW)
    rows = present.edit_rows(edits, NUMBERS, covers(edits), uncovered_by(edits))
    assert [row.number for row in rows] == [2, 1]
    assert "edit 1 answers, not the untouched model" in rows[0].notes[0]
    assert "Edit 2 was taught later" in rows[1].notes[0]
    assert "edit 1 answers" in present.delete_question(rows[0])
    assert "edit" not in present.delete_question(rows[1]).removeprefix("Delete edit 1")


def test_a_row_tells_how_long_learning_took() -> None:
    (row,) = present.edit_rows((OLD,), NUMBERS, covers((OLD,)), {})
    assert row.detail == "learnt in 1.2 s, 3 steps"
    assert row.notes == ()


def test_an_edit_that_changed_nothing_says_so() -> None:
    known = replace(OLD, training=replace(OLD.training, already_known=True))
    assert "already answered so" in present.taught(known, 1)
    (row,) = present.edit_rows((known,), NUMBERS, covers((known,)), {})
    assert "already answered so" in row.detail


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ((), "Nothing is taught"),
        ((OLD,), "1 stored, on"),
        ((OLD, replace(OTHER, enabled=False)), "2 stored, 1 switched on"),
    ],
)
def test_the_list_is_summed_up(edits: tuple[Edit, ...], words: str) -> None:
    rows = present.edit_rows(edits, NUMBERS, covers(edits), {})
    assert words in present.edits_summary(rows)


def test_a_return_to_an_earlier_state_is_announced_with_its_digest() -> None:
    words = present.deleted(3, True, Moment(digest="abcdef0123456789", after="taught", number=2))
    assert "exactly the one after edit 2 was taught (digest abcdef012345…)" in words
    assert present.switched(3, False, None) == "Edit 3 is switched off."
    assert "still being erased" in present.deleted(3, False, None)


def test_a_conflict_says_which_edit_answers_and_what_keeping_both_means() -> None:
    exact = present.conflict(OLD, 1, route("equal", ("a", 1.0, True), chosen="a"))
    near = present.conflict(OLD, 1, route("score", ("a", 0.8, True), chosen="a"))
    assert exact.startswith("Edit 1 already answers this very question") and "the old one does again" in exact
    assert near.startswith("Edit 1 already answers a question like this") and "this wording" in near


def test_progress_names_stage_step_and_loss() -> None:
    step = TrainingStep(step=3, total=20, loss=0.5)
    assert present.progress_text(step) == "Learning: step 3 of at most 20, loss 0.500"
    assert present.progress_text(replace(step, stage="trying")).startswith("Trying it out")


def test_only_a_cut_answer_carries_a_mark() -> None:
    assert present.how_it_ended(None) == present.how_it_ended(answer("x")) == ""
    assert "Cut after 128 tokens" in present.how_it_ended(answer("x", "limit", 128))


def test_the_two_answers_are_compared_letter_by_letter_once_both_ended() -> None:
    both = SideBySide(question="q", route=Route(kind="base"), base_text="x", edited_text="x")
    assert present.comparison(both) == ""
    done = replace(both, base=answer("x"), edited=answer("x"))
    assert "the same, letter by letter" in present.comparison(done)
    assert "differ" in present.comparison(replace(done, edited_text="y"))


def test_how_long_edits_are_kept_follows_the_limits() -> None:
    assert "after 2 hours" in present.kept_for(Limits())
    assert "after 30 minutes" in present.kept_for(Limits(idle_seconds=1800))


def test_long_and_broken_texts_become_one_short_line() -> None:
    assert present.one_line("a\n b\t c") == "a b c"
    assert len(present.one_line("x" * 500)) == present.SHORT
    assert present.quoted("مرحبا").startswith("“\u2068")  # kept apart from the direction of the sentence


# ---- why ----


def test_the_reason_is_said_in_words_for_every_way_a_route_can_end() -> None:
    edits = (OLD, OTHER)

    def said(route: Route, edits: tuple[Edit, ...] = edits) -> str:
        return explain.why("q", route, edits, NUMBERS).sentence

    assert "one of its own wordings" in said(route("equal", ("a", 0.9, True), chosen="a"))
    assert "0.80 reaches the threshold of 0.60" in said(route("score", ("a", 0.8, True), chosen="a"))
    assert "the best is edit 3 with a probability of 0.31" in said(route("below", ("c", 0.31, True)))
    assert "cannot read this question" in said(route("unrepresentable"))
    assert "Nothing is taught yet" in said(route("no-edits"), ())
    assert "No edit is switched on" in said(route("no-edits"))
    assert "None of the edits that are switched on is close enough" in said(route("below"))
    assert "None of the edits that are switched on" in said(route("below", ("a", 0.2, False)))


def test_a_switched_off_edit_that_would_have_answered_is_named() -> None:
    found = explain.why("q", route("below", ("a", 0.9, False), ("c", 0.2, True)), (OLD, OTHER), NUMBERS)
    assert "Edit 1 would be close enough (0.90), but it is switched off" in found.sentence
    assert [row.verdict for row in found.rows] == ["switched off, skipped", "not close enough"]


def test_edits_that_are_not_listed_are_counted() -> None:
    many = replace(route("below", ("a", 0.1, True)), not_scored=7)
    assert "7 stored edits have no score" in explain.why("q", many, (OLD,), NUMBERS).sentence


# ---- what each router would have done ----


def rows_of(*routes: Route, used: str = "scope") -> list[explain.RouterRow]:
    return explain.router_rows(routes, used, (OLD, OTHER), NUMBERS)


def of(name: str, route: Route) -> Route:
    return replace(route, router=name)


def test_a_router_is_shown_with_its_best_edit_and_its_decision() -> None:
    scope, sentence, hidden = rows_of(
        route("score", ("a", 0.8, True), ("c", 0.7, True), chosen="a"),
        of("sentence", route("below", ("a", 0.9, False), ("c", 0.2, True))),
        of("hidden", route("unrepresentable")),
    )
    assert (scope.number, scope.score, scope.threshold, scope.decision) == (1, 0.8, 0.6, "edit 1 answers")
    assert (sentence.number, sentence.prompt, sentence.score) == (3, OTHER.prompt, 0.2)  # not the one that is off
    assert (sentence.decision, sentence.answers) == ("untouched model answers", False)
    assert (hidden.number, hidden.score) == (0, None)
    assert hidden.decision == "untouched model answers: cannot read the question"
    assert [row.used for row in (scope, sentence, hidden)] == [True, False, False]


def test_an_edit_with_an_equal_wording_is_named_though_another_scores_higher() -> None:
    (row,) = rows_of(route("equal", ("c", 0.9, True), ("a", 0.8, True), chosen="a"))
    assert (row.number, row.score, row.decision) == (1, 0.8, "edit 1 answers: the same wording")


def test_routers_agree_when_they_decide_alike_whatever_their_scores() -> None:
    answers, other = route("score", ("a", 0.8, True), chosen="a"), route("score", ("c", 0.8, True), chosen="c")
    below, lower = route("below", ("a", 0.2, True)), route("below", ("c", 0.1, True))
    assert explain.agreement(rows_of(answers, answers), False) == "All routers choose edit 1."
    assert "to the untouched model" in explain.agreement(rows_of(below, lower), False)
    for pair in ((answers, other), (answers, below), (below, other)):
        assert "disagree" in explain.agreement(rows_of(*pair), False)
    assert "as of now" in explain.agreement(rows_of(below, below), True)


def test_the_comparison_marks_the_router_in_use_and_every_decision_without_colour() -> None:
    bad = made("a", HOSTILE)
    rows = explain.router_rows(
        (route("score", ("a", 0.8, True), chosen="a"), of("hidden", route("below", ("a", 0.5, True), threshold=0.9))),
        "hidden",
        (bad,),
        NUMBERS,
    )
    drawn = json.loads(figures.routers_figure(rows).to_json())
    words = [note["text"] for note in drawn["layout"]["annotations"]]
    assert words == ["<b>scope</b>  ◆ edit 1 (0.80 ≥ 0.60)", "<b>hidden, used</b>  ○ untouched model (0.50 &lt; 0.90)"]
    assert [shape["x0"] for shape in drawn["layout"]["shapes"]] == [0.6, 0.9]
    assert "<img" not in figure_texts(figures.routers_figure(rows))


def test_every_router_is_offered_with_a_sentence_that_says_what_it_reads() -> None:
    assert tuple(texts.ROUTERS) == ROUTERS
    assert all(words.startswith(f"{name}: ") for name, words in texts.ROUTERS.items())


def test_making_keys_is_told_in_words() -> None:
    assert "2 of 3 made" in present.keys_text(KeysMade(router="hidden", done=2, total=3))
    assert "1 edit lacks" in present.keys_text(KeysMade(router="hidden", done=0, total=1))
    assert "40 edits" in present.keys_first(KeysMade(router="hidden", done=0, total=40))


def test_of_two_edits_at_one_place_the_map_names_the_one_that_answered() -> None:
    class Stacked:
        """A layout that puts every text on one place."""

        background, method = np.zeros((0, 2)), "pca"

        def places(self, texts: dict[str, str]) -> dict[str, tuple[float, float]]:
            return dict.fromkeys(texts, (0.5, 0.5))

    asked = AskedQuestion(number=1, text=OLD.prompt, edit_id="a")
    drawn = picture(Stacked(), (OLD, NEW), NUMBERS, (asked,))  # type: ignore[arg-type]
    assert [(point.kind, point.answered_by) for point in drawn.points] == [("on", ""), ("on", ""), ("question", "1")]


# ---- markup and figures ----


def about() -> About:
    return About(
        model=HOSTILE,
        fingerprint="f" * 64,
        device="cpu",
        dtype="float32",
        router="scope",
        seed=0,
        versions={"torch": "2"},
    )


def test_no_text_of_a_visitor_becomes_markup() -> None:
    pieces = (
        markup.note(HOSTILE),
        markup.progress(HOSTILE, 1, 2),
        markup.badge(HOSTILE, "edit"),
        markup.fact(1, HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), enabled=False),
        markup.table(HOSTILE, (HOSTILE,), ((HOSTILE,),)),
        markup.footer(about(), HOSTILE, HOSTILE),
        markup.heading("1", HOSTILE, HOSTILE),
        markup.subheading(HOSTILE, HOSTILE),
    )
    for piece in pieces:
        assert "<img" not in piece
        assert "&lt;img" in piece


def test_state_is_told_by_a_word_and_not_by_colour_alone() -> None:
    assert ">off<" in markup.fact(1, "p", "t", "d", (), enabled=False)
    assert "◆" in markup.badge("Edit 1 answered", "edit")


def test_the_footer_names_all_that_is_needed_to_repeat_a_session() -> None:
    foot = markup.footer(about(), "9" * 64, "hidden")
    for part in ("Model", "Device", ">hidden<", "Seed", "Versions", "torch 2", "f" * 64, "9" * 64):
        assert part in foot


def test_the_header_carries_the_logo() -> None:
    assert "<svg" in markup.header(asset("logo.svg"), "note")


def figure_texts(figure: object) -> str:
    return str(json.loads(figure.to_json()))  # type: ignore[attr-defined]


def test_plotly_gets_texts_without_markup() -> None:
    bad = made("a", HOSTILE)
    why = explain.why(HOSTILE, route("score", ("a", 0.8, True), chosen="a"), (bad,), NUMBERS)
    point = MapPoint(id="a/0", kind="on", label="1", text=HOSTILE, x=0.0, y=0.0)
    picture = MapPicture(background=((0.0, 0.0),), points=(point,), lines=(), method="pca", left_out=0)
    for figure in (figures.why_figure(why), figures.map_figure(picture)):
        assert "<img" not in figure_texts(figure)
        assert "&lt;img" in figure_texts(figure)


def test_bars_show_the_score_the_threshold_and_a_sign_for_each_state() -> None:
    found = explain.why(
        "q", route("score", ("a", 0.8, True), ("c", 0.7, False), chosen="a", threshold=0.6), (OLD, OTHER), NUMBERS
    )
    drawn = json.loads(figures.why_figure(found).to_json())
    assert drawn["layout"]["shapes"][0]["x0"] == 0.6
    words = " ".join(note["text"] for note in drawn["layout"]["annotations"])
    assert "threshold 0.60" in words and "◆" in words and "✕" in words and "0.80" in words
    assert drawn["data"][0]["marker"]["pattern"]["shape"] == ["", "/"]


def test_the_chart_of_scores_stays_readable_with_many_edits() -> None:
    edits = tuple(made(str(n), f"Question {n}?") for n in range(32))
    scores = [(edit.id, 1 - n / 40, True) for n, edit in enumerate(edits)]
    found = explain.why("q", route("below", *scores, threshold=2.0), edits, {e.id: n for n, e in enumerate(edits, 1)})
    assert len(found.rows) == 32  # the table has all that the route names
    assert len(json.loads(figures.why_figure(found).to_json())["data"][0]["y"]) <= figures.MAX_BARS


def test_the_loss_is_drawn_step_by_step() -> None:
    drawn = json.loads(figures.loss_figure([3.0, 1.0]).to_json())
    assert drawn["data"][0]["x"] == [1, 2]


def test_the_map_has_a_sign_for_every_kind_of_point_and_a_line_to_the_answering_edit() -> None:
    points = (
        MapPoint(id="a/0", kind="on", label="1", text="p", x=0.1, y=0.2),
        MapPoint(id="b/0", kind="off", label="2", text="p", x=0.3, y=0.2),
        MapPoint(id="question 1", kind="question", label="?1", text="q", x=0.5, y=0.5),
    )
    lines = (MapLine(start=(0.5, 0.5), end=(0.1, 0.2)),)
    drawn = json.loads(
        figures.map_figure(
            MapPicture(background=((0.0, 0.0),), points=points, lines=lines, method="umap", left_out=0)
        ).to_json()
    )
    symbols = {
        trace["name"]: trace["marker"]["symbol"] for trace in drawn["data"] if "symbol" in trace.get("marker", {})
    }
    assert len(set(symbols.values())) == 3
    line = next(trace for trace in drawn["data"] if trace.get("mode") == "lines")
    assert (line["x"], line["y"]) == ([0.5, 0.1, None], [0.5, 0.2, None])


# ---- JSON and shipped facts ----


def test_an_edit_as_json_has_what_callers_rely_on() -> None:
    found = wire.edit_json(made("a", "p", rephrases=("r",)))
    assert json.loads(json.dumps(found)) == found
    assert (found["id"], found["prompt"], found["target"], found["enabled"]) == ("a", "p", "Oslo", True)
    assert found["rephrases"] == ["r"]


def test_both_answers_and_the_route_go_out_as_json() -> None:
    both = SideBySide(
        question="q",
        route=route("score", ("a", 0.8, True), chosen="a"),
        base_text="x",
        edited_text="y",
        base=answer("x", "limit"),
        edited=answer("y"),
    )
    found = wire.ask_json(both)
    assert json.loads(json.dumps(found)) == found
    assert (found["answer"], found["base_answer"], found["base_stopped"]) == ("y", "x", "limit")
    assert found["route"]["edit_id"] == "a" and found["route"]["candidates"][0]["score"] == 0.8


def test_there_are_twenty_or_more_demo_facts_with_questions_that_must_and_must_not_reach_them() -> None:
    facts = read_facts()
    assert len(facts) >= 20
    assert len({fact.prompt for fact in facts}) == len(facts)
    assert all(fact.rephrases and fact.locality and fact.subject for fact in facts)
