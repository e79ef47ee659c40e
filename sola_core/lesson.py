"""The lesson as records: its fact, its seven steps, what really happened in each, and how far somebody has come.

Pure. What the steps check is in `lesson_checks`; knows nothing of the page, of visitors or of models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sola_core.comparison import SideBySide
from sola_core.records import Edit, EditRequest, RouteReason, ScoreKind

Step = Literal["ask", "teach", "again", "rephrase", "neighbour", "off", "prove"]
STEPS: Final[tuple[Step, ...]] = ("ask", "teach", "again", "rephrase", "neighbour", "off", "prove")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What a lesson teaches, and the two questions that test it."""

    prompt: str
    target: str
    rephrase: str  # the prompt in other words
    neighbour: str  # a question near by, which must not change
    subject: str = ""

    @property
    def request(self) -> EditRequest:
        """The fact as an edit request; its other wording is asked, not taught."""
        return EditRequest(prompt=self.prompt, target=self.target, subject=self.subject or None)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the model is at one moment: four hex SHA-256."""

    state: str  # the state digest of the edits
    parameters: str  # of the model's parameters
    base: str  # of the logits with which the untouched model begins its answer to one question
    answered: str  # of those with which it is answered as things are


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What happened when a question was asked."""

    question: str
    base_text: str
    text: str
    ended: bool  # the answer came to its end by itself
    answered_by: str  # id of the edit; empty: the untouched model answered
    reason: RouteReason
    score: float | None  # of the lesson's edit for this question
    threshold: float
    score_kind: ScoreKind
    on: bool  # the lesson's edit is stored and switched on
    snapshot: Snapshot | None = None


@dataclass(frozen=True, kw_only=True)
class Taught:
    """What was stored."""

    edit_id: str
    prompt: str
    target: str
    held: bool  # it was tried before it was stored, and gave its answer
    known: bool  # the model answered so before
    seconds: float
    steps: int
    probability: float  # of the whole answer, afterwards, 0..1


@dataclass(frozen=True, kw_only=True)
class Proved:
    """What was found after the edit was deleted."""

    stored: bool  # the edit is still there
    erased: bool  # its text has gone from the disk as well
    answered_by: str  # who answers the question now; empty: the untouched model
    snapshot: Snapshot


Happened = Observed | Taught | Proved
KINDS: Final[Mapping[Step, type[Observed] | type[Taught] | type[Proved]]] = {
    "ask": Observed,
    "teach": Taught,
    "again": Observed,
    "rephrase": Observed,
    "neighbour": Observed,
    "off": Observed,
    "prove": Proved,
}


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """How far one lesson has come."""

    fact: Fact
    happened: tuple[Happened | None, ...] = (None,) * len(STEPS)  # for each step the best that happened
    at: int = 0  # the step that is shown
    opened: int = 0  # the last step that was gone on to
    deleted: bool = False

    @property
    def step(self) -> Step:
        """The step that is shown."""
        return STEPS[self.at]

    @property
    def edit_id(self) -> str:
        """The edit that the lesson taught; empty before it did."""
        taught = self.happened[STEPS.index("teach")]
        return taught.edit_id if isinstance(taught, Taught) else ""

    def of(self, step: Step) -> Happened | None:
        """Return what happened in a step."""
        return self.happened[STEPS.index(step)]

    @property
    def over(self) -> bool:
        """True when the last step was tried."""
        return self.happened[-1] is not None


# ---- what really happened ----


def observed(both: SideBySide, lesson: Lesson, edits: tuple[Edit, ...], snapshot: Snapshot | None = None) -> Observed:
    """Return two finished answers as the lesson looks at them."""
    route, own = both.route, lesson.edit_id
    return Observed(
        question=both.question,
        base_text=both.base_text,
        text=both.edited_text,
        ended=both.edited is not None and both.edited.stopped == "end",
        answered_by="" if route.deferred else route.edit_id or "several",
        reason=route.reason,
        score=next((float(found.score) for found in route.candidates if found.edit_id == own), None),
        threshold=float(route.threshold),
        score_kind=route.score_kind,
        on=any(edit.id == own and edit.enabled for edit in edits),
        snapshot=snapshot,
    )


def taught(edit: Edit) -> Taught:
    """Return a stored edit as the lesson looks at it."""
    record = edit.training
    return Taught(
        edit_id=edit.id,
        prompt=edit.prompt,
        target=edit.target,
        held=record.held,
        known=record.already_known,
        seconds=edit.seconds,
        steps=record.steps,
        probability=record.target_probability,
    )
