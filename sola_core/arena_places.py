"""Where methods keep their facts, followed while more are added: centres that move and radii that change, or keys that stay.

Knows sessions that tell of such places; flattens their space to the two directions in which they spread most. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sola_core.arena_records import Track, TrackPoint
from sola_core.joint_session import JointEditor
from sola_core.records import EditRequest
from sola_core.session import SolaEditor


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The place of one fact at one moment."""

    number: int
    taught: int  # facts taught by then
    centre: np.ndarray  # (dim,)
    radius: float | None  # in the same units; None where places have none


def seen(
    session: SolaEditor | JointEditor, numbers: Mapping[str, int], facts: Sequence[EditRequest], taught: int
) -> list[Seen]:
    """Return where each fact that a session holds lies now; nothing for a method without places.

    SoLA's are the vectors of its questions, which its map draws: one for each, made once.
    """
    if isinstance(session, SolaEditor):
        return [
            Seen(number=number, taught=taught, centre=session.embed(facts[number - 1].prompt), radius=None)
            for number in numbers.values()
            if taught in (number, len(facts))  # in between it is the same
        ]
    return [
        Seen(number=numbers[fact_id], taught=taught, centre=entry.centre, radius=float(entry.radius))
        for entry in session.entries()
        for fact_id in entry.fact_ids
        if fact_id in numbers
    ]


def tracks(found: Sequence[Seen]) -> tuple[Track, ...]:
    """Return the way of each fact's place on a flat map; distances on it are at most those in the space itself."""
    if not found:
        return ()
    centres = np.stack([one.centre for one in found]).astype(np.float64)
    middle = centres.mean(axis=0)
    _, _, directions = np.linalg.svd(centres - middle, full_matrices=False)
    flat = np.zeros((len(found), 2))
    flat[:, : min(2, len(directions))] = (centres - middle) @ directions[:2].T
    ways: dict[int, list[tuple[Seen, np.ndarray]]] = {}
    for one, place in zip(found, flat, strict=True):
        ways.setdefault(one.number, []).append((one, place))
    return tuple(
        Track(
            number=number,
            points=tuple(
                TrackPoint(taught=one.taught, x=float(place[0]), y=float(place[1]), radius=one.radius)
                for one, place in way
            ),
            moved=float(np.linalg.norm(way[-1][0].centre - way[0][0].centre)),
        )
        for number, way in sorted(ways.items())
    )
