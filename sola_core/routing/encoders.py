"""Turns a text into contextual token vectors with a small sentence encoder, one text at a time on the CPU.

Knows nothing of edits and scores. Batches are avoided on purpose: a text's vectors must not depend on its company.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sola_core.errors import HostCorrupt
from sola_core.quiet import no_bars
from sola_core.text import canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class TokenisedText:
    """A canonical text as the encoder's tokens."""

    text: str  # canonical
    ids: NDArray[np.int64]  # (n,) vocabulary ids of the content tokens, without [CLS] and [SEP]
    spans: tuple[tuple[int, int], ...]  # (start, end) of each content token in the text, characters


@dataclass(frozen=True, kw_only=True)
class EncodedText(TokenisedText):
    """What the encoder makes of one canonical text."""

    vectors: NDArray[np.float32]  # (n, dim) last hidden states of the content tokens
    edges: NDArray[np.float32]  # (2, dim) last hidden states of the first and the last token: [CLS] and [SEP]
    pooled: NDArray[np.float32]  # (dim,) mean over all tokens, [CLS] and [SEP] included, not normalised


class TextEncoder:
    """A BERT-like encoder with its tokenizer: deterministic, safe to share between threads."""

    def __init__(
        self, model: nn.Module, tokenizer: Tokenizer, *, fingerprint: str, unknown: str = "[UNK]", max_tokens: int = 256
    ) -> None:
        self._model = model.eval().float().cpu().requires_grad_(False)
        self._tokenizer = tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._unknown = tokenizer.token_to_id(unknown)
        self._lock = threading.Lock()
        self._adapted: dict[str, TextEncoder] = {}
        self.fingerprint = fingerprint  # hex SHA-256 of the weights
        self.max_tokens = max_tokens  # the window, special tokens included
        self.vocab_size = tokenizer.get_vocab_size()
        self.dim = int(model.config.hidden_size)  # type: ignore[union-attr, arg-type]

    @classmethod
    def load(cls, folder: Path, fingerprint: str) -> TextEncoder:
        """Load an encoder from a folder in the sentence-transformers layout (safetensors and tokenizer.json).

        Raises HostCorrupt when the folder holds no such model.
        """
        from sentence_transformers import SentenceTransformer
        from tokenizers import Tokenizer

        words = folder / "tokenizer.json"
        if not words.is_file():
            raise HostCorrupt(
                f"The folder {folder} holds no sentence encoder: {words.name} is missing. Fetch it again."
            )
        try:
            tokenizer = Tokenizer.from_file(str(words))
            with no_bars():
                whole = SentenceTransformer(
                    str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
                )
            model: nn.Module = whole[0].auto_model  # type: ignore[assignment]
            positions = int(whole[0].auto_model.config.max_position_embeddings)  # type: ignore[union-attr, arg-type]
            window = min(int(whole.max_seq_length or positions), positions)
        except (OSError, ValueError, KeyError) as error:
            raise HostCorrupt(f"The folder {folder} holds no usable sentence encoder. Fetch it again.") from error
        return cls(model, tokenizer, fingerprint=fingerprint, max_tokens=window)

    def encode(self, text: str) -> EncodedText | None:
        """Encode the canonical form of `text`; return None when the encoder cannot represent it.

        That is when a token is unknown to its vocabulary, when nothing is left, or when it exceeds the window.
        """
        with self._lock:
            ids, content, plain = self._tokenise(text)
            if len(ids) > self.max_tokens or not content.any() or (plain.ids == self._unknown).any():
                return None
            states = self._states(ids)
        return EncodedText(
            text=plain.text,
            ids=plain.ids,
            spans=plain.spans,
            vectors=states[content],
            edges=states[[0, -1]],
            pooled=states.mean(axis=0, dtype=np.float64).astype(np.float32),
        )

    def tokenised(self, text: str) -> TokenisedText:
        """Return the canonical form of a text of any length as tokens."""
        with self._lock:
            return self._tokenise(text)[2]

    @property
    def edge_ids(self) -> tuple[int, int]:
        """The ids of the first and the last token of every text, [CLS] and [SEP]."""
        with self._lock:
            ids = self._tokenizer.encode("a").ids
        return ids[0], ids[-1]

    @property
    def model(self) -> nn.Module:
        """The network itself, for training a copy of it."""
        return self._model

    def adapted(self, name: str, adapter: Mapping[str, tuple[NDArray[np.float16], NDArray[np.float16]]]) -> TextEncoder:
        """Return an encoder with B @ A, (out, in), added to the weights of the named linears; this one stays.

        It is made once for a `name` and shared afterwards; all other weights are those of this encoder, not copies.
        """
        with self._lock:
            if name not in self._adapted:
                changed = {f"{linear}.weight" for linear in adapter}
                kept = {id(p): p for key, p in self._model.named_parameters() if key not in changed}
                other = copy.copy(self)
                other._model, other._lock, other._adapted = copy.deepcopy(self._model, kept), threading.Lock(), {}
                for linear, (a, b) in adapter.items():
                    change = torch.from_numpy(b.astype(np.float32) @ a.astype(np.float32))
                    other._model.get_submodule(linear).weight.data.add_(change)  # type: ignore[operator]
                self._adapted[name] = other
            return self._adapted[name]

    def content_ids(self, text: str) -> list[int]:
        """Return the vocabulary ids of a text of any length, without special tokens; for counting."""
        with self._lock:
            ids: list[int] = self._tokenizer.encode(canonical(text), add_special_tokens=False).ids
        return ids

    def _tokenise(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.bool_], TokenisedText]:
        """Return all ids, which of them are content, and the content as text."""
        text = canonical(text)
        found = self._tokenizer.encode(text)
        ids = np.array(found.ids, dtype=np.int64)
        content = np.array(found.special_tokens_mask, dtype=bool) == 0
        spans = tuple(found.offsets[i] for i in np.flatnonzero(content).tolist())
        return ids, content, TokenisedText(text=text, ids=ids[content], spans=spans)

    def _states(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        row = torch.from_numpy(ids)[None]
        with torch.inference_mode():
            hidden = self._model(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state[0]
        states: NDArray[np.float32] = hidden.numpy().astype(np.float32, copy=True)
        return states
