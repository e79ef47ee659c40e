"""KV caches of answers that share their steps: several joined into one, padded on the left, and rows taken out of it.

Knows the cache's tensors. Knows neither answers nor the model. Nothing is written into a cache that is read here: what is made is
a copy, so a failure half-way leaves every answer with what it had.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import DynamicCache


@dataclass(frozen=True)
class SharedCache:
    """The keys and values of `rows` answers; each ends in the last column, and the shorter ones begin with padding."""

    cache: DynamicCache
    rows: int

    @property
    def columns(self) -> int:
        """How many tokens there are, padding included; each step adds one."""
        return self.cache.get_seq_length()


def gathered(parts: Sequence[tuple[SharedCache, Sequence[int]]], columns: int) -> SharedCache:
    """Return the chosen rows of some caches as one, in the order given, with the last `columns` columns."""
    from transformers import DynamicCache

    made = DynamicCache()
    for layers in zip(*(part.cache.layers for part, _ in parts), strict=True):
        layer = copy.copy(layers[0])
        layer.keys = _joined([(one.keys, rows) for one, (_, rows) in zip(layers, parts, strict=True)], columns)
        layer.values = _joined([(one.values, rows) for one, (_, rows) in zip(layers, parts, strict=True)], columns)
        made.layers.append(layer)
    return SharedCache(made, sum(len(rows) for _, rows in parts))


def _joined(parts: Sequence[tuple[Tensor, Sequence[int]]], columns: int) -> Tensor:
    """Join (batch, heads, n, dim) tensors, of each the rows named, at their right ends."""
    first = parts[0][0]
    made = first.new_zeros(sum(len(rows) for _, rows in parts), first.shape[1], columns, first.shape[3])
    done = 0
    for tensor, rows in parts:
        kept = min(columns, tensor.shape[2])
        chosen = torch.tensor(list(rows), device=tensor.device)
        made[done : done + len(rows), :, columns - kept :] = tensor[:, :, tensor.shape[2] - kept :][chosen]
        done += len(rows)
    return made
