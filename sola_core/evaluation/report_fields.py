"""Reads a stored result field by field, whatever may be missing or of another type.

Knows JSON values and how measurements call the number of edits, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Stored = Mapping[str, Any]
EDITS = ("n", "edits", "stored")  # names that the number of stored edits goes by


def records(holder: Stored, name: str) -> list[Stored]:
    """Return the objects of a list; none when there is no list."""
    found = holder.get(name)
    return [r for r in found if isinstance(r, Mapping)] if isinstance(found, Sequence) else []


def part(holder: Stored, name: str) -> Stored:
    """Return an object; an empty one when there is none."""
    found = holder.get(name)
    return found if isinstance(found, Mapping) else {}


def text(record: Stored, name: str) -> str:
    """Return a value as text, "" when there is none."""
    found = record.get(name)
    return "" if found is None else str(found)


def numeric(record: Stored, name: str) -> float | None:
    """Return a number, None when there is none."""
    found = record.get(name)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def edits_of(record: Stored) -> int | None:
    """Return the number of edits, None when there is none."""
    found = next((value for name in EDITS if (value := numeric(record, name)) is not None), None)
    return None if found is None else int(found)
