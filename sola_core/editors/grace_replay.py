"""GRACE with exact deletion: the codebook is made again from the facts that are left, in their order of teaching.

Knows what of an earlier codebook can be used again. The codebook, its rules and its training are `grace`.
A value depends on nothing but the facts that trained it, in order, so a value whose facts are all still there is the one that a
second training would give, bit for bit, and is taken over; keys depend on their questions alone. Only a fact that shared an entry
with one that is gone is trained again. What is kept for that is forgotten with the first of its facts.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from torch import Tensor

from sola_core.editors.base import Plan
from sola_core.editors.grace import Grace, GraceSettings
from sola_core.editors.grace_book import GraceBook
from sola_core.editors.joint import Entry, Fact, Learnt
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, TrainingStep
from sola_core.words import Sentence

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class ReplayState:
    """The codebook of the facts that are on, and what another one can be made from."""

    book: GraceBook = field(default_factory=GraceBook)
    keys: Mapping[str, Tensor] = field(default_factory=dict)  # by fact id, those that are off included
    values: Mapping[tuple[str, ...], Tensor] = field(default_factory=dict)  # by the ids of the facts that trained them


class GraceReplay:
    """The GRACE editor whose deletions are replayed."""

    name = "grace-replay"
    capabilities = Capabilities(
        delete="exact",
        switch="exact",
        shares_weights=False,
        why=Sentence(
            "The list of entries is made again from the facts that are left, in their order, so it is the one that there would be "
            "if the fact had never been taught. Plain `grace` only drops the entry."
        ),
    )
    batch_facts = 1

    def __init__(self, settings: GraceSettings | None = None) -> None:
        self.settings = settings or GraceSettings()
        self._grace = Grace(self.settings)
        self._grace.name = self.name  # routes say which of the two it was

    def empty(self, host: HostModel) -> ReplayState:
        """Return the state without facts (see JointMethod)."""
        return ReplayState()

    def learn_steps(
        self, state: ReplayState, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Learnt[ReplayState]]:
        """Learn as GRACE does (see JointMethod)."""
        state, losses = yield from self._added(state, facts, host)
        record = self._grace.record(host)
        return Learnt(state=state, losses=tuple(losses), steps=len(losses) - len(facts), settings=record)

    def removed_steps(
        self, state: ReplayState, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, ReplayState]:
        """Make the codebook again without the fact (see JointMethod)."""
        ids = {one.id for one in left}
        kept = replace(
            state,
            keys={one: key for one, key in state.keys.items() if one in ids},
            values={chain: value for chain, value in state.values.items() if ids.issuperset(chain)},
        )
        return (yield from self._replayed(kept, left, host))

    def switched_steps(
        self, state: ReplayState, fact: Fact, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, ReplayState]:
        """Make the codebook again from the facts that are on (see JointMethod)."""
        return (yield from self._replayed(state, facts, host))

    def plan(self, state: ReplayState, prompt: str, host: HostModel) -> Plan:
        """Return what GRACE does (see JointMethod)."""
        return self._grace.plan(state.book, prompt, host)

    def scores(self, state: ReplayState, prompt: str, host: HostModel) -> tuple[Candidate, ...]:
        """Return minus the distances to the entries of the facts that are on, nearest first (see JointMethod)."""
        return self._grace.scores(state.book, prompt, host)

    def tensors(self, state: ReplayState) -> Mapping[str, Tensor]:
        """Return the codebook's."""
        return self._grace.tensors(state.book)

    def entries(self, state: ReplayState) -> tuple[Entry, ...]:
        """Return all balls (see HasEntries)."""
        return self._grace.entries(state.book)

    def query(self, prompt: str, host: HostModel) -> np.ndarray:
        """Return the key that a question has (see HasEntries)."""
        return self._grace.query(prompt, host)

    def _replayed(
        self, state: ReplayState, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, ReplayState]:
        on = [fact for fact in facts if fact.enabled]
        state, _ = yield from self._added(replace(state, book=GraceBook()), on, host)
        return state

    def _added(
        self, state: ReplayState, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, tuple[ReplayState, list[float]]]:
        book, keys, values = state.book, dict(state.keys), dict(state.values)
        losses: list[float] = []
        for fact in facts:
            if fact.id not in keys:
                keys[fact.id] = self._grace.key(fact.request.prompt, host)
            book, more = yield from self._grace.taught_steps(book, fact, keys[fact.id], host, values)
            entry = next(entry for entry in book.entries if fact.id in entry.fact_ids)
            values[entry.fact_ids] = entry.value
            losses += more
        return ReplayState(book=book, keys=keys, values=values), losses
