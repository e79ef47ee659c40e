"""Reads the facts that a measurement teaches: the project's demo facts, or a file of records.

Knows the two file formats; what a fact is used for is decided elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from sola_core.errors import InvalidInput
from sola_core.evaluation.datasets import Probe, Row, distinct_subjects, read_rows
from sola_core.resources import asset
from sola_core.text import canonical

DEMO_FACTS = "demo_facts.json"


def read_facts(path: Path | None = None, *, limit: int | None = None, distinct: bool = False) -> tuple[Row, ...]:
    """Return at most `limit` facts that can be taught, by default the demo facts that the project ships.

    A `.json` file holds an array of demo facts, any other one record a line. `distinct` keeps the first fact of each
    subject. Raises InvalidInput when the file cannot be used, or holds no fact.
    """
    path = path or asset(DEMO_FACTS)
    rows: Sequence[Row] = _demo_facts(path) if path.suffix == ".json" else read_rows(path)
    rows = [row for row in rows if row.target_new is not None]
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


def _demo_facts(path: Path) -> list[Row]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return [_demo_fact(fact, number) for number, fact in enumerate(stored, 1)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidInput(f"{path} is no array of facts with prompt and target: {error}") from error


def _demo_fact(fact: Mapping[str, str | list[str]], number: int) -> Row:
    prompt, target, subject = fact["prompt"], fact["target"], fact.get("subject")
    if not isinstance(prompt, str) or not isinstance(target, str) or isinstance(subject, list):
        raise TypeError(f"fact {number} has no text as prompt, target or subject")
    neighbours = tuple(Probe(prompt=text, answer=None, kind="neighborhood") for text in fact.get("neighbours", ()))
    return Row(
        id=f"fact-{number}",
        subject=subject,
        prompt=prompt,
        target_new=target,
        target_true=None,
        rephrases=tuple(fact.get("rephrases", ())),
        locality=neighbours,
    )
