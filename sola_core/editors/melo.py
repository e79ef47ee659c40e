"""MELO: facts are learnt in batches, a small LoRA block each; a vector database of clusters says which block a question meets.

Knows how a block is trained and applied, and when; the rules of the database are `clusters`.
Source: MELO (AAAI 2024, arXiv 2312.11795), sections 3.2 (blocks as slices of one LoRA) and 3.3 (clusters, search), and the
authors' code at ed097eb. `MeloFrozen` leaves out what moves, to show what that does: every fact keeps a ball of its own round its
key, as in SoLA, so that only the sharing of blocks and the layers differ from SoLA.
Deviations, each for a reason:
- The route is decided once, at the last token of the user's text in prefill, and latched. The released code asks again at every
  token, and asks the last one: of a decoder that is the answer being written (or, when scored, the right one).
- The key is the input of the routing layer's output projection, not its output: on smollm2-135m distances among either have the
  same proportions, and it is the same tensor that the other methods here route on.
- The two adapted layers are those above the routing layer, as in the authors' GPT-2; their feed-forward outputs, not inputs.
- A batch is as many facts as `batch_facts`, where the authors take 4 to 100; blocks are made as they come, without a limit.
- All blocks start from the same numbers, A Gaussian instead of uniform; `scale` stands for the authors' factor of (number of blocks).
- The first radius is a share of the length of the key. Facts of a batch are inserted one after another, each seeing those before;
  the code searches the database of before the batch.
- Answers are the same when their tokens are; the code compares sums of token ids. Of equally near centres the youngest counts.
- No schedule of learning rates: training stops at a goal. The target ends with the end-of-turn token. Rephrasings are not used.
- Deleting and switching, which the paper does not have: see `Capabilities.why` of each.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sola_core.editors.balls import ball_route, candidates, distances, stacked
from sola_core.editors.base import Plan
from sola_core.editors.clusters import Clusters, Point, alone, found, inserted
from sola_core.editors.fitting import TargetRows, fitted_steps
from sola_core.editors.joint import Entry, Fact, Learnt
from sola_core.editors.lora import Pair, initial_pairs, lora_function
from sola_core.host.intervention import Intervention, ModuleFunction
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, Route, TrainingStep
from sola_core.words import Sentence

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class MeloSettings:
    """All that the state depends on beside the facts, their order and the host."""

    depth: float = 0.7  # the routing layer, as a share of all layers; the adapted ones follow it
    adapted: int = 2  # how many layers a block adapts, fewer where the model ends before
    rank: int = 2  # of a block
    scale: float = 8.0  # what a block's B A x is multiplied by
    radius: float = 0.4  # of a new cluster, as a share of the length of its key
    batch_facts: int = 10  # facts that are learnt together and share a block
    lr: float = 1e-2  # Adam
    goal: float = 0.05  # nats, of every fact of the batch
    max_steps: int = 100
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """The LoRA that one batch was learnt into."""

    pairs: Mapping[str, Pair]  # by module
    fact_ids: tuple[str, ...]  # of the batch, without those taken back since


@dataclass(frozen=True, kw_only=True, eq=False)
class MeloState:
    """The vector database and the blocks that it leads to."""

    clusters: Clusters = ()
    blocks: tuple[Block, ...] = ()
    off: frozenset[str] = frozenset()  # ids of the facts that are switched off

    def block_of(self, fact_id: str) -> int:
        """Return the number of a fact's block."""
        return next(i for i, block in enumerate(self.blocks) if fact_id in block.fact_ids)


class Melo:
    """The MELO editor."""

    name = "melo"
    capabilities = Capabilities(
        delete="approximate",
        switch="approximate",
        shares_weights=True,
        why=Sentence(
            "A deleted fact is no longer looked up, but the block of weights that it was learnt into with others keeps it until the "
            "last of them goes, and the regions that it moved or shrank stay so."
        ),
    )

    def __init__(self, settings: MeloSettings | None = None) -> None:
        self.settings = settings or MeloSettings()
        self.batch_facts = self.settings.batch_facts

    def empty(self, host: HostModel) -> MeloState:
        """Return the state without facts (see JointMethod)."""
        return MeloState()

    def learn_steps(
        self, state: MeloState, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Learnt[MeloState]]:
        """Train one block on all of these facts, and enter them into the database (see JointMethod)."""
        pairs, losses = yield from self._trained(facts, host)
        clusters = state.clusters
        for fact in facts:
            point = Point(key=self._key(fact.request.prompt, host), fact_id=fact.id)
            radius = self.settings.radius * float(point.key.norm())
            clusters = self._inserted(clusters, point, tuple(host.target_ids(fact.request.target)), radius)
        block = Block(pairs=pairs, fact_ids=tuple(fact.id for fact in facts))
        made = replace(state, clusters=clusters, blocks=(*state.blocks, block))
        layers = [self._routing_layer(host), *self._adapted_layers(host)]
        settings = {**asdict(self.settings), "layers": layers, "template": host.format.digest}
        return Learnt(state=made, losses=tuple(losses), steps=len(losses) - 1, settings=settings)

    def removed_steps(
        self, state: MeloState, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, MeloState]:
        """Take the fact out of the database, and drop its block with the last of its facts (see JointMethod).

        Centres and radii stay; a cluster goes with the last fact that came into it.
        """
        yield from ()
        clusters = [cluster.without(fact.id) for cluster in state.clusters]
        blocks = [
            replace(block, fact_ids=tuple(one for one in block.fact_ids if one != fact.id)) for block in state.blocks
        ]
        return MeloState(
            clusters=tuple(cluster for cluster in clusters if cluster.points or cluster.forgotten),
            blocks=tuple(block for block in blocks if block.fact_ids),
            off=state.off - {fact.id},
        )

    def switched_steps(
        self, state: MeloState, fact: Fact, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, MeloState]:
        """Leave the fact's point out of the search, or take it in again (see JointMethod)."""
        yield from ()
        return replace(state, off=state.off - {fact.id} if fact.enabled else state.off | {fact.id})

    def plan(self, state: MeloState, prompt: str, host: HostModel) -> Plan:
        """Return a plan that decides at the routing layer, in prefill (see JointMethod)."""
        plan = Plan(Route(kind="base", router=self.name, score_kind="distance"), None)
        if all(fact in state.off for block in state.blocks for fact in block.fact_ids):
            return plan

        def decide(row: int, activation: Tensor) -> Intervention | None:
            plan.route, block = self._routed(state, activation.cpu())
            return None if block is None else Intervention(modules=self._functions(block.pairs, host))

        plan.intervention = Intervention(decides_in=self._routing_module(host), decide=decide)
        return plan

    def scores(self, state: MeloState, prompt: str, host: HostModel) -> tuple[Candidate, ...]:
        """Return minus the distance to the centre of each fact's cluster, nearest first (see JointMethod)."""
        return self._scored(state, self._key(prompt, host)) if state.clusters else ()

    def tensors(self, state: MeloState) -> Mapping[str, Tensor]:
        """Return the clusters, the points with their clusters and blocks, and the blocks in order of teaching."""
        if not state.clusters:
            return {}
        points = [(i, point) for i, cluster in enumerate(state.clusters) for point in cluster.points]
        tensors = {
            "centres": stacked([cluster.centre for cluster in state.clusters]),
            "radii": torch.tensor([cluster.radius for cluster in state.clusters], dtype=torch.float64),
            "points": stacked([point.key for _, point in points]),
            "points.cluster": torch.tensor([i for i, _ in points], dtype=torch.int64),
            "points.block": torch.tensor([state.block_of(point.fact_id) for _, point in points], dtype=torch.int64),
            "points.on": torch.tensor([point.fact_id not in state.off for _, point in points], dtype=torch.bool),
        }
        for number, block in enumerate(state.blocks):
            for module, (a, b) in block.pairs.items():
                tensors[f"block.{number}.{module}.lora_A"], tensors[f"block.{number}.{module}.lora_B"] = a, b
        return tensors

    def entries(self, state: MeloState) -> tuple[Entry, ...]:
        """Return all clusters as they are now (see HasEntries)."""
        return tuple(
            Entry(
                centre=cluster.centre.numpy().copy(),
                radius=cluster.radius,
                fact_ids=tuple(point.fact_id for point in cluster.points),
            )
            for cluster in state.clusters
        )

    def query(self, prompt: str, host: HostModel) -> np.ndarray:
        """Return the key that a question has (see HasEntries)."""
        return self._key(prompt, host).numpy()

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _inserted(self, clusters: Clusters, point: Point, target: tuple[int, ...], radius: float) -> Clusters:
        return inserted(clusters, point, target, radius)

    def _trained(
        self, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, tuple[Mapping[str, Pair], list[float]]]:
        layers = self._adapted_layers(host)
        rows = TargetRows([fact.request for fact in facts], host, layers[0])
        modules = [host.module_name(layer) for layer in layers]
        start = initial_pairs(host, modules, self.settings.rank, self.settings.seed)
        pairs = {
            name: (a.to(host.device).requires_grad_(), b.to(host.device).requires_grad_())
            for name, (a, b) in start.items()
        }

        def loss() -> tuple[Tensor, Tensor]:
            each = rows.losses(self._functions(pairs, host))
            return each, each.sum()

        parameters = [tensor for pair in pairs.values() for tensor in pair]
        losses = yield from fitted_steps(
            parameters,
            loss,
            host,
            optimiser=torch.optim.Adam(parameters, lr=self.settings.lr),
            goal=self.settings.goal,
            max_steps=self.settings.max_steps,
        )
        return {name: (a.detach().cpu(), b.detach().cpu()) for name, (a, b) in pairs.items()}, losses

    def _functions(self, pairs: Mapping[str, Pair], host: HostModel) -> dict[str, ModuleFunction]:
        where = (host.device, host.dtype)
        return {name: lora_function(a.to(*where), b.to(*where), self.settings.scale) for name, (a, b) in pairs.items()}

    def _routed(self, state: MeloState, query: Tensor) -> tuple[Route, Block | None]:
        """Return the route, and the block of the nearest point in the nearest cluster if the question lies in that."""
        scored = self._scored(state, query)
        known = sum(len(block.fact_ids) for block in state.blocks)
        near, point = found(state.clusters, query, state.off)
        radius = 0.0 if near is None else state.clusters[near.index].radius
        if point is None:
            return ball_route(self.name, (), near, radius, scored, known), None
        block = state.blocks[state.block_of(point.fact_id)]
        mates = [fact for fact in block.fact_ids if fact != point.fact_id and fact not in state.off]
        route = ball_route(self.name, [point.fact_id, *mates], near, radius, scored, known)  # the nearest fact first
        return route, None if route.deferred else block

    def _scored(self, state: MeloState, query: Tensor) -> tuple[Candidate, ...]:
        each = distances(query, stacked([cluster.centre for cluster in state.clusters])).tolist()
        facts = [(p.fact_id, d) for cluster, d in zip(state.clusters, each, strict=True) for p in cluster.points]
        return candidates(facts, state.off)

    def _key(self, prompt: str, host: HostModel) -> Tensor:
        return host.module_input(prompt, self._routing_module(host))

    def _routing_module(self, host: HostModel) -> str:
        return host.module_name(self._routing_layer(host))

    def _routing_layer(self, host: HostModel) -> int:
        """Return the routing layer; at least one layer follows it."""
        return max(0, min(int(self.settings.depth * host.n_layers), host.n_layers - 2))

    def _adapted_layers(self, host: HostModel) -> list[int]:
        first = self._routing_layer(host) + 1
        return [*range(first, min(first + self.settings.adapted, host.n_layers))]


class MeloFrozen(Melo):
    """MELO whose centres and radii are never touched again: each fact has a ball of its own."""

    name = "melo-frozen"
    capabilities = Capabilities(
        delete="batch",
        switch="batch",
        shares_weights=True,
        why=Sentence(
            "Facts learnt together share one block of weights: it goes, bit for bit, with the last of them. One of them alone is "
            "only no longer looked up. No region ever moves, so nothing else is left behind."
        ),
    )

    def _inserted(self, clusters: Clusters, point: Point, target: tuple[int, ...], radius: float) -> Clusters:
        return (*clusters, alone(point, target, radius))
