"""A mixture of LoRAs in several layers: its numbers, how allocations are dealt, how codes are read, how it acts on a module.

Knows tensors and the host's layers. Knows no facts, no training and no scope.
Source: ELDER, arXiv 2408.11869: scores = softmax(W q), the top k kept without renormalisation, h = W0 x + sum of s_i B_i A_i x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sola_core.editors.neutral import NEUTRAL
from sola_core.host.intervention import ModuleFunction
from sola_core.host.model import HostModel

LEAST_UNSEEN = 0.1  # length; a query of length 1 with less of its own cannot be given LoRAs of its own


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The mixture as it is now; without a centre before the first fact."""

    a: tuple[Tensor, ...] = ()  # per layer (N * rank, features in)
    b: tuple[Tensor, ...] = ()  # per layer (N * rank, features out)
    router: tuple[Tensor, ...] = ()  # per layer (N, dim of the query)
    centre: Tensor | None = None  # (dim,)
    allocations: Tensor | None = None  # (facts, L, N): which LoRAs a fact was given
    codes: Tensor | None = None  # (texts, L, N): which the routers gave when it had been learnt
    seen: Tensor | None = (
        None  # (directions, dim), orthonormal: what the queries of neutral questions and of all facts span
    )
    owners: tuple[str, ...] = ()  # the fact of each code

    def replaced(self, **changes: object) -> Mixture:
        """Return the mixture with other numbers."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def unseen(self, query: Tensor) -> Tensor:
        """Return the part of some queries, (n, dim), that is orthogonal to all queries of facts so far."""
        if self.seen is None:
            return query
        seen = self.seen.to(query.device)
        for _ in range(2):  # once more takes away what rounding left
            query = query - (query @ seen.mT) @ seen
        return query

    def with_seen(self, query: Tensor) -> Mixture:
        """Return the mixture with the directions that further queries, (n, dim), add."""
        made = self
        for one in query:
            rest = made.unseen(one[None])
            if float(rest.norm()) > LEAST_UNSEEN:
                rest = normalize(rest, dim=-1)
                made = replace(made, seen=rest if made.seen is None else torch.cat([made.seen, rest]))
        return made

    def with_facts(self, *, allocations: Tensor, codes: Tensor, owners: Sequence[str]) -> Mixture:
        """Return the mixture with what further facts were given."""
        return replace(
            self,
            allocations=allocations if self.allocations is None else torch.cat([self.allocations, allocations]),
            codes=codes if self.codes is None else torch.cat([self.codes, codes]),
            owners=(*self.owners, *owners),
        )

    def query(self, activation: Tensor) -> Tensor:
        """Return what the routers read of a state, (dim,): its direction, seen from the centre."""
        assert self.centre is not None
        return normalize(activation.float() - self.centre, dim=-1)

    def tensors(self) -> dict[str, Tensor]:
        """Return all numbers by name."""
        if self.centre is None or self.allocations is None or self.codes is None:
            return {}
        named = {"centre": self.centre, "allocations": self.allocations, "codes": self.codes}
        named |= {} if self.seen is None else {"seen": self.seen}
        for kind, part in (("lora_A", self.a), ("lora_B", self.b), ("router", self.router)):
            named |= {f"{kind}.{number}": tensor for number, tensor in enumerate(part)}
        return named


def drawn_mixture(host: HostModel, modules: Sequence[str], experts: int, rank: int, seed: int) -> Mixture:
    """Return fresh LoRAs (A Gaussian with variance 1/in, B zero) and routers whose scores of a query differ by about 1."""
    generator = torch.Generator().manual_seed(seed)
    dim = host.linear_shape(modules[0])[0]
    shapes = [host.linear_shape(name) for name in modules]
    return Mixture(
        a=tuple(torch.randn(experts * rank, n_in, generator=generator) / n_in**0.5 for n_in, _ in shapes),
        b=tuple(torch.zeros(experts * rank, n_out) for _, n_out in shapes),
        router=tuple(torch.randn(experts, dim, generator=generator) for _ in modules),
    )


def neutral_states(host: HostModel, module: str) -> Tensor:
    """Return the states of the neutral questions at a module, (questions, dim)."""
    return torch.stack([host.module_input(text, module) for text in NEUTRAL])


def allocations(state: Mixture, facts: int, chosen: int, seed: int) -> Tensor:
    """Deal each of some further facts `chosen` LoRAs in every layer, (facts, L, N), none as any fact before.

    The least used ones are dealt first; chance decides among equals, the same for the same facts before.
    """
    layers, experts = len(state.router), len(state.router[0])
    given = state.allocations
    if given is None:
        given = torch.zeros(0, layers, experts, dtype=torch.bool)
    for _ in range(facts):
        generator = torch.Generator().manual_seed(seed + 1_000_003 * (len(given) + 1))
        for _attempt in range(100):  # beyond that all are taken, and two facts must share one
            rank = given.sum(0) + torch.rand(layers, experts, generator=generator)
            dealt = torch.zeros(layers, experts, dtype=torch.bool).scatter(
                1, rank.topk(min(chosen, experts), dim=1, largest=False).indices, True
            )
            if not bool((given == dealt).flatten(1).all(1).any()):
                break
        given = torch.cat([given, dealt[None]])
    return given[len(given) - facts :]


def codes_of(state: Mixture, query: Tensor, chosen: int) -> tuple[Tensor, Tensor]:
    """Return the allocation codes of some queries, (n, L, N) bool, and the weights of the LoRAs, 0 where not chosen."""
    scores = torch.stack([torch.softmax(query @ weight.mT, -1) for weight in state.router], 1)  # (n, L, N)
    best = scores.topk(min(chosen, scores.shape[-1]), dim=-1).indices
    codes = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)
    return codes, scores * codes


def mixed_modules(
    modules: Sequence[str],
    a: Sequence[Tensor],
    b: Sequence[Tensor],
    gates: Tensor,
    rank: int,
    scale: float,
    dtype: torch.dtype,
) -> Mapping[str, ModuleFunction]:
    """Return the functions of a mixture; `gates`, (batch, L, N), hold for all positions of a row."""
    weights = (gates * scale).to(dtype).repeat_interleave(rank, dim=-1)  # (batch, L, N * rank)
    return {
        name: _mixed(a[place].to(dtype), b[place].to(dtype), weights[:, place, None])
        for place, name in enumerate(modules)
    }


def _mixed(a: Tensor, b: Tensor, weights: Tensor) -> ModuleFunction:
    def add(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> Tensor:
        return output + ((inputs @ a.mT) * weights) @ b

    return add
