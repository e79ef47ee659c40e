"""How likely given answers are to a prompt, token by token, each token seen with the right ones before it.

Knows the KV cache and when a request's route is decided. Knows neither the model's insides nor what an intervention does.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sola_core.errors import InvalidInput
from sola_core.host.intervention import Intervention, Latch
from sola_core.host.prompt import PromptIds


class AllSteps(Protocol):
    """What scoring needs of the host."""

    context_tokens: int

    def prompt_ids(self, prompt: str) -> PromptIds:
        """Return the ids that generation uses for this prompt."""

    def target_ids(self, target: str) -> list[int]:
        """Return the ids of an answer, then the end-of-turn token."""

    def advance_rows(self, ids: Tensor, cache: object, start: int, latch: Latch, last_user: int, keep: int) -> Tensor:
        """Run one forward step and return the logits of its last `keep` positions, (keep, vocab)."""


@dataclass(frozen=True, kw_only=True)
class TargetScore:
    """One given answer to one prompt, teacher-forced; the end of the turn is not part of it."""

    ids: tuple[int, ...]
    best: tuple[int, ...]  # the model's own choice in place of each of `ids`
    log_probabilities: tuple[float, ...]  # nats, of each of `ids`

    @property
    def accuracy(self) -> float:
        """Share of the answer's tokens that the model would have chosen itself, 0..1."""
        return _agreement(self.ids, self.best)

    @property
    def mean_log_probability(self) -> float:
        """Mean log probability of a token of the answer, nats."""
        return sum(self.log_probabilities) / len(self.log_probabilities)

    def agreement(self, other: TargetScore) -> float:
        """Return the share of places where two models, given the same answer, choose the same token, 0..1."""
        if self.ids != other.ids:
            raise ValueError("two scores can only be compared over the same answer")
        return _agreement(self.best, other.best)


def score_targets(
    host: AllSteps, prompt: str, targets: Sequence[str], intervention: Intervention | None = None
) -> tuple[TargetScore, ...]:
    """Return how likely each target is as the answer to a prompt, in the order given.

    The prompt runs alone first, in the very shape of an answer's prefill, so the route is decided from the prompt and bit for
    bit as it would be there; every target then runs in one pass over a copy of that cache, with the latched intervention.
    Raises InvalidInput for an empty target and for one that does not fit into the context.
    """
    from transformers import DynamicCache

    ids = host.prompt_ids(prompt)
    answers = [_answer_ids(host, target, host.context_tokens - len(ids.ids)) for target in targets]
    latch, cache = Latch(intervention), DynamicCache()
    first = host.advance_rows(ids.ids[None], cache, 0, latch, ids.last_user, 1)
    scores = []
    for answer in answers:
        rows = first
        if len(answer) > 1:
            given = torch.tensor([answer[:-1]], dtype=torch.int64)
            rest = host.advance_rows(given, copy.deepcopy(cache), len(ids.ids), latch, ids.last_user, len(answer) - 1)
            rows = torch.cat([first, rest])
        scores.append(_score(rows.float().cpu(), answer))
    return tuple(scores)


def score_text(host: AllSteps, text: str, intervention: Intervention | None = None) -> TargetScore:
    """Return how likely a running text is, each token but the first, outside of any template; one pass from an empty cache.

    Raises InvalidInput for a text of fewer than two tokens and for one that does not fit into the context.
    """
    from transformers import DynamicCache

    ids = host.target_ids(text)[:-1]
    if not 2 <= len(ids) <= host.context_tokens:
        raise InvalidInput(f"A running text needs 2 to {host.context_tokens:,} tokens; this one has {len(ids):,}.")
    given = torch.tensor([ids], dtype=torch.int64)
    rows = host.advance_rows(given, DynamicCache(), 0, Latch(intervention), len(ids) - 1, len(ids))
    return _score(rows[:-1].float().cpu(), ids[1:])


def _answer_ids(host: AllSteps, target: str, room: int) -> list[int]:
    answer = host.target_ids(target)[:-1]
    if not target.strip() or not answer:
        raise InvalidInput("An answer to be scored is empty. Leave it out.")
    if len(answer) > room:
        raise InvalidInput(
            f"The answer to be scored has {len(answer):,} tokens; after this prompt there is room for {room:,}. Shorten it."
        )
    return answer


def _score(logits: Tensor, answer: Sequence[int]) -> TargetScore:
    """Score an answer of n tokens from the logits, (n, vocab), that each of them would be chosen from."""
    each = logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None])[:, 0]
    best = logits.argmax(-1)
    return TargetScore(ids=tuple(answer), best=tuple(best.tolist()), log_probabilities=tuple(each.tolist()))


def _agreement(one: Sequence[int], other: Sequence[int]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
