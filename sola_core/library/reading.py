"""What can be read from a library, with what it holds now kept in memory and in step with every change.

Knows the tables and the event log that tells of changes, by this process or another. Changes nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import torch

from sola_core.errors import LibraryCorrupt, LibraryError
from sola_core.library import schema
from sola_core.library.codec import decode_facts, decode_tensors, unseal
from sola_core.library.digest import edit_digest
from sola_core.library.edit_rows import EDITS, KeyedEdit, read_edit, read_keys, unknown
from sola_core.library.feed import Changes, Numbers, changes_since, last_moment
from sola_core.library.present import Present
from sola_core.library.sizes import EditSizes, LibrarySizes, edit_sizes, library_sizes
from sola_core.records import Edit, Event
from sola_core.text import canonical
from sola_core.words import Sentence


class LibraryReading:
    """The reading half of `Library`. What every call costs depends on what it returns and on what was changed since."""

    def __init__(self, db: sqlite3.Connection, path: Path | None) -> None:
        self._db = db
        self._path = path
        self._lock = threading.RLock()
        self._open = True
        self._cover: int = db.execute("PRAGMA page_size").fetchone()[0]  # zeros in front of private content
        self._present: Present | None = None  # once it was asked for
        self._numbers = Numbers()

    @property
    def path(self) -> Path | None:
        """Where the library lies; None in memory."""
        return self._path

    def edits(self) -> tuple[Edit, ...]:
        """Return all edits in order of teaching; the same object as long as nothing was changed.

        From the first call on their records stay in memory. For one edit ask `get`, for equal ones `edits_of`.
        """
        with self._snapshot() as db:
            present = self._now(db)
            return present.records() or present.keep(self._all(db))

    def edits_of(self, prompt: str) -> tuple[Edit, ...]:
        """Return the edits whose own prompt is equal to this one, in order of teaching."""
        key = canonical(prompt)
        with self._snapshot() as db:
            found = map(self.get, self._now(db).with_key(key))
            return tuple(edit for edit in found if canonical(edit.prompt) == key)

    @property
    def count(self) -> int:
        """How many edits there are."""
        with self._snapshot() as db:
            return len(self._now(db))

    def numbers(self) -> dict[str, int]:
        """Return by id the how-manieth taught here each edit was, deleted ones included."""
        with self._reading() as db:
            return self._numbers.follow(db).all()

    def number(self, edit_id: str) -> int:
        """Return the same for one; 0 for an id that no edit ever had."""
        with self._reading() as db:
            return self._numbers.follow(db).get(edit_id)

    @property
    def moment(self) -> int:
        """The number of the last event, for `changes_since`."""
        with self._reading() as db:
            return last_moment(db)

    def changes_since(self, moment: int) -> Changes:
        """Return what was changed after a moment, here or by another process."""
        with self._reading() as db:
            return changes_since(db, moment)

    def get(self, edit_id: str) -> Edit:
        """Return one edit; raise UnknownEdit when there is none of this id."""
        with self._reading() as db:
            row = db.execute(f"{EDITS} WHERE e.id = ?", (edit_id,)).fetchone()
        if row is None:
            raise unknown(edit_id)
        return read_edit(row, self._cover)

    def tensors(self, edit_id: str) -> dict[str, torch.Tensor]:
        """Read an edit's adapter from the disk, bit-equal to what was stored; LibraryCorrupt when it no longer is."""
        with self._reading() as db:
            query = "SELECT c.facts, c.adapter FROM edits e JOIN contents c USING (seq) WHERE e.id = ?"
            row = db.execute(query, (edit_id,)).fetchone()
        if row is None:
            raise unknown(edit_id)
        facts, tensors = decode_facts(unseal(row[0], self._cover)), decode_tensors(row[1])
        if edit_digest(facts.request, tensors) != facts.digest:
            raise LibraryCorrupt(
                Sentence(
                    "The adapter of edit {edit_id} is damaged. Delete the edit and teach it again.", edit_id=edit_id
                )
            )
        return tensors

    def keys(self, encoder_id: str) -> dict[str, tuple[bytes | None, ...]]:
        """Return the keys by edit id, in order of teaching; an edit without keys of this encoder is absent."""
        query = """SELECT e.id, k.key FROM keys k JOIN edits e USING (seq) WHERE k.encoder_id = ?
            ORDER BY k.seq, k.ordinal"""
        found: dict[str, tuple[bytes | None, ...]] = {}
        with self._reading() as db:
            for edit_id, blob in db.execute(query, (encoder_id,)):
                key = None if blob is None else unseal(blob, self._cover)
                found[edit_id] = (*found.get(edit_id, ()), key)
        return found

    def keyed(self, encoder_id: str, edit_ids: Sequence[str] | None = None) -> list[KeyedEdit]:
        """Return all edits in order of teaching, or as named those named that are there, as a router holds them."""
        with self._snapshot() as db:
            present = self._now(db)
            rows = (
                read_keys(db, self._cover, encoder_id)
                if edit_ids is None
                else chain.from_iterable(read_keys(db, self._cover, encoder_id, edit_id) for edit_id in edit_ids)
            )
            return [KeyedEdit(sys.intern(name), on, present[name].keys, keys) for name, on, keys in rows]

    def events(self) -> tuple[Event, ...]:
        """Return what happened to the library, oldest first: kind, edit and time, no texts."""
        with self._reading() as db:
            rows = db.execute("SELECT number, kind, edit_id, time FROM events ORDER BY number").fetchall()
        return tuple(Event(number=number, kind=kind, edit_id=edit, time=when) for number, kind, edit, when in rows)

    def state_digest(self, encoder_id: str) -> str:
        """Return the digest of the present state (see digest.state_digest)."""
        with self._snapshot() as db:
            return self._now(db).digest(encoder_id)

    @property
    def sizes(self) -> LibrarySizes:
        """How many bytes the stored edits take."""
        with self._reading() as db:
            return library_sizes(db)

    def sizes_of(self, edit_id: str) -> EditSizes:
        """Return how many bytes one edit takes; raise UnknownEdit for an unknown id."""
        with self._reading() as db:
            found = edit_sizes(db, edit_id)
        if found is None:
            raise unknown(edit_id)
        return found

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, schema.speaking(self._path):
            if not self._open:
                raise LibraryError(Sentence("This library is closed. Open it again."))
            yield self._db

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Run the block on one state of the file, whatever other processes write meanwhile."""
        with self._reading() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:
                    db.execute("COMMIT")

    def _now(self, db: sqlite3.Connection) -> Present:
        """Return what the library holds, brought up to date; to be called in a snapshot."""
        if self._present is None:
            present = Present(last_moment(db))
            for edit in self._all(db):
                present.put(edit)
            self._present = present
            return present
        changes = changes_since(db, self._present.moment)
        if changes:
            rows = [row for e in changes.take_up for row in db.execute(f"{EDITS} WHERE e.id = ?", (e,))]
            new = [read_edit(row, self._cover) for row in rows]
            where = "SELECT id, enabled FROM edits WHERE id = ?"
            switched = [row for e in changes.switch for row in db.execute(where, (e,))]
            self._present.follow(changes, new, {edit_id: bool(on) for edit_id, on in switched})
        self._present.moment = changes.moment
        return self._present

    def _all(self, db: sqlite3.Connection) -> Iterator[Edit]:
        return (read_edit(row, self._cover) for row in db.execute(f"{EDITS} ORDER BY seq"))
