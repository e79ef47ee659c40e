"""The benchmark of the whole system: teach a stream of facts, then ask everything and let the model answer freely.

Knows the session from outside. Nothing is scored before the last fact is taught. The scores are of free-running answers; the
customary teacher-forced ones stand in a block of their own, on request.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sola_core.errors import EditFailed, InvalidInput
from sola_core.evaluation.asking import Answers, Asked, ask_all, each
from sola_core.evaluation.bounds import Bound, bound_figures, bounds_of
from sola_core.evaluation.numbers import median, present, share
from sola_core.evaluation.output import surroundings, table
from sola_core.evaluation.questions import APART, OWN, questions_of
from sola_core.evaluation.reversibility import OnStage
from sola_core.evaluation.rows import Row
from sola_core.evaluation.teacher_forced import ForcedScore, forced_figures, forced_score
from sola_core.records import Edit
from sola_core.session import SolaEditor


@dataclass(frozen=True, kw_only=True)
class Taught:
    """What became of one fact while the stream was taught."""

    row_id: str
    prompt: str
    target: str
    edit_id: str | None  # None: it could not be taught
    seconds: float
    steps: int
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """Every answer of one run."""

    taught: tuple[Taught, ...]
    asked: tuple[Asked, ...]
    dropped: int  # neighbours that contain another taught subject
    settings: Mapping[str, str | int | bool]
    surroundings: Mapping[str, str | int]
    seconds: float
    teacher_forced: tuple[ForcedScore, ...] = ()
    bounds: tuple[Bound, ...] = ()
    untouched: tuple[ForcedScore, ...] = ()  # the base model's teacher-forced scores, with both blocks

    @property
    def figures(self) -> dict[str, float]:
        """The flat figures; shares are 0..1 and an absent one is left out."""
        stay = [a for a in self.asked if a.kind not in OWN]
        own = [a for a in self.asked if a.kind in OWN]
        found: dict[str, float | None] = {
            "reliability": share(a.good for a in own if a.kind == "reliability"),
            "generality": share(a.good for a in own if a.kind == "generality"),
            "locality": share(a.good for a in stay if a.kind != APART),
        }
        for kind in dict.fromkeys(a.kind for a in stay):
            found[f"locality_{kind}"] = share(a.good for a in stay if a.kind == kind)
        for outcome in ("right", "wrong", "missed"):
            found[f"router_{outcome}"] = share(a.outcome == outcome for a in own)
        found["router_false_fire"] = share(a.outcome == "false fire" for a in stay if a.kind != APART)
        found["edit_seconds_median"] = median([t.seconds for t in self.taught if t.edit_id])
        found["edits"] = len(self.taught)
        found["not_taught"] = sum(t.edit_id is None for t in self.taught)
        return {**present(found), **bound_figures(self.bounds), **self.forced_figures}

    @property
    def forced_figures(self) -> dict[str, float]:
        """The teacher-forced ones of the flat figures; the untouched model's start with `no_edit_`."""
        base = {f"no_edit_{name}": value for name, value in forced_figures(self.untouched).items()}
        kept = {name: value for name, value in base.items() if "tf_locality" not in name}  # 1 by definition
        return {**forced_figures(self.teacher_forced), **kept}

    def text(self) -> str:
        """Return a table of how answers score and what the router did, then the blocks that were asked for."""
        kinds = list(dict.fromkeys(a.kind for a in self.asked))
        rows = []
        for kind in kinds:
            here = [a for a in self.asked if a.kind == kind]
            fired = [sum(a.outcome == o for a in here) for o in ("right", "wrong", "missed", "false fire")]
            good = sum(a.good for a in here)
            rows.append((kind, len(here), good, f"{good / len(here):.3f}", *fired))
        headers = ["asked", "prompts", "good", "share", "right edit", "wrong edit", "missed", "false fire"]
        figures = self.figures
        lines = [table(headers, rows)]
        if self.bounds:
            framed = [(name, f"{value:.3f}") for name, value in bound_figures(self.bounds).items()]
            lines.append("\n" + table(["the right edit forced, and no edit", "share"], framed) + "\n")
        if self.teacher_forced:
            forced = [(name, f"{value:.3f}") for name, value in self.forced_figures.items()]
            lines.append("\n" + table(["teacher-forced, as papers have it", "share"], forced) + "\n")
        lines += [f"not taught: {t.prompt!r}: {t.failure}" for t in self.taught if t.edit_id is None]
        if self.dropped:
            lines.append(f"{self.dropped} neighbours were dropped: they contain another taught subject")
        speed = f", {figures['edit_seconds_median']:.2f} s each (median)" if "edit_seconds_median" in figures else ""
        lines.append(f"{len(self.taught)} facts taught{speed}; all in {self.seconds:.0f} s")
        return "\n".join(lines)


def bench(
    editor: SolaEditor,
    rows: Sequence[Row],
    *,
    unrelated: Sequence[Row] = (),
    bulk: bool = False,
    one_by_one: bool = False,
    tokens: int = 48,
    teacher_forced: bool = False,
    bounds: bool = False,
    on_stage: OnStage | None = None,
) -> BenchReport:
    """Teach all rows in their order, then ask all prompts of all rows; `unrelated` are further prompts that must stay.

    `bulk` teaches in batches, `one_by_one` asks without them; `tokens` is the longest answer; `teacher_forced` adds the customary
    block, and `bounds` the scores with the right edit forced and with no edit (with both, the latter teacher-forced too). Raises
    InvalidInput when the editor holds edits already.
    """
    if editor.edits:
        raise InvalidInput("The benchmark needs an empty library: edits of before would answer its questions.")
    show = on_stage or (lambda stage, done, total: None)
    began = time.perf_counter()
    taught = _teach_in_batches(editor, rows, show) if bulk else _teach(editor, rows, show)
    edit_ids = {row: t.edit_id for row, t in zip(rows, taught, strict=True)}  # by row: a file may repeat an id
    owners = {edit_id: row for row, edit_id in edit_ids.items() if edit_id}
    questions, dropped = questions_of(rows, unrelated)
    answers = Answers(editor, tokens, show, one_by_one=one_by_one)
    asked = ask_all(answers, questions, owners)
    edited, base = editor.target_scores, editor.base_target_scores
    scored = questions if teacher_forced else []
    forced = [forced_score(question, edited, base) for question in each(scored, "scoring", show)]
    untouched = [forced_score(q, base, base) for q in each(scored if bounds else [], "scoring the base model", show)]
    own = [question for question in questions if bounds and question.kind in OWN]
    framed = bounds_of(answers, own, edit_ids)
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
        },
        surroundings=surroundings(editor.host),
        seconds=time.perf_counter() - began,
        teacher_forced=tuple(score for score in forced if score is not None),
        bounds=tuple(framed),
        untouched=tuple(score for score in untouched if score is not None),
    )


def _teach(editor: SolaEditor, rows: Sequence[Row], show: OnStage) -> list[Taught]:
    taught = []
    for done, row in enumerate(rows):
        show("teaching", done, len(rows))
        try:
            taught.append(_taught(row, editor.edit(row.request)))
        except EditFailed as error:
            taught.append(_not_taught(row, error))
    show("teaching", len(rows), len(rows))
    return taught


def _teach_in_batches(editor: SolaEditor, rows: Sequence[Row], show: OnStage) -> list[Taught]:
    failures: dict[int, EditFailed] = {}
    show("teaching in batches", 0, len(rows))
    edits = iter(editor.edit_many([row.request for row in rows], on_failure=failures.__setitem__))
    show("teaching in batches", len(rows), len(rows))
    return [
        _not_taught(row, failures[index]) if index in failures else _taught(row, next(edits))
        for index, row in enumerate(rows)
    ]


def _taught(row: Row, edit: Edit) -> Taught:
    return Taught(
        row_id=row.id,
        prompt=edit.prompt,
        target=edit.target,
        edit_id=edit.id,
        seconds=edit.seconds,
        steps=edit.training.steps,
    )


def _not_taught(row: Row, error: EditFailed) -> Taught:
    target = row.target_new or ""
    return Taught(
        row_id=row.id, prompt=row.prompt, target=target, edit_id=None, seconds=0.0, steps=0, failure=str(error)
    )
