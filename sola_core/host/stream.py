"""One greedy answer in the making, token by token.

Knows the KV cache and when to stop. Knows neither the model's insides nor what an intervention does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sola_core.host.intervention import Intervention, Latch
from sola_core.host.prompt import PromptFormat, PromptIds, TextPieces
from sola_core.records import Stopped


class Steps(Protocol):
    """What a stream needs of the host: one forward step at a time."""

    format: PromptFormat

    def advance(self, ids: Tensor, cache: object, start: int, latch: Latch, last_user: int) -> Tensor:
        """Run one forward step and return the last position's logits, (vocab,)."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A finished (or cut) free-running answer of the host."""

    text: str
    ids: tuple[int, ...]  # generated tokens, the end-of-turn token not counted
    stopped: Stopped
    first_token_seconds: float
    seconds: float


class Draft:
    """A greedy answer as it grows: its tokens, its text, and why it stopped; the one place that says when it stops."""

    def __init__(self, prompt_format: PromptFormat, max_new_tokens: int, *, ignore_end: bool = False) -> None:
        self.ids: list[int] = []
        self.stopped: Stopped = "cancelled"
        self._ends = frozenset[int]() if ignore_end else prompt_format.end_ids
        self._most = max_new_tokens
        self._pieces, self._text = TextPieces(prompt_format), list[str]()

    @property
    def ended(self) -> bool:
        """Whether it takes no more tokens."""
        return self.stopped != "cancelled"

    @property
    def text(self) -> str:
        """The text so far; what may still change is held back."""
        return "".join(self._text)

    def stops(self, token: int, before: int) -> Stopped | None:
        """Say why an answer of `before` tokens stops with this one, None when it goes on."""
        if token in self._ends:
            return "end"
        return "limit" if before + 1 == self._most else None

    def take(self, token: int) -> str:
        """Take the next token and return the piece of text that it adds."""
        stopped = self.stops(token, len(self.ids))
        if stopped != "end":
            self.ids.append(token)
        self.stopped = stopped or self.stopped
        self._text.append(self._pieces.push(self.ids, last=self.ended))
        return self._text[-1]

    def generation(self, first_token_seconds: float, seconds: float) -> Generation:
        """Return the answer so far."""
        return Generation(
            text=self.text,
            ids=tuple(self.ids),
            stopped=self.stopped,
            first_token_seconds=first_token_seconds,
            seconds=seconds,
        )


class TokenStream(Iterator[str]):
    """A greedy answer in the making: iterate over its pieces of text; `generation` holds the whole once it ended.

    Owns its route (latched in prefill) and its KV cache; dropping it half-way leaves nothing behind.
    """

    def __init__(
        self,
        host: Steps,
        prompt: PromptIds,
        max_new_tokens: int,
        intervention: Intervention | None,
        ignore_end: bool,
    ) -> None:
        self.on_logits: Callable[[Tensor], None] | None = None
        self.first_logits: Tensor | None = None  # (vocab,), what the first token was chosen from
        self.step_seconds: list[float] = []
        self._draft = Draft(host.format, max_new_tokens, ignore_end=ignore_end)
        self._latch = Latch(intervention)
        self._pieces = self._run(host, prompt)

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop here; the answer so far stays readable."""
        self._pieces.close()

    @property
    def generation(self) -> Generation:
        """The answer so far, with the reason why it stopped ("cancelled" while it still runs)."""
        first = self.step_seconds[0] if self.step_seconds else 0.0
        return self._draft.generation(first, sum(self.step_seconds))

    def _run(self, host: Steps, prompt: PromptIds) -> Generator[str, None, None]:
        from transformers import DynamicCache

        cache, step, start = DynamicCache(), prompt.ids[None], 0
        while not self._draft.ended:
            began = time.perf_counter()
            logits = host.advance(step, cache, start, self._latch, prompt.last_user)
            token = int(logits.argmax())
            self.step_seconds.append(time.perf_counter() - began)
            if self.first_logits is None:
                self.first_logits = logits
            if self.on_logits is not None:
                self.on_logits(logits)
            yield self._draft.take(token)
            start += step.shape[1]
            step = torch.tensor([[token]], dtype=torch.int64)
