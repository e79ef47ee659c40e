"""GRACE's codebook: keys in balls whose radii grow with facts of the same answer and are cut by those of another.

Knows the rules of growth and no host. A value is a vector here, however it came to be.
Source: "Aging with GRACE", arXiv 2211.11031, algorithm 1, and the authors' code at f674183. Deviations: see `grace`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from sola_core.editors.balls import MARGIN, nearest, stacked


@dataclass(frozen=True, kw_only=True, eq=False)
class GraceEntry:
    """One key with its ball and its value."""

    key: Tensor  # (features in,) float32: the query of the fact that made the entry
    radius: float
    value: Tensor  # (features out,) float32; empty until it is trained
    target: tuple[int, ...]  # token ids of the answer
    fact_ids: tuple[str, ...]  # in the order in which they trained the value


@dataclass(frozen=True, kw_only=True, eq=False)
class GraceBook:
    """The codebook."""

    entries: tuple[GraceEntry, ...] = ()
    off: frozenset[str] = frozenset()  # ids of the facts that are switched off
    splits: int = 0  # how often a ball was cut because another answer came near it

    @cached_property
    def keys(self) -> Tensor:
        """All keys, (entries, features in)."""
        return stacked([entry.key for entry in self.entries])

    @property
    def on(self) -> list[int]:
        """The entries that have a fact that is on."""
        return [i for i, entry in enumerate(self.entries) if not self.off.issuperset(entry.fact_ids)]


def placed(book: GraceBook, fresh: GraceEntry) -> tuple[GraceBook, int]:
    """Return the codebook with a place for a fact, and which entry it is: algorithm 1 without the training.

    `fresh` is the entry that it becomes when no ball is near, or the near one gives another answer.
    """
    near = nearest(fresh.key, book.keys) if book.entries else None
    if near is None or near.distance > fresh.radius + book.entries[near.index].radius:
        return replace(book, entries=(*book.entries, fresh)), len(book.entries)
    entries, held = list(book.entries), book.entries[near.index]
    if held.target != fresh.target:
        entries[near.index] = replace(held, radius=near.distance / 2 - MARGIN)
        entries.append(replace(fresh, radius=near.distance / 2))
        return replace(book, entries=tuple(entries), splits=book.splits + 1), len(entries) - 1
    wider = max(held.radius, near.distance)
    entries[near.index] = replace(held, radius=wider, fact_ids=(*held.fact_ids, *fresh.fact_ids))
    return replace(book, entries=tuple(entries)), near.index
