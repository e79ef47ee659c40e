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
FOLLOWS = "portability_"  # begins the kinds of prompts whose answer should follow from the fact
ALIAS = "Subject_Aliasing"  # the one portability kind that asks for the fact itself: a positive for the router


@dataclass(frozen=True, kw_only=True)
class Question:
    """One prompt to ask when everything is taught."""

    row: Row  # the fact it belongs to; an unrelated question is a row of its own
    kind: str  # "reliability", "generality", "portability_<kind>", or the kind of a prompt that must stay as it was
    prompt: str
    expected: str | None = None  # the data's answer to a prompt that must stay, right or wrong
    follows: tuple[str, ...] = ()  # the answer that should follow from the fact, then its other spellings

    @property
    def targets(self) -> tuple[str, ...]:
        """The answers that count as right, the customary one first; none where the base model's answer must stay."""
        if self.kind in OWN:
            return () if self.row.target_new is None else (self.row.target_new,)
        return self.follows

    @property
    def target(self) -> str | None:
        """The new answer; None where the base model's answer must stay."""
        return next(iter(self.targets), None)

    def answered(self, text: str, stopped: str) -> bool:
        """Return whether an answer is exactly one that counts (case and punctuation aside) and stopped by itself."""
        return stopped == "end" and normalised_answer(text) in map(normalised_answer, self.targets)

    def contained(self, text: str) -> bool:
        """Return whether an answer that counts stands in a text as whole words: softer, for it may stand beside anything."""
        words = f" {normalised_answer(text)} "
        return any(f" {normalised_answer(target)} " in words for target in self.targets)


def questions_of(rows: Sequence[Row], unrelated: Sequence[Row]) -> tuple[list[Question], int]:
    """Return all questions, and how many neighbours were dropped because another taught subject stands in them.

    A portability probe without an answer is left out: nothing could be right.
    """
    questions: list[Question] = []
    dropped = 0
    for row in rows:
        questions += own_questions(row)
    questions += [_following(row, probe) for row in rows for probe in row.portability if probe.answer]
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


def own_questions(row: Row) -> list[Question]:
    """Return the questions that a fact itself must answer: its prompt, then each rephrasing."""
    asked = Question(row=row, kind="reliability", prompt=row.prompt)
    return [asked, *(Question(row=row, kind="generality", prompt=text) for text in row.rephrases)]


def _following(row: Row, probe: Probe) -> Question:
    answers = tuple(dict.fromkeys(text for text in (probe.answer, *probe.aliases) if text))
    return Question(row=row, kind=FOLLOWS + probe.kind, prompt=probe.prompt, follows=answers)


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
