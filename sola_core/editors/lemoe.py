"""The method `lemoe`: a small feed-forward expert beside one MLP for each batch of facts; earlier experts are frozen.

Knows how to train an expert, which expert a question goes to, and that an expert can go only as a whole. Knows no session.
Source: LEMoE, arXiv 2406.20030 (of which we had summaries only): h = FFN0(x) + lambda * f_i(x), lambda = 1, i the one expert
that KV-anchor routing chooses for the whole input, the same way in training and in answers; clustering-based order planning.
Facts that are handed over together, at most `batch_facts`, are sorted into batches of at most `expert_facts` by k-means on
their anchors; nothing of a later call is seen, nothing of an earlier one is learnt again. Anchors are of a request's prompt and
rephrasings; only its prompt is trained on.

Two faults of the paper's design are mended, each by a setting that can be switched off: the projection is frozen
(`frozen_projection`), so no later batch moves what earlier keys meet; a null key with the score `null_key` keeps questions
that no expert is about with the base model.
Deviations: (1) the projection starts as a whitening of the host's embeddings and gives unit vectors; (2) a key is solved for
by least squares, 1 for its batch's anchors and 0 for fixed neutral questions, where the paper trains it through the gate; the
gate of the one expert that is kept is 1: an expert depends on nothing but its batch, and acts in answers as in training; (3) experts are narrow, not copies
of the whole FFN; (4) without `frozen_projection`, key and projection are trained by the routing loss alone; (5) scores above 1
count as 1, and among equals the newest expert answers, so a fact taught again is answered anew; (6) full batches, AdamW until
`goal`; targets end with the end-of-turn token.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import silu

from sola_core.editors.anchors import (
    Projection,
    anchor,
    least_squares_key,
    planned_order,
    trained_route,
    whitening,
)
from sola_core.editors.base import Plan
from sola_core.editors.fitting import TargetRows, fitted_steps
from sola_core.editors.joint import Fact, Learnt
from sola_core.errors import NotReversible
from sola_core.host.intervention import Intervention, ModuleFunction
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, Route, TrainingStep
from sola_core.words import Sentence


@dataclass(frozen=True, kw_only=True)
class LemoeSettings:
    """All that the experts depend on beside the facts, their batches and the host."""

    depth: float = 0.7  # the layer whose MLP has experts beside it, as a share of all layers (paper: 18 of 32)
    width: int = 64  # inner features of an expert
    expert_facts: int = 10  # most facts of one expert
    batch_facts: int = 100  # most facts that are planned together
    frozen_projection: bool = True
    null_key: float | None = 0.6  # the score that an expert must pass; None: some expert answers everything
    ridge: float = 1e-3  # of a key
    route_steps: int = 20  # without a frozen projection
    route_lr: float = 1e-3  # without a frozen projection
    lr: float = 1e-2
    goal: float = 0.05  # nats
    max_steps: int = 80
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Expert:
    """One expert, f(x) = W_out (SiLU(W_gate x) * W_in x), with its key and its facts."""

    fact_ids: tuple[str, ...]
    key: Tensor  # (dim,)
    w_gate: Tensor  # (width, hidden)
    w_in: Tensor  # (width, hidden)
    w_out: Tensor  # (hidden, width)
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class Experts:
    """All experts in order of teaching, and the projection that questions go through; none before the first fact."""

    projection: Projection | None = None
    experts: tuple[Expert, ...] = ()

    def of(self, fact_id: str) -> Expert:
        """Return the expert that a fact is in."""
        return next(expert for expert in self.experts if fact_id in expert.fact_ids)


class Lemoe:
    """Facts in experts, a batch in each."""

    name = "lemoe"

    def __init__(self, settings: LemoeSettings | None = None) -> None:
        self.settings = settings or LemoeSettings()
        self.batch_facts = self.settings.batch_facts
        can = "batch" if self.settings.frozen_projection else "none"
        self.capabilities = Capabilities(delete=can, switch=can, shares_weights=True, why=_WHY[can])  # type: ignore[arg-type]

    def empty(self, host: HostModel) -> Experts:
        """Return the state without facts (see JointMethod)."""
        return Experts()

    def learn_steps(
        self, state: Experts, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Learnt[Experts]]:
        """Sort these facts into batches and train one more expert for each (see JointMethod)."""
        for fact in facts:
            TargetRows(
                [fact.request], host, host.n_layers - 1
            )  # one that cannot be learnt is refused before any training
        projection = state.projection or whitening(host)
        texts = [[anchor(host, text) for text in fact.request.key_texts] for fact in facts]
        own = projection.project(torch.stack([each[0] for each in texts]))
        experts, losses, steps = list(state.experts), [], 0
        for batch in planned_order(own, self.settings.expert_facts):
            anchors = torch.stack([vector for place in batch for vector in texts[place]])
            projection, key = self._keyed(projection, anchors, [expert.key for expert in experts])
            expert, found = yield from self._expert([facts[place] for place in batch], key, host)
            experts.append(expert)
            losses += found
            steps += len(found) - 1
        settings = {**asdict(self.settings), "layers": [self._layer(host)], "template": host.format.digest}
        made = Experts(projection=projection, experts=tuple(experts))
        return Learnt(state=made, losses=tuple(losses), steps=steps, settings=settings)

    def removed_steps(
        self, state: Experts, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Experts]:
        """Drop the expert of a fact that is alone in it: the others never met it. Refuse otherwise (see JointMethod)."""
        yield from ()
        gone = self._alone(state, fact)
        kept = tuple(expert for expert in state.experts if expert is not gone)
        return Experts(projection=state.projection, experts=kept) if kept else Experts()

    def switched_steps(
        self, state: Experts, fact: Fact, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Experts]:
        """Switch the expert of a fact that is alone in it; refuse otherwise (see JointMethod)."""
        yield from ()
        own = self._alone(state, fact)
        switched = replace(own, enabled=fact.enabled)
        experts = tuple(switched if expert is own else expert for expert in state.experts)
        return Experts(projection=state.projection, experts=experts)

    def plan(self, state: Experts, prompt: str, host: HostModel) -> Plan:
        """Return the expert whose key the prompt meets best, or the base model; the words alone decide."""
        if not state.experts:
            return Plan(Route(kind="base", router=self.name), None)
        scores = self._expert_scores(state, prompt, host)
        on = [place for place, expert in enumerate(state.experts) if expert.enabled]
        best = max(on, key=lambda place: (scores[place], place), default=None)
        null = self.settings.null_key
        candidates = self._candidates(state, scores)
        told = {
            "candidates": candidates[:32],
            "threshold": -1.0 if null is None else null,
            "router": self.name,
        }
        if best is None or (null is not None and scores[best] < null):
            return Plan(Route(kind="base", reason="below", **told), None)  # type: ignore[arg-type]
        expert = state.experts[best]
        kind = "edit" if len(expert.fact_ids) == 1 else "shared"
        route = Route(kind=kind, edit_ids=expert.fact_ids, reason="score", **told)  # type: ignore[arg-type]
        weights = [tensor.to(host.device, host.dtype) for tensor in (expert.w_gate, expert.w_in, expert.w_out)]
        return Plan(route, Intervention(modules={self._module(host): expert_function(*weights)}))

    def scores(self, state: Experts, prompt: str, host: HostModel) -> tuple[Candidate, ...]:
        """Return for each fact how well the prompt meets the key of its expert, at most 1; facts of one expert are equal."""
        if not state.experts:
            return ()
        return self._candidates(state, self._expert_scores(state, prompt, host))

    def tensors(self, state: Experts) -> Mapping[str, Tensor]:
        """Return the projection, and keys and weights of the experts in order of teaching."""
        named = {} if state.projection is None else state.projection.tensors()
        for number, expert in enumerate(state.experts):
            parts = {"key": expert.key, "w_gate": expert.w_gate, "w_in": expert.w_in, "w_out": expert.w_out}
            named |= {f"expert.{number}.{part}": tensor for part, tensor in parts.items()}
        return named

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _keyed(self, projection: Projection, anchors: Tensor, keys: Sequence[Tensor]) -> tuple[Projection, Tensor]:
        settings = self.settings
        own, neutral = projection.project(anchors), projection.project(projection.neutral)
        key = least_squares_key(own, neutral, settings.ridge)
        if settings.frozen_projection:
            return projection, key
        null, steps, lr = settings.null_key, settings.route_steps, settings.route_lr
        return trained_route(projection, anchors, key, keys, null, steps=steps, lr=lr)

    def _expert(
        self, facts: Sequence[Fact], key: Tensor, host: HostModel
    ) -> Generator[TrainingStep, None, tuple[Expert, list[float]]]:
        """Train an expert on its facts; it starts silent (W_out is zero), and every expert starts alike."""
        settings, hidden = self.settings, host.hidden_size
        rows = TargetRows([fact.request for fact in facts], host, self._layer(host))
        generator = torch.Generator().manual_seed(settings.seed)
        weights = [torch.randn(settings.width, hidden, generator=generator) / hidden**0.5 for _ in range(2)]
        weights.append(torch.zeros(hidden, settings.width))
        weights = [weight.to(host.device).requires_grad_() for weight in weights]

        def loss() -> tuple[Tensor, Tensor]:
            each = rows.losses({self._module(host): expert_function(*(weight.to(host.dtype) for weight in weights))})
            return each, each.sum()

        losses = yield from fitted_steps(
            weights,
            loss,
            host,
            optimiser=torch.optim.AdamW(weights, lr=settings.lr, weight_decay=0.0),
            goal=settings.goal,
            max_steps=settings.max_steps,
        )
        w_gate, w_in, w_out = (weight.detach().cpu() for weight in weights)
        ids = tuple(fact.id for fact in facts)
        return Expert(fact_ids=ids, key=key, w_gate=w_gate, w_in=w_in, w_out=w_out), losses

    def _alone(self, state: Experts, fact: Fact) -> Expert:
        expert, others = state.of(fact.id), len(state.of(fact.id).fact_ids) - 1
        if self.capabilities.delete == "none":
            raise NotReversible(self.capabilities.why)
        if others:
            raise NotReversible(
                Sentence(
                    "This fact was learnt together with {others} more, in one expert, and cannot be told apart in it: only a "
                    "whole expert can go.",
                    others=others,
                )
            )
        return expert

    def _expert_scores(self, state: Experts, prompt: str, host: HostModel) -> list[float]:
        assert state.projection is not None
        vector = state.projection.project(anchor(host, prompt)[None])[0]
        keys = torch.stack([expert.key for expert in state.experts])
        # one dot product for each expert by itself: how many there are must not show in the last bit
        return [min(1.0, round(float((key.double() * vector.double()).sum()), 6)) for key in keys]

    def _candidates(self, state: Experts, scores: Sequence[float]) -> tuple[Candidate, ...]:
        found = [
            Candidate(edit_id=fact_id, score=score, enabled=expert.enabled)
            for expert, score in zip(state.experts, scores, strict=True)
            for fact_id in expert.fact_ids
        ]
        return tuple(sorted(found, key=lambda one: -one.score))

    def _layer(self, host: HostModel) -> int:
        return min(int(self.settings.depth * host.n_layers), host.n_layers - 1)

    def _module(self, host: HostModel) -> str:
        return host.module_name(self._layer(host), "mlp")


def expert_function(w_gate: Tensor, w_in: Tensor, w_out: Tensor) -> ModuleFunction:
    """Return the function that adds W_out (SiLU(W_gate x) * W_in x) at every position."""

    def add(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> Tensor:
        return output + (silu(inputs @ w_gate.mT) * (inputs @ w_in.mT)) @ w_out.mT

    return add


_WHY = {
    "batch": Sentence(
        "Facts that are taught together share one expert and cannot be told apart in it: only a whole expert can go. "
        "A fact that was taught by itself has an expert of its own, and leaves no trace when it is deleted."
    ),
    "none": Sentence(
        "Every batch of facts moves the network that finds the experts, for earlier facts as well: none can be taken out "
        "again as if it had never been there."
    ),
}
