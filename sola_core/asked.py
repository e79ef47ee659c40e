"""The questions that a workspace remembers for its map: the newest ones, each once.

Knows no models and no edits beyond an id; nothing of it is stored.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AskedQuestion:
    """A question that the map remembers."""

    number: int  # 1, 2, ... within the workspace
    text: str
    edit_id: str | None  # the edit that answered it, at that time
    at: float = 0.0  # when, in seconds since 1970


class AskedQuestions:
    """At most so many, oldest first. Safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most, self._ever = most, 0
        self._lock = threading.Lock()
        self._held: list[AskedQuestion] = []

    def __call__(self) -> tuple[AskedQuestion, ...]:
        """Return them, oldest first."""
        with self._lock:
            return tuple(self._held)

    def add(self, text: str, edit_id: str | None) -> None:
        """Remember a question with the edit that answers it now; one asked again stands at its newest place only."""
        with self._lock:
            self._ever += 1
            kept = [asked for asked in self._held if asked.text != text]
            kept.append(AskedQuestion(number=self._ever, text=text, edit_id=edit_id, at=time.time()))
            self._held = kept[-self._most :] if self._most else []

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._held.clear()
