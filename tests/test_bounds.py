"""The two rows that frame a benchmark: the oracle passes the router by, and the untouched model has no edit."""

from __future__ import annotations

import dataclasses

import pytest

from sola_core import load_editor
from sola_core.evaluation.bench import bench
from sola_core.evaluation.bench_report import BenchReport
from sola_core.evaluation.bounds import Bound, bound_figures
from sola_core.evaluation.cost import COST_LINES
from sola_core.evaluation.questions import Question
from sola_core.evaluation.rows import Probe, Row
from sola_core.host.intervention import count_hooks
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

ROW = Row(
    id="a",
    subject="France",
    prompt="What is the capital of France?",
    target_new="Oslo",
    target_true="Paris",
    rephrases=("The capital of France is", "What is the capital of France? "),
    locality=(Probe(prompt="The river of Spain is", answer="red", kind="nq"),),
)
OTHER = Row(id="b", subject="book", prompt="Who wrote the book?", target_new="red", target_true=None)
TOO_LONG = Row(id="c", subject=None, prompt="Too long?", target_new="red " * 200, target_true=None)


def run(*rows: Row, bounds: bool = True) -> BenchReport:
    host = tiny_host()
    with load_editor(host=host, encoder=tiny_encoder(), router="hidden") as editor:
        report = bench(editor, rows, tokens=8, bounds=bounds)
    assert count_hooks(host._model) == 0
    return report


@pytest.mark.slow
def test_the_oracle_answers_with_the_right_edit_where_the_router_missed() -> None:
    report = run(ROW, OTHER)
    missed = {a.prompt for a in report.asked if a.outcome == "missed"}
    oracle = {b.prompt: b for b in report.bounds if b.name == "oracle"}
    base = {b.prompt: b for b in report.bounds if b.name == "no_edit"}
    assert missed == {"The capital of France is"}
    assert set(oracle) == set(base) == {ROW.prompt, *ROW.rephrases, OTHER.prompt}
    with load_editor(host=tiny_host(), encoder=tiny_encoder(), router="hidden") as editor:
        edit = editor.edit(ROW.request)
        for prompt in (ROW.prompt, *ROW.rephrases):
            assert oracle[prompt].text == editor.forced_answer(edit.id, prompt, 8).text
            assert base[prompt].text == editor.base_answer(prompt, 8).text
    assert any(oracle[prompt].text != base[prompt].text for prompt in missed)


@pytest.mark.slow
def test_what_the_router_sends_right_the_oracle_answers_the_same() -> None:
    report = run(ROW, OTHER)
    oracle = {b.prompt: (b.text, b.stopped, b.good) for b in report.bounds if b.name == "oracle"}
    right = [a for a in report.asked if a.outcome == "right"]
    assert right and all(oracle[a.prompt] == (a.text, a.stopped, a.good) for a in right)
    assert report.figures["oracle_reliability"] == 1.0
    assert report.figures["no_edit_reliability"] == 0.0


@pytest.mark.slow
def test_a_fact_that_could_not_be_taught_counts_against_the_oracle() -> None:
    report = run(ROW, TOO_LONG)
    assert report.figures["oracle_reliability"] == 0.5
    (oracle, base) = (b for b in report.bounds if b.row_id == "c")
    assert oracle == dataclasses.replace(base, name="oracle")


@pytest.mark.slow
def test_rows_that_share_an_id_keep_their_own_edits() -> None:
    report = run(ROW, dataclasses.replace(OTHER, id=ROW.id))
    oracle = {b.prompt: b.text for b in report.bounds if b.name == "oracle"}
    assert (oracle[ROW.prompt], oracle[OTHER.prompt]) == ("Oslo", "red")


def test_figures_are_shares_by_name_and_kind_and_absent_ones_are_left_out() -> None:
    def bound(name: str, kind: str, good: bool) -> Bound:
        return Bound(name=name, row_id="a", kind=kind, prompt="p", text="t", stopped="end", good=good)  # type: ignore[arg-type]

    made = [bound("oracle", "reliability", True), bound("oracle", "reliability", False)]
    assert bound_figures(made) == {"oracle_reliability": 0.5}
    made += [bound("no_edit", "generality", False), bound("no_edit", "generality", True)]
    assert bound_figures(made) == {"oracle_reliability": 0.5, "no_edit_generality": 0.5}
    assert bound_figures([]) == {}


@pytest.mark.slow
def test_without_the_flag_nothing_more_is_asked() -> None:
    plain, framed = run(ROW, bounds=False), run(ROW)
    assert plain.bounds == () and plain.asked != ()
    more = framed.figures.keys() - plain.figures.keys()
    assert more == {"oracle_reliability", "oracle_generality", "no_edit_reliability", "no_edit_generality"}
    assert all(framed.figures[name] == plain.figures[name] for name in plain.figures if name not in COST_LINES)
    assert "right edit forced" in framed.text() and "right edit forced" not in plain.text()


@pytest.mark.parametrize(
    ("text", "stopped", "good"),
    [("oslo.", "end", True), ("Oslo", "limit", False), ("Oslo it is", "end", False), ("", "end", False)],
)
def test_the_new_answer_counts_whole_and_with_a_natural_stop(text: str, stopped: str, good: bool) -> None:
    assert Question(row=ROW, kind="generality", prompt="p").answered(text, stopped) is good
    assert not Question(row=ROW, kind="nq", prompt="p").answered(text, stopped)
