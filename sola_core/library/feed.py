"""The event log as a feed: what was changed since a moment, by this process or another, however large the library is.

A moment is the number of an event. Every change of the edits is logged in the transaction that makes it, so whoever
has followed the log up to a moment holds what the library held then. Knows the event table alone.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What to do, in this order, to hold what the library holds at `moment`. Doing it twice does no harm."""

    moment: int  # unchanged when nothing was logged
    forget: tuple[str, ...] = ()  # deleted, or about to be taken up anew
    take_up: tuple[str, ...] = ()  # taught, in order of teaching, as the last ones
    switch: tuple[str, ...] = ()  # switched on or off, perhaps back

    def __bool__(self) -> bool:
        return bool(self.forget or self.switch)


def last_moment(db: sqlite3.Connection) -> int:
    """Return the number of the last event, 0 before the first."""
    return int(db.execute("SELECT max(number) FROM events").fetchone()[0] or 0)


def changes_since(db: sqlite3.Connection, moment: int) -> Changes:
    """Return what was changed after a moment."""
    stored: dict[str, bool] = {}  # taught or deleted since; the last of the two, in its order
    switched: dict[str, None] = {}
    events = db.execute("SELECT number, kind, edit_id FROM events WHERE number > ? ORDER BY number", (moment,))
    for number, kind, edit_id in events:
        moment = number
        if kind in ("taught", "deleted"):
            stored.pop(edit_id, None)
            stored[edit_id] = kind == "taught"
            switched.pop(edit_id, None)
        elif kind in ("enabled", "disabled") and edit_id not in stored:
            switched[edit_id] = None
    return Changes(
        moment=moment,
        forget=tuple(stored),
        take_up=tuple(edit_id for edit_id, there in stored.items() if there),
        switch=tuple(switched),
    )


class Numbers:
    """The number of each edit ever taught here, deleted ones included: it was the how-manieth."""

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._taught = 0
        self._moment = 0

    def __contains__(self, edit_id: object) -> bool:
        return edit_id in self._by_id

    def get(self, edit_id: str) -> int:
        """Return the number of one; 0 for an id that no edit ever had."""
        return self._by_id.get(edit_id, 0)

    def all(self) -> dict[str, int]:
        """Return a copy of them, by id."""
        return dict(self._by_id)

    def follow(self, db: sqlite3.Connection) -> Numbers:
        """Take up what was taught since the last look; not to be called after a change that may still be undone."""
        last = last_moment(db)
        taught = "SELECT edit_id FROM events WHERE kind = 'taught' AND number > ? AND number <= ? ORDER BY number"
        for (edit_id,) in db.execute(taught, (self._moment, last)):
            self._taught += 1
            self._by_id[edit_id] = self._taught
        self._moment = last
        return self
