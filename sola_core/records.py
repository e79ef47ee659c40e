"""The records that cross module borders: requests, edits, routes, answers.

Knows nothing of models, routers or storage. Every record is frozen; change one with `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

RouteKind = Literal["base", "edit", "shared"]
RouteReason = Literal["equal", "score", "below", "unrepresentable", "no-edits"]
ScoreKind = Literal["cosine", "probability", "distance"]  # a distance is given below zero: the nearest is highest
Stopped = Literal["end", "limit", "cancelled"]
Erasure = Literal["erased", "erasing"]


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """Ask for one fact: after the edit, `prompt` is answered with `target`.

    `subject` is what the fact is about (optional, helps the `scope` router); `rephrases` become further keys of the same edit.
    """

    prompt: str
    target: str
    subject: str | None = None
    rephrases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "rephrases", tuple(self.rephrases))

    @property
    def key_texts(self) -> tuple[str, ...]:
        """The prompt, then each rephrasing: the texts that the edit's keys are made of."""
        return (self.prompt, *self.rephrases)


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """How an edit was trained; saved beside it."""

    losses: tuple[
        float, ...
    ]  # mean cross-entropy over the target tokens (nats), one per pass; the last of what is stored
    steps: int  # optimiser steps taken, fewer than passes
    seconds: float  # training and trying together
    target_probability: float  # probability of the whole target with its end, after training, 0..1
    already_known: bool  # the model gave the target, token by token, before the edit
    held: bool  # the try gave exactly the target and stopped by itself
    method: str
    settings: Mapping[str, object]  # all that the result depends on beside request and host
    device: str
    compute_dtype: str
    threads: int
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """One step of a running edit, for progress displays."""

    step: int  # 1-based
    total: int  # at most this many
    loss: float  # nats
    stage: Literal["training", "trying", "storing", "reading"] = "training"  # "reading": a method gets to know the host


@dataclass(frozen=True, kw_only=True)
class KeysMade:
    """How many of the edits that lacked keys of a router have them now, for progress displays."""

    router: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class TrainedEdit:
    """What an editor's `train` gives back: picklable, on the CPU, not stored yet."""

    request: EditRequest
    tensors: Mapping[str, torch.Tensor]  # exactly as they will be stored (already rounded)
    training: TrainingRecord


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One stored fact."""

    id: str
    request: EditRequest
    enabled: bool
    created: float  # seconds since the epoch, UTC
    training: TrainingRecord
    digest: str  # hex SHA-256 of request and stored tensors; not of `enabled`, id or time

    @property
    def prompt(self) -> str:
        """The edited prompt."""
        return self.request.prompt

    @property
    def target(self) -> str:
        """The new answer."""
        return self.request.target

    @property
    def subject(self) -> str | None:
        """What the fact is about, if it was given."""
        return self.request.subject

    @property
    def rephrases(self) -> tuple[str, ...]:
        """The further keys that came with the request."""
        return self.request.rephrases

    @property
    def seconds(self) -> float:
        """Seconds that teaching took."""
        return self.training.seconds


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An edit the router looked at; a higher score is closer."""

    edit_id: str
    score: float  # cosine -1..1, probability 0..1 or minus a distance, see Route.score_kind
    enabled: bool


@dataclass(frozen=True, kw_only=True)
class Route:
    """Which edit, if any, answers a prompt, and why. Decided once per request."""

    kind: RouteKind
    edit_ids: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()  # best first, at most 32
    not_scored: int = 0  # stored edits that have no score for this prompt
    threshold: float = 0.0
    router: str = ""
    score_kind: ScoreKind = "cosine"
    reason: RouteReason = "no-edits"

    @property
    def edit_id(self) -> str | None:
        """The edit that answers, when exactly one does."""
        return self.edit_ids[0] if len(self.edit_ids) == 1 else None

    @property
    def deferred(self) -> bool:
        """True when no intervention touches the request: the bare host answers."""
        return self.kind == "base"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A finished (or cut) answer."""

    text: str
    route: Route
    stopped: Stopped
    tokens: int  # generated tokens, the end-of-turn token not counted
    first_token_seconds: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a method can take back, with the reason in words that the page shows.

    "batch": what was taught together is gone, bit for bit, once the last fact of it is; until then the facts of it that were
    taken back are no longer looked up, but the weights they share with the others keep what they learnt.
    """

    delete: Literal["exact", "approximate", "batch", "none"]
    switch: Literal["exact", "approximate", "batch", "none"]
    shares_weights: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the event log: kind, edit and time, never any text."""

    number: int
    kind: Literal["taught", "enabled", "disabled", "deleted", "erased"]
    edit_id: str
    time: float  # seconds since the epoch, UTC


@dataclass(frozen=True, kw_only=True)
class KeyText:
    """A text to be made into a routing key, with the subject if it is known."""

    text: str
    subject: str | None = field(default=None)
