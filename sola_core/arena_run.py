"""How far a run of a contest is: what is known of each method, how much is left to teach and to ask, and how long that takes.

Knows the records of a contest; teaches and asks nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, Literal

from sola_core.arena_records import MethodOutcome, RunProgress

FIRST = 3  # facts whose fate is followed while more are added
Kind = Literal["teaching", "asking"]


def asked_after(facts: int) -> tuple[int, ...]:
    """Return after how many facts the first ones are asked: 1, 2, 4 ... and all."""
    return tuple(n for n in range(1, facts + 1) if n == facts or n & (n - 1) == 0)


class Run:
    """The book that a run keeps."""

    def __init__(self, outcomes: Sequence[MethodOutcome], facts: int, elsewhere: int) -> None:
        self.outcomes = tuple(outcomes)
        methods = len(self.outcomes)
        first = sum(min(FIRST, taught) for taught in asked_after(facts))
        rest = max(0, facts - FIRST)
        self._left: dict[Kind, int] = {
            "teaching": facts * methods,
            "asking": (first + rest + elsewhere) * methods + elsewhere,
        }
        self._total = sum(self._left.values())
        self._took: dict[Kind, list[float]] = {"teaching": [], "asking": []}
        self._began = time.perf_counter()

    def at(self, stage: Literal["opening", "teaching", "asking"], method: str, number: int) -> RunProgress:
        """Return where the run is."""
        known = all(self._took[kind] for kind, left in self._left.items() if left)
        return RunProgress(
            stage=stage,
            method=method,
            number=number,
            done=self._total - sum(self._left.values()),
            total=self._total,
            seconds=time.perf_counter() - self._began,
            left=sum(left * fmean(self._took[kind]) for kind, left in self._left.items() if left) if known else None,
            outcomes=self.outcomes,
        )

    def took(self, kind: Kind, began: float) -> float:
        """Note that one piece of work is done, and return its seconds."""
        seconds = time.perf_counter() - began
        self._took[kind].append(seconds)
        self._left[kind] -= 1
        return seconds

    def of(self, method: str) -> MethodOutcome:
        """Return what is known of a method."""
        return next(one for one in self.outcomes if one.method == method)

    def change(self, method: str, **parts: Any) -> None:
        """Note more of a method."""
        self.outcomes = tuple(replace(one, **parts) if one.method == method else one for one in self.outcomes)

    def change_fact(self, method: str, number: int, **parts: Any) -> None:
        """Note more of a fact with a method."""
        facts = self.of(method).facts
        self.change(method, facts=tuple(replace(one, **parts) if one.number == number else one for one in facts))
