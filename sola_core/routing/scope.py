"""Our own scorer: is a prompt inside the scope of an edit? Best match of each key token, weighted by its rarity.

Knows shipped tables (rarity, projection, calibration) and the encoder; nothing of stored keys enters a weight. The
tokens that name the subject and the rest are judged apart: the first tell *whom*, the second *what*.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sola_core.errors import HostError
from sola_core.records import KeyText, ScoreKind
from sola_core.routing.names import subject_tokens
from sola_core.routing.token_table import CHANNELS, ONE, TokenKey, TokenTable

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from sola_core.routing.encoders import EncodedText, TextEncoder

MAX_KEY_BYTES = 2048
KEY_FORMAT = 1  # raise it when the same text gives another key


@dataclass(frozen=True)
class ScopeTables:
    """What turns the encoder's token vectors into key tokens; made by the calibration, shipped as data."""

    rarity: NDArray[np.uint8]  # (vocabulary,), weight of each token, 1..255
    centre: NDArray[np.float32]  # (dim,), mean unit token vector
    projection: NDArray[np.float32]  # (dim, key dim), orthonormal columns

    @classmethod
    def load(cls, path: Path) -> ScopeTables:
        """Read the tables from a safetensors file."""
        from safetensors.numpy import load_file

        tensors = load_file(path)
        return cls(tensors["rarity"], tensors["centre"], tensors["projection"])

    def save(self, path: Path) -> None:
        """Write the tables to a safetensors file."""
        from safetensors.numpy import save

        tensors: dict[str, NDArray[Any]] = {"rarity": self.rarity, "centre": self.centre, "projection": self.projection}
        path.write_bytes(save(tensors))  # not save_file: it makes a file that only its owner can read

    @cached_property
    def fingerprint(self) -> str:
        """Hex SHA-256 over the three tables."""
        digest = hashlib.sha256()
        for table in (self.rarity, self.centre, self.projection):
            digest.update(str((table.dtype.str, table.shape)).encode())
            digest.update(np.ascontiguousarray(table).tobytes())
        return digest.hexdigest()

    def project(self, vectors: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return token vectors, (n, dim), as int8 unit vectors, (n, key dim)."""
        centred = (_unit(vectors.astype(np.float64)) - self.centre) @ self.projection.astype(np.float64)
        return np.rint(_unit(centred) * ONE).astype(np.int8)


@dataclass(frozen=True, kw_only=True)
class ScopeCurve:
    """How the two matches become a calibrated probability: logistic(slope * raw + bias)."""

    saturation: float  # cosine at which the subject counts as found
    rest: float  # weight of the rest's match beside the subject's
    slope: float
    bias: float

    def raw(self, matches: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one number a key from its matches, (2, n_keys): subject's up to saturation, plus the rest's."""
        subject, rest = matches
        subject, rest = np.where(np.isnan(subject), rest, subject), np.where(np.isnan(rest), subject, rest)
        raw: NDArray[np.float64] = np.minimum(subject, self.saturation) + self.rest * np.minimum(rest, 1.0)
        return raw

    def probability(self, raw: float) -> float:
        """Return the calibrated probability, 0..1, of a raw score; it rises with it."""
        return 1.0 / (1.0 + math.exp(-(self.slope * raw + self.bias)))


class ScopeScorer:
    """Weighted late interaction over MiniLM token vectors; a key takes at most 2 kB."""

    name = "scope"
    score_kind: ScoreKind = "probability"
    reads: Literal["text", "hidden"] = "text"

    def __init__(self, encoder: TextEncoder, tables: ScopeTables, curve: ScopeCurve) -> None:
        if encoder.dim != tables.projection.shape[0] or encoder.vocab_size > len(tables.rarity):
            raise HostError(
                "The scope router's tables do not fit this sentence encoder. Use all-MiniLM-L6-v2 or calibrate anew."
            )
        self._encoder, self._tables, self._curve = encoder, tables, curve
        self._table = TokenTable(tables.projection.shape[1])
        self.encoder_id = f"scope{KEY_FORMAT}-{tables.fingerprint[:12]}-{encoder.fingerprint[:12]}"

    def encode(self, texts: Sequence[KeyText]) -> list[bytes | None]:
        """Return one key per text; None where the encoder cannot represent it."""
        return [self._key(item) for item in texts]

    def add(self, edit_id: str, keys: Sequence[bytes | None]) -> None:
        """Hold the keys of an edit."""
        self._table.add(edit_id, keys)

    def remove(self, edit_id: str) -> None:
        """Let go of the keys of an edit."""
        self._table.remove(edit_id)

    def scores(self, prompt: str, activation: torch.Tensor | None = None) -> dict[str, float] | None:
        """Return the best probability over each edit's keys; None when the prompt cannot be represented."""
        encoded = self._encoder.encode(prompt)
        if encoded is None:
            return None
        best: dict[str, float] = {}
        for owners, matches in self._table.matches(self._tables.project(encoded.vectors)):
            for owner, raw in zip(owners, self._curve.raw(matches).tolist(), strict=True):
                if raw > best.get(owner, -1.0):
                    best[owner] = raw
        return {owner: self._curve.probability(raw) for owner, raw in best.items()}

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the rarity-weighted mean of a text's token vectors, (key dim,): an approximation for the map."""
        encoded = self._encoder.encode(text)
        if encoded is None:
            return np.zeros(self._tables.projection.shape[1], dtype=np.float32)
        weights = self._tables.rarity[encoded.ids].astype(np.float64)
        mean = weights @ self._tables.project(encoded.vectors).astype(np.float64) / weights.sum()
        vector: NDArray[np.float32] = _unit(mean[None])[0].astype(np.float32)
        return vector

    def _key(self, item: KeyText) -> bytes | None:
        encoded = self._encoder.encode(item.text)
        return None if encoded is None else self._token_key(encoded, item.subject).to_bytes()

    def _token_key(self, encoded: EncodedText, subject: str | None) -> TokenKey:
        """Keep the weightiest tokens that fit, in their order; each weighs in one channel, subject or rest."""
        rarity = self._tables.rarity[encoded.ids]
        named = subject_tokens(encoded, rarity, subject)
        vectors = self._tables.project(encoded.vectors)
        most = MAX_KEY_BYTES // (vectors.shape[1] + CHANNELS)
        kept = np.sort(np.argsort(-rarity.astype(np.int64), kind="stable")[:most])
        weights = np.stack([np.where(named, rarity, 0), np.where(named, 0, rarity)], axis=1).astype(np.uint8)
        return TokenKey(vectors=vectors[kept], weights=weights[kept])


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.maximum(np.sqrt((rows * rows).sum(axis=1, keepdims=True)), 1e-12)
    return unit
