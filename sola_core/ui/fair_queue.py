"""The queue in which requests wait: nobody can fill it for the others, and whoever has least running goes first.

Knows gradio's queue, sessions and addresses; knows no handler.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import fastapi
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, EventQueue, Queue

from sola_core.errors import SolaError
from sola_core.ui import border, texts
from sola_core.workspace import Limits

if TYPE_CHECKING:
    from gradio.blocks import Blocks

UNREAD = 2000  # messages that wait for a session that does not collect them
TIMED = 200  # handlers whose usual time is kept; each row of the list of edits has some of its own
Pushed = tuple[bool, str | list[dict[str, Any]], Literal["success", "error", "queue_full", "validator_error"]]


class FairQueue(Queue):
    """A queue with places for each session and each address.

    One address gets at most half of the places and leaves one of those that run at once to others; one session gets a tenth
    of the places and half of those that run. Sessions are made up by whoever asks, and a class may share one address, so
    neither alone would do.
    """

    def __init__(self, blocks: Blocks, limits: Limits) -> None:
        super().__init__(
            live_updates=True,
            concurrency_count=blocks.max_threads,
            update_intervals=1,
            max_size=None,
            blocks=blocks,
            default_concurrency_limit=limits.at_once,
        )
        self._places = limits.queue

    async def push(self, body: PredictBodyInternal, request: fastapi.Request, username: str | None) -> Pushed:
        """Take a request, or say why not."""
        if body.session_hash == "":  # gradio would make one up, and then look for the empty one
            return False, texts.UNSUITABLE, "error"
        refusal = self._refusal(body.session_hash, border.address(request))
        if refusal:
            return False, refusal, "queue_full"
        try:
            return await super().push(body, request, username)
        except (KeyError, SolaError):  # no such handler in this session
            return False, texts.UNSUITABLE, "error"

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """Return the next request to run: of those that wait, the one whose address, then whose session, runs least."""
        if len(self.process_time_per_fn) > TIMED:
            self.process_time_per_fn.clear()
        held: list[tuple[EventQueue, list[Event]]] = []
        for waiting in self.event_queue_per_concurrency_id.values():
            if waiting.queue and not self._put_first(waiting):
                held.append((waiting, waiting.queue))
                waiting.queue = []
        try:
            return super().get_events()
        finally:
            for waiting, events in held:
                waiting.queue = events

    def compute_analytics_summary(self, records: object) -> dict[str, Any]:
        """Count nothing: the pages that would show it are closed."""
        self.event_analytics.clear()
        return {}

    def forget(self, session: str) -> None:
        """Drop what is left of a session that is gone."""
        self.pending_event_ids_session.pop(session, None)
        self.pending_messages_per_session.pop(session, None)

    def _refusal(self, session: str | None, address: str) -> str:
        waiting = [event for queue in self.event_queue_per_concurrency_id.values() for event in queue.queue]
        unread = self.pending_messages_per_session.get(session or "")
        if len(waiting) >= self._places or sum(_address(event) == address for event in waiting) >= self._places // 2:
            return texts.QUEUE_FULL
        mine = sum(event.session_hash == session for event in waiting)
        if mine >= max(1, self._places // 10) or (unread is not None and unread.qsize() >= UNREAD):
            return texts.QUEUE_FULL_OF_YOURS
        return ""

    def _put_first(self, waiting: EventQueue) -> bool:
        """Put the request that is to run next before the others; say whether there is one."""
        limit = waiting.concurrency_limit
        if limit is None:
            return True
        if waiting.current_concurrency >= limit:
            return False
        running = [
            event for job in self.active_jobs for event in job or () if event.concurrency_id == waiting.concurrency_id
        ]
        addresses, sessions = Counter(map(_address, running)), Counter(event.session_hash for event in running)
        may = [
            (addresses[_address(event)], sessions[event.session_hash], place)
            for place, event in enumerate(waiting.queue)
            if addresses[_address(event)] < max(1, limit - 1) and sessions[event.session_hash] < max(1, limit // 2)
        ]
        if may:
            waiting.queue.insert(0, waiting.queue.pop(min(may)[2]))
        return bool(may)


def _address(event: Event) -> str:
    return border.address(event.request)
