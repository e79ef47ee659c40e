"""An edit as rows of the library's tables: checked and encoded before a transaction begins, inserted in one, and read back.

Knows the tables and the codec. Knows no files and no locks.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from sola_core.errors import LibraryError, UnknownEdit
from sola_core.library.codec import Facts, decode_facts, encode_facts, encode_tensors, seal, unseal
from sola_core.library.digest import edit_digest
from sola_core.records import Edit, TrainedEdit
from sola_core.words import Sentence

EDITS = "SELECT e.id, e.enabled, e.created, c.facts FROM edits e JOIN contents c USING (seq)"
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")  # ids stay in the event log for good, so no text may pass as one


@dataclass(frozen=True, kw_only=True)
class NewEdit:
    """An edit to store: what was trained, its keys of each encoder, and, if it must have one, its id."""

    trained: TrainedEdit
    keys: Mapping[str, Sequence[bytes | None]]  # encoder id -> one opaque key for each key text, None for none
    edit_id: str | None = None
    enabled: bool = True


class KeyedEdit(NamedTuple):
    """What a router holds of an edit."""

    id: str
    enabled: bool
    texts: tuple[str, ...]  # canonical, each once
    keys: tuple[bytes | None, ...] | None  # of one encoder; None: they were not made yet


@dataclass(frozen=True)
class EncodedEdit:
    """The same, as bytes."""

    edit_id: str | None
    enabled: bool
    facts: bytes
    adapter: bytes
    keys: Mapping[str, Sequence[bytes | None]]
    cover: int  # see `seal`


def encoded(new: NewEdit, cover: int) -> EncodedEdit:
    """Check an edit and return its bytes; raise LibraryError for an id that may not be one."""
    trained = new.trained
    if new.edit_id is not None and not _ID.fullmatch(new.edit_id):
        raise LibraryError(
            Sentence("An edit id has 1 to 64 letters, digits, '-' or '_'. Leave it out to get a new one.")
        )
    for keys in new.keys.values():
        check_count(trained.request.key_texts, keys)
    digest = edit_digest(trained.request, trained.tensors)
    facts = seal(encode_facts(Facts(request=trained.request, training=trained.training, digest=digest)), cover)
    return EncodedEdit(new.edit_id, new.enabled, facts, encode_tensors(trained.tensors), new.keys, cover)


def insert_edit(db: sqlite3.Connection, edit_id: str, row: EncodedEdit) -> None:
    """Insert an edit as the one taught last; raise LibraryError when there is one of this id."""
    if db.execute("SELECT 1 FROM edits WHERE id = ?", (edit_id,)).fetchone() is not None:
        raise LibraryError(
            Sentence("There is an edit {edit_id} already. Delete it first, or leave the id out.", edit_id=edit_id)
        )
    insert = "INSERT INTO edits (id, enabled, created) VALUES (?, ?, ?)"
    seq = db.execute(insert, (edit_id, row.enabled, time.time())).lastrowid
    db.execute("INSERT INTO contents VALUES (?, ?, ?)", (seq, row.facts, row.adapter))
    for encoder_id, keys in row.keys.items():
        insert_keys(db, edit_id, encoder_id, keys, row.cover)


def insert_keys(
    db: sqlite3.Connection, edit_id: str, encoder_id: str, keys: Sequence[bytes | None], cover: int
) -> None:
    """Insert an edit's keys of one encoder."""
    insert = "INSERT INTO keys (seq, encoder_id, ordinal, key) SELECT seq, ?, ?, ? FROM edits WHERE id = ?"
    sealed = [None if key is None else seal(key, cover) for key in keys]
    db.executemany(insert, [(encoder_id, ordinal, key, edit_id) for ordinal, key in enumerate(sealed)])


def read_edit(row: tuple[str, int, float, bytes], cover: int) -> Edit:
    """Return the edit that a row of EDITS is."""
    edit_id, enabled, created, blob = row
    facts = decode_facts(unseal(blob, cover))
    return Edit(
        id=edit_id,
        request=facts.request,
        enabled=bool(enabled),
        created=created,
        training=facts.training,
        digest=facts.digest,
    )


def read_keys(
    db: sqlite3.Connection, cover: int, encoder_id: str, edit_id: str | None = None
) -> Iterator[tuple[str, bool, tuple[bytes | None, ...] | None]]:
    """Yield the edits in order of teaching, or one of them, each with its switch and its keys; None: it has none."""
    where, given = ("", (encoder_id,)) if edit_id is None else ("WHERE e.id = ?", (encoder_id, edit_id))
    query = f"""SELECT e.id, e.enabled, k.ordinal, k.key FROM edits e LEFT JOIN keys k
        ON k.seq = e.seq AND k.encoder_id = ? {where} ORDER BY e.seq, k.ordinal"""
    for (found, enabled), rows in groupby(db.execute(query, given), key=itemgetter(0, 1)):
        blobs = [blob for _, _, ordinal, blob in rows if ordinal is not None]
        keys = tuple(None if blob is None else unseal(blob, cover) for blob in blobs)
        yield found, bool(enabled), keys or None


def check_count(texts: Sequence[str], keys: Sequence[bytes | None]) -> None:
    """Raise ValueError unless there is one key for each text."""
    if len(keys) != len(texts):
        raise ValueError(f"{len(keys)} keys for {len(texts)} key texts; there must be one for each")


def unknown(edit_id: str) -> UnknownEdit:
    """Return the error for an id that no edit has."""
    return UnknownEdit(Sentence("There is no edit {edit_id!r}. It may have been deleted.", edit_id=edit_id))
