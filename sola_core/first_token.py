"""The first token of two answers to one question: how probable the untouched and the edited model find the same tokens.

Knows logits and how a tokenizer writes a token. Knows no route and no page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from sola_core.host.prompt import PromptFormat

TOP = 5  # tokens of either model


@dataclass(frozen=True, kw_only=True)
class TokenChance:
    """A token that an answer may begin with, and how probable it is; a part of a character is written as U+FFFD."""

    text: str
    ends: bool  # it ends the answer instead
    base: float  # probability in the untouched model, 0..1
    edited: float  # with the edit that was routed to, if any


def first_token(prompt_format: PromptFormat, base: Tensor, edited: Tensor, top: int = TOP) -> tuple[TokenChance, ...]:
    """Return the `top` tokens of either model, each once, those of the edited one first; logits are (vocab,)."""
    chances = [logits.detach().float().softmax(-1) for logits in (edited, base)]
    best = [int(token) for side in chances for token in side.topk(min(top, len(side))).indices]
    return tuple(
        TokenChance(
            text=prompt_format.token_text(token),
            ends=token in prompt_format.end_ids,
            base=float(chances[1][token]),
            edited=float(chances[0][token]),
        )
        for token in dict.fromkeys(best)
    )
