"""Loads a host in a thread of its own, told step by step, so that it can be given up at any moment.

Knows how a load is watched and dropped. Knows no library and not what the host is for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sola_core.engine import EngineRoom
from sola_core.errors import HostCorrupt
from sola_core.host.model import HostModel
from sola_core.host.sources import ModelFolder, fetch_host
from sola_core.words import Sentence

if TYPE_CHECKING:
    from sola_core.worker.tasks import Worker

PAUSE = 0.1  # seconds between two looks at how far it is
# what transformers and torch raise for a folder that they can make nothing of; the disk's errors are among them
UNLOADABLE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, OSError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class LoadStep:
    """What is being done, and the share of it that is done, 0..1, if it is known."""

    text: str
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A host, and what trains and answers with it, if not this process."""

    host: HostModel
    worker: Worker | None


class Loading:
    """One load. `check` is asked once the files are here and before anything is loaded; what it raises ends the load."""

    def __init__(self, room: EngineRoom, wanted: str, check: Callable[[ModelFolder], None]) -> None:
        self._room, self._wanted, self._check = room, wanted, check
        self._lock = threading.Lock()
        self._cancelled, self._ended = False, threading.Event()
        self._step = LoadStep(text=Sentence("Looking for the model"))
        self._found: Loaded | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="loading", daemon=True)

    @property
    def going_on(self) -> bool:
        """True until the thread has ended: a fetch from the Hub that was given up runs to its end."""
        return self._thread.is_alive()

    def steps(self) -> Generator[LoadStep, None, Loaded]:
        """Load; closing the generator gives up, and what was loaded is let go of."""
        self._thread.start()
        try:
            told = self._step
            yield told
            while not self._ended.wait(PAUSE):
                if self._step is not told:
                    told = self._step
                    yield told
            if self._error is not None:
                raise self._error
            with self._lock:
                found, self._found = self._found, None
            assert found is not None
            return found
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Give up, as soon as that is possible."""
        with self._lock:
            self._cancelled = True
            _drop(self._found)
            self._found = None

    def _run(self) -> None:
        try:
            self._check(fetch_host(self._wanted, on_progress=self._tell))
            self._tell(Sentence("Loading the language model"), None)
            host = self._loaded()
            self._tell(Sentence("Preparing the page"), None)
            found = Loaded(host=host, worker=self._room.hire(host, self._wanted))
            with self._lock:
                self._found = None if self._cancelled else found
                if self._cancelled:
                    _drop(found)
        except BaseException as error:  # raised again where somebody waits
            self._error = error
        finally:
            self._ended.set()

    def _loaded(self) -> HostModel:
        try:
            return self._room.load(self._wanted, self._tell)
        except UNLOADABLE as error:
            raise HostCorrupt(
                Sentence(
                    "The files of {model} are here, but no model can be made of them ({kind}). Fetch it again or "
                    "choose another one.",
                    model=self._wanted,
                    kind=type(error).__name__,
                )
            ) from error

    def _tell(self, text: str, share: float | None) -> None:
        if self._cancelled:
            raise _GivenUp
        self._step = LoadStep(text=text, share=share)


class _GivenUp(Exception):
    """Nobody waits for the load any more."""


def _drop(found: Loaded | None) -> None:
    if found is not None and found.worker is not None:
        found.worker.close()
