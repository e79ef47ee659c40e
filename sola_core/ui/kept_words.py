"""Sentences about files of edits, lists of facts and proofs, made from records.

Pure functions; knows neither gradio nor plotly nor markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sola_core.words import here, say, say_many

if TYPE_CHECKING:
    from sola_core.evaluation.certificate import Certificate, Certifying
    from sola_core.teaching_lists import ListedOutcome
    from sola_core.transfer import Imported


# ---- files and lists ----


def trying(done: int, total: int) -> str:
    """Return how far the loading of a file is, in words."""
    return say("Trying edit {number} of {total}", number=min(done + 1, total), total=total)


def loaded(imported: Imported) -> str:
    """Return what became of a file's edits, in words."""
    words = [
        say_many(
            "{count:,} edit stored; each gave its answer here before it was.",
            "{count:,} edits stored; each gave its answer here before it was.",
            len(imported.edits),
        )
    ]
    if imported.skipped:
        words.append(
            say_many(
                "{count:,} question taught here already, so left as it is.",
                "{count:,} questions taught here already, so left as it is.",
                len(imported.skipped),
            )
        )
    if imported.failures:
        words.append(
            say_many(
                "{count:,} edit did not give its answer with this model and was not stored.",
                "{count:,} edits did not give its answer with this model and was not stored.",
                len(imported.failures),
            )
        )
    return " ".join(words)


def list_read(rows: int, usable: int) -> str:
    """Return what a list holds, in words."""
    wrong = rows - usable
    words = say_many("{count:,} fact can be taught.", "{count:,} facts can be taught.", usable)
    why = say_many(" {count:,} row cannot: the table says why.", " {count:,} rows cannot: the table says why.", wrong)
    return words + why if wrong else words


def teaching_list(done: int, total: int) -> str:
    """Return how far a list is, in words."""
    return say("Teaching row {number} of {total}", number=min(done + 1, total), total=total)


def list_taught(outcomes: Sequence[ListedOutcome]) -> str:
    """Return what became of a list, in words."""
    taught, there = (sum(o.outcome == kind for o in outcomes) for kind in ("taught", "present"))
    words = say_many("{count:,} fact taught.", "{count:,} facts taught.", taught)
    if there:
        words += say(" {there:,} had been taught before.", there=there)
    if left := len(outcomes) - taught - there:
        words += say_many(
            " {count:,} row not taught: the table says why.", " {count:,} rows not taught: the table says why.", left
        )
    return words


# ---- proof ----


def certifying(at: Certifying) -> str:
    """Return how far a proof is, in words."""
    stage = here(at.stage)
    return say(
        "{stage}: edit {number} of {total}",
        stage=stage[0].upper() + stage[1:],
        number=min(at.done + 1, at.total),
        total=at.total,
    )


def certified(certificate: Certificate) -> str:
    """Return the verdict of a proof, in words."""
    edits, cases = len(certificate.witnesses), sum(check.cases for check in certificate.checks)
    if certificate.breaches:
        return say(
            "Not proved: {breaches:,} of {cases:,} comparisons found a difference. The table names them; please "
            "report it with the certificate.",
            breaches=certificate.breaches,
            cases=cases,
        )
    if edits == 1:
        return say(
            "The edit was taken back, and every number of the model is what it was before: {cases:,} comparisons, no "
            "difference in a single bit.",
            cases=cases,
        )
    return say(
        "All {edits:,} edits were taken back, and every number of the model is what it was before: {cases:,} "
        "comparisons, no difference in a single bit.",
        edits=edits,
        cases=cases,
    )
