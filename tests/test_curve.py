"""The first facts are asked again while the stream grows: what changed, by which edit, and whether an edit itself changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from sola_core import load_editor
from sola_core.evaluation import curve as module
from sola_core.evaluation.bench import bench
from sola_core.evaluation.bench_report import BenchReport
from sola_core.evaluation.curve import Again, curve_of, curve_points
from sola_core.evaluation.rows import Row
from sola_core.evaluation.teaching import Taught
from sola_core.session import SolaEditor
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

FRANCE = Row(
    id="a",
    subject="France",
    prompt="What is the capital of France?",
    target_new="Oslo",
    target_true="Paris",
    rephrases=("The capital of France is",),
)
BOOK = Row(id="b", subject="book", prompt="Who wrote the book?", target_new="red", target_true=None)
SHIP = Row(id="c", subject="ship", prompt="Where was the ship built?", target_new="Turin", target_true=None)
CAPTOR = dataclasses.replace(FRANCE, id="d", target_new="Madrid", rephrases=())  # the same question, taught again
TOO_LONG = Row(id="e", subject=None, prompt="Too long?", target_new="red " * 200, target_true=None)


def run(*rows: Row, bulk: bool = False) -> tuple[BenchReport, list[int]]:
    """Return the report, and how many edits were stored each time an early fact was asked."""
    stored: list[int] = []
    with load_editor(host=tiny_host(), encoder=tiny_encoder(), router="hidden") as editor:
        answer_many = editor.answer_many

        def watched(prompts: Sequence[str], tokens: int) -> object:
            stored.extend([len(editor.edits)] * len(prompts))
            return answer_many(prompts, tokens)

        editor.answer_many = watched  # type: ignore[method-assign, assignment]
        report = bench(editor, rows, tokens=6, curve=True, bulk=bulk)
    return report, stored


def again(after: int, **changed: object) -> Again:
    plain = Again(
        after=after,
        number=1,
        kind="reliability",
        prompt="p",
        text="t",
        stopped="end",
        good=True,
        edit_id="x",
        forced_text="t",
        forced_stopped="end",
        tensors="00",
    )
    return dataclasses.replace(plain, **changed)  # type: ignore[arg-type]


def taught(edit_id: str, prompt: str) -> Taught:
    return Taught(row_id="r", prompt=prompt, target="t", edit_id=edit_id, seconds=0.0, steps=1)


def test_the_first_facts_are_asked_after_1_10_100_1000_and_at_the_end() -> None:
    assert curve_points(1) == (1,)
    assert curve_points(10) == (1, 10)
    assert curve_points(250) == (1, 10, 100, 250)
    assert curve_points(10_000) == (1, 10, 100, 1_000, 10_000)


@pytest.mark.slow
@pytest.mark.parametrize("bulk", [False, True])
def test_it_is_asked_in_the_middle_of_the_stream_and_an_edit_that_captures_a_question_is_named(
    bulk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POINTS", (1, 3))
    report, stored = run(FRANCE, BOOK, SHIP, CAPTOR, bulk=bulk)
    assert stored[:8] == [1, 1, 3, 3, 3, 3, 4, 4]  # two prompts of the first fact, one of each other
    curve = report.curve
    assert curve is not None
    assert [(p.after, p.prompts) for p in curve.points] == [(1, 2), (3, 4), (4, 5)]
    assert [p.reliability for p in curve.points] == [1.0, 1.0, 0.75]
    (change,) = [c for c in curve.changes if c.kind == "reliability"]
    captor = report.taught[3].edit_id
    assert (change.since, change.after, change.number) == (3, 4, 1)
    assert (change.text_before, change.text) == ("Oslo", "Madrid")
    assert (change.edit_before, change.captured_by) == (report.taught[0].edit_id, captor)
    assert change.captured_prompt == FRANCE.prompt
    figures = report.figures
    assert (figures["curve_reliability_1"], figures["curve_reliability_4"]) == (1.0, 0.75)
    assert figures["curve_changed_forced"] == figures["curve_changed_tensors"] == 0
    assert "captured by the edit of" in report.text() and "'Oslo' -> 'Madrid'" in report.text()


@pytest.mark.slow
def test_an_edit_that_drifts_is_counted_in_its_answers_and_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POINTS", (1, 2))
    tensors, forced = SolaEditor.tensors, SolaEditor.forced_answer_many

    def drifted(editor: SolaEditor, edit_id: str) -> object:
        return {name: t + len(editor.edits) for name, t in tensors(editor, edit_id).items()}

    def changed(editor: SolaEditor, edit_ids: Sequence[str], prompts: Sequence[str], tokens: int) -> object:
        made = forced(editor, edit_ids, prompts, tokens)
        return [dataclasses.replace(one, text="drift") for one in made] if len(editor.edits) == 2 else made

    monkeypatch.setattr(SolaEditor, "tensors", drifted)
    monkeypatch.setattr(SolaEditor, "forced_answer_many", changed)
    curve = run(FRANCE, BOOK, SHIP)[0].curve
    assert curve is not None
    assert [(p.changed_forced, p.changed_tensors) for p in curve.points] == [(0, 0), (2, 1), (1, 2)]
    assert curve.figures["curve_changed_forced"] == 3  # two prompts of the first fact, then the second's own
    assert curve.figures["curve_changed_tensors"] == 2


def test_a_fact_that_could_not_be_taught_has_no_edit_to_force() -> None:
    curve = run(TOO_LONG, BOOK)[0].curve
    assert curve is not None
    assert [(a.number, a.forced_text is None, a.tensors is None) for a in curve.again] == [
        (1, True, True),
        (1, True, True),
        (2, False, False),
    ]
    assert curve.figures["curve_reliability_2"] == 0.5


def test_changes_are_against_the_point_before_and_drift_against_the_first() -> None:
    moved = {"text": "u", "edit_id": "y", "good": False}
    seen = [again(1), again(10, **moved), again(100, **moved), again(1000, stopped="limit", edit_id=None)]
    curve = curve_of(seen, [taught("x", "its own"), taught("y", "another")])
    assert [(c.since, c.after, c.captured_by, c.captured_prompt) for c in curve.changes] == [
        (1, 10, "y", "another"),
        (100, 1000, None, None),
    ]
    assert [p.changed_answers for p in curve.points] == [0, 1, 0, 1]
    assert "left to the untouched model" in curve.text()
    drift = curve_of([again(1), again(10, tensors="01"), again(100, forced_stopped="limit")], [])
    assert [(p.changed_forced, p.changed_tensors) for p in drift.points] == [(0, 0), (0, 1), (1, 0)]


@pytest.mark.slow
def test_at_most_a_hundred_facts_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST", 2)
    curve = run(BOOK, SHIP, FRANCE)[0].curve
    assert curve is not None
    assert {a.number for a in curve.again} == {1, 2} and curve.points[-1].after == 3


def test_without_the_flag_there_is_no_curve() -> None:
    with load_editor(host=tiny_host(), encoder=tiny_encoder(), router="hidden") as editor:
        report = bench(editor, [BOOK], tokens=4)
    assert report.curve is None
    assert not any(name.startswith("curve") for name in report.figures)
