"""Cuts many requests into batches whose rows have about the same length, and has them trained here or elsewhere.

Knows lengths, equal keys and tasks. Knows no library: whoever asks stores each batch before the next window begins.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from sola_core.editors.base import Editor
from sola_core.errors import EditFailed, InvalidInput
from sola_core.host.model import HostModel
from sola_core.records import EditRequest, TrainedEdit, TrainingStep
from sola_core.text import canonical, checked_request
from sola_core.worker.tasks import Train, Worker, run

Outcome = TrainedEdit | EditFailed


@dataclass(frozen=True, kw_only=True)
class BatchLimits:
    """How large a batch may be. Memory grows with its rows times the tokens of its longest row (some 0.4 MB a token)."""

    rows: int = 16
    tokens: int = 2048  # rows times the longest; a single longer row is a batch of its own
    window: int = 4  # batches whose rows are sorted together, for each that is trained at once


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A batch is trained: the places of its requests, in order, and what became of each."""

    places: tuple[int, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A task of an engine is done."""

    number: int  # its place among the tasks
    outcomes: tuple[Outcome, ...]


class Engine(Protocol):
    """Where batches are trained."""

    @property
    def width(self) -> int:
        """How many batches it trains at once."""

    def run(self, tasks: Sequence[Train]) -> Generator[TrainingStep | Ended, None, None]:
        """Run tasks in any order, and tell each one's end once; closing the generator gives up those not ended."""


class Here:
    """Trains one batch after another in this process, or with its worker."""

    width = 1

    def __init__(self, host: HostModel, worker: Worker | None = None) -> None:
        self._host, self._worker = host, worker

    def run(self, tasks: Sequence[Train]) -> Generator[TrainingStep | Ended, None, None]:
        """Run them in their order (see Engine)."""
        for number, task in enumerate(tasks):
            outcomes = yield from run(task, self._host, self._worker)
            yield Ended(number=number, outcomes=tuple(outcomes))


def train_steps(
    requests: Sequence[EditRequest], method: Editor, host: HostModel, engine: Engine, limits: BatchLimits
) -> Generator[TrainingStep | Finished, None, None]:
    """Train requests window by window. Whoever is told of a finished batch stores it before asking for more.

    Requests with a key in common are never in one window, so the later one is always trained, and stored, after the earlier.
    """
    for window in windows(requests, limits.rows * limits.window * engine.width):
        lengths = [row_tokens(requests[place], host) for place in window]
        places = [tuple(window[i] for i in batch) for batch in batches(lengths, limits)]
        tasks = [Train(method=method, requests=tuple(requests[place] for place in batch)) for batch in places]
        with closing(engine.run(tasks)) as told:
            for step in told:
                yield Finished(places=places[step.number], outcomes=step.outcomes) if isinstance(step, Ended) else step


def windows(requests: Sequence[EditRequest], size: int) -> Iterator[range]:
    """Cut requests into runs of at most `size` in which no two have a key text in common."""
    begin, seen = 0, set[str]()
    for place, request in enumerate(requests):
        keys = _keys(request)
        if place - begin == size or not seen.isdisjoint(keys):
            yield range(begin, place)
            begin, seen = place, set()
        seen |= keys
    if begin < len(requests):
        yield range(begin, len(requests))


def batches(lengths: Sequence[int], limits: BatchLimits) -> list[list[int]]:
    """Return the numbers of rows with these lengths, batch by batch, short rows first; in a batch in ascending order."""
    found: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lambda n: lengths[n]):
        room = found and len(found[-1]) < limits.rows
        if room and (len(found[-1]) + 1) * lengths[number] <= limits.tokens:
            found[-1].append(number)
        else:
            found.append([number])
    return [sorted(batch) for batch in found]


def row_tokens(request: EditRequest, host: HostModel) -> int:
    """Return how many tokens a request's row has; 1 for one that cannot be trained, which its batch will say."""
    try:
        request = checked_request(request)
        return len(host.prompt_ids(request.prompt).ids) + len(host.target_ids(request.target))
    except InvalidInput:
        return 1


def _keys(request: EditRequest) -> set[str]:
    try:
        return {canonical(text) for text in checked_request(request).key_texts}
    except InvalidInput:
        return set()
