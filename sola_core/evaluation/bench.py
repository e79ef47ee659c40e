"""The benchmark of the whole system: teach a stream of facts, then ask everything and let the model answer freely.

Knows the session from outside. Nothing is scored before the last fact is taught, but for the curve of the first facts. The
scores are of free-running answers; the customary teacher-forced ones stand in a block of their own, on request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sola_core.errors import InvalidInput
from sola_core.evaluation.asking import Answers, Asked, ask_all
from sola_core.evaluation.bench_report import BenchReport
from sola_core.evaluation.bounds import Bound, bounds_of
from sola_core.evaluation.cost import Cost, Timing, peak_memory_mb, sample_of, time_answers
from sola_core.evaluation.curve import Again, ask_again, curve_of, curve_points
from sola_core.evaluation.output import surroundings
from sola_core.evaluation.questions import Question, questions_of
from sola_core.evaluation.resume import Kept
from sola_core.evaluation.reversibility import OnStage
from sola_core.evaluation.rows import Row
from sola_core.evaluation.teacher_forced import ForcedScore, Scorer, forced_score
from sola_core.evaluation.teaching import Taught, taught_before, teach_batch, teach_one
from sola_core.session import AnyEditor

TEACHING, IN_BATCHES = "teaching", "teaching in batches"
BATCH = 64  # facts handed over together, a multiple of the method's batches; what a killed run may have to teach again
TOGETHER = 256  # questions asked together; what a killed run may have to ask again


def bench(
    editor: AnyEditor,
    rows: Sequence[Row],
    *,
    unrelated: Sequence[Row] = (),
    bulk: bool = False,
    one_by_one: bool = False,
    tokens: int = 48,
    teacher_forced: bool = False,
    bounds: bool = False,
    curve: bool = False,
    stored: bool = False,
    on_stage: OnStage | None = None,
    kept: Kept | None = None,
) -> BenchReport:
    """Teach all rows in their order, then ask all prompts of all rows; `unrelated` are further prompts that must stay.

    `bulk` teaches in batches, `one_by_one` asks without them; `tokens` is the longest answer; `teacher_forced` adds the customary block, and `bounds` the scores
    with the right edit forced and with no edit (with both, the latter teacher-forced too); `curve` asks the first facts again
    while the stream grows. `stored` teaches nothing: the editor's library holds the facts. `kept` has what an interrupted run finished, and takes what this one finishes. Raises InvalidInput
    when the editor holds edits of another origin.
    """
    show, kept = on_stage or (lambda stage, done, total: None), kept or Kept()
    if not stored:
        _check_library(editor, kept)
    taught: list[Taught] = taught_before(editor, rows) if stored else []
    again: list[Again] = []
    for stop in curve_points(len(rows)) if curve else (len(rows),):
        taught += [] if stored else _teach(editor, rows, len(taught), stop, bulk, kept, show)
        owners = {t.edit_id: row for row, t in zip(rows, taught, strict=False) if t.edit_id}
        answers = Answers(editor, tokens, one_by_one=one_by_one)  # for this moment of the stream alone
        if curve:
            again += ask_again(editor, rows, taught, answers=answers, owners=owners, kept=kept, show=show)
    edit_ids = {row: t.edit_id for row, t in zip(rows, taught, strict=True)}  # by row: a file may repeat an id
    questions, dropped = questions_of(rows, unrelated)
    size = 1 if one_by_one else TOGETHER
    asked = kept.each("asking", questions, lambda part: ask_all(answers, part, owners), Asked, show=show, size=size)
    scored = questions if teacher_forced else []
    forced = kept.each("scoring", scored, _scorer(editor, editor.target_scores), ForcedScore, show=show)
    scored = scored if bounds else []
    untouched = kept.each(
        "scoring the base model", scored, _scorer(editor, editor.base_target_scores), ForcedScore, show=show
    )
    own = [question for question in questions if bounds and question.target is not None]
    framed = kept.each(
        "asking without the router",
        own,
        lambda part: bounds_of(answers, part, edit_ids),
        Bound,
        show=show,
        size=size,
    )
    timings = kept.each(
        "timing answers",
        sample_of([t.prompt for t in taught if t.edit_id]),
        lambda part: [time_answers(editor, prompt, tokens) for prompt in part],
        Timing,
        show=show,
    )
    return BenchReport(
        taught=tuple(taught),
        asked=tuple(asked),
        dropped=dropped,
        settings={
            "router": editor.router_name,
            "bulk": bulk,
            "one_by_one": one_by_one,
            "tokens": tokens,
            "method": editor.method.name,
            "teacher_forced": teacher_forced,
            "bounds": bounds,
            "curve": curve,
            "stored": stored,
        },
        surroundings=surroundings(editor.host),
        seconds=kept.elapsed,
        cost=Cost(timings=tuple(timings), sizes=editor.sizes, peak_memory_mb=peak_memory_mb()),
        teacher_forced=tuple(forced),
        bounds=tuple(framed),
        untouched=tuple(untouched),
        curve=curve_of(again, taught) if curve else None,
    )


def _check_library(editor: AnyEditor, kept: Kept) -> None:
    """Take away what a killed run had stored and not yet noted; refuse edits of another origin, and missing ones."""
    noted = {t.edit_id for stage in (TEACHING, IN_BATCHES) for t in kept.known(stage, Taught) if t.edit_id}
    stored = {edit.id for edit in editor.edits}
    if stored and not kept.in_file:
        raise InvalidInput("The benchmark needs an empty library: edits of before would answer its questions.")
    if noted - stored:
        raise InvalidInput(
            "The library beside the work file lacks edits that were taught. Begin again with another file."
        )
    for edit_id in stored - noted:
        editor.delete(edit_id)


def _teach(
    editor: AnyEditor, rows: Sequence[Row], first: int, stop: int, bulk: bool, kept: Kept, show: OnStage
) -> list[Taught]:
    def make(part: Sequence[Row]) -> list[Taught]:
        return teach_batch(editor, part) if bulk else [teach_one(editor, row) for row in part]

    stage, size = (IN_BATCHES, BATCH) if bulk else (TEACHING, 1)
    return kept.each(stage, rows[first:stop], make, Taught, show=show, size=size, first=first, total=len(rows))


def _scorer(editor: AnyEditor, scorer: Scorer) -> Callable[[Sequence[Question]], list[ForcedScore]]:
    base = editor.base_target_scores
    return lambda part: [score for q in part if (score := forced_score(q, scorer, base)) is not None]
