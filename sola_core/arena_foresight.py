"""Lets the methods of a contest that can say beforehand what taking one fact back will do to the others.

Knows sessions, and which facts each holds; changes nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing

from sola_core.arena_records import Foreseeing, ForeseenFact, Foresight
from sola_core.editors.joint import Foreseen
from sola_core.errors import InvalidInput
from sola_core.joint_session import JointEditor
from sola_core.records import TrainingStep
from sola_core.session import SolaEditor
from sola_core.words import Sentence

Session = SolaEditor | JointEditor


def able(sessions: Mapping[str, Session]) -> tuple[str, ...]:
    """Return the methods that can look ahead."""
    return tuple(name for name, session in sessions.items() if isinstance(session, JointEditor) and session.foretells)


def foreseen_steps(
    sessions: Mapping[str, Session], numbers: Mapping[str, tuple[int, ...]], number: int
) -> Generator[Foreseeing, None, tuple[Foresight, ...]]:
    """Return what each method that can look ahead says of taking back the fact of this number.

    `numbers` are the facts that a session holds, in order of its edits. Raises InvalidInput when no such method holds it.
    """
    asked = [name for name in able(sessions) if number in numbers[name]]
    if not asked:
        raise InvalidInput(Sentence("No method here can tell what taking this fact back will do. Choose another fact."))
    found = []
    for name in asked:
        yield Foreseeing(method=name, done=0, total=1)
        session, held = sessions[name], numbers[name]
        assert isinstance(session, JointEditor)
        by_id = {edit.id: one for edit, one in zip(session.edits, held, strict=True)}
        with closing(session.foreseen_steps(session.edits[held.index(number)].id)) as steps:
            told = yield from _told(steps, name)
        others = tuple(
            ForeseenFact(
                number=by_id[one.fact_id],
                now=one.now,
                then=one.then,
                answer_now=one.answer_now or "",
                answer_then=one.answer_then or "",
            )
            for one in told
        )
        found.append(Foresight(method=name, number=number, others=others))
    return tuple(found)


def _told(
    steps: Generator[TrainingStep, None, tuple[Foreseen, ...]], method: str
) -> Generator[Foreseeing, None, tuple[Foreseen, ...]]:
    """Pass on how far a method is with looking ahead, and return what it found."""
    while True:
        try:
            at = next(steps)
        except StopIteration as end:
            found: tuple[Foreseen, ...] = end.value
            return found
        yield Foreseeing(method=method, done=at.step, total=at.total)
