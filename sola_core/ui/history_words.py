"""Turns a history into what its tab shows: rows and spans for the picture, sentences, and tables, as plain text.

Pure functions; knows neither gradio nor plotly nor markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from sola_core.history import Change, History, PastEdit, PastMoment, PastState, Span
from sola_core.records import Edit
from sola_core.ui import texts
from sola_core.ui.present import one_line
from sola_core.words import say, say_many

MOST_MOMENTS = 300  # that the slider and the tables reach back
MOST_ROWS = 24  # of edits in the picture
TICKS = 5  # times below the picture
Line = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Tells times as the visitor's own clock does."""

    zone: tzinfo
    name: str  # of the time zone
    now: float  # seconds since the epoch, UTC

    @classmethod
    def of(cls, zone: str, now: float) -> Clock:
        """Return the clock of a time zone by name; of UTC when it is not known here."""
        try:
            return cls(zone=ZoneInfo(zone), name=zone, now=now) if zone else cls(zone=UTC, name="UTC", now=now)
        except (LookupError, ValueError, OSError):  # no such zone, no name of one, or no table of zones here
            return cls(zone=UTC, name="UTC", now=now)

    def short(self, time: float) -> str:
        """Return the hour and minute, with the day unless it is today."""
        return self._day(time, "%H:%M")

    def exact(self, time: float) -> str:
        """Return the same with seconds."""
        return self._day(time, "%H:%M:%S")

    def _day(self, time: float, clock: str) -> str:
        then, today = (datetime.fromtimestamp(at, self.zone) for at in (time, self.now))
        if then.date() == today.date():
            return then.strftime(clock)
        day = say("{day} {month}", day=then.day, month=texts.MONTHS[then.month - 1])
        day += "" if then.year == today.year else f" {then.year}"
        return f"{day}, {then.strftime(clock)}"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a bar."""

    start: int  # moment
    end: int  # moment, not included
    on: bool
    hint: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The life of one edit, as far as it is shown."""

    number: int
    label: str
    erased: bool
    pieces: tuple[Piece, ...]
    ended: int | None  # moment of deletion


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The picture: bars in order of teaching, from the first moment shown to now."""

    first: int
    now: int
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[int, str], ...]  # moments and their times
    older: str  # what is not shown, in words


# ---- the picture ----


def first_shown(history: History) -> int:
    """Return the number of the oldest moment that is shown."""
    return max(0, history.now - MOST_MOMENTS)


def timeline(history: History, edits: Sequence[Edit], clock: Clock) -> Timeline:
    """Return the newest part of a history as bars."""
    first, prompts = first_shown(history), {edit.id: edit.prompt for edit in edits}
    living = [edit for edit in history.edits if edit.deleted is None or edit.deleted > first]
    shown = living[-MOST_ROWS:]
    return Timeline(
        first=first,
        now=history.now,
        bars=tuple(_bar(edit, prompts, history, first, clock) for edit in shown),
        ticks=_ticks(history, first, clock),
        older=_older(first, len(history.edits) - len(shown)),
    )


def _bar(edit: PastEdit, prompts: Mapping[str, str], history: History, first: int, clock: Clock) -> Bar:
    name = name_of(edit)
    pieces = []
    for span in edit.spans:
        end = history.now + 1 if span.end is None else span.end
        if end > first:
            when = _when(span, history, clock)
            hint = (
                say("{name}, on {when}", name=name, when=when)
                if span.on
                else say("{name}, off {when}", name=name, when=when)
            )
            pieces.append(Piece(start=max(span.start, first), end=end, on=span.on, hint=hint))
    label = name if edit.edit_id is None else prompts.get(edit.edit_id, name)
    return Bar(number=edit.number, label=label, erased=edit.edit_id is None, pieces=tuple(pieces), ended=edit.deleted)


def _when(span: Span, history: History, clock: Clock) -> str:
    start = history.moments[span.start].time or 0.0
    if span.end is None:
        return say("since {start}", start=clock.short(start))
    end = clock.short(history.moments[span.end].time or 0.0)
    return say("from {start} to {end}", start=clock.short(start), end=end)


def _ticks(history: History, first: int, clock: Clock) -> tuple[tuple[int, str], ...]:
    if not history.now:
        return ()
    places = sorted({first + round(step * (history.now - first) / (TICKS - 1)) for step in range(TICKS)})
    times = [history.moments[place].time for place in places]
    words = [texts.HISTORY_START_TICK if time is None else clock.short(time) for time in times]
    if len(set(words)) < len(words):  # so much was done in a minute
        words = [word if time is None else clock.exact(time) for word, time in zip(words, times, strict=True)]
    return tuple(zip(places, words, strict=True))


def _older(moments: int, edits: int) -> str:
    parts = []
    if moments:
        parts.append(say_many("{count:,} older moment", "{count:,} older moments", moments))
    if edits:
        parts.append(say_many("{count:,} older edit", "{count:,} older edits", edits))
    return say("Not drawn: {parts}.", parts=say(" and ").join(parts)) if parts else ""


# ---- sentences ----


def name_of(edit: PastEdit) -> str:
    """Return what an edit is called: of a deleted one nothing but the number is known."""
    if edit.edit_id is not None:
        return say("edit {number}", number=edit.number)
    if edit.erased:
        return say("erased edit {number}", number=edit.number)
    return say("deleted edit {number}", number=edit.number)


def happened(moment: PastMoment) -> str:
    """Return what was done at a moment, as the rest of a sentence that begins with "after"."""
    taught, off, gone = (_numbers(moment.changes, kind) for kind in ("taught", "off", "deleted"))
    if not moment.changes:
        return say("nothing had been taught")
    if taught and gone:
        new = _edits(taught)
        return say_many(
            "{old} was replaced by {new}", "{old} were replaced by {new}", len(gone), old=_edits(gone), new=new
        )
    if taught:
        single = len(taught) == 1
        words = (
            say("{edit} was taught", edit=_edits(taught))
            if single
            else say("{edits} came from a file", edits=_edits(taught))
        )
        return words + (say(", {edits} switched off", edits=_edits(off)) if off else "")
    change = moment.changes[0]
    if change.kind == "deleted":
        return say_many("{edits} was deleted", "{edits} were deleted", len(gone), edits=_edits(gone))
    if change.kind == "on":
        return say("edit {number} was switched on", number=change.number)
    return say("edit {number} was switched off", number=change.number)


def moment_words(history: History, number: int, clock: Clock) -> str:
    """Return a moment in words, with its time."""
    moment = history.moments[number]
    if moment.time is None:
        return texts.HISTORY_EMPTY if history.now == 0 else texts.HISTORY_AT_START
    words = say("after {happened}, {time}", happened=happened(moment), time=clock.short(moment.time))
    return say("Now: {words}", words=words) if number == history.now else f"{words[0].upper()}{words[1:]}"


def lost_words(state: PastState, clock: Clock) -> str:
    """Return the warning that an answer of now cannot be sure to be the one of then; empty when it can."""
    if not state.lost:
        return ""
    gone = ", ".join(_gone(edit, clock) for edit in state.lost[-5:])
    more = say(" and {count:,} more", count=len(state.lost) - 5) if len(state.lost) > 5 else ""
    return say_many(
        "On then, and deleted since: {gone}. Nothing brings it back, so an answer may differ from the one given then.",
        "On then, and deleted since: {gone}. Nothing brings them back, so an answer may differ from the one given then.",
        len(state.lost),
        gone=gone + more,
    )


def _gone(edit: PastEdit, clock: Clock) -> str:
    return say("{name} (deleted {time})", name=name_of(edit), time=clock.short(edit.deleted_at or 0.0))


def undo_words(change: Change | None) -> str:
    """Return what the button would do, or that there is nothing to do."""
    if change is None:
        return texts.UNDO_NONE
    if change.kind == "off":
        return say("The last switch turned edit {number} off; undoing turns it on again.", number=change.number)
    return say("The last switch turned edit {number} on; undoing turns it off again.", number=change.number)


# ---- tables ----


def moments_table(history: History, clock: Clock) -> list[Line]:
    """Return the moments that are shown, newest first: number, time, what happened."""
    rows: list[Line] = []
    for moment in reversed(history.moments[first_shown(history) :]):
        words = happened(moment)
        time = "" if moment.time is None else clock.exact(moment.time)
        rows.append((str(moment.number), time, words[0].upper() + words[1:]))
    return rows


def edits_table(history: History, edits: Sequence[Edit], clock: Clock) -> list[Line]:
    """Return the twin of the picture: each edit with its text, when it was on, and what became of it."""
    prompts = {edit.id: edit.prompt for edit in edits}
    first = first_shown(history)
    rows: list[Line] = []
    for edit in reversed(history.edits[-MOST_MOMENTS:]):
        if edit.deleted is not None and edit.deleted <= first:
            continue
        spans = [_when(span, history, clock) for span in edit.spans if span.on]
        deleted = edit.deleted_at
        end = say("stored") if deleted is None else say("deleted {time}", time=clock.exact(deleted))
        text = one_line(prompts.get(edit.edit_id or "", ""), 80) or texts.ERASED_TEXT
        name = name_of(edit)
        rows.append((name[0].upper() + name[1:], text, "; ".join(spans[-6:]) or say("never"), end))
    return rows


def _numbers(changes: Sequence[Change], kind: str) -> list[int]:
    return [change.number for change in changes if change.kind == kind]


def _edits(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return say("edit {number}", number=numbers[0])
    in_row = numbers[-1] - numbers[0] == len(numbers) - 1
    if len(numbers) > 2 and in_row:
        return say("edits {first} to {last}", first=numbers[0], last=numbers[-1])
    shown = [str(number) for number in numbers[:6]]
    if len(numbers) > 6:
        return say("edits {some} and {count} more", some=", ".join(shown), count=len(numbers) - 6)
    return say("edits {some} and {last}", some=", ".join(shown[:-1]), last=shown[-1])
