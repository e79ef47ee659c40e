"""Finds names that are easily taken for one another: that share a word, or that an encoder holds for alike.

Knows names and their vectors only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIKE = 12  # such names are looked up for each subject
CHUNK = 256  # names compared at a time


def closest(names: Sequence[str], vector: Callable[[str], NDArray[np.float32]]) -> Mapping[str, tuple[str, ...]]:
    """Return for each name the ALIKE others that the encoder holds for the most alike."""
    vectors = np.stack([vector(name) for name in names])
    most = min(ALIKE, len(names) - 1)
    found = {}
    for start in range(0, len(names), CHUNK):
        cosines = vectors[start : start + CHUNK] @ vectors.T
        for number, row in enumerate(cosines, start=start):
            row[number] = -np.inf
            best = np.argpartition(-row, most)[:most]
            found[names[number]] = tuple(names[i] for i in sorted(best))
    return found


def sharing_words(names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Return for each name others that share a word with it, at most ALIKE."""
    by_word: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for word in dict.fromkeys(re.findall(r"\w+", name.casefold())):
            by_word[word].append(name)
    found = {}
    for name in names:
        alike: dict[str, None] = {}
        for word in re.findall(r"\w+", name.casefold()):
            if len(by_word[word]) < 200:
                alike |= dict.fromkeys(by_word[word][:ALIKE])
        alike.pop(name, None)
        if alike:
            found[name] = tuple(alike)[:ALIKE]
    return found
