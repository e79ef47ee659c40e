"""The baseline `retrieval`: the nearest fact is written in front of the question; no weight is touched at all.

What a user would do instead of editing. Knows texts and a sentence encoder; the host reads the longer prompt by itself.
Sources: facts in the prompt as editing papers compare with them (IKE, arXiv 2305.12740, without its demonstrations); cosine of
pooled sentence vectors (Sentence-BERT, arXiv 1908.10084).
Deviations: one fact is retrieved, the best over a threshold, since a small model is led astray by several. A question equal to a
taught one finds its fact without the encoder.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sola_core.editors.base import Plan
from sola_core.editors.fitting import row_ids
from sola_core.editors.joint import Fact, Learnt
from sola_core.errors import InvalidInput, InvalidRequest
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, Route, RouteReason, TrainingStep
from sola_core.routing.cosine import ONE, pack, unpack
from sola_core.routing.encoders import TextEncoder
from sola_core.text import canonical
from sola_core.words import Sentence

MAX_CANDIDATES = 32


@dataclass(frozen=True, kw_only=True)
class RetrievalSettings:
    """All that an answer depends on beside the facts and the host."""

    threshold: float = 0.75  # cosine of question and fact, -1..1
    # of seven ways to put it, the one after which the default host said the answer most often (on facts of no report)
    front: str = 'The answer to "{prompt}" is "{target}".\n\n{question} Answer with the words in quotes alone.'


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The facts that can be found, in order of teaching, and the vectors of their wordings."""

    facts: tuple[Fact, ...] = ()
    keys: tuple[tuple[bytes | None, ...], ...] = ()  # of each fact, one for each wording; None where it cannot be read


class Retrieval:
    """Facts in the prompt."""

    name = "retrieval"
    batch_facts = 1
    capabilities = Capabilities(
        delete="exact",
        switch="exact",
        shares_weights=False,
        why=Sentence(
            "No weight is touched: a fact is a line of text on a shelf, and taking it off the shelf is all there is to it."
        ),
    )

    def __init__(self, encoder: TextEncoder, settings: RetrievalSettings | None = None) -> None:
        self._encoder, self.settings = encoder, settings or RetrievalSettings()

    def empty(self, host: HostModel) -> Shelf:
        """Return the state without facts (see JointMethod)."""
        return Shelf()

    def learn_steps(
        self, state: Shelf, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Learnt[Shelf]]:
        """Put facts on the shelf (see JointMethod)."""
        keys = []
        for number, fact in enumerate(facts, 1):
            try:
                row_ids(fact.request, host)
                host.prompt_ids(self._in_front(fact, fact.request.prompt))
            except InvalidInput as error:
                raise InvalidRequest(str(error)) from error
            keys.append(tuple(self._key(text) for text in fact.request.key_texts))
            yield TrainingStep(step=number, total=len(facts), loss=0.0)
        made = Shelf(facts=(*state.facts, *facts), keys=(*state.keys, *keys))
        settings = {**asdict(self.settings), "encoder": self._encoder.fingerprint, "template": host.format.digest}
        return Learnt(state=made, losses=(), steps=0, settings=settings)

    def removed_steps(
        self, state: Shelf, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Shelf]:
        """Take a fact off the shelf (see JointMethod)."""
        kept = [place for place, one in enumerate(state.facts) if one.id != fact.id]
        yield TrainingStep(step=1, total=1, loss=0.0, stage="storing")
        return Shelf(facts=tuple(state.facts[i] for i in kept), keys=tuple(state.keys[i] for i in kept))

    def switched_steps(
        self, state: Shelf, fact: Fact, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Shelf]:
        """Let a fact be found or not (see JointMethod)."""
        yield TrainingStep(step=1, total=1, loss=0.0, stage="storing")
        return replace(state, facts=tuple(fact if one.id == fact.id else one for one in state.facts))

    def plan(self, state: Shelf, prompt: str, host: HostModel) -> Plan:
        """Return the question with the nearest fact in front of it, or as it is."""
        if not state.facts:
            return Plan(Route(kind="base", router=self.name), None)
        candidates = self.scores(state, prompt, host)
        found, reason = self._found(state, prompt, candidates)
        route = Route(
            kind="base" if found is None else "edit",
            edit_ids=() if found is None else (found.id,),
            candidates=candidates[:MAX_CANDIDATES],
            not_scored=len(state.facts) - len(candidates),
            threshold=self.settings.threshold,
            router=self.name,
            reason=reason,
        )
        return Plan(route, None, None if found is None else self._in_front(found, prompt))

    def scores(self, state: Shelf, prompt: str, host: HostModel) -> tuple[Candidate, ...]:
        """Return the best cosine over each fact's wordings, best first; of equal ones the fact taught last."""
        own = self._key(prompt)
        if own is None:
            return ()
        vector = unpack(own) / ONE
        found = []
        for order, (fact, keys) in enumerate(zip(state.facts, state.keys, strict=True)):
            read = [unpack(key) / ONE for key in keys if key is not None]
            if read:
                score = float(max(np.dot(vector, key) for key in read))
                found.append((-score, -order, Candidate(edit_id=fact.id, score=score, enabled=fact.enabled)))
        return tuple(candidate for _, _, candidate in sorted(found, key=lambda one: one[:2]))

    def tensors(self, state: Shelf) -> Mapping[str, Tensor]:
        """Return the vectors, named by what their fact says."""
        return {
            f"{fact.request!r} {place}": torch.frombuffer(bytearray(key), dtype=torch.int32)
            for fact, keys in zip(state.facts, state.keys, strict=True)
            for place, key in enumerate(keys)
            if key is not None
        }

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _in_front(self, fact: Fact, question: str) -> str:
        request = fact.request
        parts = {"prompt": request.prompt, "target": request.target, "question": question}
        return self.settings.front.format(**parts)

    def _key(self, text: str) -> bytes | None:
        encoded = self._encoder.encode(text)
        return None if encoded is None else pack(encoded.pooled)

    def _found(self, state: Shelf, prompt: str, candidates: Sequence[Candidate]) -> tuple[Fact | None, RouteReason]:
        question = canonical(prompt)
        for fact in reversed(state.facts):
            if fact.enabled and question in {canonical(text) for text in fact.request.key_texts}:
                return fact, "equal"
        if not candidates:
            return None, "unrepresentable"
        best = next((one for one in candidates if one.enabled), None)
        if best is None or best.score < self.settings.threshold:
            return None, "below"
        return next(fact for fact in state.facts if fact.id == best.edit_id), "score"
