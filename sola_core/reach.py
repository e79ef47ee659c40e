"""Finds out how far the edits reach: which of some texts each of them would answer, by the router's own decision.

Knows an editor's `route` and its state; knows neither points nor the page. A circle around a key would be a guess,
because the decision is made in the original space: so only texts that the router was really asked about are counted.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sola_core.session import SolaEditor

MAX_TEXTS = 2000  # of one count


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How many of the texts the router was asked about."""

    done: int
    total: int


class Reach:
    """What the router decided about some texts, for one state of the edits. Safe to call from several threads."""

    def __init__(self, editor: SolaEditor) -> None:
        self._editor = editor
        self._lock = threading.Lock()
        self._state: tuple[str, str] | None = None  # digest of the edits and router of what was found
        self._found: dict[str, str | None] = {}  # text -> the edit that would answer it
        self.wanted = False  # a count was asked for, and not yet put away

    def steps(self, texts: Sequence[str]) -> Generator[Judged, None, None]:
        """Ask the router about each text, once for each state; told before each that is not yet known.

        When it is closed early, what was found stays. When the edits change meanwhile, it begins again.
        """
        texts = list(dict.fromkeys(texts))[:MAX_TEXTS]
        self.wanted = True
        while True:
            state = self._now()
            with self._lock:
                if self._state != state:
                    self._state, self._found = state, {}
                unknown = [text for text in texts if text not in self._found]
            if not unknown:
                return
            yield Judged(done=len(texts) - len(unknown), total=len(texts))
            edit_id = self._editor.route(unknown[0]).edit_id
            with self._lock:
                if self._state == state == self._now():
                    self._found[unknown[0]] = edit_id

    def found(self) -> Mapping[str, str | None] | None:
        """Return the edit that would answer each text, None for the untouched model; None when it has to be counted."""
        with self._lock:
            if not self.wanted or self._state != self._now():
                return None
            return MappingProxyType(dict(self._found))

    def forget(self) -> None:
        """Put the count away."""
        with self._lock:
            self.wanted, self._state = False, None
            self._found = {}

    def _now(self) -> tuple[str, str]:
        return self._editor.state_digest, self._editor.router_name
