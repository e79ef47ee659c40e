"""What a worker is asked to do: records that can be pickled, each a pure function of itself and the host.

Knows the host's streams and the methods' training. Knows no process: how a task gets anywhere is not its business.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from torch import Tensor

from sola_core.editors.base import Editor
from sola_core.errors import EditFailed, HostError, SolaError
from sola_core.host.model import HostModel
from sola_core.host.stream import Generation
from sola_core.records import EditRequest, TrainedEdit, TrainingStep
from sola_core.words import Sentence

Step = TypeVar("Step", covariant=True)
Result = TypeVar("Result", covariant=True)
log = logging.getLogger(__name__)


class Task(Protocol[Step, Result]):
    """Work on the host: told step by step, and then its result; steps and result can be pickled."""

    def run(self, host: HostModel) -> Generator[Step, None, Result]:
        """Do it; closing the generator early leaves nothing behind."""


class Worker(Protocol):
    """A place where tasks run. It keeps nothing of one for the next."""

    def run(self, task: Task[Step, Result]) -> Generator[Step, None, Result]:
        """Run a task there and pass on its steps, its result or its SolaError; closing the generator cancels it."""

    def close(self) -> None:
        """Let go of the place."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train edits in one batch; a failed one is its error, in its place."""

    method: Editor
    requests: tuple[EditRequest, ...]

    def run(self, host: HostModel) -> Generator[TrainingStep, None, list[TrainedEdit | EditFailed]]:
        """Do it (see Editor.train_many)."""
        return self.method.train_many(self.requests, host)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one token more of each answer gave, in the order of the adapters."""

    pieces: tuple[str | None, ...]  # None: this answer has ended
    ended: tuple[Generation | None, ...]  # the whole answer, in the round in which it ended
    first_logits: tuple[
        Tensor | None, ...
    ] = ()  # (vocab,) each, what the first tokens were chosen from; in the first round


@dataclass(frozen=True, kw_only=True)
class Respond:
    """Answer one prompt several times at once, each time with the adapter of an edit or, for an empty one, bare."""

    method: Editor
    prompt: str
    adapters: tuple[Mapping[str, Tensor], ...]
    max_new_tokens: int
    ignore_end: bool = False

    def run(self, host: HostModel) -> Generator[Round, None, None]:
        """Do it, one token of each answer in turn."""
        streams = [
            host.stream(
                self.prompt,
                max_new_tokens=self.max_new_tokens,
                intervention=self.method.intervention(adapter, host) if adapter else None,
                ignore_end=self.ignore_end,
            )
            for adapter in self.adapters
        ]
        running, first = dict(enumerate(streams)), True
        while running:
            pieces: list[str | None] = [None] * len(streams)
            ended: list[Generation | None] = [None] * len(streams)
            for i, stream in list(running.items()):
                try:
                    pieces[i] = next(stream)
                except StopIteration:
                    ended[i] = stream.generation
                    del running[i]
            logits = [None if s.first_logits is None else s.first_logits.cpu() for s in streams] if first else []
            yield Round(pieces=tuple(pieces), ended=tuple(ended), first_logits=tuple(logits))
            first = False


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a worker sends back: a step, the result, or the error that ended the task."""

    step: Any = None
    result: Any = None
    error: SolaError | None = None
    last: bool = False


def run(task: Task[Step, Result], host: HostModel, worker: Worker | None) -> Generator[Step, None, Result]:
    """Run a task on this host, or by the worker if there is one."""
    return task.run(host) if worker is None else worker.run(task)


def messages(task: Task[Any, Any], host: HostModel) -> Generator[Message, None, None]:
    """Run a task and tell of it without ever raising: what carries it elsewhere would print the error, texts and all."""
    try:
        with closing(task.run(host)) as steps:
            while True:
                try:
                    step = next(steps)
                except StopIteration as finished:
                    yield Message(result=finished.value, last=True)
                    return
                yield Message(step=step)
    except SolaError as error:
        yield Message(error=error, last=True)
    except Exception as error:  # the border of the process: told by type and line, never with its text
        yield Message(error=HostError(broken(error)), last=True)


def broken(error: BaseException) -> str:
    """Return what may be said of an unexpected error: its type and its line, nothing of what a visitor wrote."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else "?"
    log.error("%s at %s", type(error).__name__, where)
    return Sentence("Something went wrong while the model was working. Try again.")


def passed_on(message: Message) -> Any:
    """Return the result of a last message; raise its error."""
    if message.error is not None:
        raise message.error
    return message.result


def one_request(outcomes: Sequence[TrainedEdit | EditFailed]) -> TrainedEdit:
    """Return the only edit that was trained; raise its error."""
    (outcome,) = outcomes
    if isinstance(outcome, EditFailed):
        raise outcome
    return outcome
