"""Opens the SQLite file of a library: its tables, its settings, and what makes a file one of ours.

Knows nothing of edits; turns SQLite's errors into ones that people can act on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sola_core.errors import LibraryBusy, LibraryCorrupt, LibraryError, LibraryFull, LibraryMismatch
from sola_core.words import Sentence

APPLICATION_ID = 0x536F4C41  # "SoLA", at byte 68 of the file
PAGE_SIZES = {1: 4096, 2: 2048}  # bytes, by schema version: smaller pages leave less unused beside a key and an adapter
SCHEMA_VERSION = 2
PAGE_SIZE = PAGE_SIZES[SCHEMA_VERSION]  # of a new library; an older one stays as it is
BUSY_SECONDS = 5.0  # how long to wait for another process that is writing
CHECKED_BYTES = 1 << 28  # up to this size a file is checked as a whole when it is opened; in a larger one what is read
_NO_ROOM = 1 << 20  # bytes free; with less, a failed write is put down to a full disk

# Private content (texts, their digest, keys, adapters) stands only in `contents` and `keys`, sealed (codec.seal).
# `edits` and `events` hold ids, times and switches: SQLite may leave copies of those behind, and they say nothing.
# `seq` is the order of teaching: SQLite gives one more than the highest present, so the order needs no counter table.
_TABLES = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE edits (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL, created REAL NOT NULL);
CREATE TABLE contents (
  seq INTEGER PRIMARY KEY REFERENCES edits(seq) ON DELETE CASCADE, facts BLOB NOT NULL, adapter BLOB NOT NULL);
CREATE TABLE keys (
  number INTEGER PRIMARY KEY, seq INTEGER NOT NULL REFERENCES edits(seq) ON DELETE CASCADE,
  encoder_id TEXT NOT NULL, ordinal INTEGER NOT NULL, key BLOB, UNIQUE (seq, encoder_id, ordinal));
CREATE TABLE events (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, edit_id TEXT NOT NULL, time REAL NOT NULL);
"""


def connect(path: Path | None, host_name: str, host_fingerprint: str) -> sqlite3.Connection:
    """Return a connection to the library at `path` (None: in memory), made if there was none.

    Raises LibraryCorrupt for a file that is not a whole library of this version, LibraryMismatch for another host's,
    LibraryBusy, LibraryFull, or LibraryError where no library can be; the file is then as it was.
    """
    with speaking(path):
        if path is not None:
            _check_place(path)
            _check_header(path)
        target = ":memory:" if path is None else path.as_uri() + "?mode=rwc"
        db = sqlite3.connect(target, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
        try:
            _prepare(db, path, host_name, host_fingerprint)
        except BaseException:
            db.close()
            raise
        return db


@contextlib.contextmanager
def speaking(path: Path | None) -> Iterator[None]:
    """Turn errors of SQLite and of the file system into children of LibraryError; misuse of the API stays as it is."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except (sqlite3.Error, OSError) as error:
        raise _spoken(error, path) from error


def log_path(path: Path) -> Path:
    """Return where SQLite keeps the write-ahead log of the library at `path`."""
    return path.with_name(path.name + "-wal")


def log_bytes(path: Path) -> int:
    """Return the size of the write-ahead log in bytes; 0 when there is none."""
    with contextlib.suppress(FileNotFoundError):
        return log_path(path).stat().st_size
    return 0


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise LibraryError(
            Sentence(
                "{path} is a folder. Name a file in it, for example {example}.", path=path, example=path / "facts.db"
            )
        )
    if not path.parent.is_dir():
        raise LibraryError(
            Sentence(
                "There is no folder {parent}. Make it first, or choose another place for the library.",
                parent=path.parent,
            )
        )
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise LibraryError(
            Sentence(
                "{path} cannot be written. A library and its folder must both be writable: change the permissions or "
                "use a copy in a folder of your own.",
                path=path,
            )
        )


def _check_header(path: Path) -> None:
    """Refuse a foreign or cut file before SQLite opens it, because opening can already change a file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        header = file.read(100)
    unfinished = path.with_name(path.name + "-journal").exists()  # killed while it was made: SQLite will undo that
    if not any(header) and (unfinished or not (header or log_bytes(path))):
        return
    ours = header[:16] == b"SQLite format 3\0" and header[68:72] == APPLICATION_ID.to_bytes(4, "big")
    page_size = int.from_bytes(header[16:18], "big")
    if not ours or page_size not in PAGE_SIZES.values():
        raise LibraryCorrupt(
            Sentence("{path} is not a SoLA library, or its beginning is damaged. The file was not changed.", path=path)
        )
    if path.stat().st_size % page_size and not unfinished and not log_bytes(path):
        raise LibraryCorrupt(_damaged(path))


def _prepare(db: sqlite3.Connection, path: Path | None, host_name: str, host_fingerprint: str) -> None:
    for setting in (
        "trusted_schema = OFF",
        "foreign_keys = ON",
        "secure_delete = ON",
        "temp_store = MEMORY",  # no temporary file ever holds a text
        "synchronous = FULL",  # what was acknowledged survives a power cut, as far as the disk keeps its promises
        "fullfsync = ON",  # the same on macOS
        "checkpoint_fullfsync = ON",
        f"page_size = {PAGE_SIZE}",
    ):
        db.execute(f"PRAGMA {setting}")
    if not _schema(db):
        _create(db, host_name, host_fingerprint)
    _check_ours(db, path)
    _check_host(db, path, host_name, host_fingerprint)
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if path is not None and mode != "wal":
        raise LibraryError(
            Sentence(
                "The file system that holds {path} lacks what a library needs. Keep it on a local disk.", path=path
            )
        )


def _create(db: sqlite3.Connection, host_name: str, host_fingerprint: str) -> None:
    db.execute("BEGIN EXCLUSIVE")
    if not _schema(db):  # another process may have been faster
        for statement in filter(None, map(str.strip, _TABLES.split(";"))):
            db.execute(statement)
        host = [("host_name", host_name), ("host_fingerprint", host_fingerprint)]
        db.executemany("INSERT INTO meta VALUES (?, ?)", host)
    db.execute("COMMIT")


def _check_ours(db: sqlite3.Connection, path: Path | None) -> None:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise LibraryCorrupt(
            Sentence("{path} was made by a newer version of SoLA Studio. Update it to use this library.", path=path)
        )
    ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    same_pages = db.execute("PRAGMA page_size").fetchone()[0] == PAGE_SIZES.get(version)
    if not ours or not same_pages or _schema(db) != _expected_schema():
        raise LibraryCorrupt(
            Sentence("{path} is not a SoLA library: its tables are not the right ones. It was not changed.", path=path)
        )
    whole = path is None or path.stat().st_size <= CHECKED_BYTES
    for checked in ("1",) if whole else ("meta", "edits", "events"):
        if db.execute(f"PRAGMA quick_check({checked})").fetchone()[0] != "ok":
            raise LibraryCorrupt(_damaged(path))


def _check_host(db: sqlite3.Connection, path: Path | None, host_name: str, host_fingerprint: str) -> None:
    meta = dict(db.execute("SELECT name, value FROM meta").fetchall())
    if meta.keys() != {"host_name", "host_fingerprint"}:
        raise LibraryCorrupt(_damaged(path))
    if meta["host_fingerprint"] != host_fingerprint:
        raise LibraryMismatch(
            Sentence(
                "{path} belongs to the model {made_for} ({theirs}), but the model in use is {host_name} ({ours}). "
                "Start with that model (--model, by its name, folder or Hub id), or name another file for this one "
                "(--library, a new one is made). Opened with its own model, the page offers to change it and to teach "
                "the facts again, under “{tab}”.",
                path=path,
                made_for=meta["host_name"],
                theirs=meta["host_fingerprint"][:12],
                host_name=host_name,
                ours=host_fingerprint[:12],
                tab=Sentence("Proof"),
            )
        )


def _schema(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Return every table, index, trigger and view with its text; triggers in a stranger's file must not run here."""
    rows = db.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    )
    return {(kind, name, sql) for kind, name, sql in rows.fetchall()}


def _expected_schema() -> set[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(_TABLES)
        return _schema(db)


def _damaged(path: Path | None) -> str:
    return Sentence("{path} is damaged. Use a copy from before the damage; this file was not changed.", path=path)


def _spoken(error: sqlite3.Error | OSError, path: Path | None) -> LibraryError:
    where = Sentence("the library in memory") if path is None else str(path)
    if isinstance(error, OSError):
        code = sqlite3.SQLITE_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else sqlite3.SQLITE_CANTOPEN
    else:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the low byte is the kind
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_room(path)):
        return LibraryFull(
            Sentence("There is no room for {where}; nothing was changed. Make room and try again.", where=where)
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LibraryBusy(
            Sentence("Another program is writing to {where}; nothing was changed. Try again in a moment.", where=where)
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return LibraryCorrupt(_damaged(path))
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return LibraryError(
            Sentence(
                "{where} cannot be opened for writing ({error}). Check the file, its folder and permissions.",
                where=where,
                error=str(error),
            )
        )
    return LibraryError(Sentence("{where} cannot be used ({error}).", where=where, error=str(error)))


def _no_room(path: Path | None) -> bool:
    return path is not None and shutil.disk_usage(path.parent).free < _NO_ROOM
