"""GRACE: a codebook of keys, radii and values; a question inside a ball has one layer's output replaced by the ball's value.

Knows the rules by which the codebook grows, how a value is trained, and what it does to the host.
Source: "Aging with GRACE", arXiv 2211.11031: equation 1 (replace the output when the nearest key is within its radius), algorithm 1
(new entry, expand, split) and section 3; what the text leaves open as the authors' code at f674183 has it.
Deviations, each for a reason:
- The decision is taken once, at the last token of the user's text in prefill, and latched. The released code asks again at every
  token, and with a cache asks the wrong one.
- The value stands at every position from that token on, the generated ones included, instead of only there (`replace_last`) or
  only before (`replace_prompt`): the whole answer must come freely, not only under teacher forcing. `onward=False` is the former.
- The layer is the output of a feed-forward block, where the authors take its first half in GPT-2 and its second elsewhere.
- The first radius is a share of the length of the key, not a number in the units of one model.
- Two facts have the same answer when its tokens are equal; the code compares the means of token ids, padding included.
- Of equally near keys the youngest counts (see `balls.nearest`).
- Training stops at a goal instead of after 100 steps always; the target ends with the end-of-turn token.
- Each fact has one key, that of its question: rephrasings given with it are not used.
- Switching and deleting, which the paper does not have: an entry is left out once none of its facts is on, and dropped once none is
  left; radii stay as they are.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sola_core.editors.balls import MARGIN, ball_route, candidates, distances, nearest, stacked
from sola_core.editors.base import Plan
from sola_core.editors.fitting import TargetRows, fitted_steps
from sola_core.editors.joint import Entry, Fact, Learnt
from sola_core.host.intervention import Intervention, ModuleFunction
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, Route, TrainingStep

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class GraceSettings:
    """All that a codebook depends on beside the facts, their order and the host."""

    depth: float = 0.7  # the layer whose output is replaced, as a share of all layers
    radius: float = 0.25  # of a new ball, as a share of the length of its key
    lr: float = 1.0  # Adam
    goal: float = 0.02  # nats
    max_steps: int = 100
    onward: bool = True  # the value stands at every position from the query on; False: at the query alone
    seed: int = 0  # of the value that training starts from, uniform in 0..1; every entry starts from the same


@dataclass(frozen=True, kw_only=True, eq=False)
class GraceEntry:
    """One key with its ball and its value."""

    key: Tensor  # (features in,) float32: the query of the fact that made the entry
    radius: float
    value: Tensor  # (features out,) float32
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


def placed(
    book: GraceBook, key: Tensor, target: tuple[int, ...], radius: float, fresh: GraceEntry
) -> tuple[GraceBook, int]:
    """Return the codebook with a place for a fact, and which entry it is: algorithm 1 without the training.

    `fresh` is the entry that it becomes when no ball is near, or the near one gives another answer.
    """
    near = nearest(key, book.keys) if book.entries else None
    if near is None or near.distance > radius + book.entries[near.index].radius:
        return replace(book, entries=(*book.entries, fresh)), len(book.entries)
    entries, held = list(book.entries), book.entries[near.index]
    if held.target != target:
        entries[near.index] = replace(held, radius=near.distance / 2 - MARGIN)
        entries.append(replace(fresh, radius=near.distance / 2))
        return replace(book, entries=tuple(entries), splits=book.splits + 1), len(entries) - 1
    wider = max(held.radius, near.distance)
    entries[near.index] = replace(held, radius=wider, fact_ids=(*held.fact_ids, *fresh.fact_ids))
    return replace(book, entries=tuple(entries)), near.index


def replaced(value: Tensor, start: int, onward: bool = True) -> ModuleFunction:
    """Return the function that puts `value` in place of a layer's output from position `start` on, or only there."""

    def put(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> Tensor:
        there = positions >= start if onward else positions == start
        return torch.where(there[..., None], value, output)

    return put


class Grace:
    """The GRACE editor."""

    name = "grace"
    capabilities = Capabilities(
        delete="approximate",
        switch="approximate",
        shares_weights=False,
        why="A fact's entry can be dropped, but entries that had to make room for it stay as small as they became, and an "
        "entry that several facts with one answer share stays until the last of them goes. `grace-replay` is the exact one.",
    )
    batch_facts = 1

    def __init__(self, settings: GraceSettings | None = None) -> None:
        self.settings = settings or GraceSettings()

    def empty(self, host: HostModel) -> GraceBook:
        """Return the codebook without entries (see JointMethod)."""
        return GraceBook()

    def learn_steps(
        self, state: GraceBook, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Learnt[GraceBook]]:
        """Place each fact in turn and train the value of its entry on it alone (see JointMethod)."""
        losses: list[float] = []
        for fact in facts:
            state, more = yield from self.taught_steps(state, fact, self.key(fact.request.prompt, host), host)
            losses += more
        return Learnt(state=state, losses=tuple(losses), steps=len(losses) - len(facts), settings=self.record(host))

    def taught_steps(
        self,
        book: GraceBook,
        fact: Fact,
        key: Tensor,
        host: HostModel,
        kept: Mapping[tuple[str, ...], Tensor] | None = None,
    ) -> Generator[TrainingStep, None, tuple[GraceBook, list[float]]]:
        """Return the codebook with one more fact, and the losses of its training.

        `kept` has values by the ids of the facts that trained them, in order; one that is there is not trained again.
        """
        target = tuple(host.target_ids(fact.request.target))
        generator = torch.Generator().manual_seed(self.settings.seed)
        start = torch.rand(host.linear_shape(self._module(host))[1], generator=generator)
        radius = self.settings.radius * float(key.norm())
        fresh = GraceEntry(key=key, radius=radius, value=start, target=target, fact_ids=(fact.id,))
        book, index = placed(book, key, target, radius, fresh)
        entry = book.entries[index]
        losses: list[float] = []
        value = None if kept is None else kept.get(entry.fact_ids)
        if value is None:
            value, losses = yield from self._trained(entry.value, fact, host)
        entries = [*book.entries]
        entries[index] = replace(entry, value=value)
        return replace(book, entries=tuple(entries)), losses

    def removed_steps(
        self, state: GraceBook, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, GraceBook]:
        """Drop the fact, and its entry if no other fact has it; all radii stay (see JointMethod)."""
        yield from ()
        entries = [
            replace(entry, fact_ids=tuple(one for one in entry.fact_ids if one != fact.id)) for entry in state.entries
        ]
        return replace(state, entries=tuple(entry for entry in entries if entry.fact_ids), off=state.off - {fact.id})

    def switched_steps(
        self, state: GraceBook, fact: Fact, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, GraceBook]:
        """Leave the fact out of the search, or take it in again; all radii stay (see JointMethod)."""
        yield from ()
        return replace(state, off=state.off - {fact.id} if fact.enabled else state.off | {fact.id})

    def plan(self, state: GraceBook, prompt: str, host: HostModel) -> Plan:
        """Return a plan that decides at the layer, in prefill (see JointMethod)."""
        plan = Plan(Route(kind="base", router=self.name, score_kind="distance"), None)
        if not state.on:
            return plan
        module, start = self._module(host), host.prompt_ids(prompt).last_user

        def decide(row: int, activation: Tensor) -> Intervention | None:
            plan.route, entry = self._routed(state, activation.cpu())
            if entry is None:
                return None
            value = entry.value.to(host.device, host.dtype)
            return Intervention(modules={module: replaced(value, start, self.settings.onward)})

        plan.intervention = Intervention(decides_in=module, decide=decide)
        return plan

    def scores(self, state: GraceBook, prompt: str, host: HostModel) -> tuple[Candidate, ...]:
        """Return minus the distance to the key of each fact's entry, nearest first (see JointMethod)."""
        return self._scored(state, self.key(prompt, host)) if state.entries else ()

    def tensors(self, state: GraceBook) -> Mapping[str, Tensor]:
        """Return keys, radii and values, and which entries are on."""
        if not state.entries:
            return {}
        on = state.on
        return {
            "keys": state.keys,
            "radii": torch.tensor([entry.radius for entry in state.entries], dtype=torch.float64),
            "values": stacked([entry.value for entry in state.entries]),
            "on": torch.tensor([i in on for i in range(len(state.entries))]),
        }

    def entries(self, state: GraceBook) -> tuple[Entry, ...]:
        """Return all balls (see HasEntries)."""
        return tuple(
            Entry(centre=entry.key.numpy().copy(), radius=entry.radius, fact_ids=entry.fact_ids)
            for entry in state.entries
        )

    def query(self, prompt: str, host: HostModel) -> np.ndarray:
        """Return the key that a question has (see HasEntries)."""
        return self.key(prompt, host).numpy()

    def key(self, prompt: str, host: HostModel) -> Tensor:
        """Return the input of the layer at the last token of the user's text, (features in,) float32."""
        return host.module_input(prompt, self._module(host))

    def record(self, host: HostModel) -> dict[str, object]:
        """Return the settings as JSON has them, with what of the host they stand for."""
        return {**asdict(self.settings), "layers": [self._layer(host)], "template": host.format.digest}

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _trained(
        self, start: Tensor, fact: Fact, host: HostModel
    ) -> Generator[TrainingStep, None, tuple[Tensor, list[float]]]:
        rows = TargetRows([fact.request], host, self._layer(host))
        value = start.clone().to(host.device).requires_grad_()
        module, query = self._module(host), rows.last_user[0]

        def loss() -> tuple[Tensor, Tensor]:
            each = rows.losses({module: replaced(value.to(host.dtype), query, self.settings.onward)})
            return each, each.sum()

        losses = yield from fitted_steps(
            [value],
            loss,
            host,
            optimiser=torch.optim.Adam([value], lr=self.settings.lr),
            goal=self.settings.goal,
            max_steps=self.settings.max_steps,
        )
        return value.detach().cpu(), losses

    def _routed(self, book: GraceBook, query: Tensor) -> tuple[Route, GraceEntry | None]:
        """Return the route, and the entry if the question lies in its ball."""
        near, scored = nearest(query, book.keys, book.on), self._scored(book, query)
        if near is None:
            return ball_route(self.name, (), None, 0.0, scored, len(scored)), None
        entry = book.entries[near.index]
        answering = [fact for fact in entry.fact_ids if fact not in book.off]
        route = ball_route(self.name, answering, near, entry.radius, scored, len(scored))
        return route, None if route.deferred else entry

    def _scored(self, book: GraceBook, query: Tensor) -> tuple[Candidate, ...]:
        each = zip(book.entries, distances(query, book.keys).tolist(), strict=True)
        return candidates([(fact, distance) for entry, distance in each for fact in entry.fact_ids], book.off)

    def _module(self, host: HostModel) -> str:
        return host.module_name(self._layer(host))

    def _layer(self, host: HostModel) -> int:
        return min(int(self.settings.depth * host.n_layers), host.n_layers - 1)
