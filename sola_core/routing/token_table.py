"""Holds keys made of weighted token vectors, and says how much of a prompt and of each key finds no match in the other.

Knows nothing of encoders and calibration. All arithmetic is on whole numbers that floats hold exactly (products of
int8 vectors below 2**24 in float32, weighted sums below 2**53 in float64), so a key's sum depends on that key alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sola_core.errors import LibraryCorrupt

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONE = 127  # a unit vector's length in int8 steps
SQUARE = ONE * ONE  # the product of two equal unit vectors
HEAD = 4  # the heaviest tokens of every key, which the bound is made of
SMALL = 256  # keys; no more than these are all scored, in a few milliseconds
CHUNK = 1024  # keys bounded, or scored, at a time: what is in between fits a processor's cache


@dataclass(frozen=True, kw_only=True)
class WeightedTokens:
    """A text as the search reads it: one row per token."""

    vectors: NDArray[np.int8]  # (n, dim), unit vectors times ONE
    weights: NDArray[np.uint8]  # (n,)

    def to_bytes(self) -> bytes:
        """Return the rows as bytes: dim + 1 of them for each token."""
        return np.concatenate([self.vectors.view(np.uint8), self.weights[:, None]], axis=1).tobytes()

    @classmethod
    def from_bytes(cls, key: bytes, dim: int) -> WeightedTokens:
        """Read a key back; raise LibraryCorrupt when it has the wrong length."""
        if not key or len(key) % (dim + 1):
            raise LibraryCorrupt("A stored routing key has the wrong length. The library is damaged.")
        rows = np.frombuffer(key, dtype=np.uint8).reshape(-1, dim + 1)
        return cls(vectors=rows[:, :dim].copy().view(np.int8), weights=rows[:, dim].copy())


class TokenTable:
    """The keys of all edits. Adding and removing one touches no other and takes the same time however many there are."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._keys: list[bytes] = []
        self._owners: list[str] = []
        self._rows: dict[str, tuple[int, ...]] = {}  # edit id -> where its keys are
        self._head = np.zeros((HEAD, 0, dim), dtype=np.int8)  # (HEAD, capacity, dim)
        self._head_weights = np.zeros((HEAD, 0), dtype=np.uint8)

    def add(self, edit_id: str, keys: Sequence[bytes | None]) -> None:
        """Hold the keys of an edit; raise LibraryCorrupt, and hold none, when one cannot be read."""
        found = [(key, WeightedTokens.from_bytes(key, self._dim)) for key in keys if key is not None]
        for content, key in found:
            row = len(self._keys)
            if row == self._head.shape[1]:
                more = max(64, row // 4)
                self._head = np.pad(self._head, ((0, 0), (0, more), (0, 0)))
                self._head_weights = np.pad(self._head_weights, ((0, 0), (0, more)))
            heaviest = np.argsort(-key.weights.astype(np.int64), kind="stable")[:HEAD]
            self._head[: len(heaviest), row] = key.vectors[heaviest]
            self._head_weights[: len(heaviest), row] = key.weights[heaviest]
            self._keys.append(content)
            self._owners.append(edit_id)
            self._rows[edit_id] = (*self._rows.get(edit_id, ()), row)

    def remove(self, edit_id: str) -> None:
        """Let go of the keys of an edit; the last keys move into their places."""
        for row in sorted(self._rows.pop(edit_id, ()), reverse=True):
            last = len(self._keys) - 1
            if row != last:
                self._keys[row], self._owners[row] = self._keys[last], self._owners[last]
                self._head[:, row], self._head_weights[:, row] = self._head[:, last], self._head_weights[:, last]
                owner = self._owners[row]
                self._rows[owner] = tuple(row if at == last else at for at in self._rows[owner])
            self._head[:, last], self._head_weights[:, last] = 0, 0  # nothing of a deleted key stays behind
            self._keys.pop()
            self._owners.pop()

    def missed(self, prompt: WeightedTokens, *, enough: int | None = None, limit: float = np.inf) -> dict[str, int]:
        """Return for each edit the least that any of its keys misses: the sum over the key's tokens, and over the prompt's,
        of weight * (SQUARE - best match in the other); 0 when every token finds itself.

        With `enough`, where there are more keys than that and than SMALL, edits are left out that surely miss more than `limit` and are, by what their
        heaviest tokens miss, not among the `enough` closest. What is returned for an edit never depends on the others.
        """
        if not self._keys:
            return {}
        wide = prompt.vectors.astype(np.float32)
        everything = enough is None or len(self._keys) <= max(enough, SMALL)
        rows = np.arange(len(self._keys)) if everything else self._promising(wide, enough or 0, limit)
        best: dict[str, int] = {}
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            for row, sum_ in zip(part.tolist(), self._sums(wide, prompt.weights, part).tolist(), strict=True):
                owner = self._owners[row]
                if sum_ < best.get(owner, sum_ + 1):
                    best[owner] = sum_
        return best

    def _promising(self, prompt: NDArray[np.float32], enough: int, limit: float) -> NDArray[np.int64]:
        """Return the rows whose heaviest tokens alone miss at most `limit`, or are among the `enough` least."""
        n = len(self._keys)
        least = np.empty(n)
        for start in range(0, n, CHUNK):
            part = slice(start, min(start + CHUNK, n))
            heads = self._head[:, part].astype(np.float32)  # (HEAD, keys, dim)
            best = (prompt @ heads.reshape(-1, self._dim).T).max(axis=0).reshape(HEAD, -1)
            missed = SQUARE - np.maximum(best, 0.0).astype(np.float64)
            least[part] = (self._head_weights[:, part] * missed).sum(axis=0)
        return np.flatnonzero(least <= max(limit, float(np.partition(least, enough - 1)[enough - 1])))

    def _sums(
        self, prompt: NDArray[np.float32], weights: NDArray[np.uint8], rows: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        keys = [self._keys[row] for row in rows.tolist()]
        starts = np.cumsum([0, *(len(key) // (self._dim + 1) for key in keys[:-1])])
        together = WeightedTokens.from_bytes(b"".join(keys), self._dim)
        vectors, key_weights = together.vectors.astype(np.float32), together.weights.astype(np.float64)
        matches = np.maximum(prompt @ vectors.T, 0.0)  # (m, all key tokens)
        of_keys = np.add.reduceat(key_weights * (SQUARE - matches.max(axis=0).astype(np.float64)), starts)
        in_keys = np.maximum.reduceat(matches, starts, axis=1).astype(np.float64)  # (m, keys)
        of_prompt = weights.astype(np.float64) @ (SQUARE - in_keys)
        return (of_keys + of_prompt).astype(np.int64)
