"""Scores by the cosine of two pooled sentence vectors.

Knows the encoder, no host and no thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from sola_core.records import KeyText, ScoreKind
from sola_core.routing.cosine import ONE, CosineTable, pack, unpack

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from sola_core.routing.encoders import TextEncoder


class SentenceScorer:
    """One vector per text: the mean of its token vectors, normalised (sentence-transformers' own pooling)."""

    name = "sentence"
    score_kind: ScoreKind = "cosine"
    reads: Literal["text", "hidden"] = "text"

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._table = CosineTable()
        self.encoder_id = f"sentence-{encoder.fingerprint[:12]}"

    def encode(self, texts: Sequence[KeyText]) -> list[bytes | None]:
        """Return one key per text; None where the encoder cannot represent it."""
        return [self._key(item.text) for item in texts]

    def add(self, edit_id: str, keys: Sequence[bytes | None]) -> None:
        """Hold the keys of an edit."""
        self._table.add(edit_id, keys)

    def remove(self, edit_id: str) -> None:
        """Let go of the keys of an edit."""
        self._table.remove(edit_id)

    def scores(
        self,
        prompt: str,
        activation: torch.Tensor | None = None,
        *,
        enough: int | None = None,
        threshold: float = 0.0,
    ) -> dict[str, float] | None:
        """Return the best cosine over each edit's keys; None when the prompt cannot be represented."""
        key = self._key(prompt)
        return None if key is None else self._table.scores(key)

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a text, (dim,)."""
        key = self._key(text)
        if key is None:
            return np.zeros(self._encoder.dim, dtype=np.float32)
        return (unpack(key) / ONE).astype(np.float32)

    def _key(self, text: str) -> bytes | None:
        encoded = self._encoder.encode(text)
        return None if encoded is None else pack(encoded.pooled)
