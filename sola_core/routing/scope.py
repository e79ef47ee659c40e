"""Our own scorer: is a prompt inside the scope of an edit? What each of the two says and the other does not, weighed and summed.

Late interaction with learned token weights: MiniLM's token vectors, under a small adapter of our own, look for their best match
in the other text; a logit falls with the weight of what finds none. Knows the shipped weights and the encoder; nothing of stored
keys enters a weight. Trained by `train-scope`; data, figures and limits are in assets/routers.md.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sola_core.errors import HostError
from sola_core.records import KeyText, ScoreKind
from sola_core.resources import asset
from sola_core.routing.names import given_tokens
from sola_core.routing.token_table import ONE, SQUARE, TokenTable, WeightedTokens

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from sola_core.routing.encoders import EncodedText, TextEncoder, TokenisedText

MAX_KEY_BYTES = 2048
KEY_FORMAT = 2  # raise it when the same text gives another key
WEIGHT_STEPS = 32  # a weight of 1.0 in steps of the stored byte
HEADS = ("key", "prompt", "key in subject", "key outside subject", "key early", "prompt early")  # rows of `heads`
EARLIER = re.compile(r"(?<=\w\w\w)[.!?][\"')\]]*\s+(?=\S+\s+\S)")  # where a sentence ends and another goes on


@dataclass(frozen=True, kw_only=True)
class ScopeWeights:
    """What was learned: an adapter for the encoder's linears, a projection, weight heads, and the logit's bias."""

    adapter: Mapping[
        str, tuple[NDArray[np.float16], NDArray[np.float16]]
    ]  # linear -> A (rank, in), B (out, rank), scaled
    projection: NDArray[np.float32]  # (key dim, dim)
    shift: NDArray[np.float32]  # (key dim,)
    heads: NDArray[np.float32]  # (len(HEADS), dim)
    head_shift: NDArray[np.float32]  # (len(HEADS),)
    bias: float
    encoder: str  # fingerprint of the encoder that the adapter belongs to

    @classmethod
    @cache
    def shipped(cls) -> ScopeWeights:
        """Return the shipped weights, read once."""
        return cls.load(asset("scope.safetensors"))

    @classmethod
    def load(cls, path: Path) -> ScopeWeights:
        """Read the weights from a safetensors file."""
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            encoder = (stored.metadata() or {}).get("encoder", "")
        linears = [name.removesuffix(".A") for name in tensors if name.endswith(".A")]
        return cls(
            adapter={name: (tensors[f"{name}.A"], tensors[f"{name}.B"]) for name in sorted(linears)},
            projection=tensors["projection"].astype(np.float32),
            shift=tensors["shift"].astype(np.float32),
            heads=tensors["heads"].astype(np.float32),
            head_shift=tensors["head_shift"].astype(np.float32),
            bias=float(tensors["bias"][0]),
            encoder=encoder,
        )

    def save(self, path: Path) -> None:
        """Write the weights to a safetensors file."""
        from safetensors.numpy import save

        path.write_bytes(save(self._tensors(), metadata={"encoder": self.encoder}))

    @cached_property
    def fingerprint(self) -> str:
        """Hex SHA-256 over all of it."""
        digest = hashlib.sha256(self.encoder.encode())
        for name, tensor in sorted(self._tensors().items()):
            digest.update(str((name, tensor.dtype.str, tensor.shape)).encode())
            digest.update(np.ascontiguousarray(tensor).tobytes())
        return digest.hexdigest()

    def tokens(self, encoded: EncodedText, *, early: NDArray[np.bool_], given: NDArray[np.bool_] | None) -> ScopeTokens:
        """Return a text's projected tokens, [CLS] first and [SEP] last, and their weights as a key and as a prompt.

        `early`, (n,): tokens of sentences before the last; `given`, (n,): tokens of the subject, None where none is given.
        """
        states = np.vstack([encoded.edges[:1], encoded.vectors, encoded.edges[1:]]).astype(np.float64)
        early = np.pad(early, 1)
        vectors = _unit(states @ self.projection.T.astype(np.float64) + self.shift)
        raw = states @ self.heads.T.astype(np.float64) + self.head_shift
        key = raw[:, 0] + early * raw[:, 4]
        if given is not None:
            key = key + np.where(np.pad(given, 1), raw[:, 2], raw[:, 3])
        return ScopeTokens(
            vectors=np.rint(vectors * ONE).astype(np.int8),
            key=_steps(key),
            prompt=_steps(raw[:, 1] + early * raw[:, 5]),
        )

    def _tensors(self) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {
            "projection": self.projection,
            "shift": self.shift,
            "heads": self.heads,
            "head_shift": self.head_shift,
            "bias": np.array([self.bias], dtype=np.float64),
        }
        for name, (a, b) in self.adapter.items():
            found |= {f"{name}.A": a, f"{name}.B": b}
        return found


@dataclass(frozen=True)
class ScopeTokens:
    """A text's tokens with the weights of either role."""

    vectors: NDArray[np.int8]  # (n, key dim)
    key: NDArray[np.uint8]  # (n,)
    prompt: NDArray[np.uint8]  # (n,)


@dataclass(frozen=True, kw_only=True)
class ScopeCurve:
    """How the learned logit becomes a calibrated probability: logistic(slope * logit + bias)."""

    slope: float
    bias: float

    def probability(self, logit: float) -> float:
        """Return the calibrated probability, 0..1; it rises with the logit."""
        return 1.0 / (1.0 + math.exp(-max(-700.0, self.slope * logit + self.bias)))

    def logit(self, probability: float) -> float:
        """Return the logit that has this probability; infinite outside of 0..1."""
        if not 0.0 < probability < 1.0:
            return math.inf if probability >= 1.0 else -math.inf
        return (math.log(probability / (1.0 - probability)) - self.bias) / self.slope


class ScopeScorer:
    """Learned late interaction; a key takes at most 2 kB."""

    name = "scope"
    score_kind: ScoreKind = "probability"
    reads: Literal["text", "hidden"] = "text"

    def __init__(self, encoder: TextEncoder, weights: ScopeWeights, curve: ScopeCurve) -> None:
        if encoder.dim != weights.projection.shape[1]:
            raise HostError(
                "The scope router's weights do not fit this sentence encoder. Use all-MiniLM-L6-v2 or train anew."
            )
        adapted = encoder.fingerprint == weights.encoder  # any other encoder reads as it is: for trials and tests
        self.encoder = encoder.adapted(weights.fingerprint, weights.adapter) if adapted else encoder
        self._weights, self._curve = weights, curve
        self._table = TokenTable(len(weights.projection))
        self.encoder_id = f"scope{KEY_FORMAT}-{weights.fingerprint[:12]}-{encoder.fingerprint[:12]}"

    def encode(self, texts: Sequence[KeyText]) -> list[bytes | None]:
        """Return one key per text; None where the encoder cannot represent it."""
        return [self._key(item) for item in texts]

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
        """Return the best probability over each edit's keys; None when the prompt cannot be represented.

        With `enough`, the search leaves out edits that surely stay below `threshold` and are not likely among the closest.
        """
        tokens = self._tokens(prompt, None)
        if tokens is None:
            return None
        limit = (self._weights.bias - self._curve.logit(threshold)) * WEIGHT_STEPS * SQUARE
        missed = self._table.missed(
            WeightedTokens(vectors=tokens.vectors, weights=tokens.prompt), enough=enough, limit=limit
        )
        bias, unit = self._weights.bias, float(WEIGHT_STEPS * SQUARE)
        return {owner: self._curve.probability(bias - sum_ / unit) for owner, sum_ in missed.items()}

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the weighted mean of a text's token vectors, (key dim,): an approximation for the map."""
        tokens = self._tokens(text, None)
        if tokens is None:
            return np.zeros(len(self._weights.projection), dtype=np.float32)
        mean = (tokens.key.astype(np.float64) + 1.0) @ tokens.vectors.astype(np.float64)
        vector: NDArray[np.float32] = _unit(mean[None])[0].astype(np.float32)
        return vector

    def _tokens(self, text: str, subject: str | None) -> ScopeTokens | None:
        encoded = self.encoder.encode(text)
        if encoded is None:
            return None
        given = given_tokens(encoded, subject)
        return self._weights.tokens(encoded, early=early_tokens(encoded), given=given if given.any() else None)

    def _key(self, item: KeyText) -> bytes | None:
        """Keep the weightiest tokens that fit, in their order."""
        tokens = self._tokens(item.text, item.subject)
        if tokens is None:
            return None
        most = MAX_KEY_BYTES // (tokens.vectors.shape[1] + 1)
        kept = np.sort(np.argsort(-tokens.key.astype(np.int64), kind="stable")[:most])
        return WeightedTokens(vectors=tokens.vectors[kept], weights=tokens.key[kept]).to_bytes()


def early_tokens(encoded: TokenisedText) -> NDArray[np.bool_]:
    """Return for each token whether it stands in a sentence before the last one, (n,)."""
    cut = max((match.end() for match in EARLIER.finditer(encoded.text)), default=0)
    return np.array([end <= cut for _, end in encoded.spans], dtype=bool)


def _steps(raw: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return softplus(raw) in steps of 1 / WEIGHT_STEPS, at most 255."""
    steps: NDArray[np.uint8] = np.clip(np.rint(np.logaddexp(0.0, raw) * WEIGHT_STEPS), 0, 255).astype(np.uint8)
    return steps


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.maximum(np.sqrt((rows * rows).sum(axis=1, keepdims=True)), 1e-12)
    return unit
