"""Runs work that is told step by step to its end.

Knows generators, and nothing of what their steps are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

Step = TypeVar("Step")
Result = TypeVar("Result")


def finish(steps: Generator[Step, None, Result], on_step: Callable[[Step], object] | None = None) -> Result:
    """Run a generator to its end, show each of its steps, and return what it returns."""
    while True:
        try:
            step = next(steps)
        except StopIteration as finished:
            result: Result = finished.value
            return result
        if on_step is not None:
            on_step(step)
