"""What every scorer offers to the router: opaque keys for texts, and scores of a prompt against the keys it holds.

Knows no thresholds, no order of teaching and no switched-off edits; those are the router's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from sola_core.records import KeyText, ScoreKind

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


class Scorer(Protocol):
    """Scores are a pure function of the prompt and one edit's keys: other keys, rows and history never matter."""

    @property
    def name(self) -> str:
        """The router's name: hidden, sentence or scope."""

    @property
    def encoder_id(self) -> str:
        """What made the keys; keys of another encoder id are of no use here."""

    @property
    def score_kind(self) -> ScoreKind:
        """Whether a score is a cosine (-1..1) or a probability (0..1)."""

    @property
    def reads(self) -> Literal["text", "hidden"]:
        """Whether a prompt is judged by its text or by a hidden state of the host."""

    def encode(self, texts: Sequence[KeyText]) -> list[bytes | None]:
        """Return one opaque key per text; None for a text that cannot be represented."""

    def add(self, edit_id: str, keys: Sequence[bytes | None]) -> None:
        """Hold the keys of an edit; raise LibraryCorrupt when a key is not one of this scorer's."""

    def remove(self, edit_id: str) -> None:
        """Let go of the keys of an edit, if there are any."""

    def scores(
        self,
        prompt: str,
        activation: torch.Tensor | None = None,
        *,
        enough: int | None = None,
        threshold: float = 0.0,
    ) -> dict[str, float] | None:
        """Return the best score over each edit's keys; None when the prompt cannot be represented.

        Edits without any key are absent. `activation`, (dim,), spares a hidden-state scorer its own forward pass. With
        `enough`, a scorer may leave out edits that surely stay below `threshold`, as long as about `enough` remain.
        """

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the vector that the map draws for a text, (dim,); zeros when it cannot be represented."""
