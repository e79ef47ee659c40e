"""Two rows that frame a benchmark's scores: the right edit forced on every prompt, and no edit at all.

Knows the session from outside. The first is what routing could reach at best, the second what the model says by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sola_core.evaluation.numbers import present, share
from sola_core.evaluation.questions import OWN, Question
from sola_core.session import SolaEditor

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


def bounds_of(editor: SolaEditor, question: Question, edit_id: str | None, tokens: int) -> tuple[Bound, Bound]:
    """Ask with the question's own edit forced, then the untouched model; free-running, scored as in the benchmark.

    A fact that could not be taught has no edit (`edit_id` is None): the untouched model answers for the oracle too.
    """
    base = editor.base_answer(question.prompt, tokens)
    made = base if edit_id is None else editor.forced_answer(edit_id, question.prompt, tokens)
    return (
        _bound("oracle", question, made.text, made.stopped),
        _bound("no_edit", question, base.text, base.stopped),
    )


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
