"""The baselines `lora` and `finetune`: weights that all facts share, trained on each new fact in turn.

Later facts overwrite earlier ones: this is what forgetting means, and nothing of a fact can be taken out.
Sources: sequential fine-tuning as the editing papers run it (GRACE, arXiv 2211.11031, section 3, "finetune"); LoRA, arXiv
2106.09685, equation 3: h = W0 x + (alpha / r) B A x. Fine-tuning is the same with a full matrix: h = (W0 + D) x.
Deviations: the stopping rule is that of our SoLA, and `lora` has its module and rank too, so that only the sharing differs; the
host's weight stays as it is and D stands beside it; a fact's target ends with the end-of-turn token. No replay of earlier facts.
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
from sola_core.host.intervention import Intervention, ModuleFunction
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, Route, TrainingStep
from sola_core.words import Sentence


@dataclass(frozen=True, kw_only=True)
class SequentialSettings:
    """All that the shared weights depend on beside the facts, their order and the host."""

    depth: float  # the trained module's layer, as a share of all layers; 1 is the last
    lr: float  # AdamW, no weight decay
    rank: int = 0  # of a LoRA; 0: a full matrix
    scale: float = 1.0  # alpha / rank
    goal: float = 0.05  # nats
    max_steps: int = 60
    seed: int = 0


LORA = SequentialSettings(depth=0.7, lr=1e-2, rank=4, scale=4.0)
FINETUNE = SequentialSettings(depth=1.0, lr=1e-3)


@dataclass(frozen=True, kw_only=True)
class SharedWeights:
    """The trained tensors as they are now, none before the first fact."""

    tensors: tuple[Tensor, ...] = ()  # A (rank, features in) and B (features out, rank), or D (features out, in)
    fact_ids: tuple[str, ...] = ()


class Sequential:
    """Weights that all facts share."""

    batch_facts = 1
    capabilities = Capabilities(
        delete="none",
        switch="none",
        shares_weights=True,
        why=Sentence(
            "All facts are trained into the same weights, one after another: none of them can be told apart and taken out. "
            "Only all of them together can be dropped."
        ),
    )

    def __init__(self, name: str, settings: SequentialSettings) -> None:
        self.name, self.settings = name, settings

    def empty(self, host: HostModel) -> SharedWeights:
        """Return the state without facts (see JointMethod)."""
        return SharedWeights()

    def learn_steps(
        self, state: SharedWeights, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Learnt[SharedWeights]]:
        """Train the shared weights further on these facts alone (see JointMethod)."""
        layer = self._layer(host)
        rows = TargetRows([fact.request for fact in facts], host, layer)
        start = state.tensors or self._start(host)
        tensors = [tensor.detach().clone().to(host.device).requires_grad_() for tensor in start]

        def loss() -> tuple[Tensor, Tensor]:
            each = rows.losses({host.module_name(layer): self._function(tensors, host)})
            return each, each.sum()

        losses = yield from fitted_steps(
            tensors,
            loss,
            host,
            optimiser=torch.optim.AdamW(tensors, lr=self.settings.lr, weight_decay=0.0),
            goal=self.settings.goal,
            max_steps=self.settings.max_steps,
        )
        made = SharedWeights(
            tensors=tuple(tensor.detach().cpu() for tensor in tensors),
            fact_ids=(*state.fact_ids, *(fact.id for fact in facts)),
        )
        settings = {**asdict(self.settings), "layers": [layer], "template": host.format.digest}
        return Learnt(state=made, losses=tuple(losses), steps=len(losses) - 1, settings=settings)

    def removed_steps(
        self, state: SharedWeights, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, SharedWeights]:
        """Refuse (see JointMethod)."""
        raise NotReversible(self.capabilities.why)

    def switched_steps(
        self, state: SharedWeights, fact: Fact, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, SharedWeights]:
        """Refuse (see JointMethod)."""
        raise NotReversible(self.capabilities.why)

    def plan(self, state: SharedWeights, prompt: str, host: HostModel) -> Plan:
        """Return the shared weights for every question, once there are some."""
        if not state.tensors:
            return Plan(Route(kind="base", router=self.name), None)
        modules = {host.module_name(self._layer(host)): self._function(state.tensors, host)}
        route = Route(kind="shared", edit_ids=state.fact_ids, router=self.name, reason="score")
        return Plan(route, Intervention(modules=modules))

    def scores(self, state: SharedWeights, prompt: str, host: HostModel) -> tuple[Candidate, ...]:
        """Return nothing: every question meets all facts."""
        return ()

    def tensors(self, state: SharedWeights) -> Mapping[str, Tensor]:
        """Return the trained tensors."""
        return dict(zip(("lora_A", "lora_B") if len(state.tensors) == 2 else ("D",), state.tensors, strict=False))

    def _layer(self, host: HostModel) -> int:
        return min(int(self.settings.depth * host.n_layers), host.n_layers - 1)

    def _start(self, host: HostModel) -> Sequence[Tensor]:
        module = host.module_name(self._layer(host))
        if self.settings.rank:
            return initial_pairs(host, [module], self.settings.rank, self.settings.seed)[module]
        n_in, n_out = host.linear_shape(module)
        return [torch.zeros(n_out, n_in)]

    def _function(self, tensors: Sequence[Tensor], host: HostModel) -> ModuleFunction:
        placed = [tensor.to(host.device, host.dtype) for tensor in tensors]
        if len(placed) == 2:
            return lora_function(placed[0], placed[1], self.settings.scale)
        (matrix,) = placed

        def add(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> Tensor:
            return output + inputs @ matrix.mT

        return add
