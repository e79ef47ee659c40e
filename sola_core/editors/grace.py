"""GRACE: a codebook of keys, radii and values; a question inside a ball has one layer's output replaced by the ball's value.

Knows how a value is trained, what it does to the host, and when; the rules by which the codebook grows are `grace_book`.
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
- A new value starts from the output that it replaces (the authors' "warm" start; their default is uniform in 0..1), and Adam's step
  is a share of that output's size, not 1.0 in the units of one model.
- Of equally near keys the youngest counts (see `balls.nearest`).
- Training stops at a goal instead of after 100 steps always; the target ends with the end-of-turn token.
- Each fact has one key, that of its question: rephrasings given with it are not used.
- Switching and deleting, which the paper does not have: an entry is left out once none of its facts is on, and dropped once none is
  left; radii stay as they are.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sola_core.editors.balls import ball_route, candidates, distances, nearest, stacked
from sola_core.editors.base import Plan
from sola_core.editors.fitting import TargetRows, fitted_steps
from sola_core.editors.grace_book import GraceBook, GraceEntry, placed
from sola_core.editors.joint import Entry, Fact, Learnt
from sola_core.host.intervention import Intervention, ModuleFunction
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, Route, TrainingStep
from sola_core.words import Sentence

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class GraceSettings:
    """All that a codebook depends on beside the facts, their order and the host."""

    depth: float = 0.7  # the layer whose output is replaced, as a share of all layers
    radius: float = 0.25  # of a new ball, as a share of the length of its key
    lr: float = 0.3  # Adam, in root mean squares of the output that the value replaces
    goal: float = 0.02  # nats
    max_steps: int = 100
    onward: bool = True  # the value stands at every position from the query on; False: at the query alone


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
        why=Sentence(
            "A fact's entry can be dropped, but entries that had to make room for it stay as small as they became, and an "
            "entry that several facts with one answer share stays until the last of them goes. `grace-replay` is the exact one."
        ),
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
        radius = self.settings.radius * float(key.norm())
        fresh = GraceEntry(key=key, radius=radius, value=torch.empty(0), target=target, fact_ids=(fact.id,))
        book, index = placed(book, fresh)
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
        module, query = self._module(host), rows.last_user[0]
        own = _output_at(query, module, rows, host)
        value = (start if len(start) else own).clone().to(host.device).requires_grad_()

        def loss() -> tuple[Tensor, Tensor]:
            each = rows.losses({module: replaced(value.to(host.dtype), query, self.settings.onward)})
            return each, each.sum()

        losses = yield from fitted_steps(
            [value],
            loss,
            host,
            optimiser=torch.optim.Adam([value], lr=self.settings.lr * float(own.square().mean().sqrt())),
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


@torch.no_grad()
def _output_at(position: int, module: str, rows: TargetRows, host: HostModel) -> Tensor:
    """Return the output that a module has at one position of the first row, (features out,) float32."""
    seen: list[Tensor] = []

    def look(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> None:
        seen.append(output[0, position].float())

    with host.step():
        rows.losses({module: look})
    return seen[0]
