"""The library: stores edits so that what was acknowledged stays, and what was deleted is gone from the file.

Knows nothing of models, editors or routers; keys are opaque bytes, and an adapter is a set of named tensors.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import torch

from sola_core.errors import LibraryBusy, LibraryCorrupt, LibraryError, LibraryFull
from sola_core.library import schema
from sola_core.library.codec import decode_facts, decode_tensors, unseal
from sola_core.library.digest import edit_digest, state_digest
from sola_core.library.edit_rows import (
    EDITS,
    NewEdit,
    check_count,
    encoded,
    insert_edit,
    insert_keys,
    read_edit,
    unknown,
)
from sola_core.library.erasure import fold_log, log_events, pending_erasures
from sola_core.library.sizes import EditSizes, LibrarySizes, edit_sizes, library_sizes
from sola_core.records import Edit, Erasure, Event, TrainedEdit
from sola_core.words import Sentence


class Library:
    """Edits of one host in one SQLite file, or in memory; open one with `Library.open`.

    All methods may be called from any thread, and several processes may use one file. Each change is one transaction,
    on the disk before the method returns. Errors: LibraryFull and LibraryBusy leave the library as it was;
    LibraryCorrupt says that stored bytes are damaged; LibraryError that the file cannot be used.
    """

    def __init__(self, db: sqlite3.Connection, path: Path | None) -> None:
        self._db = db
        self._path = path
        self._lock = threading.RLock()
        self._open = True
        self._edits: tuple[object, tuple[Edit, ...]] | None = None  # with the state of the file they were read at
        self._digests: dict[str, tuple[tuple[Edit, ...], str]] = {}  # by encoder id, with the edits they are of

    @classmethod
    def open(cls, path: str | Path, *, host_name: str, host_fingerprint: str) -> Library:
        """Open the library at `path` (":memory:" for one that ends with the process), or make it.

        Finishes what a killed process left behind. Raises LibraryMismatch when it belongs to another host,
        LibraryCorrupt when it is no whole library (the file is left as it is), LibraryBusy, LibraryFull, LibraryError.
        """
        place = None if str(path) == ":memory:" else Path(path).expanduser().absolute()
        if place is not None and schema.log_bytes(place):
            # A killed process left a log. Reading it, SQLite writes unset memory, which can hold texts, to the -shm
            # file; closing removes both files, and the second opening makes clean ones.
            schema.connect(place, host_name, host_fingerprint).close()
        library = cls(schema.connect(place, host_name, host_fingerprint), place)
        if library.erasing:
            library.retry_erasure()
        return library

    @property
    def path(self) -> Path | None:
        """Where the library lies; None in memory."""
        return self._path

    def add(
        self,
        trained: TrainedEdit,
        *,
        keys: Mapping[str, Sequence[bytes | None]],
        replace: Sequence[str] = (),
        edit_id: str | None = None,
        enabled: bool = True,
    ) -> Edit:
        """Store an edit as the one taught last, and delete those named in `replace`, all in one transaction.

        `keys`: encoder id -> one opaque key for each text of `request.key_texts`, None where there is none.
        Raises UnknownEdit when an edit to replace is not there; nothing is stored then.
        """
        return self.add_many([NewEdit(trained=trained, keys=keys, edit_id=edit_id, enabled=enabled)], replace)[0]

    def add_many(self, new: Sequence[NewEdit], replace: Sequence[str] = ()) -> tuple[Edit, ...]:
        """Store edits in this order, and delete those named in `replace`, all in one transaction."""
        rows = [encoded(edit) for edit in new]
        with self._changing() as db:
            now, ids = time.time(), list[str]()
            for old in dict.fromkeys(replace):
                self._drop(old, now)
            for row in rows:
                ids.append(row.edit_id or self._new_id())
                insert_edit(db, ids[-1], row)
            log_events(db, "taught", ids, now)
            log_events(db, "disabled", [new for new, row in zip(ids, rows, strict=True) if not row.enabled], now)
            edits = tuple(map(self.get, ids))
        if replace:
            self._erase_now()
        return edits

    def edits(self) -> tuple[Edit, ...]:
        """Return all edits in order of teaching."""
        with self._reading() as db:
            # the first number tells changes by other processes, the second our own
            state = (db.execute("PRAGMA data_version").fetchone()[0], db.total_changes)
            if self._edits is None or self._edits[0] != state:
                self._edits = (state, tuple(map(read_edit, db.execute(f"{EDITS} ORDER BY seq").fetchall())))
            return self._edits[1]

    def get(self, edit_id: str) -> Edit:
        """Return one edit; raise UnknownEdit when there is none of this id."""
        with self._reading() as db:
            row = db.execute(f"{EDITS} WHERE e.id = ?", (edit_id,)).fetchone()
        if row is None:
            raise unknown(edit_id)
        return read_edit(row)

    def tensors(self, edit_id: str) -> dict[str, torch.Tensor]:
        """Read an edit's adapter from the disk, bit-equal to what was stored; LibraryCorrupt when it no longer is."""
        with self._reading() as db:
            query = "SELECT c.facts, c.adapter FROM edits e JOIN contents c USING (seq) WHERE e.id = ?"
            row = db.execute(query, (edit_id,)).fetchone()
        if row is None:
            raise unknown(edit_id)
        facts, tensors = decode_facts(unseal(row[0])), decode_tensors(row[1])
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
            for edit_id, blob in db.execute(query, (encoder_id,)).fetchall():
                key = None if blob is None else unseal(blob)
                found[edit_id] = (*found.get(edit_id, ()), key)
        return found

    def put_keys(self, edit_id: str, encoder_id: str, keys: Sequence[bytes | None]) -> None:
        """Store an edit's keys of one encoder, in place of any it had of it; one for each text of its request."""
        with self._changing() as db:
            check_count(self.get(edit_id).request.key_texts, keys)
            where = "encoder_id = ? AND seq = (SELECT seq FROM edits WHERE id = ?)"
            db.execute(f"DELETE FROM keys WHERE {where}", (encoder_id, edit_id))
            insert_keys(db, edit_id, encoder_id, keys)

    def set_enabled(self, edit_id: str, enabled: bool) -> Edit:
        """Switch an edit on or off; its content is not touched."""
        with self._changing() as db:
            if self.get(edit_id).enabled != enabled:
                db.execute("UPDATE edits SET enabled = ? WHERE id = ?", (enabled, edit_id))
                log_events(db, "enabled" if enabled else "disabled", [edit_id])
            return self.get(edit_id)

    def delete(self, edit_id: str) -> Erasure:
        """Delete an edit; "erased" when no byte of it is left in the library's files, else "erasing".

        It is gone from every answer either way. Another process that is reading can delay the erasure; it is tried
        again at each delete, when the library is opened or closed, and by `retry_erasure`.
        """
        with self._lock:
            with self._changing():
                self._drop(edit_id)
            return "erased" if self._erase_now() else "erasing"

    @property
    def erasing(self) -> bool:
        """Whether bytes of a deleted edit may still be in the library's files."""
        with self._reading() as db:
            return bool(pending_erasures(db))

    def retry_erasure(self) -> bool:
        """Try to erase what is left of deleted edits; return whether nothing is."""
        with self._reading() as db:
            pending = pending_erasures(db)
            if not fold_log(db, self._path):
                return not pending
            if pending:
                with contextlib.suppress(LibraryBusy, LibraryFull), self._changing():
                    log_events(db, "erased", sorted(pending & pending_erasures(db)))
                fold_log(db, self._path)  # for tidiness: the log now holds a page of the event table alone
            return True

    def _erase_now(self) -> bool:
        """Erase after a change that is committed: what goes wrong here must not look like a failed change."""
        try:
            return self.retry_erasure()
        except LibraryError:
            return False

    def events(self) -> tuple[Event, ...]:
        """Return what happened to the library, oldest first: kind, edit and time, no texts."""
        with self._reading() as db:
            rows = db.execute("SELECT number, kind, edit_id, time FROM events ORDER BY number").fetchall()
        return tuple(Event(number=number, kind=kind, edit_id=edit, time=when) for number, kind, edit, when in rows)

    def state_digest(self, encoder_id: str) -> str:
        """Return the digest of the present state (see digest.state_digest), computed again only after a change."""
        with self._lock:
            edits = self.edits()
            known = self._digests.get(encoder_id)
            if known is None or known[0] is not edits:
                known = self._digests[encoder_id] = (edits, state_digest(edits, encoder_id))
            return known[1]

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

    def close(self) -> None:
        """Finish pending erasure if possible and let go of the file; closing twice does nothing."""
        with self._lock:
            if self._open:
                try:
                    self.retry_erasure()
                finally:
                    self._open = False
                    self._db.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, schema.speaking(self._path):
            if not self._open:
                raise LibraryError(Sentence("This library is closed. Open it again."))
            yield self._db

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction: all of it is on the disk afterwards, or, after any error, none."""
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # a full disk ends the transaction by itself
                    db.execute("ROLLBACK")
                fold_log(db, self._path)  # a large transaction writes pages to the log before it ends
                raise

    def _drop(self, edit_id: str, now: float | None = None) -> None:
        if not self._db.execute("DELETE FROM edits WHERE id = ?", (edit_id,)).rowcount:
            raise unknown(edit_id)
        log_events(self._db, "deleted", [edit_id], now)

    def _new_id(self) -> str:
        while True:  # an id names one edit for ever, so those of deleted ones are not given again
            new = secrets.token_hex(6)
            if self._db.execute("SELECT 1 FROM events WHERE edit_id = ?", (new,)).fetchone() is None:
                return new
