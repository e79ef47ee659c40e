"""The library: stores edits so that what was acknowledged stays, and what was deleted is gone from the file.

Knows nothing of models, editors or routers; keys are opaque bytes, and an adapter is a set of named tensors.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from sola_core.errors import LibraryBusy, LibraryError, LibraryFull
from sola_core.library import schema
from sola_core.library.edit_rows import NewEdit, check_count, encoded, insert_edit, insert_keys, unknown
from sola_core.library.erasure import fold_log, log_events, pending_erasures
from sola_core.library.feed import last_moment
from sola_core.library.reading import LibraryReading
from sola_core.records import Edit, Erasure, TrainedEdit


class Library(LibraryReading):
    """Edits of one host in one SQLite file, or in memory; open one with `Library.open`.

    All methods may be called from any thread, and several processes may use one file. Each change is one transaction,
    on the disk before the method returns. Errors: LibraryFull and LibraryBusy leave the library as it was;
    LibraryCorrupt says that stored bytes are damaged; LibraryError that the file cannot be used.
    """

    def __init__(self, db: sqlite3.Connection, path: Path | None) -> None:
        super().__init__(db, path)
        self._settled = 0  # the number of an event at which no erasure was pending

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
        rows = [encoded(edit, self._cover) for edit in new]
        with self._changing() as db:
            self._numbers.follow(db)  # for new ids; before anything is changed
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

    def put_keys(self, edit_id: str, encoder_id: str, keys: Sequence[bytes | None]) -> None:
        """Store an edit's keys of one encoder, in place of any it had of it; one for each text of its request."""
        with self._changing() as db:
            check_count(self.get(edit_id).request.key_texts, keys)
            where = "encoder_id = ? AND seq = (SELECT seq FROM edits WHERE id = ?)"
            db.execute(f"DELETE FROM keys WHERE {where}", (encoder_id, edit_id))
            insert_keys(db, edit_id, encoder_id, keys, self._cover)

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
            return bool(self._pending(db))

    def retry_erasure(self) -> bool:
        """Try to erase what is left of deleted edits; return whether nothing is."""
        with self._reading() as db:
            pending = self._pending(db)
            if not fold_log(db, self._path):
                return not pending
            if pending:
                with contextlib.suppress(LibraryBusy, LibraryFull), self._changing():
                    log_events(db, "erased", sorted(pending & pending_erasures(db, self._settled)))
                fold_log(db, self._path)  # for tidiness: the log now holds a page of the event table alone
            return True

    def _pending(self, db: sqlite3.Connection) -> set[str]:
        last = last_moment(db)  # read first: what comes in between is looked at again
        pending = pending_erasures(db, self._settled)
        if not pending:
            self._settled = last
        return pending

    def _erase_now(self) -> bool:
        """Erase after a change that is committed: what goes wrong here must not look like a failed change."""
        try:
            return self.retry_erasure()
        except LibraryError:
            return False

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
        """Return an id that no edit ever had: one names one edit for ever, so those of deleted ones are not given again."""
        while True:
            new = secrets.token_hex(6)
            if new not in self._numbers:
                return new
