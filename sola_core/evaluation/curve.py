"""Whether earlier facts suffer from later ones: the first facts of a stream, asked again while it grows.

Knows the session from outside. An answer can change in two ways, told apart here: another edit captured the question, which is
routing; or the fact's own edit is no longer what it was, which for SoLA must not happen, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sola_core.evaluation.asking import Answers, Asked, ask_all
from sola_core.evaluation.numbers import present, share
from sola_core.evaluation.output import table
from sola_core.evaluation.questions import Question, own_questions
from sola_core.evaluation.resume import Kept
from sola_core.evaluation.rows import Row
from sola_core.evaluation.teaching import Taught
from sola_core.library.digest import edit_digest
from sola_core.session import AnyEditor, SolaEditor

if TYPE_CHECKING:
    from sola_core.evaluation.reversibility import OnStage
    from sola_core.host.stream import Generation

POINTS = (1, 10, 100, 1_000, 10_000)  # facts taught when it is asked; the end of the stream is a point too
FIRST = 100  # facts that are asked again, at most
LISTED = 20  # changed answers in the text; the JSON has all

Prompt = tuple[int, str, str]  # number of the fact, kind, prompt


@dataclass(frozen=True, kw_only=True)
class Again:
    """One prompt of an early fact, asked when `after` facts were taught."""

    after: int
    number: int  # of its fact in the stream, 1-based
    kind: str  # "reliability" or "generality"
    prompt: str
    text: str
    stopped: str
    good: bool  # as in Asked
    edit_id: str | None  # which edit answered
    forced_text: str | None  # with its own edit forced; None where the fact could not be taught
    forced_stopped: str | None
    tensors: str | None  # hex SHA-256 of its edit's request and stored tensors

    @property
    def key(self) -> Prompt:
        """What is asked, the same at every point."""
        return self.number, self.kind, self.prompt


@dataclass(frozen=True, kw_only=True)
class Change:
    """One routed answer that differs from the one at the point before."""

    after: int
    since: int  # the point before
    number: int
    kind: str
    prompt: str
    text: str
    text_before: str
    edit_before: str | None
    captured_by: str | None  # the edit that answers now; None: the untouched model
    captured_prompt: str | None  # what that edit was taught for


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """How the first facts score when `after` facts are taught."""

    after: int
    prompts: int
    reliability: float | None
    generality: float | None
    changed_answers: int  # routed answers that differ from those of the point before
    changed_forced: int  # prompts whose forced answer differs from the first one
    changed_tensors: int  # facts whose stored tensors differ from those first seen


@dataclass(frozen=True, kw_only=True)
class Curve:
    """All points of one stream."""

    points: tuple[CurvePoint, ...]
    changes: tuple[Change, ...]
    again: tuple[Again, ...]

    @property
    def figures(self) -> dict[str, float]:
        """`curve_reliability_<n>`, `curve_generality_<n>`; over all points, prompts and facts that were ever different."""
        found: dict[str, float | None] = {}
        for point in self.points:
            found[f"curve_reliability_{point.after}"] = point.reliability
            found[f"curve_generality_{point.after}"] = point.generality
        if self.points:
            found["curve_changed_forced"] = len({a.key for a in _unlike_first(self.again, _forced)})
            found["curve_changed_tensors"] = len({a.number for a in _unlike_first(self.again, _tensors)})
        return present(found)

    def text(self) -> str:
        """Return a table with a line for each point, then the answers that changed."""
        headers = ["facts taught", "first ones asked", "reliability", "generality"]
        headers += ["answers changed", "forced answers changed", "tensors changed"]
        rows = []
        for p in self.points:
            changed = (p.changed_answers, p.changed_forced, p.changed_tensors)
            rows.append((p.after, p.prompts, _share(p.reliability), _share(p.generality), *changed))
        lines = [table(headers, rows)]
        for c in self.changes[:LISTED]:
            by = f"captured by the edit of {c.captured_prompt!r}" if c.captured_by else "left to the untouched model"
            lines.append(f"{c.since} to {c.after} taught: {c.prompt!r}: {c.text_before!r} -> {c.text!r}, {by}")
        if len(self.changes) > LISTED:
            lines.append(f"... and {len(self.changes) - LISTED} more changed answers; --json lists all")
        return "\n".join(lines)


def curve_points(edits: int) -> tuple[int, ...]:
    """Return after how many facts of a stream the first ones are asked again: 1, 10, 100 ... and its end."""
    return (*(point for point in POINTS if point < edits), edits)


def ask_again(
    editor: AnyEditor,
    rows: Sequence[Row],
    taught: Sequence[Taught],
    *,
    answers: Answers,
    owners: Mapping[str, Row],
    kept: Kept,
    show: OnStage,
) -> list[Again]:
    """Ask all prompts of the first facts, routed and with their own edit forced, and read their tensors again.

    `rows` is the stream; `taught` what was taught of it so far. Asked and judged as the benchmark does.
    """
    after = len(taught)
    numbered = [(i, question) for i in range(min(FIRST, after)) for question in own_questions(rows[i])]

    def make(part: Sequence[tuple[int, Question]]) -> list[Again]:
        asked = ask_all(answers, [question for _, question in part], owners)
        # a fact that shares a state has no tensors of its own, nor can it be asked alone
        alone = editor if isinstance(editor, SolaEditor) else None
        owner_of = {i: taught[i].edit_id for i, _ in part if alone is not None}
        known = [(edit_id, question.prompt) for i, question in part if (edit_id := owner_of.get(i)) is not None]
        forced = iter(
            answers.forced([edit_id for edit_id, _ in known], [prompt for _, prompt in known]) if known else []
        )
        found = []
        for (i, _), one in zip(part, asked, strict=True):
            edit_id = owner_of.get(i)
            own = None if edit_id is None else next(forced)
            tensors = edit_digest(rows[i].request, alone.tensors(edit_id)) if alone and edit_id else None
            found.append(_again(one, i, after, answers.route(one.prompt), own, tensors))
        return found

    return kept.each(
        f"asking the first again after {after}", numbered, make, Again, show=show, size=max(1, len(numbered))
    )


def curve_of(again: Sequence[Again], taught: Sequence[Taught]) -> Curve:
    """Return the points and the changes out of all that was asked again, point by point."""
    names = {t.edit_id: t.prompt for t in taught if t.edit_id}
    changes = _changes(again, names)
    points = []
    for after in dict.fromkeys(a.after for a in again):
        here = [a for a in again if a.after == after]
        points.append(
            CurvePoint(
                after=after,
                prompts=len(here),
                reliability=share(a.good for a in here if a.kind == "reliability"),
                generality=share(a.good for a in here if a.kind == "generality"),
                changed_answers=sum(c.after == after for c in changes),
                changed_forced=len({a.key for a in _unlike_first(again, _forced) if a.after == after}),
                changed_tensors=len({a.number for a in _unlike_first(again, _tensors) if a.after == after}),
            )
        )
    return Curve(points=tuple(points), changes=tuple(changes), again=tuple(again))


def _again(
    asked: Asked, place: int, after: int, edit_id: str | None, forced: Generation | None, tensors: str | None
) -> Again:
    return Again(
        after=after,
        number=place + 1,
        kind=asked.kind,
        prompt=asked.prompt,
        text=asked.text,
        stopped=asked.stopped,
        good=asked.good,
        edit_id=edit_id,
        forced_text=forced.text if forced else None,
        forced_stopped=forced.stopped if forced else None,
        tensors=tensors,
    )


def _changes(again: Sequence[Again], names: Mapping[str, str]) -> list[Change]:
    before: dict[Prompt, Again] = {}
    changes = []
    for a in again:
        old = before.get(a.key)
        if old is not None and (old.text, old.stopped) != (a.text, a.stopped):
            changes.append(
                Change(
                    after=a.after,
                    since=old.after,
                    number=a.number,
                    kind=a.kind,
                    prompt=a.prompt,
                    text=a.text,
                    text_before=old.text,
                    edit_before=old.edit_id,
                    captured_by=a.edit_id,
                    captured_prompt=names.get(a.edit_id or ""),
                )
            )
        before[a.key] = a
    return changes


def _unlike_first(again: Sequence[Again], what: Callable[[Again], object]) -> list[Again]:
    """Return those that differ in something from what their prompt gave when it was asked first."""
    first: dict[Prompt, Again] = {}
    return [a for a in again if what(first.setdefault(a.key, a)) != what(a)]


def _forced(again: Again) -> object:
    return again.forced_text, again.forced_stopped


def _tensors(again: Again) -> object:
    return again.tensors


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
