"""Keeps which edits there are for the router: their key texts, their order of teaching, whether they are on.

Knows no vectors and no scores; keys are equal here when their canonical texts are.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence

from sola_core.errors import UnknownEdit
from sola_core.text import canonical


class Codebook:
    """The edits by id; adding, switching or removing one touches no other."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[str, ...]] = {}  # edit id -> canonical key texts, each once
        self._ages: dict[str, int] = {}  # edit id -> when it was taught; later is larger
        self._enabled: set[str] = set()
        self._by_text: dict[
            str, tuple[str, ...]
        ] = {}  # canonical text -> edits that have it as a key, in order of teaching
        self._next_age = 0

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids in order of teaching."""
        return iter(self._texts)

    def __contains__(self, edit_id: object) -> bool:
        return edit_id in self._texts

    def add(self, edit_id: str, texts: Sequence[str], enabled: bool = True) -> None:
        """Add an edit with its key texts, as the one taught last; raise ValueError when the id is taken."""
        if edit_id in self._texts:
            raise ValueError(f"The edit {edit_id} is in the codebook already.")
        self._texts[edit_id] = tuple(dict.fromkeys(_canonical(text) for text in texts))
        self._ages[edit_id] = self._next_age
        self._next_age += 1
        for text in self._texts[edit_id]:
            self._by_text[text] = (*self._by_text.get(text, ()), edit_id)
        if enabled:
            self._enabled.add(edit_id)

    def remove(self, edit_id: str) -> None:
        """Forget an edit; raise UnknownEdit when it is not there."""
        self._check(edit_id)
        for text in self._texts.pop(edit_id):
            left = tuple(other for other in self._by_text[text] if other != edit_id)
            if left:
                self._by_text[text] = left
            else:
                del self._by_text[text]
        del self._ages[edit_id]
        self._enabled.discard(edit_id)

    def set_enabled(self, edit_id: str, enabled: bool) -> None:
        """Switch an edit on or off; raise UnknownEdit when it is not there."""
        self._check(edit_id)
        (self._enabled.add if enabled else self._enabled.discard)(edit_id)

    def enabled(self, edit_id: str) -> bool:
        """Say whether an edit is on."""
        return edit_id in self._enabled

    def as_if(self, on: Collection[str]) -> Codebook:
        """Return a view of the same edits of which exactly these are on; it is for reading only."""
        view = copy.copy(self)
        view._enabled = {edit_id for edit_id in on if edit_id in self._texts}
        return view

    @property
    def any_enabled(self) -> bool:
        """True when at least one edit is on."""
        return bool(self._enabled)

    def age(self, edit_id: str) -> int:
        """Return the place of an edit in the order of teaching; later is larger."""
        return self._ages[edit_id]

    def equal(self, prompt: str) -> tuple[str, ...]:
        """Return the edits, on or off, with a key equal to this prompt; the one taught last first."""
        return self._by_text.get(canonical(prompt), ())[::-1]

    def _check(self, edit_id: str) -> None:
        if edit_id not in self._texts:
            raise UnknownEdit(f"The router holds no edit with the id {edit_id!r}. Look at the list of edits.")


def _canonical(text: str) -> str:
    """Return the canonical text; the same object when it is one already, so that it need not be kept twice."""
    found = canonical(text)
    return text if found == text else found
