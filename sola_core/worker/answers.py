"""Answers that come from a worker, read as those of the host are: piece by piece, each by itself.

Knows rounds and how they are told apart. Knows no process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress

from torch import Tensor

from sola_core.host.stream import Generation
from sola_core.worker.tasks import Respond, Round, Worker


class DistantTokens(Iterator[str]):
    """One of the answers of a task; reads like the host's TokenStream."""

    step_seconds: tuple[float, ...] = ()  # not told

    def __init__(self, source: _Source, place: int) -> None:
        self._source, self._place = source, place
        self._text: list[str] = []

    def __next__(self) -> str:
        piece = self._source.piece(self._place)
        self._text.append(piece)
        return piece

    def close(self) -> None:
        """Stop here; the task goes on as long as another of its answers is read."""
        self._source.leave(self._place)

    @property
    def first_logits(self) -> Tensor | None:
        """The logits, (vocab,), that the first token was chosen from; None until it was."""
        return self._source.first_logits[self._place]

    @property
    def generation(self) -> Generation:
        """The answer so far; its tokens and seconds are known when it has ended."""
        text = "".join(self._text)
        return self._source.ended[self._place] or Generation(
            text=text, ids=(), stopped="cancelled", first_token_seconds=0.0, seconds=0.0
        )


def respond(worker: Worker, task: Respond) -> list[DistantTokens]:
    """Return the answers of a task, in the order of its adapters; it begins when one of them is advanced."""
    source = _Source(worker.run(task), len(task.adapters))
    return [DistantTokens(source, place) for place in range(len(task.adapters))]


class _Source:
    """The rounds of a task, dealt out to its answers."""

    def __init__(self, rounds: Generator[Round, None, None], answers: int) -> None:
        self._rounds = rounds
        self._waiting = [deque[str]() for _ in range(answers)]
        self._readers = set(range(answers))
        self.ended: list[Generation | None] = [None] * answers
        self.first_logits: list[Tensor | None] = [None] * answers

    def piece(self, place: int) -> str:
        while not self._waiting[place]:
            if self.ended[place] is not None or place not in self._readers:
                raise StopIteration
            one = next(self._rounds)
            if one.first_logits:
                self.first_logits = list(one.first_logits)
            for i, (piece, whole) in enumerate(zip(one.pieces, one.ended, strict=True)):
                if piece is not None:
                    self._waiting[i].append(piece)
                self.ended[i] = self.ended[i] or whole
        return self._waiting[place].popleft()

    def leave(self, place: int) -> None:
        self._readers.discard(place)
        if not self._readers:
            with suppress(ValueError):  # closed from within itself
                self._rounds.close()
