"""Teaches a list of facts one after another, each stored as soon as it holds, so that a cut run goes on where it stopped.

Knows lists, and what it is to be taught. Knows no file and no page.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sola_core.errors import EditFailed, InvalidInput, LibraryFull
from sola_core.fact_lists import ListedFact
from sola_core.records import Edit, EditRequest
from sola_core.transfer import PRESENT, Present
from sola_core.words import Sentence

Outcome = Literal["taught", "present", "failed", "unusable", "not tried"]


@dataclass(frozen=True, kw_only=True)
class ListedOutcome:
    """What became of one row of a list."""

    line: int
    outcome: Outcome
    edit: Edit | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ListProgress:
    """How far a list is, for progress displays."""

    done: int  # rows
    total: int
    last: ListedOutcome | None = None


class Teacher(Protocol):
    """What a list is taught to: an editor, or a visitor's workspace with its limits."""

    def edits_of(self, prompt: str) -> Sequence[Edit]:
        """Return the edits whose own prompt is equal to this one, in order of teaching."""

    def edit(self, request: EditRequest, *, replace: Sequence[str] = ()) -> Edit:
        """Teach one fact; `replace` names edits that are deleted with it."""

    def set_enabled(self, edit_id: str, enabled: bool) -> Edit:
        """Switch an edit on or off."""


def teach_list_steps(
    editor: Teacher, facts: Sequence[ListedFact], present: Present = "skip"
) -> Generator[ListProgress, None, tuple[ListedOutcome, ...]]:
    """Teach the usable rows in their order; closing the generator keeps what is taught, and nothing half-done.

    A row whose question is taught here already with the same answer is left alone, so a list can be given again after an
    interruption. `present`: what to do with one that has another answer. When the library is full the rest is not tried.
    """
    check_present(present)
    outcomes: list[ListedOutcome] = []
    full = ""
    for done, fact in enumerate(facts):
        yield ListProgress(done=done, total=len(facts), last=outcomes[-1] if outcomes else None)
        if full and fact.request is not None:
            outcomes.append(ListedOutcome(line=fact.line, outcome="not tried", reason=full))
            continue
        try:
            outcomes.append(_taught(editor, fact, present))
        except LibraryFull as error:
            full = str(error)
            outcomes.append(ListedOutcome(line=fact.line, outcome="not tried", reason=full))
    yield ListProgress(done=len(facts), total=len(facts), last=outcomes[-1] if outcomes else None)
    return tuple(outcomes)


def check_present(present: Present) -> None:
    """Raise InvalidInput for a policy that there is not."""
    if present not in PRESENT:
        raise InvalidInput(
            Sentence("Choose what to do with facts that are there already: {names}.", names=", ".join(PRESENT))
        )


def left_alone(fact: ListedFact, here: Sequence[Edit], present: Present) -> ListedOutcome | None:
    """Return what is to be said of a row that is not to be taught; None for one that is.

    `here`: the edits that have its question as their own, oldest first.
    """
    if fact.request is None:
        return ListedOutcome(line=fact.line, outcome="unusable", reason=fact.error)
    same = next((edit for edit in here if edit.request == fact.request), None)
    if same is None and not (here and present == "skip"):
        return None
    edit = same or here[-1]
    reason = (
        Sentence("taught before") if same else Sentence("another answer is taught: {answer!r}", answer=edit.target[:80])
    )
    return ListedOutcome(line=fact.line, outcome="present", edit=edit, reason=reason)


def _taught(editor: Teacher, fact: ListedFact, present: Present) -> ListedOutcome:
    request = fact.request
    known = left_alone(fact, editor.edits_of(request.prompt) if request else (), present)
    if known is not None or request is None:
        return known or ListedOutcome(line=fact.line, outcome="unusable", reason=fact.error)
    replaced = [edit.id for edit in editor.edits_of(request.prompt)] if present == "replace" else []
    try:
        edit = editor.edit(request, replace=replaced)
        if not fact.enabled:
            edit = editor.set_enabled(edit.id, False)
        return ListedOutcome(line=fact.line, outcome="taught", edit=edit)
    except EditFailed as error:
        return ListedOutcome(line=fact.line, outcome="failed", reason=str(error))
