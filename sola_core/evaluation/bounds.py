"""Two rows that frame a benchmark's scores: the right edit forced on every prompt, and no edit at all.

Knows the session from outside. The first is what routing could reach at best, the second what the model says by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sola_core.evaluation.asking import Answers
from sola_core.evaluation.numbers import present, share
from sola_core.evaluation.questions import OWN, Question
from sola_core.evaluation.rows import Row

BoundName = Literal["oracle", "no_edit"]
NAMES: tuple[BoundName, ...] = ("oracle", "no_edit")


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One prompt that a fact must answer, or that should follow from it, asked without the router."""

    name: BoundName
    row_id: str
    kind: str  # "reliability", "generality" or "portability_<kind>"
    prompt: str
    text: str
    stopped: str
    good: bool  # exactly the new answer with a natural stop


def bounds_of(answers: Answers, questions: Sequence[Question], edit_ids: Mapping[Row, str | None]) -> list[Bound]:
    """Ask with each question's own edit forced, then the untouched model; free-running, scored as in the benchmark.

    A fact that could not be taught has no edit (its id is None): the untouched model answers for the oracle too.
    """
    base = answers.base([question.prompt for question in questions])
    taught = [(edit_id, q.prompt) for q in questions if (edit_id := edit_ids[q.row]) is not None]
    forced = iter(answers.forced([edit_id for edit_id, _ in taught], [prompt for _, prompt in taught]))
    bounds = []
    for question, untouched in zip(questions, base, strict=True):
        made = untouched if edit_ids[question.row] is None else next(forced)
        bounds.append(_bound("oracle", question, made.text, made.stopped))
        bounds.append(_bound("no_edit", question, untouched.text, untouched.stopped))
    return bounds


def bound_figures(bounds: Sequence[Bound]) -> dict[str, float]:
    """Return the flat figures, such as `oracle_generality`: shares, 0..1."""
    return present(
        {
            f"{name}_{kind}": share(b.good for b in bounds if b.name == name and b.kind == kind)
            for name in NAMES
            for kind in dict.fromkeys((*OWN, *(b.kind for b in bounds)))
        }
    )


def _bound(name: BoundName, question: Question, text: str, stopped: str) -> Bound:
    return Bound(
        name=name,
        row_id=question.row.id,
        kind=question.kind,
        prompt=question.prompt,
        text=text,
        stopped=stopped,
        good=question.answered(text, stopped),
    )
