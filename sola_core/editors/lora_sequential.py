"""The baseline `lora`: one LoRA that all facts share, trained on each new fact in turn; later facts overwrite earlier ones.

Knows how to train and apply the shared LoRA. Source: sequential LoRA fine-tuning as the editing papers run it (GRACE,
arXiv 2211.11031, section 3, "finetune"); LoRA itself: arXiv 2106.09685, equation 3.
Deviations: the module, rank and stopping rule are those of our SoLA, so that only the sharing differs; a fact's target ends with
the end-of-turn token; no replay of earlier facts.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from sola_core.editors.base import Plan
from sola_core.editors.fitting import TargetRows, fitted_steps
from sola_core.editors.joint import Fact, Learnt
from sola_core.editors.lora import initial_pairs, lora_function
from sola_core.errors import NotReversible
from sola_core.host.intervention import Intervention
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, Route, TrainingStep


@dataclass(frozen=True, kw_only=True)
class SequentialLoraSettings:
    """All that the shared LoRA depends on beside the facts, their order and the host."""

    depth: float = 0.7  # the adapted layer, as a share of all layers
    rank: int = 4
    scale: float = 4.0  # alpha / rank
    lr: float = 1e-2
    goal: float = 0.05  # nats
    max_steps: int = 60
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class SharedLora:
    """The shared LoRA as it is now, None before the first fact."""

    pair: tuple[Tensor, Tensor] | None = None
    fact_ids: tuple[str, ...] = ()


class SequentialLora:
    """One LoRA for all facts."""

    name = "lora"
    capabilities = Capabilities(
        delete="none",
        switch="none",
        shares_weights=True,
        why="All facts are trained into one adapter, one after another: none of them can be told apart and taken out. "
        "Only all of them together can be dropped.",
    )
    batch_facts = 1

    def __init__(self, settings: SequentialLoraSettings | None = None) -> None:
        self.settings = settings or SequentialLoraSettings()

    def empty(self, host: HostModel) -> SharedLora:
        """Return the state without facts (see JointMethod)."""
        return SharedLora()

    def learn_steps(
        self, state: SharedLora, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Learnt[SharedLora]]:
        """Train the shared LoRA further on these facts alone (see JointMethod)."""
        layer = self._layer(host)
        module = host.module_name(layer)
        rows = TargetRows([fact.request for fact in facts], host, layer)
        start = state.pair or initial_pairs(host, [module], self.settings.rank, self.settings.seed)[module]
        a, b = (tensor.detach().clone().to(host.device).requires_grad_() for tensor in start)

        def loss() -> tuple[Tensor, Tensor]:
            each = rows.losses({module: lora_function(a.to(host.dtype), b.to(host.dtype), self.settings.scale)})
            return each, each.sum()

        losses = yield from fitted_steps(
            [a, b],
            loss,
            host,
            optimiser=torch.optim.AdamW([a, b], lr=self.settings.lr, weight_decay=0.0),
            goal=self.settings.goal,
            max_steps=self.settings.max_steps,
        )
        made = SharedLora(
            pair=(a.detach().cpu(), b.detach().cpu()),
            fact_ids=(*state.fact_ids, *(fact.id for fact in facts)),
        )
        settings = {**asdict(self.settings), "layers": [layer], "template": host.format.digest}
        return Learnt(state=made, losses=tuple(losses), steps=len(losses) - 1, settings=settings)

    def removed_steps(
        self, state: SharedLora, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, SharedLora]:
        """Refuse (see JointMethod)."""
        raise NotReversible(self.capabilities.why)

    def switched_steps(
        self, state: SharedLora, fact: Fact, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, SharedLora]:
        """Refuse (see JointMethod)."""
        raise NotReversible(self.capabilities.why)

    def plan(self, state: SharedLora, prompt: str, host: HostModel) -> Plan:
        """Return the shared LoRA for every question, once there is one."""
        if state.pair is None:
            return Plan(Route(kind="base", router=self.name), None)
        a, b = (tensor.to(host.device, host.dtype) for tensor in state.pair)
        modules = {host.module_name(self._layer(host)): lora_function(a, b, self.settings.scale)}
        route = Route(kind="shared", edit_ids=state.fact_ids, router=self.name, reason="score")
        return Plan(route, Intervention(modules=modules))

    def scores(self, state: SharedLora, prompt: str, host: HostModel) -> tuple[Candidate, ...]:
        """Return nothing: every question meets all facts."""
        return ()

    def tensors(self, state: SharedLora) -> Mapping[str, Tensor]:
        """Return the pair."""
        return {} if state.pair is None else {"lora_A": state.pair[0], "lora_B": state.pair[1]}

    def _layer(self, host: HostModel) -> int:
        return min(int(self.settings.depth * host.n_layers), host.n_layers - 1)
