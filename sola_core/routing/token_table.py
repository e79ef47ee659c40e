"""Holds keys made of weighted token vectors and finds the best match of every key token among a prompt's tokens.

Knows nothing of encoders and calibration. All arithmetic is on whole numbers that floats hold exactly (products of
int8 vectors below 2**24 in float32, weighted sums below 2**53 in float64), so a key's sums depend on that key alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sola_core.errors import LibraryCorrupt

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONE = 127  # a unit vector's length in int8 steps
CHANNELS = 2  # weights per token: as part of the subject, as part of the rest
SLOT_STEP = 8  # keys with up to 8, 16, 24 ... tokens share an array
CHUNK = 512  # keys converted to float32 at a time


@dataclass(frozen=True, kw_only=True)
class TokenKey:
    """A key as the search reads it: one row per token."""

    vectors: NDArray[np.int8]  # (n, dim), unit vectors times ONE
    weights: NDArray[np.uint8]  # (n, CHANNELS)

    def to_bytes(self) -> bytes:
        """Return the key as bytes: dim + CHANNELS of them for each token."""
        return np.concatenate([self.vectors.view(np.uint8), self.weights], axis=1).tobytes()

    @classmethod
    def from_bytes(cls, key: bytes, dim: int) -> TokenKey:
        """Read a key back; raise LibraryCorrupt when it has the wrong length."""
        if not key or len(key) % (dim + CHANNELS):
            raise LibraryCorrupt("A stored routing key has the wrong length. The library is damaged.")
        rows = np.frombuffer(key, dtype=np.uint8).reshape(-1, dim + CHANNELS)
        return cls(vectors=rows[:, :dim].copy().view(np.int8), weights=rows[:, dim:].copy())


class _Block:
    """Keys with at most `slots` tokens, padded with zero vectors of zero weight; the capacity doubles."""

    def __init__(self, slots: int, dim: int) -> None:
        self.owners: list[str] = []
        self.vectors = np.zeros((slots, 0, dim), dtype=np.int8)  # (slots, capacity, dim)
        self.weights = np.zeros((CHANNELS, slots, 0), dtype=np.uint8)  # (channels, slots, capacity)

    def append(self, edit_id: str, key: TokenKey) -> None:
        row, capacity = len(self.owners), self.vectors.shape[1]
        if row == capacity:
            more = max(32, capacity)
            self.vectors = np.pad(self.vectors, ((0, 0), (0, more), (0, 0)))
            self.weights = np.pad(self.weights, ((0, 0), (0, 0), (0, more)))
        n = len(key.vectors)
        self.vectors[:n, row] = key.vectors
        self.weights[:, :n, row] = key.weights.T
        self.owners.append(edit_id)

    def remove(self, edit_id: str) -> None:
        for row in [r for r, owner in enumerate(self.owners) if owner == edit_id][::-1]:
            last = len(self.owners) - 1
            self.vectors[:, row], self.weights[:, :, row] = self.vectors[:, last], self.weights[:, :, last]
            self.vectors[:, last], self.weights[:, :, last] = 0, 0  # nothing of a deleted key stays behind
            self.owners[row] = self.owners[last]
            self.owners.pop()

    def sums(self, prompt: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weighted sums of best matches and of weights, each (CHANNELS, n_keys), for a prompt (m, dim)."""
        n = len(self.owners)
        matches, totals = np.empty((CHANNELS, n)), np.empty((CHANNELS, n))
        for start in range(0, n, CHUNK):
            part = slice(start, min(start + CHUNK, n))
            keys = self.vectors[:, part].astype(np.float32)  # (slots, c, dim)
            weights = self.weights[:, :, part].astype(np.float64)  # (channels, slots, c)
            products = prompt @ keys.transpose(0, 2, 1)  # (slots, m, c)
            best = np.maximum(products.max(axis=1), 0.0).astype(np.float64)  # (slots, c)
            matches[:, part] = (weights * best).sum(axis=1)
            totals[:, part] = weights.sum(axis=1)
        return matches, totals


class TokenTable:
    """The keys of all edits, in blocks by number of tokens."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._blocks: dict[int, _Block] = {}  # slots -> block

    def add(self, edit_id: str, keys: Sequence[bytes | None]) -> None:
        """Hold the keys of an edit; raise LibraryCorrupt, and hold none, when one cannot be read."""
        for key in [TokenKey.from_bytes(key, self._dim) for key in keys if key is not None]:
            slots = -(-len(key.vectors) // SLOT_STEP) * SLOT_STEP
            if slots not in self._blocks:
                self._blocks[slots] = _Block(slots, self._dim)
            self._blocks[slots].append(edit_id, key)

    def remove(self, edit_id: str) -> None:
        """Let go of the keys of an edit."""
        for block in self._blocks.values():
            block.remove(edit_id)

    def matches(self, prompt: NDArray[np.int8]) -> Iterator[tuple[list[str], NDArray[np.float64]]]:
        """Yield edit ids and their keys' mean best matches, (CHANNELS, n_keys), cosines 0..1; NaN without weight.

        A key token that nothing in the prompt, (m, dim), resembles counts as 0, never less.
        """
        wide = prompt.astype(np.float32)
        for block in self._blocks.values():
            if block.owners:
                matches, totals = block.sums(wide)
                with np.errstate(invalid="ignore"):
                    yield block.owners, matches / (totals * float(ONE * ONE))
