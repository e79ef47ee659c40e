"""What enters a layer, computed once for a batch of token rows.

Knows tensors. Knows no model: `HostModel` makes these states and runs the layers above them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PrefixStates:
    """What enters layer `layer` for a batch of token rows; independent of every intervention at or above it."""

    layer: int
    hidden: Tensor  # (batch, n, dim)
    arguments: tuple[object, ...]  # what the model hands each layer beside the hidden states
    keywords: Mapping[str, object]

    def rows(self, keep: Tensor) -> PrefixStates:
        """Return the states of the rows named by `keep`, (k,) int64."""
        batch = self.hidden.shape[0]

        def pick(value: object) -> object:
            if batch > 1 and isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == batch:
                return value[keep]
            return value

        return PrefixStates(
            layer=self.layer,
            hidden=self.hidden[keep],
            arguments=tuple(pick(a) for a in self.arguments),
            keywords={name: pick(value) for name, value in self.keywords.items()},
        )


def pad_right(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return token rows as one (batch, longest) int64 tensor, padded on the right with 0."""
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], dtype=torch.int64)
