"""Many greedy answers at once: prompts of like length share every forward step, each row with its own edit or with none.

Knows the KV cache, padding and memory. Knows neither the model's insides nor what the functions round its modules do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sola_core.errors import InvalidInput
from sola_core.host.intervention import ModuleFunction
from sola_core.host.prompt import PromptFormat, PromptIds
from sola_core.host.stream import Draft, Generation

MAX_ROWS = 32  # a first step over so many questions takes no longer than over the longest prompt that is allowed
MAX_TOKENS = (
    4096  # what the KV cache of one batch may hold, prompts and answers: 190 MB for the default host in float32
)

ModulesOf = Callable[[Sequence[int]], Mapping[str, ModuleFunction]]
"""Which functions a batch runs with, told which prompt (its index) stands in each row."""


class BatchSteps(Protocol):
    """What answering in batches needs of the host: one forward step at a time."""

    format: PromptFormat
    context_tokens: int

    def prompt_ids(self, prompt: str) -> PromptIds:
        """Return the ids that generation uses for this prompt."""

    def advance_batch(
        self, ids: Tensor, cache: object, mask: Tensor, positions: Tensor, modules: Mapping[str, ModuleFunction]
    ) -> Tensor:
        """Run one forward step of a batch and return the last position's logits, (batch, vocab)."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    index: int  # of its prompt
    prompt: list[int]
    draft: Draft


def generate_many(
    host: BatchSteps, prompts: Sequence[str], *, max_new_tokens: int = 48, modules_of: ModulesOf | None = None
) -> Iterator[tuple[int, Generation]]:
    """Return an iterator over (index of the prompt, its whole greedy answer), in the order in which answers end.

    The tokens equal those of one-by-one generation in float32, near-ties aside: another batch shape rounds otherwise. Without
    `modules_of` every step is the bare host. Nothing runs until the iterator is advanced; dropping it half-way leaves nothing
    behind. The seconds of an answer count from the start of its batch. Raises InvalidInput before anything runs.
    """
    if max_new_tokens < 1:
        raise InvalidInput(f"An answer needs at least one token, not {max_new_tokens}.")
    ids = [host.prompt_ids(prompt).ids.tolist() for prompt in prompts]
    most = [min(max_new_tokens, host.context_tokens - len(row)) for row in ids]

    def run() -> Iterator[tuple[int, Generation]]:
        for batch in batches([len(row) for row in ids], most):
            rows = [_Row(index=i, prompt=ids[i], draft=Draft(host.format, most[i])) for i in batch]
            yield from _answer(host, rows, modules_of)

    return run()


def batches(lengths: Sequence[int], most: Sequence[int]) -> list[list[int]]:
    """Return the indices of prompts, (tokens, tokens that may follow), in batches: shortest first, so that little is padded.

    A batch has at most MAX_ROWS rows and, unless it is a single row, MAX_TOKENS tokens when every answer runs to its limit.
    """
    made: list[list[int]] = []
    room = 0  # the most tokens that may follow in any row of the open batch
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        room = max(room, most[index])
        full = made and (len(made[-1]) + 1) * (lengths[index] + room) > MAX_TOKENS
        if not made or full or len(made[-1]) == MAX_ROWS:
            made.append([])
            room = most[index]
        made[-1].append(index)
    return made


def _answer(host: BatchSteps, rows: list[_Row], modules_of: ModulesOf | None) -> Iterator[tuple[int, Generation]]:
    """Run one batch to its end; a row leaves it, and the cache, as soon as its answer has ended."""
    from transformers import DynamicCache

    cache, began = DynamicCache(), time.perf_counter()
    ids, mask = pad_left([row.prompt for row in rows])
    positions = (mask.cumsum(1) - 1).clamp(min=0)  # a token's position is what it is without the padding
    modules = _modules(rows, modules_of)
    first = 0.0
    while True:
        logits = host.advance_batch(ids, cache, mask, positions, modules)
        for row, token in zip(rows, logits.argmax(-1).tolist(), strict=True):
            row.draft.take(token)
        seconds = time.perf_counter() - began
        first = first or seconds
        yield from ((row.index, row.draft.generation(first, seconds)) for row in rows if row.draft.ended)
        going = [k for k, row in enumerate(rows) if not row.draft.ended]
        if not going:
            return
        if len(going) < len(rows):
            keep = torch.tensor(going)
            rows, mask, positions = [rows[k] for k in going], mask[keep], positions[keep]
            cache.batch_select_indices(keep)
            modules = _modules(rows, modules_of)
        ids = torch.tensor([[row.draft.ids[-1]] for row in rows])
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        positions = positions[:, -1:] + 1


def _modules(rows: Sequence[_Row], modules_of: ModulesOf | None) -> Mapping[str, ModuleFunction]:
    return {} if modules_of is None else modules_of([row.index for row in rows])


def pad_left(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return token rows as one (batch, longest) int64 tensor, padded on the left with 0, and the mask, 0 at padding."""
    longest = max(len(row) for row in rows)
    gaps = [longest - len(row) for row in rows]
    ids = torch.tensor([[*[0] * gap, *row] for gap, row in zip(gaps, rows, strict=True)], dtype=torch.int64)
    mask = torch.tensor([[0] * gap + [1] * (longest - gap) for gap in gaps], dtype=torch.int64)
    return ids, mask
