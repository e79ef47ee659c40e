"""Which rows of the list of edits are on the screen: those that match the search, in the order chosen, one page of them.

Pure functions over rows; knows neither gradio nor markup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sola_core.ui.present import EditRow
from sola_core.words import say

ROWS_SHOWN = 12  # of one screenful; the others are a page away
ORDERS: dict[str, Callable[[Sequence[EditRow]], list[EditRow]]] = {  # of rows that come newest first
    "newest": list,
    "oldest": lambda rows: list(reversed(rows)),
    "question": lambda rows: sorted(rows, key=lambda row: row.prompt.casefold()),
    "off": lambda rows: sorted(rows, key=lambda row: row.enabled),
}


@dataclass(frozen=True, kw_only=True)
class Looking:
    """What a visitor looks for in the list."""

    words: str = ""
    order: str = "newest"


@dataclass(frozen=True, kw_only=True)
class Window:
    """The part of the list that is on the screen; an open row ends its first half."""

    first: tuple[EditRow, ...]
    rest: tuple[EditRow, ...]
    page: int
    last: int  # page
    found: int  # rows that match
    stored: int
    opened: EditRow | None  # if it is on this page


def window(rows: Sequence[EditRow], looking: Looking, page: int, opened: str) -> Window:
    """Return the part of the list that is on the screen; a page beyond the last is the last."""
    found = ORDERS[looking.order]([row for row in rows if matches(row, looking.words)])
    last = max(0, (len(found) - 1) // ROWS_SHOWN)
    page = min(page, last)
    seen = found[page * ROWS_SHOWN : (page + 1) * ROWS_SHOWN]
    place = next((place for place, row in enumerate(seen, 1) if row.id == opened), 0)
    cut = place or len(seen)
    return Window(
        first=tuple(seen[:cut]),
        rest=tuple(seen[cut:]),
        page=page,
        last=last,
        found=len(found),
        stored=len(rows),
        opened=seen[place - 1] if place else None,
    )


def matches(row: EditRow, words: str) -> bool:
    """Return whether every word stands somewhere in an edit's question, answer or subject, letter case aside."""
    text = f"{row.prompt}\n{row.target}\n{row.subject}".casefold()
    return all(word in text for word in words.casefold().split())


def found_words(seen: Window) -> str:
    """Return the line under the search; nothing when every edit matches."""
    if seen.found == seen.stored:
        return ""
    if not seen.found:
        return say("No edit matches. Clear the search to see all of them.")
    return say("{found:,} of {stored:,} edits match.", found=seen.found, stored=seen.stored)
