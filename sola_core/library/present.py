"""What a library holds now, in memory: order of teaching, switches, key texts, and what the state's digest is made of.

Each change touches one edit and its equals, so its cost does not grow with the library. Knows no SQL and no adapters.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from sola_core.library.digest import distinct_keys, entry_of, joined_digest
from sola_core.library.feed import Changes
from sola_core.records import Edit


class Held(NamedTuple):
    """What is kept of one edit; the rest is read from the library when it is asked for."""

    enabled: bool
    digest: bytes  # of its request and tensors, 32 bytes
    keys: tuple[str, ...]  # canonical key texts, each once


class Present:
    """The edits of a library in order of teaching; bring it up to date with `put`, `switch` and `remove`."""

    def __init__(self, moment: int) -> None:
        self.moment = moment  # number of the last event that is accounted for
        self._held: dict[str, Held] = {}
        self._by_key: dict[str, tuple[str, ...]] = {}  # canonical key text -> edits that have it, in order of teaching
        self._shared: set[str] = set()  # key texts of two or more edits
        self._entries: tuple[str, list[bytes]] | None = None  # an encoder id, and the edits' sorted entries for it
        self._records: dict[str, Edit] | None = None  # in order of teaching, once they were asked for
        self._listed: tuple[Edit, ...] | None = None  # the same as a tuple, until the next change

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, edit_id: object) -> bool:
        return edit_id in self._held

    def __getitem__(self, edit_id: str) -> Held:
        return self._held[edit_id]

    def records(self) -> tuple[Edit, ...] | None:
        """Return all edits in order of teaching, the same object until the next change; None before `keep`."""
        if self._listed is None and self._records is not None:
            self._listed = tuple(self._records.values())
        return self._listed

    def keep(self, edits: Iterable[Edit]) -> tuple[Edit, ...]:
        """Hold the records of all edits from now on, given in order of teaching, and return them."""
        self._records = {edit.id: edit for edit in edits}
        self._listed = tuple(self._records.values())
        return self._listed

    def with_key(self, key: str) -> tuple[str, ...]:
        """Return the edits that have this canonical text as a key, in order of teaching."""
        return self._by_key.get(key, ())

    def follow(self, changes: Changes, new: Iterable[Edit], switched: Mapping[str, bool]) -> None:
        """Take up changes, given the edits that they name: those to take up, and the switches of the others."""
        for edit_id in changes.forget:
            self.remove(edit_id)
        for edit in new:
            self.put(edit)
        for edit_id, enabled in switched.items():
            self.switch(edit_id, enabled)
        self._listed = None

    def put(self, edit: Edit) -> None:
        """Take up an edit as the one taught last."""
        held = Held(edit.enabled, bytes.fromhex(edit.digest), distinct_keys(edit.request))
        edit_id = sys.intern(edit.id)
        self._held[edit_id] = held
        if self._records is not None:
            self._records[edit_id] = edit
        for key in held.keys:
            self._by_key[key] = (*self._by_key.get(key, ()), edit_id)
            if len(self._by_key[key]) > 1:
                self._shared.add(key)
        if self._entries is not None:
            insort(self._entries[1], _entry(held, self._entries[0]))

    def switch(self, edit_id: str, enabled: bool) -> None:
        """Note that an edit is on or off."""
        before = self._held[edit_id]
        held = self._held[edit_id] = before._replace(enabled=enabled)
        if self._records is not None:
            self._records[edit_id] = replace(self._records[edit_id], enabled=enabled)
        if self._entries is not None:
            encoder_id, entries = self._entries
            del entries[bisect_left(entries, _entry(before, encoder_id))]
            insort(entries, _entry(held, encoder_id))

    def remove(self, edit_id: str) -> None:
        """Forget an edit; nothing happens when it is not there."""
        held = self._held.pop(edit_id, None)
        if held is None:
            return
        if self._records is not None:
            del self._records[edit_id]
        for key in held.keys:
            left = tuple(other for other in self._by_key[key] if other != edit_id)
            if left:
                self._by_key[key] = left
            else:
                del self._by_key[key]
            if len(left) < 2:
                self._shared.discard(key)
        if self._entries is not None:
            encoder_id, entries = self._entries
            del entries[bisect_left(entries, _entry(held, encoder_id))]

    def digest(self, encoder_id: str) -> str:
        """Return the state's digest (see digest.state_digest); the entries are kept for the encoder asked for last."""
        if self._entries is None or self._entries[0] != encoder_id:
            self._entries = (encoder_id, sorted(_entry(held, encoder_id) for held in self._held.values()))
        groups = ((key, [_entry(self._held[e], encoder_id) for e in self._by_key[key]]) for key in self._shared)
        return joined_digest(self._entries[1], groups, encoder_id)


def _entry(held: Held, encoder_id: str) -> bytes:
    return entry_of(held.digest, held.enabled, held.keys, encoder_id)
