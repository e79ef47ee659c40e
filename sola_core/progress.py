"""A progress line with the time left, on the terminal only.

Knows nothing of what is going on; it is told stage, done and total.
"""

from __future__ import annotations

import sys
import time
from typing import TextIO

WIDTH = 24
PAUSE = 0.1  # seconds between two redraws


class ProgressLine:
    """Draws `stage [####....] 12/40, 0.9/s, 0:31 left` over itself; silent unless its stream is a terminal or `always`."""

    def __init__(self, stream: TextIO | None = None, *, always: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._on = always or self._stream.isatty()
        self._stage, self._began, self._drawn, self._length = "", 0.0, 0.0, 0

    def __call__(self, stage: str, done: int, total: int, *, passed: int = 0) -> None:
        """Show that `done` of `total` are done; a stage ends when they are equal.

        `passed` of those done took no time, such as those that were done in an earlier run.
        """
        if not self._on:
            return
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._drawn = stage, now, 0.0
        if done < total and now - self._drawn < PAUSE:
            return
        self._drawn = now
        self._draw(_line(stage, done, total, now - self._began, done - passed), last=done >= total)

    def message(self, text: str, share: float | None = None) -> None:
        """Show a message, such as what is being fetched, with the share that is done if it is known."""
        if self._on:
            self._draw(text if share is None else f"{text} {share:.0%}", last=share is not None and share >= 1.0)

    def clear(self) -> None:
        """Take the line off the terminal."""
        if self._length:
            self._stream.write("\r" + " " * self._length + "\r")
            self._stream.flush()
            self._length = 0

    def _draw(self, text: str, *, last: bool) -> None:
        self._stream.write("\r" + text.ljust(self._length))
        self._length = len(text)
        if last:
            self.clear()
        self._stream.flush()


def _line(stage: str, done: int, total: int, seconds: float, worked: int) -> str:
    filled = WIDTH * done // total if total else WIDTH
    line = f"{stage} [{'#' * filled}{'.' * (WIDTH - filled)}] {done}/{total}"
    if not worked or not seconds:
        return line
    rate = worked / seconds
    return f"{line}, {rate:,.{0 if rate >= 100 else 2}f}/s, {_clock((total - done) / rate)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
