"""The records of a contest of methods: what became of the facts, answers side by side, and what taking one back left.

Knows the records of a session and nothing of how a contest is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sola_core.records import Answer, Capabilities, Route

Outcome = Literal["waiting", "taught", "failed"]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A method that can be chosen, and what it says of taking facts back."""

    name: str
    capabilities: Capabilities


@dataclass(frozen=True, kw_only=True)
class FactOutcome:
    """What became of one fact with one method."""

    number: int  # 1-based, in order of teaching
    outcome: Outcome = "waiting"
    reason: str = ""  # why it could not be taught
    seconds: float = 0.0  # of teaching
    right: bool | None = None  # once all were taught, the answer to its question held its target; None: not asked yet
    exact: bool = False  # ... and was nothing but its target


@dataclass(frozen=True, kw_only=True)
class RetentionPoint:
    """How the first facts fared after so many."""

    taught: int
    asked: int
    right: int


@dataclass(frozen=True, kw_only=True)
class TrackPoint:
    """Where a fact's place was after so many facts, on a flat map."""

    taught: int
    x: float
    y: float
    radius: float | None  # in the same units; None where places have none


@dataclass(frozen=True, kw_only=True)
class Track:
    """The way of one fact's place while more facts were added."""

    number: int
    points: tuple[TrackPoint, ...]
    moved: float  # distance from the first place to the last, in the space itself


@dataclass(frozen=True, kw_only=True)
class MethodOutcome:
    """All that is known of one method so far."""

    method: str
    capabilities: Capabilities
    facts: tuple[FactOutcome, ...]
    points: tuple[RetentionPoint, ...] = ()
    elsewhere: int = 0  # unrelated questions asked
    elsewhere_same: int = 0  # of them, answered as the untouched model does
    tracks: tuple[Track, ...] = ()  # where its facts were kept, at the end; none for a method without places

    @property
    def taught(self) -> int:
        """How many facts could be taught."""
        return sum(fact.outcome == "taught" for fact in self.facts)

    @property
    def asked(self) -> int:
        """How many facts were asked after all were taught."""
        return sum(fact.right is not None for fact in self.facts)

    @property
    def right(self) -> int:
        """How many of them had their target in the answer."""
        return sum(fact.right is True for fact in self.facts)

    @property
    def exact(self) -> int:
        """How many of them were answered with nothing but their target."""
        return sum(fact.exact for fact in self.facts)

    @property
    def seconds(self) -> float:
        """Seconds that teaching took."""
        return sum(fact.seconds for fact in self.facts)


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """How far a contest is, for progress displays."""

    stage: Literal["opening", "teaching", "asking"]
    method: str  # empty: the untouched model
    number: int  # of the fact; 0 for an unrelated question
    done: int  # facts taught and questions asked
    total: int
    seconds: float  # since the beginning
    left: float | None  # seconds, estimated from what was done; None before that can be
    outcomes: tuple[MethodOutcome, ...]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One method's answer, or the untouched model's (then `method` is empty), finished or in the making."""

    method: str
    text: str
    route: Route
    numbers: tuple[int, ...]  # of the facts that answer
    nearest: tuple[int, float] | None  # the fact that the method found nearest, and its score, if it has scores
    answer: Answer | None = None  # once it has ended


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question asked of all."""

    question: str
    base: Reply
    replies: tuple[Reply, ...]


@dataclass(frozen=True, kw_only=True)
class Anew:
    """What a session that never had the fact, taught the others anew, showed beside the one that it was taken from."""

    asked: int  # questions: the fact's own and those of the others
    bits: int  # of them, with bit-equal logits
    state: bool  # the state digest is the same
    seconds: float  # that teaching the others anew took


@dataclass(frozen=True, kw_only=True)
class TakenBack:
    """What one method did when a fact was to be taken back, and what remained."""

    method: str
    capabilities: Capabilities
    done: bool
    reason: str  # why not; empty when it was done
    seconds: float  # of taking back
    said_before: str
    said_after: str
    said_base: str  # the untouched model's answer
    answered_by: tuple[int, ...]  # other facts that answer its question now
    base_again: bool  # the first tokens of the answer are the untouched model's
    base_bits: bool  # and so are their logits, bit for bit
    others: int  # other facts that the session holds
    others_same: int  # of them, those whose answers begin as before
    others_bits: int  # with logits that are bit-equal to those before
    anew: Anew | None  # where the method promises to be exact
    start_over: float  # seconds that teaching the others once more would take, from what teaching them took


@dataclass(frozen=True, kw_only=True)
class ForeseenFact:
    """What taking one fact back will do to another, with a method that can tell."""

    number: int
    now: float  # how far the method is from what the fact asks of it: 0 fits, 1 is as if it had never been taught
    then: float
    answer_now: str
    answer_then: str


@dataclass(frozen=True, kw_only=True)
class Foresight:
    """What one method says beforehand of taking a fact back."""

    method: str
    number: int  # of the fact that would go
    others: tuple[ForeseenFact, ...]


@dataclass(frozen=True, kw_only=True)
class Foreseeing:
    """How far looking ahead is, for progress displays."""

    method: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class TakingBack:
    """How far taking back is, for progress displays."""

    stage: Literal["before", "taking back", "after", "anew"]
    method: str
    done: int
    total: int
    left: float | None  # seconds, estimated from what was done; None at the beginning
    found: tuple[TakenBack, ...]
