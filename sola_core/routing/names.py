"""Marks which tokens of a text belong to a subject that is given.

Knows texts and their tokens only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sola_core.text import canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sola_core.routing.encoders import TokenisedText


def given_tokens(encoded: TokenisedText, subject: str | None) -> NDArray[np.bool_]:
    """Return for each content token whether it belongs to the subject, (n,); to none when it is not in the text."""
    marked = np.zeros(len(encoded.ids), dtype=bool)
    wanted = canonical(subject or "").casefold()
    text = encoded.text.casefold()
    if not wanted or len(text) != len(encoded.text):  # case-folding moved the characters
        return marked
    start = text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        marked |= np.array([a < end and b > start for a, b in encoded.spans])
        start = text.find(wanted, end)
    return marked
