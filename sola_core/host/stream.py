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
        self.ids: list[int] = []
        self.stopped: Stopped = "cancelled"
        self.on_logits: Callable[[Tensor], None] | None = None
        self.step_seconds: list[float] = []
        self._text: list[str] = []
        self._latch = Latch(intervention)
        self._pieces = self._run(host, prompt, max_new_tokens, ignore_end)

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop here; the answer so far stays readable."""
        self._pieces.close()

    @property
    def generation(self) -> Generation:
        """The answer so far, with the reason why it stopped ("cancelled" while it still runs)."""
        first = self.step_seconds[0] if self.step_seconds else 0.0
        return Generation(
            text="".join(self._text),
            ids=tuple(self.ids),
            stopped=self.stopped,
            first_token_seconds=first,
            seconds=sum(self.step_seconds),
        )

    def _run(self, host: Steps, prompt: PromptIds, max_new_tokens: int, ignore_end: bool) -> Generator[str, None, None]:
        from transformers import DynamicCache

        cache, pieces = DynamicCache(), TextPieces(host.format)
        step, start = prompt.ids[None], 0
        while True:
            began = time.perf_counter()
            logits = host.advance(step, cache, start, self._latch, prompt.last_user)
            token = int(logits.argmax())
            self.step_seconds.append(time.perf_counter() - began)
            if self.on_logits is not None:
                self.on_logits(logits)
            ended = token in host.format.end_ids and not ignore_end
            if not ended:
                self.ids.append(token)
            if ended or len(self.ids) == max_new_tokens:
                self.stopped = "end" if ended else "limit"
                self._text.append(pieces.push(self.ids, last=True))
                yield self._text[-1]
                return
            self._text.append(pieces.push(self.ids))
            yield self._text[-1]
            start += step.shape[1]
            step = torch.tensor([[token]], dtype=torch.int64)
