"""Gathers what the map shows: each key and each question at its place, and lines from questions to edits.

Knows a workspace and its layout; draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sola_core.atlas import Layout, Method
from sola_core.records import Edit

if TYPE_CHECKING:
    from sola_core.workspace import AskedQuestion

MAX_EDITS = 150  # the newest; more would take long to place and could not be told apart
Kind = Literal["on", "off", "question"]


@dataclass(frozen=True, kw_only=True)
class MapPoint:
    """A key or a question on the map."""

    id: str
    kind: Kind
    label: str
    text: str
    x: float  # about -1..1, as y
    y: float
    answered_by: str = ""  # number of the edit that answered this question


@dataclass(frozen=True, kw_only=True)
class MapLine:
    """From a question to the edit that answered it."""

    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class MapPicture:
    """All that the map shows."""

    background: tuple[tuple[float, float], ...]
    points: tuple[MapPoint, ...]
    lines: tuple[MapLine, ...]
    method: Method
    left_out: int  # older edits that are not drawn


def picture(
    layout: Layout, edits: Sequence[Edit], numbers: Mapping[str, int], questions: Sequence[AskedQuestion]
) -> MapPicture:
    """Return the map of these edits and questions."""
    shown = edits[-MAX_EDITS:]
    keys = {f"{edit.id}/{index}": (edit, text) for edit in shown for index, text in enumerate(edit.request.key_texts)}
    asked = {f"question {question.number}": question for question in questions}
    places = layout.places(
        {point: text for point, (_, text) in keys.items()} | {point: question.text for point, question in asked.items()}
    )
    points = [
        _point(point, "on" if edit.enabled else "off", str(numbers.get(edit.id, 0)), text, places[point])
        for point, (edit, text) in keys.items()
    ]
    points += [
        replace(
            _point(point, "question", f"?{q.number}", q.text, places[point]),
            answered_by=str(numbers.get(q.edit_id or "", "")),
        )
        for point, q in asked.items()
    ]
    lines = [
        MapLine(start=places[point], end=places[f"{question.edit_id}/0"])
        for point, question in asked.items()
        if f"{question.edit_id}/0" in places
    ]
    return MapPicture(
        background=tuple((float(x), float(y)) for x, y in layout.background),
        points=tuple(points),
        lines=tuple(lines),
        method=layout.method,
        left_out=len(edits) - len(shown),
    )


def _point(point: str, kind: Kind, label: str, text: str, place: tuple[float, float]) -> MapPoint:
    return MapPoint(id=point, kind=kind, label=label, text=text, x=place[0], y=place[1])
