"""Reads editing records from files, JSON lines or one JSON array, into frozen rows.

Knows files and names the place of what is wrong in them; what a record's fields mean is known by `formats`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from sola_core.errors import InvalidInput
from sola_core.evaluation.formats import row_of
from sola_core.evaluation.rows import Probe, Row

__all__ = ["Probe", "Row", "distinct_subjects", "read_rows"]


def read_rows(path: Path, limit: int | None = None) -> tuple[Row, ...]:
    """Return the records of a file, at most `limit` of them, in their order.

    The file holds one JSON object a line, or one JSON array of objects, of any format in `formats`. Raises InvalidInput,
    naming file and line (in an array: the record), for a file that cannot be read or a record of no known format.
    """
    try:
        return tuple(_row(stored, place, number) for stored, place, number in islice(_records(path), limit))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The file {path} cannot be read as UTF-8 text: {error}") from error


def distinct_subjects(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return the rows without those whose subject an earlier one edits; letter case does not count."""
    seen: set[str] = set()
    kept = []
    for row in rows:
        subject = (row.subject or row.prompt).casefold()
        if subject not in seen:
            seen.add(subject)
            kept.append(row)
    return tuple(kept)


def _records(path: Path) -> Iterator[tuple[object, str, int]]:
    """Yield each record with its place in words and its number; a line is read only when it is asked for."""
    if _is_array(path):
        stored = _parsed(path.read_text(encoding="utf-8-sig"), path.name, 1)
        assert isinstance(stored, list)
        for number, record in enumerate(stored, start=1):
            yield record, f"{path.name}, record {number}", number
        return
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _parsed(line.rstrip(), path.name, number), f"{path.name}, line {number}", number


def _is_array(path: Path) -> bool:
    with path.open(encoding="utf-8-sig") as lines:
        return next((line.strip()[0] for line in lines if line.strip()), "") == "["


def _parsed(text: str, name: str, first_line: int) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{name}, line {first_line + error.lineno - 1}"
        raise InvalidInput(
            f"{place} is no JSON: {error.msg} (column {error.colno}). Write one object a line, or one array of objects."
        ) from error


def _row(stored: object, place: str, number: int) -> Row:
    try:
        return row_of(stored, number)
    except KeyError as error:
        raise InvalidInput(f"{place} is no editing record: the field {error} is missing.") from error
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{place} is no editing record: {error}.") from error
