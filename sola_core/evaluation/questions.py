"""Which prompts a benchmark asks about its facts, which of them it leaves out, and what counts as the new answer.

Knows rows. Knows no editor, and no figures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sola_core.evaluation.rows import Probe, Row
from sola_core.text import normalised_answer

APART = "Forgetfulness"  # mentions the old fact: reported, not counted in `locality`
NEIGHBOUR = "neighborhood"  # the one kind of negative that may be about another stored subject
UNRELATED = "unrelated"
OWN = ("reliability", "generality")  # the kinds that the fact itself must answer


@dataclass(frozen=True, kw_only=True)
class Question:
    """One prompt to ask when everything is taught."""

    row: Row  # the fact it belongs to; an unrelated question is a row of its own
    kind: str  # "reliability", "generality", or the kind of a prompt that must stay as it was
    prompt: str
    expected: str | None = None  # the data's answer to a prompt that must stay, right or wrong

    @property
    def target(self) -> str | None:
        """The new answer; None where the base model's answer must stay."""
        return self.row.target_new if self.kind in OWN else None

    def answered(self, text: str, stopped: str) -> bool:
        """Return whether an answer is exactly the new one (case and punctuation aside) and stopped by itself."""
        same = self.target is not None and normalised_answer(text) == normalised_answer(self.target)
        return same and stopped == "end"


def questions_of(rows: Sequence[Row], unrelated: Sequence[Row]) -> tuple[list[Question], int]:
    """Return all questions, and how many neighbours were dropped because another taught subject stands in them."""
    questions: list[Question] = []
    dropped = 0
    for row in rows:
        questions.append(Question(row=row, kind="reliability", prompt=row.prompt))
        questions += [Question(row=row, kind="generality", prompt=text) for text in row.rephrases]
    stored = StoredSubjects(rows)
    for row in rows:
        for probe in row.locality:
            if stored.drop(probe, row):
                dropped += 1
            else:
                questions.append(Question(row=row, kind=probe.kind, prompt=probe.prompt, expected=probe.answer))
    for row in unrelated:
        questions.append(Question(row=row, kind=UNRELATED, prompt=row.prompt, expected=row.target_true))
    return questions, dropped


class StoredSubjects:
    """The subjects of the facts that are stored together, as words, letter case aside."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._subjects = {_words(row.subject) for row in rows if row.subject} - {()}
        self._longest = max(map(len, self._subjects), default=0)

    def drop(self, probe: Probe, row: Row) -> bool:
        """Return whether a neighbour of a row contains the subject of another one as whole words: no negative then."""
        if probe.kind != NEIGHBOUR:
            return False
        words, own = _words(probe.prompt), _words(row.subject or "")
        parts = (words[i : i + n] for n in range(1, self._longest + 1) for i in range(len(words) - n + 1))
        return any(part in self._subjects and part != own for part in parts)


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.casefold()))
