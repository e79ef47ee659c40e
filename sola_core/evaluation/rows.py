"""What a measurement is made of: facts to teach and the prompts that test them.

Knows no file format and no model.
"""

from __future__ import annotations

from dataclasses import dataclass

from sola_core.errors import InvalidInput
from sola_core.records import EditRequest


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A prompt that tests an edit, with the answer the data expects."""

    prompt: str
    answer: str | None
    kind: str  # neighborhood, Relation_Specificity, nq, Forgetfulness, Subject_Aliasing ...
    aliases: tuple[str, ...] = ()  # other spellings of the answer that count as well


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
