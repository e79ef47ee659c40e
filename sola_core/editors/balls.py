"""Facts in balls of hidden states: how far a question is from each, and the route that follows from the nearest.

Knows distances and routes. Knows neither what a ball makes the host do nor how balls come to be: each method has its own rules.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sola_core.records import Candidate, Route

MOST_CANDIDATES = 32
MARGIN = 1e-5  # what GRACE's and MELO's code leave between two balls that were cut apart


@dataclass(frozen=True, kw_only=True)
class Near:
    """The entry whose centre is nearest, ties to the younger one."""

    index: int
    distance: float


def distances(query: Tensor, centres: Tensor) -> Tensor:
    """Return the Euclidean distances of `query`, (dim,), from `centres`, (n, dim), as (n,); of equal vectors exactly 0."""
    each: Tensor = torch.linalg.vector_norm(centres - query, dim=-1)
    return each


def nearest(query: Tensor, centres: Tensor, among: Collection[int] | None = None) -> Near | None:
    """Return the nearest centre, or None without any; with `among`, of those with these indices.

    Of equally near ones the last: a fact taught again under the same question answers with what was taught last. (The
    released codes take the first, whose ball a split has just closed, so that neither would answer.)
    """
    best: Near | None = None
    for index, distance in enumerate(distances(query, centres).tolist()):
        if (among is None or index in among) and (best is None or distance <= best.distance):
            best = Near(index=index, distance=distance)
    return best


def candidates(facts: Sequence[tuple[str, float]], off: Collection[str]) -> tuple[Candidate, ...]:
    """Return facts with their distances as candidates, nearest first; a score is minus the distance."""
    ordered = sorted(facts, key=lambda fact: fact[1])
    return tuple(Candidate(edit_id=fact, score=-distance, enabled=fact not in off) for fact, distance in ordered)


def ball_route(
    name: str, fact_ids: Sequence[str], near: Near | None, radius: float, scored: tuple[Candidate, ...], known: int
) -> Route:
    """Return the route to the facts of the nearest ball, or to the bare host when there are none to go to.

    `known` is how many facts there are, with those that no ball holds.
    """
    inside = near is not None and near.distance <= radius and bool(fact_ids)
    kind = "base" if not inside else "edit" if len(fact_ids) == 1 else "shared"
    return Route(
        kind=kind,  # type: ignore[arg-type]  # one of three literals
        edit_ids=tuple(fact_ids) if inside else (),
        candidates=scored[:MOST_CANDIDATES],
        not_scored=known - len(scored),
        threshold=-radius,
        router=name,
        score_kind="distance",
        reason="score" if inside else "below",
    )


def stacked(vectors: Sequence[Tensor]) -> Tensor:
    """Return vectors as rows, (n, dim); of none, an empty matrix."""
    return torch.stack(list(vectors)) if vectors else torch.zeros(0, 0)
