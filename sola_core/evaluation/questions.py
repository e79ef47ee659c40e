"""Which prompts a benchmark asks about its facts, which of them it leaves out, and what counts as the new answer.

Knows rows. Knows no editor, and no figures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sola_core.evaluation.rows import Row
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
    subjects = {row.subject for row in rows if row.subject}
    for row in rows:
        others = subjects - {row.subject}
        for probe in row.locality:
            if probe.kind == NEIGHBOUR and any(_contains(probe.prompt, subject) for subject in others):
                dropped += 1
            else:
                questions.append(Question(row=row, kind=probe.kind, prompt=probe.prompt, expected=probe.answer))
    for row in unrelated:
        questions.append(Question(row=row, kind=UNRELATED, prompt=row.prompt, expected=row.target_true))
    return questions, dropped


def _contains(prompt: str, subject: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", prompt, re.IGNORECASE) is not None
