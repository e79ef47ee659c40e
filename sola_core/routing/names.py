"""Guesses which words of a key name its subject: the words that carry identity, as against those that carry the relation.

Knows rarity weights and letter case only, so it works on the key's text alone; a subject that is given goes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sola_core.text import canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sola_core.routing.encoders import EncodedText

RARE_UNIT = 20  # rarity weights are natural-log units times this
RARE_NAME = 3.5  # a capitalised word inside a sentence is a name unless it is a function word
RARE_FIRST = 7.0  # a word that starts a sentence is capitalised anyway: a name only if it is this rare
RARE_FIRST_OF_TWO = 5.0  # ... or this rare, and the next word is capitalised too
RARE_SHARE = 0.8  # with no capital and no digit anywhere: the words with at least this share of the largest rarity


def subject_tokens(encoded: EncodedText, rarity: NDArray[np.integer], subject: str | None) -> NDArray[np.bool_]:
    """Return for each content token whether it belongs to the subject, (n,); at least one token does.

    `rarity` are the tokens' weights, (n,), in steps of 1 / RARE_UNIT. A subject that is not in the text is ignored.
    """
    given = _given(encoded, subject)
    return given if given.any() else _guessed(encoded, rarity)


def _given(encoded: EncodedText, subject: str | None) -> NDArray[np.bool_]:
    marked = np.zeros(len(encoded.ids), dtype=bool)
    wanted = canonical(subject or "").casefold()
    text = encoded.text.casefold()
    if not wanted or len(text) != len(encoded.text):  # case-folding moved the characters: leave it to the guess
        return marked
    start = text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        marked |= np.array([a < end and b > start for a, b in encoded.spans])
        start = text.find(wanted, end)
    return marked


def _guessed(encoded: EncodedText, rarity: NDArray[np.integer]) -> NDArray[np.bool_]:
    words = np.array(encoded.words) - encoded.words[0]
    n = int(words.max()) + 1
    rare = np.zeros(n)
    np.maximum.at(rare, words, rarity / RARE_UNIT)
    starts, ends = [len(encoded.text)] * n, [0] * n
    for word, (start, end) in zip(words.tolist(), encoded.spans, strict=True):
        starts[word], ends[word] = min(starts[word], start), max(ends[word], end)
    texts = [encoded.text[start:end] for start, end in zip(starts, ends, strict=True)]
    names = np.array([_is_name(texts, rare, i) for i in range(n)])
    if not names.any():
        names = rare >= RARE_SHARE * rare.max()
    marked: NDArray[np.bool_] = names[words]
    return marked


def _is_name(texts: list[str], rare: NDArray[np.float64], i: int) -> bool:
    word = texts[i]
    if any(c.isdigit() for c in word):
        return True
    if not any(c.isupper() for c in word):
        return False
    if i > 0 and texts[i - 1] not in {".", "?", "!", ":"}:
        return bool(rare[i] > RARE_NAME)
    next_is_capital = i + 1 < len(texts) and texts[i + 1][:1].isupper()
    return bool(rare[i] > RARE_FIRST or (next_is_capital and rare[i] > RARE_FIRST_OF_TWO))
