"""Reads the facts that a measurement teaches: the project's demo facts, or a file of records.

Knows where the demo facts lie; what a fact is used for is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sola_core.errors import InvalidInput
from sola_core.evaluation.datasets import Row, distinct_subjects, read_rows
from sola_core.resources import asset
from sola_core.text import canonical

DEMO_FACTS = "demo_facts.json"


def read_facts(path: Path | None = None, *, limit: int | None = None, distinct: bool = False) -> tuple[Row, ...]:
    """Return at most `limit` facts that can be taught, by default the demo facts that the project ships.

    The file may have any format that `read_rows` knows. `distinct` keeps the first fact of each subject. Raises InvalidInput when
    the file cannot be used, or holds no fact.
    """
    path = path or asset(DEMO_FACTS)
    rows: Sequence[Row] = [row for row in read_rows(path) if row.target_new is not None]
    if distinct:
        rows = distinct_subjects(rows)
    if not rows[:limit]:
        raise InvalidInput(f"{path} holds no fact with a new answer. Name another file, or a larger --edits.")
    return tuple(rows[:limit])


def probes(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the first rephrasing and the first prompt that must stay of each fact, each once: prompts to watch along."""
    taught = {canonical(row.prompt) for row in rows}
    texts = [text for row in rows for text in (*row.rephrases[:1], *(probe.prompt for probe in row.locality[:1]))]
    return tuple(dict.fromkeys(text for text in texts if canonical(text) not in taught))
