"""The benchmark of the whole system: teach a stream of facts, then ask everything and let the model answer freely.

Knows the session from outside. Nothing is scored before the last fact is taught. The scores are of free-running answers; the
customary teacher-forced ones stand in a block of their own, on request.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sola_core.errors import InvalidInput
from sola_core.evaluation.bench_report import BenchReport
from sola_core.evaluation.bounds import bounds_of
from sola_core.evaluation.cost import Cost, peak_memory_mb, sample_of, time_answers
from sola_core.evaluation.output import surroundings
from sola_core.evaluation.questions import Question, questions_of
from sola_core.evaluation.reversibility import OnStage
from sola_core.evaluation.rows import Row
from sola_core.evaluation.teacher_forced import forced_score
from sola_core.evaluation.teaching import Taught, teach_batch, teach_one
from sola_core.records import Answer
from sola_core.session import SolaEditor

Outcome = Literal["right", "wrong", "missed", "untouched", "false fire"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question, the free-running answer, and how it counts."""

    row_id: str
    kind: str  # as in Question
    prompt: str
    text: str
    stopped: str
    good: bool  # exactly the new answer with a natural stop; or, where it must stay, the base model's answer
    outcome: Outcome  # what the router did, apart from the content
    wanted: str  # the new answer, or the base model's
    contains: bool = False  # a new answer stands in the text, alone or not


def bench(
    editor: SolaEditor,
    rows: Sequence[Row],
    *,
    unrelated: Sequence[Row] = (),
    bulk: bool = False,
    tokens: int = 48,
    teacher_forced: bool = False,
    bounds: bool = False,
    on_stage: OnStage | None = None,
) -> BenchReport:
    """Teach all rows in their order, then ask all prompts of all rows; `unrelated` are further prompts that must stay.

    `bulk` teaches in batches; `tokens` is the longest answer; `teacher_forced` adds the customary block, and `bounds` the scores
    with the right edit forced and with no edit (with both, the latter teacher-forced too). Raises InvalidInput when the editor
    holds edits already.
    """
    if editor.edits:
        raise InvalidInput("The benchmark needs an empty library: edits of before would answer its questions.")
    show = on_stage or (lambda stage, done, total: None)
    began = time.perf_counter()
    taught = _teach(editor, rows, bulk, show)
    edit_ids = {row: t.edit_id for row, t in zip(rows, taught, strict=True)}  # by row: a file may repeat an id
    owners = {edit_id: row for row, edit_id in edit_ids.items() if edit_id}
    questions, dropped = questions_of(rows, unrelated)
    asked = [_ask(editor, question, owners, tokens) for question in _each(questions, "asking", show)]
    edited, base = editor.target_scores, editor.base_target_scores
    scored = questions if teacher_forced else []
    forced = [forced_score(question, edited, base) for question in _each(scored, "scoring", show)]
    untouched = [forced_score(q, base, base) for q in _each(scored if bounds else [], "scoring the base model", show)]
    own = [question for question in questions if bounds and question.target is not None]
    framed = [bounds_of(editor, q, edit_ids[q.row], tokens) for q in _each(own, "asking without the router", show)]
    timed = sample_of([t.prompt for t in taught if t.edit_id])
    timings = [time_answers(editor, prompt, tokens) for prompt in timed]
    return BenchReport(
        taught=tuple(taught),
        asked=tuple(asked),
        dropped=dropped,
        settings={
            "router": editor.router_name,
            "bulk": bulk,
            "tokens": tokens,
            "method": editor.method.name,
            "teacher_forced": teacher_forced,
            "bounds": bounds,
        },
        surroundings=surroundings(editor.host),
        seconds=time.perf_counter() - began,
        cost=Cost(timings=tuple(timings), sizes=editor.sizes, peak_memory_mb=peak_memory_mb()),
        teacher_forced=tuple(score for score in forced if score is not None),
        bounds=tuple(bound for pair in framed for bound in pair),
        untouched=tuple(score for score in untouched if score is not None),
    )


def _each(questions: Sequence[Question], stage: str, show: OnStage) -> Iterator[Question]:
    """Yield the questions and show how many are done."""
    for done, question in enumerate(questions):
        show(stage, done, len(questions))
        yield question
    if questions:
        show(stage, len(questions), len(questions))


def _teach(editor: SolaEditor, rows: Sequence[Row], bulk: bool, show: OnStage) -> list[Taught]:
    taught: list[Taught] = []
    stage, size = ("teaching in batches", len(rows)) if bulk else ("teaching", 1)
    for start in range(0, len(rows), size):
        show(stage, start, len(rows))
        part = rows[start : start + size]
        taught += teach_batch(editor, part) if bulk else [teach_one(editor, row) for row in part]
    show(stage, len(rows), len(rows))
    return taught


def _ask(editor: SolaEditor, question: Question, owners: Mapping[str, Row], tokens: int) -> Asked:
    answer = editor.answer(question.prompt, tokens)
    if question.target is None:
        base = editor.base_answer(question.prompt, tokens)
        good, wanted = answer.text == base.text and answer.stopped == base.stopped, base.text
    else:
        good, wanted = question.answered(answer.text, answer.stopped), question.target
    return Asked(
        row_id=question.row.id,
        kind=question.kind,
        prompt=question.prompt,
        text=answer.text,
        stopped=answer.stopped,
        good=good,
        outcome=_outcome(question, answer, owners),
        wanted=wanted,
        contains=question.contained(answer.text),
    )


def _outcome(question: Question, answer: Answer, owners: Mapping[str, Row]) -> Outcome:
    edit_id = answer.route.edit_id
    if question.target is None:
        return "untouched" if edit_id is None else "false fire"
    if edit_id is None:
        return "missed"
    return "right" if owners.get(edit_id) == question.row else "wrong"
