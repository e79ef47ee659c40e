"""Exact cosines between one unit vector and many, kept as fixed-point numbers by edit id.

Knows nothing of where the vectors come from. Components are integers of 24 bits, so every partial sum of a product
of two unit vectors is an integer below 2**53 and float64 holds it exactly: a score depends on neither row nor order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sola_core.errors import LibraryCorrupt

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONE = 1 << 24  # the fixed-point 1.0
CHUNK = 1024  # rows multiplied at a time: as float64 they fit a processor's cache


def pack(vector: NDArray[np.floating]) -> bytes | None:
    """Return the direction of a vector, (dim,), as a key of 4 bytes a component; None when it has no direction."""
    wide = np.asarray(vector, dtype=np.float64)
    length = float(np.sqrt(np.sum(wide * wide)))
    if not np.isfinite(length) or length == 0.0:
        return None
    return np.rint(wide / length * ONE).astype("<i4").tobytes()


def unpack(key: bytes) -> NDArray[np.float64]:
    """Return the fixed-point components of a key, (dim,), as whole numbers in float64."""
    return _whole(key).astype(np.float64)


def _whole(key: bytes) -> NDArray[np.int32]:
    if not key or len(key) % 4:
        raise LibraryCorrupt("A stored routing key has the wrong length. The library is damaged.")
    return np.frombuffer(key, dtype="<i4")


class CosineTable:
    """Rows of unit vectors that belong to edits; removing one moves the last row into its place."""

    def __init__(self) -> None:
        self._rows = np.empty((0, 0), dtype="<i4")  # (capacity, dim)
        self._owners: list[str] = []  # edit id by row
        self._places: dict[str, tuple[int, ...]] = {}  # edit id -> its rows

    def add(self, edit_id: str, keys: Sequence[bytes | None]) -> None:
        """Append the keys of an edit; raise LibraryCorrupt when they have another dimension than the rest."""
        vectors = [_whole(key) for key in keys if key is not None]
        dim = self._rows.shape[1] if self._owners else (len(vectors[0]) if vectors else 0)
        if any(len(vector) != dim for vector in vectors):
            raise LibraryCorrupt("A stored routing key has another dimension than the rest. The library is damaged.")
        for vector in vectors:
            n = len(self._owners)
            if n == 0 or n == len(self._rows):
                grown = np.zeros((n + max(64, n // 4), dim), dtype="<i4")
                grown[:n] = self._rows[:n] if n else 0
                self._rows = grown
            self._rows[n] = vector
            self._owners.append(edit_id)
            self._places[edit_id] = (*self._places.get(edit_id, ()), n)

    def remove(self, edit_id: str) -> None:
        """Remove every row of an edit."""
        for row in sorted(self._places.pop(edit_id, ()), reverse=True):
            last = len(self._owners) - 1
            if row != last:
                self._rows[row], owner = self._rows[last], self._owners[last]
                self._owners[row] = owner
                self._places[owner] = tuple(row if at == last else at for at in self._places[owner])
            self._rows[last] = 0  # nothing of a deleted key stays behind
            self._owners.pop()

    def scores(self, key: bytes) -> dict[str, float]:
        """Return the best cosine, -1..1, over each edit's rows."""
        best: dict[str, float] = {}
        n, asked = len(self._owners), unpack(key)
        products = np.empty(n)
        for start in range(0, n, CHUNK):
            part = self._rows[start : min(start + CHUNK, n)]
            products[start : start + len(part)] = part.astype(np.float64) @ asked  # exact whole numbers
        cosines = np.clip(products / float(ONE) ** 2, -1.0, 1.0)
        for owner, cosine in zip(self._owners, cosines.tolist(), strict=True):
            if cosine > best.get(owner, -2.0):
                best[owner] = cosine
        return best
