"""What a method offers whose facts share one state: weights, a codebook, experts, or the text of a prompt.

Knows the host and the records. Knows no session and no page. A state is never changed: learning and taking back return
another one, so an exception, a cancel or a reader at work cannot find a half-made one.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from sola_core.editors.base import Plan
from sola_core.host.model import HostModel
from sola_core.records import Candidate, Capabilities, EditRequest, TrainingStep

if TYPE_CHECKING:
    import numpy as np

State = TypeVar("State")
Read = TypeVar("Read", contravariant=True)  # a state that is only read


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One fact as a method meets it; `id` is the session's and goes into no number."""

    id: str
    request: EditRequest
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class Learnt(Generic[State]):
    """What learning some facts gave."""

    state: State
    losses: tuple[float, ...]  # mean cross-entropy over the target tokens (nats), one per pass; empty without training
    steps: int  # optimiser steps, or 1 for a solution in closed form
    settings: Mapping[str, object]  # all that the result depends on beside the facts and the host, as JSON has it


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """One ball of a method that keeps its facts in balls of hidden states, as a map draws it."""

    centre: np.ndarray  # (dim,) float32
    radius: float  # Euclidean; below zero where nothing at all is inside any more
    fact_ids: tuple[str, ...]  # that it stands for now; none where only the place is left, which the bare host answers


class JointMethod(Protocol[State]):
    """One method whose facts share a state. Holds settings only: one object serves every session."""

    name: str
    capabilities: Capabilities
    batch_facts: int  # how many facts it learns together when it is given many

    def empty(self, host: HostModel) -> State:
        """Return the state without facts; with it every plan is the bare host."""

    def learn_steps(
        self, state: State, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, Learnt[State]]:
        """Learn further facts, of which nothing but `state` is known; facts come in order and later ones are not seen.

        Raises InvalidRequest for a fact that cannot be learnt at all and EditFailed for numbers that are not finite; whether
        a fact holds afterwards is no reason to refuse it.
        """

    def removed_steps(
        self, state: State, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, State]:
        """Take a fact back; `left` are the other facts in order of teaching. Raises NotReversible where the method cannot."""

    def switched_steps(
        self, state: State, fact: Fact, facts: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, State]:
        """Switch a fact on or off, as `fact.enabled` says; `facts` are all in order of teaching, this one as wanted.

        Raises NotReversible where the method cannot.
        """

    def plan(self, state: State, prompt: str, host: HostModel) -> Plan:
        """Return what a question does: a route and an intervention, or one that decides inside a module in prefill."""

    def scores(self, state: State, prompt: str, host: HostModel) -> tuple[Candidate, ...]:
        """Return how near each fact is to a question, best first; empty where the method has no such number."""

    def tensors(self, state: State) -> Mapping[str, Tensor]:
        """Return all numbers that answers depend on, by name; no name and no order may come from ids or times.

        Equal tensors, bit for bit, mean equal answers: the session's digest is made of them.
        """


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What a deletion will do to one other fact."""

    fact_id: str
    now: float  # ||R - D K|| / ||R||: 0 is a perfect fit, 1 is as if the fact had never been taught
    then: float  # the same after the deletion
    answer_now: str | None = None  # None where the model was not asked
    answer_then: str | None = None

    @property
    def answer_changes(self) -> bool:
        """Whether the fact's question will be answered otherwise; False where the model was not asked."""
        return self.answer_now != self.answer_then


@runtime_checkable
class Foretells(Protocol[Read]):
    """A joint method that can say, before a fact is taken back, what that will do to the others."""

    def foreseen_steps(
        self, state: Read, fact: Fact, left: Sequence[Fact], host: HostModel
    ) -> Generator[TrainingStep, None, tuple[Foreseen, ...]]:
        """Return what taking `fact` back will do to each of `left` that counts then; nothing is changed."""


@runtime_checkable
class HasEntries(Protocol[Read]):
    """A joint method whose entries are places in a space of hidden states, so that they and questions can be drawn in it."""

    def entries(self, state: Read) -> tuple[Entry, ...]:
        """Return all entries, in the order in which they were made."""

    def query(self, prompt: str, host: HostModel) -> np.ndarray:
        """Return where a question lies among them, (dim,) float32."""
