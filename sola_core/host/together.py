"""Running answers of several readers, joined into common forward steps: each reader gets the tokens that it would get alone.

Knows whose turn it is, KV caches and readers that come and go. Knows no routes, no editors and no visitors.

Every prompt is read by itself. From then on one of the readers that wait for a token does one step for all answers that may go on
(nobody else is needed for it), and the others find their tokens ready. A reader that is slow is at most AHEAD tokens behind; then
its answer rests until it has read them, and keeps nobody waiting. An answer that is the only one takes the very steps of a
TokenStream.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from sola_core.errors import HostError
from sola_core.host.batch import MAX_ROWS, MAX_TOKENS, BatchSteps
from sola_core.host.intervention import Intervention, Latch, by_rows
from sola_core.host.kv_rows import SharedCache, gathered
from sola_core.host.model import QUICK_ROWS
from sola_core.host.prompt import PromptIds
from sola_core.host.stream import Draft, Generation, Steps
from sola_core.words import Sentence

AHEAD = 8  # tokens that are made for a reader before it asks for them


class SharedSteps(Steps, BatchSteps, Protocol):
    """What common steps need of the host."""

    def room_for(self, prompt: str, max_new_tokens: int) -> tuple[PromptIds, int]:
        """Return the ids of a prompt and how many tokens its answer may have."""


class _Row:
    """One answer after its first token, as the steps see it. Changed under the lock of its Together only."""

    def __init__(self, number: int, draft: Draft, latch: Latch, prompt: PromptIds, most: int) -> None:
        self.number, self.latch, self.last_user = number, latch, prompt.last_user
        self.longest = len(prompt.ids) + most  # tokens in the cache at the very end
        self.draft = draft  # its reader's: only asked here when an answer stops
        self.length = len(prompt.ids)  # tokens in the cache
        self.shared: SharedCache | None = None  # where its keys and values are,
        self.place = 0  # and in which row
        self.made, self.token = 0, 0  # tokens chosen so far, and the last of them
        self.ready: deque[tuple[int, float]] = deque()  # tokens that its reader has not taken yet, and seconds
        self.asked = 0  # the ticket of its reader, while that waits
        self.ended = self.left = False  # no more tokens can come; no more are wanted
        self.error: BaseException | None = None

    def take(self, token: int) -> None:
        """Note the next token."""
        self.ended = self.draft.stops(token, self.made) is not None
        self.made, self.token = self.made + 1, token


class JoinedStream(Iterator[str]):
    """A greedy answer in the making, like a TokenStream, which shares steps with others. May be closed from any thread."""

    def __init__(
        self,
        together: Together,
        host: SharedSteps,
        prompt: PromptIds,
        max_new_tokens: int,
        intervention: Intervention | None,
        ignore_end: bool,
    ) -> None:
        self.first_logits: Tensor | None = None  # (vocab,), what the first token was chosen from
        self.step_seconds: list[float] = []  # those of a common step count for each of its answers
        self._together, self._host, self._prompt = together, host, prompt
        self._draft = Draft(host.format, max_new_tokens, ignore_end=ignore_end)
        self._row = _Row(together.number(), self._draft, Latch(intervention), prompt, max_new_tokens)

    def __next__(self) -> str:
        if self._row.left:
            raise StopIteration
        try:
            token, seconds = self._first() if self.first_logits is None else self._together.token(self._row)
        except BaseException:
            self.close()
            raise
        self.step_seconds.append(seconds)
        piece = self._draft.take(token)
        if self._draft.ended:
            self.close()
        return piece

    def close(self) -> None:
        """Stop here; the answer so far stays readable."""
        self._together.leave(self._row)

    def __del__(self) -> None:
        self.close()

    @property
    def generation(self) -> Generation:
        """The answer so far, with the reason why it stopped ("cancelled" while it still runs)."""
        first = self.step_seconds[0] if self.step_seconds else 0.0
        return self._draft.generation(first, sum(self.step_seconds))

    def _first(self) -> tuple[int, float]:
        """Read the prompt, in the one call that it takes alone: its logits are bit-equal, and the route is latched in it."""
        from transformers import DynamicCache

        began, cache, row = time.perf_counter(), DynamicCache(), self._row
        logits = self._host.advance(self._prompt.ids[None], cache, 0, row.latch, row.last_user)
        token = int(logits.argmax())
        self.first_logits, row.shared = logits, SharedCache(cache, 1)
        row.take(token)
        return token, time.perf_counter() - began


class Together:
    """The answers of one host that share steps. Safe to call from several threads."""

    def __init__(self, host: SharedSteps) -> None:
        self._host = host
        self._turn = threading.Condition()  # reentrant: a forgotten stream may be closed wherever Python clears up
        self._rows: set[_Row] = set()  # which the next step may carry
        self._carried: Sequence[_Row] = ()  # which the step carries that is being done now
        self._numbers, self._tickets = itertools.count(), itertools.count(1)

    def stream(
        self,
        prompt: str,
        *,
        max_new_tokens: int = 48,
        intervention: Intervention | None = None,
        ignore_end: bool = False,
    ) -> JoinedStream:
        """Return an iterator over the pieces of a greedy answer (see HostModel.stream); nothing runs until it is advanced.

        The tokens equal those of HostModel.stream in float32, near-ties aside. An exception in a common step is raised to each
        of its readers.
        """
        ids, most = self._host.room_for(prompt, max_new_tokens)
        return JoinedStream(self, self._host, ids, most, intervention, ignore_end)

    def number(self) -> int:
        """Return a number for a new answer, higher than all before."""
        return next(self._numbers)

    def token(self, row: _Row) -> tuple[int, float]:
        """Wait for the next token of an answer and return it with the seconds of its step; StopIteration once it was left."""
        with self._turn:
            if not (row.ready or row.left or row.error):
                row.asked = next(self._tickets)
                self._rows.add(row)
        try:
            while True:
                with self._turn:
                    while self._carried and not (row.ready or row.left or row.error):
                        self._turn.wait()
                    if row.left:
                        raise StopIteration
                    if row.ready:
                        return row.ready.popleft()
                    if row.error is not None:
                        raise row.error
                    self._carried = rows = self._next_rows()
                self._step(rows)
        finally:
            row.asked = 0

    def leave(self, row: _Row) -> None:
        """Let an answer go; a reader that waits for it in another thread is told that it has ended."""
        if row.left:
            return
        row.left = True
        with self._turn:
            self._rows.discard(row)
            if row not in self._carried:  # or else the step lets go of it
                row.shared = None
            self._turn.notify_all()

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _next_rows(self) -> list[_Row]:
        """Choose the answers of the next step: those in one cache with the reader that waits longest, and all caches that fit.

        Caches stay together while they can, for joining them costs a copy; of more answers than one step may carry, each cache
        has its turn.
        """
        late = next(self._tickets)
        caches: dict[int, list[_Row]] = {}
        for row in sorted(self._rows, key=lambda row: (late if row.ready else row.asked or late, row.number)):
            caches.setdefault(id(row.shared), []).append(row)
        chosen: list[_Row] = []
        for rows in caches.values():
            if not chosen or _fit([*chosen, *rows]):
                chosen += sorted(rows, key=lambda row: row.place)
        return chosen

    def _step(self, rows: Sequence[_Row]) -> None:
        """Do one step and hand its tokens, or its error, to the answers."""
        began, error = time.perf_counter(), None
        try:
            shared, tokens = self._advanced(rows)
            seconds = time.perf_counter() - began
            with self._turn:
                for place, (row, token) in enumerate(zip(rows, tokens, strict=True)):
                    row.shared, row.place, row.length = shared, place, row.length + 1
                    row.take(token)
                    row.ready.append((token, seconds))
                for row in rows:
                    self._settle(row)
        except BaseException as raised:
            error = raised
            if not isinstance(raised, Exception):  # somebody wants this thread to end: not the fault of the others
                raise
        finally:
            with self._turn:
                if error is not None:
                    told = error if isinstance(error, Exception) else HostError(_INTERRUPTED)
                    for row in rows:
                        row.error = told
                    self._rows.difference_update(rows)
                self._carried = ()
                self._turn.notify_all()

    def _advanced(self, rows: Sequence[_Row]) -> tuple[SharedCache, list[int]]:
        """Run one forward step, and return the cache that now holds these answers in this order, and their next tokens."""
        columns = max(row.length for row in rows)
        if len(rows) == 1:
            (row,), shared = rows, _cache_of(rows, columns)
            ids = torch.tensor([[row.token]], dtype=torch.int64)
            return shared, [int(self._host.advance(ids, shared.cache, row.length, row.latch, row.last_user).argmax())]
        filled = [*rows, *[rows[0]] * (QUICK_ROWS - len(rows))]
        shared = _cache_of(filled, columns)
        lengths = torch.tensor([[row.length] for row in filled], dtype=torch.int64)
        ids = torch.tensor([[row.token] for row in filled], dtype=torch.int64)
        mask = (torch.arange(columns + 1) >= columns - lengths).to(torch.int64)
        modules = by_rows([row.latch.current for row in rows])
        logits = self._host.advance_batch(ids, shared.cache, mask, lengths, modules)
        return shared, [int(token) for token in logits[: len(rows)].argmax(-1).tolist()]

    def _settle(self, row: _Row) -> None:
        """Take an answer that cannot go on out of the next step; one that rests keeps a cache of its own."""
        if row.left or row.ended:
            self._rows.discard(row)
            row.shared = None
        elif len(row.ready) >= AHEAD:
            self._rows.discard(row)
            assert row.shared is not None
            row.shared, row.place = gathered([(row.shared, [row.place])], row.length), 0


_INTERRUPTED = Sentence("Something went wrong while the model was working. Try again.")


def _fit(rows: Sequence[_Row]) -> bool:
    return len(rows) <= MAX_ROWS and len(rows) * max(row.longest for row in rows) <= MAX_TOKENS


def _cache_of(rows: Sequence[_Row], columns: int) -> SharedCache:
    """Return a cache with exactly these answers: the one they are in, or a new one. Those behind the last place only fill up."""
    first = rows[0].shared
    assert first is not None
    own = list(dict.fromkeys(rows))
    in_order = all(row.shared is first and row.place == place for place, row in enumerate(own))
    if in_order and first.rows == len(rows) and first.columns == columns:
        return first
    parts: list[tuple[SharedCache, list[int]]] = []
    for row in rows:
        assert row.shared is not None
        if not parts or parts[-1][0] is not row.shared:
            parts.append((row.shared, []))
        parts[-1][1].append(row.place)
    return gathered(parts, columns)
