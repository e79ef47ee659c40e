"""How many bytes the edits of a library take, counted in its tables and pages.

Knows the tables of `schema`. Knows no edit's content.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from sola_core.library.codec import SUM


@dataclass(frozen=True, kw_only=True)
class LibrarySizes:
    """Bytes of all edits together."""

    edits: int
    adapters: int  # as safetensors, headers included
    keys: int  # of every encoder, without the cover that makes them erasable
    pages: int  # all that the edits take in the file: texts, training records, adapters, keys, covers, events, slack


@dataclass(frozen=True, kw_only=True)
class EditSizes:
    """Bytes of one edit."""

    adapter: int  # as safetensors, header included
    keys: Mapping[str, int]  # by encoder id, without the covers


def edit_sizes(db: sqlite3.Connection, edit_id: str) -> EditSizes | None:
    """Count one edit's bytes; None when there is no such edit."""
    adapter = db.execute(
        "SELECT seq, length(adapter) FROM edits JOIN contents USING (seq) WHERE id = ?", (edit_id,)
    ).fetchone()
    if adapter is None:
        return None
    keys = db.execute(
        f"SELECT encoder_id, sum(length(key) - {_seal(db)}) FROM keys WHERE seq = ? AND key IS NOT NULL GROUP BY encoder_id",
        (adapter[0],),
    )
    return EditSizes(adapter=int(adapter[1]), keys={encoder: int(size) for encoder, size in keys.fetchall()})


def library_sizes(db: sqlite3.Connection) -> LibrarySizes:
    """Count a library's bytes; pages that are free, and those that an empty library has, are left out."""

    def number(query: str) -> int:
        return int(db.execute(query).fetchone()[0] or 0)

    pages = number("PRAGMA page_count") - number("PRAGMA freelist_count")
    empty = 1 + number("SELECT count(*) FROM sqlite_schema WHERE rootpage > 0")  # the schema's page, one root for each
    return LibrarySizes(
        edits=number("SELECT count(*) FROM edits"),
        adapters=number("SELECT sum(length(adapter)) FROM contents"),
        keys=number(f"SELECT sum(length(key) - {_seal(db)}) FROM keys WHERE key IS NOT NULL"),
        pages=(pages - empty) * number("PRAGMA page_size"),
    )


def _seal(db: sqlite3.Connection) -> int:
    """Return how many bytes `seal` puts in front of a key."""
    return int(db.execute("PRAGMA page_size").fetchone()[0]) + SUM
