"""Erasure of deleted edits: what is still to be erased, and the write-ahead log cut to nothing.

Knows nothing of an edit's content; an edit counts as erased when no page that held it is left in any file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from sola_core.library import schema

ERASE_WAIT_SECONDS = 0.25  # how long a delete waits for readers before it answers "erasing"
_PENDING = """SELECT edit_id FROM events WHERE number > ? GROUP BY edit_id HAVING
  max(CASE kind WHEN 'deleted' THEN number END) > coalesce(max(CASE kind WHEN 'erased' THEN number END), 0)"""


def pending_erasures(db: sqlite3.Connection, settled: int = 0) -> set[str]:
    """Return the ids of edits whose deletion is in the event log, but not their erasure.

    `settled` is the number of an event at which nothing was pending: what came before it need not be read again.
    """
    return {edit_id for (edit_id,) in db.execute(_PENDING, (settled,)).fetchall()}


def log_events(db: sqlite3.Connection, kind: str, edit_ids: Iterable[str], now: float | None = None) -> None:
    """Write one event for each edit: kind, id and time. What one transaction does has one time, given as `now`."""
    now = time.time() if now is None else now
    insert = "INSERT INTO events (kind, edit_id, time) VALUES (?, ?, ?)"
    db.executemany(insert, [(kind, edit_id, now) for edit_id in edit_ids])


def fold_log(db: sqlite3.Connection, path: Path | None) -> bool:
    """Fold the write-ahead log into the file and cut it to nothing; False while that cannot be done.

    A delete overwrites an edit's pages, but in the log: until this has been done the file still has the old pages,
    and the log those of the time when the edit was added. A reader of an older state prevents it. In memory there is
    no log, and the pages have been overwritten with the delete.
    """
    if path is None:
        return True
    try:
        db.execute(f"PRAGMA busy_timeout = {ERASE_WAIT_SECONDS * 1000:.0f}")
        busy: int = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy and schema.log_bytes(path) == 0
    except sqlite3.OperationalError:  # busy, full or failing disk: the changes are safe in the log
        return False
    finally:
        db.execute(f"PRAGMA busy_timeout = {schema.BUSY_SECONDS * 1000:.0f}")
