"""Small arithmetic that every measurement shares: shares, medians, numbers out of recorded settings.

Knows nothing of what the numbers mean.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence


def share(outcomes: Iterable[bool]) -> float | None:
    """Return the share of outcomes that are true, 0..1; None when there are none."""
    counted = list(outcomes)
    return sum(counted) / len(counted) if counted else None


def median(values: Sequence[float]) -> float | None:
    """Return the median; None when there are no values."""
    return statistics.median(values) if values else None


def present(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Return the figures that exist; an absent one is left out."""
    return {name: value for name, value in figures.items() if value is not None}


def number(settings: Mapping[str, object], name: str) -> float:
    """Return a number from recorded settings; raise TypeError when it is none."""
    value = settings[name]
    if not isinstance(value, int | float):
        raise TypeError(f"the setting {name!r} is no number: {value!r}")
    return float(value)


def numbers(settings: Mapping[str, object], name: str) -> list[float]:
    """Return a list of numbers from recorded settings; raise TypeError when it is none."""
    values = settings[name]
    if not isinstance(values, list | tuple):
        raise TypeError(f"the setting {name!r} is no list: {values!r}")
    return [float(value) for value in values]
