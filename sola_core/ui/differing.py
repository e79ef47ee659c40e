"""Which words of two finished answers differ, and how a token is written so that one can read it.

Pure functions; knows neither gradio nor plotly nor markup.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from sola_core.first_token import TOP, TokenChance
from sola_core.ui import texts
from sola_core.words import say

MAX_WORDS = 1000  # of one answer; the comparison's time grows with their square
NAMED = {" ": "␣", "\n": "⏎", "\r": "⏎", "\t": "⇥"}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of an answer, its white space included."""

    text: str
    differs: bool


@dataclass(frozen=True, kw_only=True)
class Differing:
    """Two answers in pieces, and the stretches that stand in each other's place."""

    base: tuple[Piece, ...]
    edited: tuple[Piece, ...]
    pairs: tuple[tuple[str, str], ...]  # (untouched, edited), one of them may be empty


def differing(base: str, edited: str) -> Differing | None:
    """Return which words differ; None when none does, or when the answers are too long to be compared word by word."""
    ours, theirs = _words(base), _words(edited)
    if max(len(ours), len(theirs)) > MAX_WORDS:
        return None
    plain = [word.strip() for word in ours], [word.strip() for word in theirs]
    steps = SequenceMatcher(None, *plain, autojunk=False).get_opcodes()
    if all(kind == "equal" for kind, *_ in steps):
        return None
    return Differing(
        base=_pieces((ours[a:b], kind != "equal") for kind, a, b, _, _ in steps),
        edited=_pieces((theirs[a:b], kind != "equal") for kind, _, _, a, b in steps),
        pairs=tuple(
            ("".join(ours[a:b]).strip(), "".join(theirs[c:d]).strip()) for kind, a, b, c, d in steps if kind != "equal"
        ),
    )


def token_words(chance: TokenChance) -> str:
    """Return a token so that it can be read: its white space by signs, what cannot be seen by its number."""
    if chance.ends:
        return texts.TOKEN_ENDS
    if not chance.text:
        return texts.TOKEN_EMPTY
    if not chance.text.strip("\ufffd"):
        return texts.TOKEN_PART
    return "".join(map(_sign, chance.text))


def best_first(chances: Sequence[TokenChance], *, edited: bool) -> list[tuple[str, float]]:
    """Return the best tokens of one of the two models with their probabilities, the most probable first."""
    ranked = sorted(
        ((token_words(chance), chance.edited if edited else chance.base) for chance in chances),
        key=lambda found: -found[1],
    )
    return ranked[:TOP]


def percent(probability: float) -> str:
    """Return a probability in words that never claim all or nothing of what is neither."""
    if probability < 0.0005:
        return say("0 %") if probability == 0 else say("under 0.1 %")
    if 0.9995 < probability < 1:
        return say("over 99.9 %")
    return say("{percent:.1f} %", percent=100 * probability)


def _words(text: str) -> list[str]:
    """Return the words of a text, each with the white space after it; what precedes the first belongs to that."""
    return re.findall(r"^\s+\S+\s*|\S+\s*", text)


def _pieces(runs: Iterable[tuple[list[str], bool]]) -> tuple[Piece, ...]:
    return tuple(Piece(text="".join(words), differs=differs) for words, differs in runs if words)


def _sign(c: str) -> str:
    if c in NAMED:
        return NAMED[c]
    kind = unicodedata.category(c)
    return f"U+{ord(c):04X}" if kind[0] in "CZ" else c
