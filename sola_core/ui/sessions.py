"""What gradio keeps for each open page, within bounds: pages that are gone are forgotten, and open ones are not driven out.

Knows gradio's sessions by their hashes; knows nothing of edits, which the registry keeps.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import HTTPException
from gradio.state_holder import SessionState, StateHolder

from sola_core.registry import MAX_SESSION_CHARS
from sola_core.ui import texts
from sola_core.ui.fair_queue import FairQueue

if TYPE_CHECKING:
    from gradio.blocks import Blocks

LOOKING = 5.0  # seconds between two searches for pages that are gone


class Sessions(StateHolder):
    """The states of at most `most` pages, 250 kB each.

    gradio itself keeps the state of every page there ever was, up to 10,000, and then drops the oldest one, open or not.
    Here a page without a connection goes `idle_seconds` after it was used last, or before if there is no room; a new page
    is refused when all that are kept are connected.
    """

    def __init__(
        self, blocks: Blocks, most: int, idle_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.set_blocks(blocks)
        self.capacity = 2 * most + 2  # never reached: this class makes room itself
        self._most, self._idle, self._clock = most, idle_seconds, clock
        self._used: dict[str, float] = {}
        self._connected: Counter[str] = Counter()
        self._turn = threading.RLock()
        self._looked = 0.0

    def __getitem__(self, session_id: str) -> SessionState:
        with self._turn:
            if session_id not in self.session_data:
                self._make_room(session_id)
            self._used[session_id] = self._clock()
            return super().__getitem__(session_id)

    def connected(self, session_id: str) -> None:
        """Note that a page holds a connection from now on."""
        with self._turn:
            self._connected[session_id] += 1
            if session_id in self.session_data:
                self.session_data[session_id].is_closed = False

    def disconnected(self, session_id: str) -> None:
        """Note that a connection of a page has ended."""
        with self._turn:
            self._connected[session_id] -= 1
            if self._connected[session_id] <= 0:
                del self._connected[session_id]
            if session_id in self.session_data:
                self._used[session_id] = self._clock()

    def delete_all_expired_state(self) -> None:
        """Forget the pages that are gone; gradio calls this every second."""
        now = self._clock()
        if now - self._looked < min(LOOKING, self._idle):
            return
        self._looked = now
        with self._turn:
            gone = [s for s, used in self._used.items() if s not in self._connected and used < now - self._idle]
            for session_id in gone:
                self._drop(session_id)
            if gone:
                self._forget_files()

    def _make_room(self, session_id: str) -> None:
        if len(session_id) > MAX_SESSION_CHARS:
            raise HTTPException(400, texts.UNSUITABLE)
        if len(self.session_data) < self._most:
            return
        free = [(used, s) for s, used in self._used.items() if s not in self._connected]
        if not free:
            raise HTTPException(503, texts.PAGES_FULL)
        self._drop(min(free)[1])

    def _drop(self, session_id: str) -> None:
        self.session_data.pop(session_id, None)
        self.time_last_used.pop(session_id, None)
        self._used.pop(session_id, None)
        if isinstance(self.blocks._queue, FairQueue):
            self.blocks._queue.forget(session_id)

    def _forget_files(self) -> None:
        """Drop the empty lists of files that gradio keeps for every row that was ever drawn."""
        page = self.blocks
        fixed = {id(block.temp_files) for block in page.blocks.values()} | {id(page.upload_file_set)}
        page.temp_file_sets = [files for files in page.temp_file_sets if files or id(files) in fixed]
