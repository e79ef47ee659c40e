"""The method `rls`: all facts in one weight by recursive least squares with two soft penalties, and exact removal.

Knows how facts become sums, and the sums an update of one weight. Knows no session.
Source: RLSEdit, arXiv 2601.15686, equation 15 (see `rls_sums`); keys and values as in ROME and MEMIT (see `rls_target`).
MEMIT's sequential form and AlphaEdit are the same recursion with another anchor (`RlsSettings.anchor`).
Deviations: one layer instead of five (with several, the upper keys would depend on the other facts); the weight acts as
W0 + D, D being added beside it, and no parameter is written; the regression's target is the residual and what it is compared
with is D K (the released code compares a residual with the whole output); the sums go through all facts (the released
runner forgets them at each batch); facts with an equal question do not average: the one taught last is the one in the sums. By default D acts only at tokens
whose key is near to one of the facts' (`RlsSettings.guard`; None is the paper's method): a small host has too few inputs
for D to leave all other tokens as they were, and one token that is moved a little changes a long answer.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.functional import linear, normalize

from sola_core.editors.base import Plan
from sola_core.editors.joint import Fact, Foreseen, Learnt
from sola_core.editors.rls_sums import Anchor, Anchoring, OutOfRange, Pairs, Sums, fixed
from sola_core.editors.rls_target import ValueSettings, key_texts, keys_of, residual_steps
from sola_core.errors import EditFailed
from sola_core.host.covariance import second_moment_steps
from sola_core.host.intervention import Intervention, ModuleFunction
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, Route, TrainingStep
from sola_core.text import canonical
from sola_core.words import Sentence


@dataclass(frozen=True, kw_only=True)
class RlsSettings:
    """All that the update depends on beside the facts and the host."""

    depth: float = 0.4  # the edited layer, as a share of all layers
    anchor: Anchoring = "covariance"  # "covariance": RLSEdit, MEMIT; "null-space": AlphaEdit; "ridge": lambda alone
    weight: float = 3.0  # mu^2: how many tokens of running text the old behaviour counts as
    ridge: float = 1e-2  # lambda^2, in units of the mean square of a key's entry
    null_share: float = 0.02  # of the trace of E[k k^T], left to the directions that "null-space" uses
    tokens_per_input: int = 10  # of running text, for each input of the weight
    guard: float | None = (
        0.5  # D acts where a key is so near to a fact's (whitened cosine); None: everywhere, as in the paper
    )
    answer_tokens: int = 48  # of the answers that make up the running text
    value: ValueSettings = field(default_factory=ValueSettings)


@dataclass(frozen=True, kw_only=True)
class Written:
    """One fact as the state keeps it, also while it is switched off."""

    id: str
    question: str  # canonical; of facts with an equal one the last that is on counts
    enabled: bool
    pairs: Pairs


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The state: the facts in order of teaching, the sums over those that count, and the update that follows from them."""

    facts: tuple[Written, ...] = ()
    sums: Sums | None = None  # None: nothing counts
    update: Tensor | None = None  # D: (features out, features in) float32
    near: Tensor | None = None  # with a guard, the whitened keys of the facts: (keys, features in) float32
    whitener: Tensor | None = None  # of the host, float32

    @property
    def counting(self) -> tuple[Written, ...]:
        """The facts that are in the sums."""
        last = {fact.question: fact for fact in self.facts if fact.enabled}
        return tuple(fact for fact in self.facts if last.get(fact.question) is fact)


class Rls:
    """One weight for all facts, from which each can be taken back."""

    name = "rls"
    capabilities = Capabilities(
        delete="exact",
        switch="exact",
        shares_weights=True,
        why=Sentence(
            "All facts share one weight, but each is kept as whole numbers in a sum. Taking one back subtracts exactly its "
            "numbers and works the weight out anew: the same as if it had never been taught."
        ),
    )
    batch_facts = 1

    def __init__(self, settings: RlsSettings | None = None) -> None:
        self.settings = settings or RlsSettings()
        self._anchors: dict[str, tuple[float, Anchor]] = {}  # by host; what is worked out once

    def empty(self, host: HostModel) -> Ledger:
        """Return the state without facts (see JointMethod)."""
        return Ledger()

    def learn_steps(
        self, state: Ledger, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Learnt[Ledger]]:
        """Work out each fact's keys and residual on the untouched host and add them to the sums (see JointMethod)."""
        unit, anchor = yield from self.anchor_steps(host)
        written, losses = [], [0.0]
        for fact in facts:
            pairs, losses = yield from self._pairs_steps(fact, unit, host)
            written.append(
                Written(id=fact.id, question=canonical(fact.request.prompt), enabled=fact.enabled, pairs=pairs)
            )
        made = self.changed(state, (*state.facts, *written), unit, anchor)
        settings = {**asdict(self.settings), "layers": [self.layer(host)], "template": host.format.digest}
        return Learnt(state=made, losses=tuple(losses), steps=len(losses) - 1, settings=settings)

    def removed_steps(
        self, state: Ledger, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Ledger]:
        """Subtract the fact's numbers and solve anew; no model pass (see JointMethod)."""
        unit, anchor = yield from self.anchor_steps(host)
        return self.changed(state, [one for one in state.facts if one.id != fact.id], unit, anchor)

    def switched_steps(
        self, state: Ledger, fact: Fact, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Ledger]:
        """Add or subtract the stored numbers of the fact and solve anew (see JointMethod)."""
        unit, anchor = yield from self.anchor_steps(host)
        now = [replace(one, enabled=fact.enabled) if one.id == fact.id else one for one in state.facts]
        return self.changed(state, now, unit, anchor)

    def plan(self, state: Ledger, prompt: str, host: HostModel) -> Plan:
        """Return the update for every question, once there is one."""
        if state.update is None:
            return Plan(Route(kind="base", router=self.name), None)
        ids = tuple(fact.id for fact in state.counting)
        route = Route(kind="shared", edit_ids=ids, router=self.name, reason="score")
        return Plan(route, Intervention(modules=self.modules(state, host)))

    def scores(self, state: Ledger, prompt: str, host: HostModel) -> tuple[Candidate, ...]:
        """Return nothing: every question meets all facts."""
        return ()

    def tensors(self, state: Ledger) -> Mapping[str, Tensor]:
        """Return the update, and the keys near which it acts."""
        found = {"update": state.update, "keys": state.near}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def foreseen_steps(
        self, state: Ledger, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, tuple[Foreseen, ...]]:
        """Return what taking a fact back will do to the others, by the leave-one-out formula and by asking (see Foretells)."""
        from sola_core.editors.rls_preview import preview_answers_steps  # it knows this class

        return preview_answers_steps(self, state, fact, left, host)

    # ---- the parts, for the preview too --------------------------------------------------------------------------

    def layer(self, host: HostModel) -> int:
        """Return the edited layer."""
        return min(int(self.settings.depth * host.n_layers), host.n_layers - 1)

    def modules(self, state: Ledger, host: HostModel) -> dict[str, ModuleFunction]:
        """Return the function that makes the weight act as W0 + D; with a guard, at tokens near a fact's key only."""
        if state.update is None:
            return {}
        d = state.update.to(host.device, host.dtype)
        if state.near is None or state.whitener is None or self.settings.guard is None:
            return {host.module_name(self.layer(host)): lambda inputs, output, *_: output + linear(inputs, d)}
        near, whitener, least = state.near.to(host.device), state.whitener.to(host.device), self.settings.guard

        def add(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> Tensor | None:
            cosines = linear(normalize(linear(inputs.float(), whitener), dim=-1), near)
            open_ = cosines.amax(dim=-1, keepdim=True) >= least
            return torch.where(open_, output + linear(inputs, d), output) if bool(open_.any()) else None

        return {host.module_name(self.layer(host)): add}

    def anchor_steps(self, host: HostModel) -> Generator[TrainingStep, None, tuple[float, Anchor]]:
        """Return the unit of the host's keys and what holds its old weight; reads running text the first time."""
        chosen = self.settings
        reading = second_moment_steps(
            host,
            host.module_name(self.layer(host)),
            tokens_per_input=chosen.tokens_per_input,
            answer_tokens=chosen.answer_tokens,
        )
        while True:
            try:
                done, wanted = next(reading)
            except StopIteration as finished:
                moment: Tensor = finished.value
                break
            yield TrainingStep(step=done, total=wanted, loss=0.0, stage="reading")
        where = f"{host.fingerprint} {host.dtype} {host.format.digest}"
        if where not in self._anchors:
            # a power of two, so that scaling rounds nothing; the median, because single inputs can be enormous
            unit = 2.0 ** round(0.5 * math.log2(max(float(moment.diagonal().median()), 1e-24)))
            anchor = Anchor.of(
                chosen.anchor,
                moment / unit**2,
                weight=chosen.weight,
                ridge=chosen.ridge,
                null_share=chosen.null_share,
            )
            self._anchors[where] = (unit, anchor)
        return self._anchors[where]

    def changed(self, state: Ledger, facts: Sequence[Written], unit: float, anchor: Anchor) -> Ledger:
        """Return the state with these facts: what no longer counts is subtracted, what counts now is added."""
        bare = Ledger(facts=tuple(facts))
        old = {id(fact.pairs): fact.pairs for fact in state.counting}
        new = {id(fact.pairs): fact.pairs for fact in bare.counting}
        if not new:
            return bare
        some = next(iter(new.values()))
        sums = state.sums or Sums.none(some.keys.shape[0], some.residuals.shape[0])
        try:
            sums = sums.changed(
                added=[pairs for key, pairs in new.items() if key not in old],
                removed=[pairs for key, pairs in old.items() if key not in new],
            )
        except OutOfRange as error:
            raise EditFailed(f"This cannot be added: {error}. Nothing was stored.") from error
        made = replace(bare, sums=sums, update=(anchor.update(sums) / unit).float())
        if self.settings.guard is None:
            return made
        return replace(made, near=anchor.guard(list(new.values())), whitener=anchor.whitener32)

    def _pairs_steps(
        self, fact: Fact, unit: float, host: HostModel
    ) -> Generator[TrainingStep, None, tuple[Pairs, list[float]]]:
        layer, request, value = self.layer(host), fact.request, self.settings.value
        texts = key_texts(request, value.contexts)
        residuals, losses = yield from residual_steps(request, texts, layer, host, value)
        keys = keys_of(request, texts, host, host.module_name(layer), value.sites)
        try:
            pairs = Pairs(keys=fixed(keys / unit), residuals=fixed(residuals))
        except OutOfRange as error:
            raise EditFailed("The numbers of this edit ran out of range. Nothing was stored.") from error
        return pairs, losses
