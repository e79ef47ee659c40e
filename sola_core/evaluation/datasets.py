"""Reads editing records from JSON-lines files into frozen rows.

Knows the common schema and two plainer ones (a stream of cases, a list of questions); knows nothing of models.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sola_core.errors import InvalidInput
from sola_core.records import EditRequest


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A prompt that tests an edit, with the answer the data expects."""

    prompt: str
    answer: str | None
    kind: str  # neighborhood, Relation_Specificity, nq, Forgetfulness, Subject_Aliasing ...


@dataclass(frozen=True, kw_only=True)
class Row:
    """One record: a fact to teach and what to ask afterwards."""

    id: str
    subject: str | None
    prompt: str
    target_new: str | None  # None in records that teach nothing (true facts, plain questions)
    target_true: str | None
    rephrases: tuple[str, ...] = ()
    locality: tuple[Probe, ...] = ()  # must stay as they were
    portability: tuple[Probe, ...] = ()  # what should follow from the fact

    @property
    def request(self) -> EditRequest:
        """The fact as an edit request; raises InvalidInput when the record has no new answer."""
        if self.target_new is None:
            raise InvalidInput(f"The record {self.id} has no new answer (target_new), so it cannot be taught.")
        return EditRequest(prompt=self.prompt, target=self.target_new, subject=self.subject)


def read_rows(path: Path, limit: int | None = None) -> tuple[Row, ...]:
    """Return the records of a JSON-lines file, at most `limit` of them, in their order.

    Raises InvalidInput, naming file and line, for a file that cannot be read or a line that is no such record.
    """
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if limit is not None and len(rows) >= limit:
                    break
                if line.strip():
                    rows.append(_row(line, f"{path.name}, line {number}", number))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The file {path} cannot be read as UTF-8 text: {error}") from error
    return tuple(rows)


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


def _row(line: str, place: str, number: int) -> Row:
    try:
        stored = json.loads(line)
        if not isinstance(stored, dict):
            raise TypeError("it is not an object")
        if "case_id" in stored and "locality_prompt" in stored:
            return _stream_row(stored)
        return Row(
            id=str(stored.get("id", number)),
            subject=_text_or_none(stored, "subject"),
            prompt=_text(stored, "prompt"),
            target_new=_text_or_none(stored, "target_new"),
            target_true=_text_or_none(stored, "target_true"),
            rephrases=tuple(_checked(text, "rephrases") for text in stored.get("rephrases", ())),
            locality=tuple(_probe(probe) for probe in stored.get("locality", ())),
            portability=tuple(_probe(probe) for probe in stored.get("portability", ())),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f"{place} is no editing record: {error}. See the README for the format.") from error


def _stream_row(stored: Mapping[str, object]) -> Row:
    """Read a case of the long stream: one locality prompt, of the same relation."""
    truth = _text_or_none(stored, "locality_ground_truth")
    return Row(
        id=str(stored["case_id"]),
        subject=_text_or_none(stored, "subject"),
        prompt=_text(stored, "prompt"),
        target_new=_text_or_none(stored, "target_new"),
        target_true=_text_or_none(stored, "ground_truth"),
        locality=(Probe(prompt=_text(stored, "locality_prompt"), answer=truth, kind="neighborhood"),),
    )


def _probe(stored: Mapping[str, object]) -> Probe:
    return Probe(prompt=_text(stored, "prompt"), answer=_text_or_none(stored, "answer"), kind=_text(stored, "kind"))


def _text(stored: Mapping[str, object], field: str) -> str:
    return _checked(stored[field], field)


def _text_or_none(stored: Mapping[str, object], field: str) -> str | None:
    value = stored.get(field)
    return None if value is None else _checked(value, field)


def _checked(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{field} must be text, not {type(value).__name__}")
    return value
