"""Gathers what the map shows: each key and each question at its place, and lines from questions to edits.

Knows a workspace's edits and questions and a layout; draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sola_core.atlas import Layout, Method
from sola_core.records import Edit

if TYPE_CHECKING:
    from sola_core.workspace import AskedQuestion

MAX_EDITS = 150  # the newest; more would take long to place and could not be told apart
Kind = Literal["on", "off", "question"]
Reached = Mapping[str, str | None]  # text -> the edit that would answer it


@dataclass(frozen=True, kw_only=True)
class MapPoint:
    """A key or a question on the map."""

    id: str
    kind: Kind
    label: str
    text: str
    x: float  # about -1..1, as y
    y: float
    number: int = 0  # of the edit or the question
    answered_by: str = ""  # number of the edit that answered this question


@dataclass(frozen=True, kw_only=True)
class MapLine:
    """From a question to the edit that answered it."""

    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class MapReach:
    """A text that an edit would answer though it is not one of its own wordings."""

    what: Literal["sentence", "question", "key"]
    text: str
    number: int  # of the edit that would answer
    start: tuple[float, float]  # where the text lies
    end: tuple[float, float] | None  # where that edit's key lies, if it is drawn


@dataclass(frozen=True, kw_only=True)
class MapPicture:
    """All that the map shows."""

    background: tuple[tuple[float, float], ...]
    points: tuple[MapPoint, ...]
    lines: tuple[MapLine, ...]
    method: Method
    left_out: int  # older edits that are not drawn
    reach: tuple[MapReach, ...] = ()
    judged: int = 0  # texts on the map that the router was asked about


def keys_of(edits: Sequence[Edit]) -> dict[str, tuple[Edit, str]]:
    """Return the keys that are drawn, by the id of their point: the newest edits' wordings."""
    return {
        f"{edit.id}/{index}": (edit, text)
        for edit in edits[-MAX_EDITS:]
        for index, text in enumerate(edit.request.key_texts)
    }


def drawn_texts(edits: Sequence[Edit], questions: Sequence[AskedQuestion]) -> dict[str, str]:
    """Return every text that has a place on the map, by the id of its point."""
    keys = {point: text for point, (_, text) in keys_of(edits).items()}
    return keys | {point_of(question): question.text for question in questions}


def point_of(question: AskedQuestion) -> str:
    """Return the id of a question's point."""
    return f"question {question.number}"


def picture(
    layout: Layout,
    edits: Sequence[Edit],
    numbers: Mapping[str, int],
    questions: Sequence[AskedQuestion],
    reached: Reached | None = None,
) -> MapPicture:
    """Return the map of these edits and questions, with what each edit would answer if that was counted."""
    keys, asked = keys_of(edits), {point_of(question): question for question in questions}
    places = layout.places(drawn_texts(edits, questions))
    points = [
        _point(point, "on" if edit.enabled else "off", numbers.get(edit.id, 0), text, places[point])
        for point, (edit, text) in keys.items()
    ]
    points += [
        _point(point, "question", q.number, q.text, places[point], str(numbers.get(q.edit_id or "", "")))
        for point, q in asked.items()
    ]
    background = tuple((float(x), float(y)) for x, y in layout.background)
    near = {} if reached is None else dict(zip(layout.sheet.references, background, strict=True))
    reach = () if reached is None else tuple(_reach(points, keys, near, numbers, reached))
    return MapPicture(
        background=background,
        points=tuple(points),
        lines=tuple(
            MapLine(start=places[point], end=places[f"{question.edit_id}/0"])
            for point, question in asked.items()
            if f"{question.edit_id}/0" in places
        ),
        method=layout.method,
        left_out=max(0, len(edits) - MAX_EDITS),
        reach=reach,
        judged=0 if reached is None else len(reached.keys() & {*near, *(point.text for point in points)}),
    )


def _point(
    point: str, kind: Kind, number: int, text: str, place: tuple[float, float], answered_by: str = ""
) -> MapPoint:
    label = f"?{number}" if kind == "question" else str(number)
    return MapPoint(
        id=point, kind=kind, label=label, text=text, x=place[0], y=place[1], number=number, answered_by=answered_by
    )


def _reach(
    points: Sequence[MapPoint],
    keys: Mapping[str, tuple[Edit, str]],
    background: Mapping[str, tuple[float, float]],
    numbers: Mapping[str, int],
    reached: Reached,
) -> Iterator[MapReach]:
    """Yield the texts that an edit would answer, apart from its own wordings: sentences, then questions and other keys."""
    at = {point.id: (point.x, point.y) for point in points}
    wordings = {(edit.id, text) for edit, text in keys.values()}
    for text, place in background.items():
        edit_id = reached.get(text)
        if edit_id is not None:
            yield MapReach(what="sentence", text=text, number=numbers.get(edit_id, 0), start=place,
                           end=at.get(f"{edit_id}/0"))  # fmt: skip
    for point in points:
        edit_id = reached.get(point.text)
        if edit_id is not None and (edit_id, point.text) not in wordings:
            yield MapReach(what="question" if point.kind == "question" else "key", text=point.text,
                           number=numbers.get(edit_id, 0), start=at[point.id], end=at.get(f"{edit_id}/0"))  # fmt: skip
