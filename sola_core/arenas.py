"""The contests of all visitors: one each, within bounds, and forgotten when nobody has used it for a while.

Knows who may see which contest; how one is run is the arena's business.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sola_core.arena import ANSWER_TOKENS, MOST_FACTS, Arena, contenders
from sola_core.arena_records import Contender, MethodOutcome, RunProgress
from sola_core.errors import InvalidInput, WorkspacesFull
from sola_core.fact_lists import ListedFact, read_fact_lines
from sola_core.records import EditRequest
from sola_core.registry import Visitor
from sola_core.session import load_editor
from sola_core.settings import Limits
from sola_core.words import Sentence

if TYPE_CHECKING:
    from sola_core.host.model import HostModel
    from sola_core.joint_session import JointEditor
    from sola_core.routing.encoders import TextEncoder
    from sola_core.session import SolaEditor

AT_LEAST = 300.0  # seconds without use that a contest is kept though others want its place


class Arenas:
    """Finds the contest of a visitor. Safe to call from several threads."""

    def __init__(
        self,
        host: HostModel,
        encoder: TextEncoder | None,
        *,
        seed: int = 0,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or Limits()
        self.contenders: tuple[Contender, ...] = contenders(encoder, seed)
        self._host, self._encoder, self._seed, self._clock = host, encoder, seed, clock
        self._lock = threading.Lock()
        self._rooms: dict[str, _Room] = {}
        self._running: list[_Room] = []

    def __len__(self) -> int:
        return len(self._rooms)

    def read(self, lines: str) -> tuple[ListedFact, ...]:
        """Return the facts that were written, one on a line; those that this server does not take have an error.

        Raises InvalidInput when there is none.
        """
        return tuple(map(self._taken, read_fact_lines(lines, MOST_FACTS)))

    def run_steps(
        self, visitor: Visitor, methods: Sequence[str], facts: Sequence[EditRequest]
    ) -> Generator[RunProgress, None, tuple[MethodOutcome, ...]]:
        """Hold a contest, which takes the place of the visitor's former one, and keep it once it has come to its end.

        Closing the generator early leaves nothing. Raises InvalidInput for a choice that cannot be, WorkspacesFull.
        """
        known = {one.name: one for one in self.contenders}
        if any(name not in known for name in methods):
            raise InvalidInput(Sentence("There is no such method here. Choose among those on the page."))
        room = _Room(Arena([known[name] for name in methods], facts, self._open), visitor, self._clock())
        with self._lock:
            self._forget(visitor.key)
            self._make_room(visitor)
            self._running.append(room)
        kept = False
        try:
            found = yield from room.arena.run_steps()
            kept = True
            return found
        finally:
            with self._lock:
                self._running.remove(room)
                if kept:
                    self._forget(visitor.key)
                    room.last_used = self._clock()
                    self._rooms[visitor.key] = room

    def has(self, visitor: Visitor) -> bool:
        """Say whether there is a contest of this visitor's."""
        with self._lock:
            self._sweep(self.limits.page_seconds)
            return visitor.key in self._rooms

    def runs(self, visitor: Visitor) -> bool:
        """Say whether a contest of this visitor's is being run."""
        with self._lock:
            return any(room.visitor == visitor for room in self._running)

    @contextmanager
    def visit(self, visitor: Visitor) -> Iterator[Arena]:
        """Hold the visitor's contest; raise InvalidInput when there is none."""
        with self._lock:
            self._sweep(self.limits.page_seconds)
            room = self._rooms.get(visitor.key)
            if room is None:
                raise InvalidInput(
                    Sentence("Your comparison is no longer kept, or was never run. Press the button that runs it.")
                )
            room.users += 1
        try:
            yield room.arena
        finally:
            with self._lock:
                room.users -= 1
                room.last_used = self._clock()
                if not room.users and self._rooms.get(visitor.key) is not room:
                    room.arena.close()

    @property
    def answer_tokens(self) -> int:
        """How long an answer may be, in tokens."""
        return min(ANSWER_TOKENS, self.limits.answer_tokens)

    def close(self) -> None:
        """Forget every contest."""
        with self._lock:
            for key in list(self._rooms):
                self._forget(key)

    def _open(self, method: str) -> SolaEditor | JointEditor:
        return load_editor(method=method, host=self._host, encoder=self._encoder, seed=self._seed)

    def _taken(self, fact: ListedFact) -> ListedFact:
        if fact.request is None:
            return fact
        try:
            self.limits.check_request(fact.request.prompt, fact.request.target, ())
        except InvalidInput as error:
            return replace(fact, request=None, error=str(error))
        return fact

    def _make_room(self, visitor: Visitor) -> None:
        """Raise WorkspacesFull when there is no place, even after those are gone that were left alone for long."""
        self._sweep(self.limits.page_seconds)
        if self._full(visitor):
            self._sweep(min(AT_LEAST, self.limits.page_seconds))
        if self._full(visitor):
            raise WorkspacesFull(
                Sentence(
                    "Other visitors' comparisons take all the places of this server. Nothing was run. "
                    "Try again in some minutes, or run SoLA Studio on your own machine."
                )
            )

    def _full(self, visitor: Visitor) -> bool:
        held = [*self._rooms.values(), *self._running]
        of_address = sum(room.visitor.address == visitor.address for room in held)
        return len(held) >= self.limits.comparisons or of_address >= self.limits.comparisons_of_one_address

    def _sweep(self, idle: float) -> None:
        latest = self._clock() - idle
        for key, room in list(self._rooms.items()):
            if not room.users and room.last_used < latest:
                self._forget(key)

    def _forget(self, key: str) -> None:
        """Drop a contest; one that is in use is closed by whoever uses it last."""
        room = self._rooms.pop(key, None)
        if room is not None and not room.users:
            room.arena.close()


class _Room:
    def __init__(self, arena: Arena, visitor: Visitor, now: float) -> None:
        self.arena, self.visitor, self.users, self.last_used = arena, visitor, 0, now
