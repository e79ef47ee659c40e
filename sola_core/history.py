"""What was done to the edits, read from the event log: the moments, and which edits were on at each of them.

Pure functions over events and the edits still stored. Of a deleted edit only its number and its times are known here;
knows no texts, no router and no page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sola_core.errors import InvalidInput
from sola_core.records import Edit, Event
from sola_core.words import Sentence

ChangeKind = Literal["taught", "on", "off", "deleted"]
KINDS: Mapping[str, ChangeKind] = {"taught": "taught", "enabled": "on", "disabled": "off", "deleted": "deleted"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that was done to one edit."""

    kind: ChangeKind
    number: int  # of the edit: it was the how-manieth taught
    edit_id: str
    event: int  # number of its line in the event log


@dataclass(frozen=True, kw_only=True)
class PastMoment:
    """A moment after which something was different; the first is the start, when nothing was taught."""

    number: int  # 0, 1, ... ; numbers stay, because the log only grows
    time: float | None = None  # seconds since the epoch, UTC; None at the start
    changes: tuple[Change, ...] = ()  # more than one where they were made as one


@dataclass(frozen=True, kw_only=True)
class Span:
    """A time without a switch: from one moment up to, not including, another."""

    start: int
    end: int | None  # None: it lasts
    on: bool


@dataclass(frozen=True, kw_only=True)
class PastEdit:
    """The life of one edit; without an id once it is deleted."""

    number: int
    edit_id: str | None
    spans: tuple[Span, ...]  # in order, without a gap
    deleted: int | None = None  # the moment at which it went
    deleted_at: float | None = None  # seconds since the epoch, UTC
    erased: bool = False  # nothing of it is left on the disk

    def span_at(self, moment: int) -> Span | None:
        """Return the span that a moment lies in; None before it was taught and after it was deleted."""
        inside = (span for span in self.spans if span.start <= moment and (span.end is None or moment < span.end))
        return next(inside, None)


@dataclass(frozen=True, kw_only=True)
class PastState:
    """The edits there were at a moment, in order of teaching."""

    moment: PastMoment
    on: tuple[PastEdit, ...]  # on then, stored still
    off: tuple[PastEdit, ...]  # off then, stored still
    lost: tuple[PastEdit, ...]  # on then, deleted since: nothing brings them back
    lost_off: tuple[PastEdit, ...]  # off then, deleted since

    @property
    def ids(self) -> frozenset[str]:
        """The edits that can answer as they did then."""
        return frozenset(edit.edit_id for edit in self.on if edit.edit_id is not None)


@dataclass(frozen=True, kw_only=True)
class History:
    """All moments, oldest first, and all edits there ever were, in order of teaching."""

    moments: tuple[PastMoment, ...]
    edits: tuple[PastEdit, ...]

    @property
    def now(self) -> int:
        """The number of the last moment."""
        return len(self.moments) - 1

    def at(self, moment: int) -> PastState:
        """Return the state after a moment; raise InvalidInput when there is no such moment."""
        if not 0 <= moment <= self.now:
            raise InvalidInput(Sentence("There is no such moment in this history. Move the slider and try again."))
        found: dict[tuple[bool, bool], list[PastEdit]] = {}
        for edit in self.edits:
            if (span := edit.span_at(moment)) is not None:
                found.setdefault((edit.edit_id is not None, span.on), []).append(edit)
        return PastState(
            moment=self.moments[moment],
            on=tuple(found.get((True, True), ())),
            off=tuple(found.get((True, False), ())),
            lost=tuple(found.get((False, True), ())),
            lost_off=tuple(found.get((False, False), ())),
        )

    def last_switch(self, undone: Collection[int] = ()) -> Change | None:
        """Return the last switch that can be set back: of an edit that is still as it left it, and not in `undone`.

        `undone` has the event numbers of switches that were set back and of those that did it. A switch that came with
        teaching, as in a file of edits, is none.
        """
        stored = {edit.edit_id: edit.spans[-1].on for edit in self.edits if edit.edit_id is not None and edit.spans}
        for moment in reversed(self.moments):
            change = moment.changes[0] if len(moment.changes) == 1 else None
            if change is None or change.kind not in ("on", "off") or change.event in undone:
                continue
            if stored.get(change.edit_id) is (change.kind == "on"):
                return change
        return None


def history_of(events: Sequence[Event], stored: Iterable[Edit]) -> History:
    """Return the history that a log tells, given the edits that are stored after its last line."""
    times, changes = list[float | None]([None]), list[list[Change]]([[]])  # of each moment
    lives: list[_Life] = []
    present: dict[str, _Life] = {}
    stored_on = {edit.id: edit.enabled for edit in stored}
    first_switch = {e.edit_id: e.kind for e in reversed(events) if e.kind in ("enabled", "disabled")}
    last: Event | None = None
    for event in events:
        if event.kind == "erased":
            if event.edit_id in present:
                present[event.edit_id].erased = True
            continue
        if event.kind == "taught":
            # logs of an earlier version do not say that a file brought an edit switched off: its next switch, or none, tells
            known = first_switch.get(event.edit_id)
            on = stored_on.get(event.edit_id, True) if known is None else known == "disabled"
            lives.append(_Life(len(lives) + 1, event.edit_id, on))
            present[event.edit_id] = lives[-1]
        life = present.get(event.edit_id)
        if life is None:
            continue
        change = Change(kind=KINDS[event.kind], number=life.number, edit_id=event.edit_id, event=event.number)
        if last is None or not _as_one(changes[-1], last, event):
            times.append(event.time)
            changes.append([])
        changes[-1].append(change)
        life.take(change.kind, len(times) - 1, event.time)
        last = event
    moments = (
        PastMoment(number=number, time=when, changes=tuple(done))
        for number, (when, done) in enumerate(zip(times, changes, strict=True))
    )
    return History(moments=tuple(moments), edits=tuple(life.told(stored_on) for life in lives))


def _as_one(before: Sequence[Change], last: Event, event: Event) -> bool:
    """Say whether an event belongs to the same change of the library as the one before: then the times are the same.

    A replacing edit comes after what it replaces; edits of a file come together, some of them switched off.
    """
    if event.time != last.time:
        return False
    if event.kind == "disabled":
        return any(change.kind == "taught" and change.edit_id == event.edit_id for change in before)
    return last.kind in {"taught": ("taught", "deleted"), "deleted": ("deleted",)}.get(event.kind, ())


@dataclass
class _Life:
    """An edit's life while the log is read."""

    number: int
    edit_id: str
    on: bool
    start: int = 0
    spans: list[Span] = field(default_factory=list)
    deleted: int | None = None
    deleted_at: float | None = None
    erased: bool = False

    def take(self, kind: ChangeKind, moment: int, time: float) -> None:
        if kind == "taught":
            self.start = moment
        elif self.deleted is None:
            if self.start < moment:
                self.spans.append(Span(start=self.start, end=moment, on=self.on))
            self.start, self.on = moment, kind == "on"
            if kind == "deleted":
                self.deleted, self.deleted_at = moment, time

    def told(self, stored: Mapping[str, bool]) -> PastEdit:
        if self.deleted is None:
            self.spans.append(Span(start=self.start, end=None, on=self.on))
        return PastEdit(
            number=self.number,
            edit_id=self.edit_id if self.deleted is None and self.edit_id in stored else None,
            spans=tuple(self.spans),
            deleted=self.deleted,
            deleted_at=self.deleted_at,
            erased=self.erased,
        )
