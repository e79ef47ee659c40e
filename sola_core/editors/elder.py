"""The method `elder`: a fixed set of LoRAs in each of several layers, mixed by routers that a guided loss ties to each fact.

Knows how to train the mixture, which facts an allocation code points to, and when to leave a question alone. Knows no session.
Source: ELDER, arXiv 2408.11869, section 4: mixture of LoRAs and top-k router, guided loss on pre-assigned allocations, deferral by
the Hamming distance between allocation codes. A fact is trained on its prompt and those rephrasings that its request carries
(the paper trains on rephrasings too), in batches of `batch_facts`; no earlier fact is seen again.

Deviations: (1) the query is centred on fixed questions and brought to unit length, since raw states of questions lie in one
narrow cone; (2) with `guard`, routers are trained orthogonally to the queries of earlier facts and of fixed neutral questions, so
that these keep their codes (the paper lets routers drift); only directions are kept; a prompt taught again keeps its code;
(3) the routers are led to the allocation by the guided loss alone before LoRAs and routers are trained together; (4) in training the
assigned LoRAs are the ones mixed ("hard" in the released code), weighted by the router's own softmax, so that a fact never writes
into LoRAs that are not its own; (5) an allocation prefers the LoRAs that fewest facts have been given, chance deciding among
equals (the paper: chance alone); (6) a fact is one label: two facts with equal answers get two allocations; (7) the route is decided
once, at the last token of the user's text, and holds for the whole answer; (8) more and smaller LoRAs, larger learning rates
and a stop at `goal` (the paper: 4 LoRAs of rank 8, Adam 1e-4, 50 passes); (9) targets end with the end-of-turn token.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from sola_core.editors.base import Plan
from sola_core.editors.fitting import TargetRows, fitted_steps
from sola_core.editors.guided import GuidedRouters
from sola_core.editors.joint import Fact, Learnt
from sola_core.editors.mixture import (
    LEAST_UNSEEN,
    Mixture,
    allocations,
    codes_of,
    drawn_mixture,
    mixed_modules,
    neutral_states,
)
from sola_core.errors import NotReversible
from sola_core.host.intervention import Intervention
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, EditRequest, Route, TrainingStep
from sola_core.words import Sentence


@dataclass(frozen=True, kw_only=True)
class ElderSettings:
    """All that the mixture depends on beside the facts, their order and the host."""

    depth: float = 0.6  # the first mixed layer, as a share of all layers
    layers: int = 6  # mixed layers, one after another, L
    experts: int = 48  # LoRAs in each of them, N; facts that share one write over each other
    chosen: int = 2  # LoRAs of each layer that answer, k
    rank: int = 4  # of each LoRA
    scale: float = 8.0  # alpha / rank; a mix of k carries weights of about 1/k
    lr: float = 5e-3  # of the LoRAs
    router_lr: float = 1e-3  # of the routers, together with the LoRAs
    guide: float = 1e-2  # weight of the guided loss, lambda
    guide_lr: float = 2e-2  # of the routers alone, before the LoRAs are trained
    guide_steps: int = 60  # most passes of that
    guide_enough: float = 0.8  # that ends when the assigned LoRAs have this share of the weight
    guard: bool = True  # routers learn orthogonally to the queries of earlier facts, whose scores stay as they are
    defer: bool = True  # leave questions alone whose code is far from every stored one
    reach: float = 0.5  # in scope: a Hamming distance under this share of the largest possible one (paper: 12 of 24)
    batch_facts: int = 4
    goal: float = 0.05  # nats
    max_steps: int = 60
    seed: int = 0


class Elder:
    """Facts in one mixture of LoRAs, found again by their allocation codes."""

    name = "elder"
    capabilities = Capabilities(
        delete="none",
        switch="none",
        shares_weights=True,
        why=Sentence(
            "Every fact is written into LoRAs and routers that other facts use as well, so none can be taken out again. "
            "Forgetting a fact's code would only hide it; all facts together can be dropped."
        ),
    )

    def __init__(self, settings: ElderSettings | None = None) -> None:
        self.settings = settings or ElderSettings()
        self.batch_facts = self.settings.batch_facts
        if not self.settings.defer:
            self.name = "elder-no-deferral"

    def empty(self, host: HostModel) -> Mixture:
        """Return the state without facts (see JointMethod)."""
        return Mixture()

    def learn_steps(
        self, state: Mixture, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Learnt[Mixture]]:
        """Train the routers and the facts' own LoRAs further on these facts alone (see JointMethod)."""
        settings, modules = self.settings, self._modules(host)
        asked = [(place, text) for place, fact in enumerate(facts) for text in fact.request.key_texts]
        rows = TargetRows(
            [EditRequest(prompt=text, target=facts[place].request.target) for place, text in asked],
            host,
            self._first(host),
        )
        if state.centre is None:
            state = drawn_mixture(host, modules, settings.experts, settings.rank, settings.seed)
            neutral = neutral_states(host, modules[0])
            state = state.replaced(centre=neutral.mean(0))
            state = state.with_seen(state.query(neutral)) if settings.guard else state
        query = torch.stack([state.query(host.module_input(text, modules[0])) for _, text in asked])
        own = self._allocated(state, query, [place for place, _ in asked])  # (facts, L, N), 0 or 1
        guided = GuidedRouters(
            state, query, own[[place for place, _ in asked]], guard=settings.guard, device=host.device
        )
        guided.lead(settings.guide_lr, settings.guide_steps, settings.guide_enough)
        a, b = ([tensor.clone().to(host.device).requires_grad_() for tensor in part] for part in (state.a, state.b))

        def loss() -> tuple[Tensor, Tensor]:
            gates, guide = guided.scores()
            each = rows.losses(mixed_modules(modules, a, b, gates, settings.rank, settings.scale, host.dtype))
            return each, (each + settings.guide * guide).sum()

        optimiser = torch.optim.Adam(
            [{"params": [*a, *b], "lr": settings.lr}, {"params": guided.moves, "lr": settings.router_lr}]
        )
        losses = yield from fitted_steps(
            [*a, *b, *guided.moves],
            loss,
            host,
            optimiser=optimiser,
            goal=settings.goal,
            max_steps=settings.max_steps,
        )
        made = state.replaced(
            a=tuple(tensor.detach().cpu() for tensor in a),
            b=tuple(tensor.detach().cpu() for tensor in b),
            router=guided.routers,
        )
        made = made.with_facts(
            allocations=own,
            codes=codes_of(made, query.cpu(), settings.chosen)[0],
            owners=[facts[place].id for place, _ in asked],
        )
        made = made.with_seen(query.cpu()) if settings.guard else made
        told = {**asdict(settings), "layers": self._layers(host), "template": host.format.digest}
        return Learnt(state=made, losses=tuple(losses), steps=len(losses) - 1, settings=told)

    def removed_steps(
        self, state: Mixture, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Mixture]:
        """Refuse (see JointMethod)."""
        raise NotReversible(self.capabilities.why)

    def switched_steps(
        self, state: Mixture, fact: Fact, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Mixture]:
        """Refuse (see JointMethod)."""
        raise NotReversible(self.capabilities.why)

    def plan(self, state: Mixture, prompt: str, host: HostModel) -> Plan:
        """Return a plan that is decided in the first mixed layer: the base model's, or a mixture held to the end."""
        plan = Plan(Route(kind="base", router=self.name), None)
        if not state.owners:
            return plan
        modules, settings = self._modules(host), self.settings

        def decide(row: int, activation: Tensor) -> Intervention | None:
            codes, gates = codes_of(state, state.query(activation.cpu())[None], settings.chosen)
            plan.route = self._route(state, codes[0])
            if plan.route.deferred:
                return None
            a, b = ([tensor.to(host.device) for tensor in part] for part in (state.a, state.b))
            gates = gates.to(host.device)
            return Intervention(modules=mixed_modules(modules, a, b, gates, settings.rank, settings.scale, host.dtype))

        plan.intervention = Intervention(decides_in=modules[0], decide=decide)
        return plan

    def scores(self, state: Mixture, prompt: str, host: HostModel) -> tuple[Candidate, ...]:
        """Return for each fact the share of the question's allocation code that agrees with its own, 0..1 (1: equal)."""
        if not state.owners:
            return ()
        query = state.query(host.module_input(prompt, self._modules(host)[0]))
        return self._candidates(state, codes_of(state, query[None], self.settings.chosen)[0][0])

    def tensors(self, state: Mixture) -> Mapping[str, Tensor]:
        """Return LoRAs, routers, the centre of the queries, allocations and codes."""
        return state.tensors()

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _first(self, host: HostModel) -> int:
        return min(int(self.settings.depth * host.n_layers), host.n_layers - 1)

    def _layers(self, host: HostModel) -> list[int]:
        first = self._first(host)
        return list(range(first, min(first + self.settings.layers, host.n_layers)))

    def _modules(self, host: HostModel) -> list[str]:
        return [host.module_name(layer) for layer in self._layers(host)]

    def _allocated(self, state: Mixture, query: Tensor, places: Sequence[int]) -> Tensor:
        """Return the LoRAs that each fact is given, (facts, L, N): fresh ones, or those that its prompt already meets.

        The guard leaves a prompt that was taught before no direction of its own: it keeps the code that it has.
        """
        own = allocations(state, max(places) + 1, self.settings.chosen, self.settings.seed)
        if self.settings.guard and state.owners:
            codes, known = (
                codes_of(state, query, self.settings.chosen)[0],
                state.unseen(query).norm(dim=-1) < LEAST_UNSEEN,
            )
            for row in range(len(places) - 1, -1, -1):  # a fact's prompt comes before its rephrasings, and decides
                if bool(known[row]):
                    own[places[row]] = codes[row]
        return own

    def _route(self, state: Mixture, code: Tensor) -> Route:
        """Return the route of a code, (L, N): shared by the facts whose codes are in reach, the nearest first.

        Without deferral, by those all the same, or by all facts when none is in reach.
        """
        near = self._candidates(state, code)
        slots = int(code.sum())
        # Hamming distance = 2 * (slots - agreeing) < reach * 2 * slots
        agreeing = int((1 - self.settings.reach) * slots) + 1
        threshold = agreeing / slots
        inside = tuple(one.edit_id for one in near if one.score >= threshold - 1e-9)
        told = {"candidates": near[:32], "threshold": threshold, "router": self.name}
        if not inside and self.settings.defer:
            return Route(kind="base", reason="below", **told)  # type: ignore[arg-type]
        ids = inside or tuple(dict.fromkeys(state.owners))
        return Route(kind="shared", edit_ids=ids, reason="score", **told)  # type: ignore[arg-type]

    def _candidates(self, state: Mixture, code: Tensor) -> tuple[Candidate, ...]:
        assert state.codes is not None
        agreeing = (state.codes & code).sum((1, 2)) / code.sum()
        best: dict[str, float] = {}
        for owner, score in zip(state.owners, agreeing.tolist(), strict=True):
            best[owner] = max(best.get(owner, 0.0), score)
        found = [Candidate(edit_id=owner, score=score, enabled=True) for owner, score in best.items()]
        return tuple(sorted(found, key=lambda one: -one.score))
