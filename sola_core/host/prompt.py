"""From a person's text to token ids and back: chat templates, end-of-turn tokens, streaming text.

Knows tokenizers. Knows no model weights, no editors.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sola_core.errors import HostError, InvalidInput
from sola_core.words import Sentence

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MARK = "\u2063SOLA\u2063"  # stands for the user's text while the template is taken apart
_TEMPLATE_DATE = "26 Jul 2024"  # some templates print the date; a fixed one keeps keys and edits reproducible


@dataclass(frozen=True, kw_only=True)
class PromptIds:
    """A prompt as the model reads it."""

    ids: Tensor  # (n,) int64
    last_user: int  # index of the last token of the user's own text


class PromptFormat:
    """Turns texts into ids for one tokenizer: the chat template round the text, or plain continuation for base models.

    The user's text is tokenised by itself, so special tokens typed by a visitor stay ordinary text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.is_chat = bool(getattr(tokenizer, "chat_template", None))
        self.before, self.after, end = self._template_parts() if self.is_chat else (self._start(), [], None)
        eos = tokenizer.eos_token_id
        ends = {i for i in (end, eos) if isinstance(i, int)}
        if not ends:
            raise HostError(
                Sentence(
                    "This model's tokenizer names no end-of-text token, so its answers could never stop. Choose another "
                    "model."
                )
            )
        self.end_ids = frozenset(ends)
        self.end_of_turn: int = end if end is not None else int(eos)

    @property
    def digest(self) -> str:
        """Short SHA-256 of the template's tokens; edits and keys made under another template are other edits."""
        return hashlib.sha256(repr((self.before, self.after, self.end_of_turn)).encode()).hexdigest()[:16]

    def prompt(self, text: str) -> PromptIds:
        """Return the ids of `text` inside the template, ready for generation."""
        own = self._plain(text.strip())
        if not own:
            raise InvalidInput(Sentence("The prompt is empty once tokenised. Type something and try again."))
        ids = [*self.before, *own, *self.after]
        return PromptIds(ids=torch.tensor(ids, dtype=torch.int64), last_user=len(self.before) + len(own) - 1)

    def token_at(self, text: str, character: int) -> int:
        """Return which of the ids of `prompt(text)` holds a character of the trimmed text; 0 is its first."""
        found = self.tokenizer(
            text.strip(), add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )
        ends = [int(end) for _, end in found["offset_mapping"]]
        own = next(i for i, end in enumerate(ends) if end > character)
        return len(self.before) + own

    def target(self, text: str) -> list[int]:
        """Return the ids an edit trains on: the answer and the end-of-turn token."""
        lead = "" if self.is_chat else " "
        return [*self._plain(lead + text.strip()), self.end_of_turn]

    def text(self, ids: list[int]) -> str:
        """Return generated ids as text."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def token_text(self, token: int) -> str:
        """Return one token as text, its white space included, special tokens by their name."""
        return str(self.tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def _start(self) -> list[int]:
        bos = self.tokenizer.bos_token_id
        adds = getattr(self.tokenizer, "add_bos_token", False)
        return [bos] if adds and isinstance(bos, int) else []

    def _template_parts(self) -> tuple[list[int], list[int], int | None]:
        """Return the ids before and after the user's text, and the token that ends the assistant's turn."""
        turn = [{"role": "user", "content": _MARK}]
        before, after = _split_once(self._render(turn, True))
        answered = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
        closing = self._special(_split_once(self._render(answered, False))[1])
        special = set(self.tokenizer.all_special_ids)
        end = next((i for i in closing if i in special), None)
        return self._special(before), self._special(after), end

    def _render(self, turns: list[dict[str, str]], ask: bool) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                turns, add_generation_prompt=ask, tokenize=False, date_string=_TEMPLATE_DATE
            )
        )

    def _special(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _split_once(rendered: str) -> tuple[str, str]:
    before, mark, after = rendered.partition(_MARK)
    if not mark or _MARK in after:
        raise HostError(
            Sentence("This model's chat template does not keep the user's text as it is. Choose another model.")
        )
    return before, after


class TextPieces:
    """Turns a growing list of ids into pieces of text that never split a character."""

    def __init__(self, prompt_format: PromptFormat) -> None:
        self._format = prompt_format
        self._shown = ""

    def push(self, ids: list[int], *, last: bool = False) -> str:
        """Return the text that the newest ids add; what may still change is held back until `last`."""
        text = self._format.text(ids).lstrip()
        if not last:
            text = text.rstrip("\ufffd").rstrip()
        else:
            text = text.rstrip()
        if not text.startswith(self._shown):
            return ""
        piece, self._shown = text[len(self._shown) :], text
        return piece
