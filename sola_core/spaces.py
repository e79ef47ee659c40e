"""Lays the same texts out in the space of every router, with each router's own decisions, so that the spaces can be compared.

Knows layouts, and an editor that says what each router would do. Knows no page. All pictures are PCA: UMAP evens out
distances, and would hide that a space puts everything on one spot.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from sola_core.atlas import Layout, Vector
from sola_core.records import Route

if TYPE_CHECKING:
    from sola_core.session import SolaEditor

Doing = Literal["references", "texts", "keys", "questions"]


@dataclass(frozen=True, kw_only=True)
class SpaceStep:
    """What is being done for a space, and how much of it is done."""

    space: str
    doing: Doing
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Space:
    """The texts in one router's space, and what that router would do with the questions now."""

    layout: Layout
    vectors: Mapping[str, Vector]
    routes: tuple[Route, ...]  # one for each question
    threshold: float  # of this space's router, in the unit of its scores


@dataclass(frozen=True, kw_only=True)
class Closeness:
    """Cosines, -1..1, between texts in one space; None where there is nothing to compare."""

    between: float | None  # mean over all pairs of different facts
    closest: tuple[float, str, str] | None  # the pair of different facts with the highest cosine, by id
    own: float | None  # mean over questions, each with the fact that answered it
    questions: int  # how many those were


def spaces_steps(
    editor: SolaEditor, layouts: Mapping[str, Layout], texts: Mapping[str, str], questions: Sequence[str]
) -> Generator[SpaceStep, None, dict[str, Space]]:
    """Read the texts, one at least, in every space and ask every router about the questions, told step by step.

    Closing the generator early keeps the vectors that were made and changes nothing else.
    """
    asked = list(questions) or list(texts.values())[:1]  # somebody has to tell the thresholds
    for name, layout in layouts.items():
        for read in layout.sheet.prepare_steps():
            yield SpaceStep(space=name, doing="references", done=read.done, total=read.total)
        for read in layout.read_steps(texts):
            yield SpaceStep(space=name, doing="texts", done=read.done, total=read.total)
    decided: list[dict[str, Route]] = []
    for number, question in enumerate(asked):
        yield SpaceStep(space=editor.router_name, doing="questions", done=number, total=len(asked))
        steps = editor.routes_steps(question)
        try:
            while True:
                made = next(steps)
                yield SpaceStep(space=made.router, doing="keys", done=made.done, total=made.total)
        except StopIteration as finished:
            decided.append(finished.value)
        finally:
            steps.close()
    return {
        name: Space(
            layout=layout,
            vectors=layout.vectors(texts),
            routes=tuple(routes[name] for routes in decided[: len(questions)]),
            threshold=decided[0][name].threshold,
        )
        for name, layout in layouts.items()
    }


def closeness(facts: Mapping[str, Vector], asked: Sequence[tuple[Vector, Vector]]) -> Closeness:
    """Return how close different facts are to one another, and questions to the facts that answered them.

    `facts`: the unit vector of each fact by id, one for each different question; `asked`: a question and its fact.
    A vector of zeros stands for a text that cannot be represented, and is left out.
    """
    known = {name: vector for name, vector in facts.items() if vector.any()}
    pairs = [(float(known[a] @ known[b]), a, b) for a, b in combinations(known, 2)]
    own = [float(question @ fact) for question, fact in asked if question.any() and fact.any()]
    return Closeness(
        between=float(np.mean([cosine for cosine, _, _ in pairs])) if pairs else None,
        closest=max(pairs, key=lambda pair: pair[0]) if pairs else None,
        own=float(np.mean(own)) if own else None,
        questions=len(own),
    )
