"""The paper's scorer: cosine between states of the host at the first edited layer.

Knows the host only as a callable from a text to that state.
Source: "Reversible Lifelong Model Editing via Semantic Routing-Based LoRA", arXiv 2603.11239, equation 3 (raw cosine).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from sola_core.records import KeyText, ScoreKind
from sola_core.routing.cosine import ONE, CosineTable, pack, unpack

if TYPE_CHECKING:
    from numpy.typing import NDArray

ReadState = Callable[[str], torch.Tensor]  # text -> (dim,) input of the first edited module at the last user token


class HiddenScorer:
    """Scores by the host's own state; a key belongs to one host."""

    name = "hidden"
    score_kind: ScoreKind = "cosine"
    reads: Literal["text", "hidden"] = "hidden"

    def __init__(self, read_state: ReadState, host_fingerprint: str) -> None:
        self._read_state = read_state
        self._table = CosineTable()
        self._dim = 0
        self.encoder_id = f"hidden-{host_fingerprint[:12]}"

    def encode(self, texts: Sequence[KeyText]) -> list[bytes | None]:
        """Return one key per text: the direction of the host's state."""
        return [self._key(self._read_state(item.text)) for item in texts]

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
        """Return the best cosine over each edit's keys; the state is read when no `activation` is given."""
        key = self._key(self._read_state(prompt) if activation is None else activation)
        return None if key is None else self._table.scores(key)

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector of a text's key."""
        key = self._key(self._read_state(text))
        return np.zeros(self._dim, dtype=np.float32) if key is None else (unpack(key) / ONE).astype(np.float32)

    def _key(self, state: torch.Tensor) -> bytes | None:
        vector = state.detach().to("cpu", torch.float64).reshape(-1).numpy()
        self._dim = len(vector)
        return pack(vector)
