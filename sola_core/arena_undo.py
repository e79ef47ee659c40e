"""Takes one fact back with every method of a contest, in copies of their sessions, and compares what remains.

Knows sessions and what they can be asked. Whether a method can at all is what its capabilities say, and then what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from sola_core.arena_records import Anew, MethodOutcome, TakenBack, TakingBack
from sola_core.errors import EditFailed
from sola_core.evaluation.traces import Trace, trace
from sola_core.joint_session import EXTRA_TOKENS, JointEditor
from sola_core.records import Answer, EditRequest
from sola_core.session import SolaEditor
from sola_core.words import Sentence

STEPS = 5  # generated steps whose tokens and logits are compared
Session = SolaEditor | JointEditor
Numbers = Mapping[str, tuple[int, ...]]  # method -> the facts that its session holds, in order of its edits
Stage = Literal["before", "taking back", "after", "anew"]
Steps = Generator[TakingBack, None, TakenBack]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How an answer begins: the tokens, and the digest of each one's logits."""

    tokens: tuple[int, ...]
    logits: Trace


class Undo:
    """Taking back one fact. Holds copies until `close`."""

    def __init__(
        self,
        open_session: Callable[[str], Session],
        facts: Sequence[EditRequest],
        number: int,
        outcomes: Sequence[MethodOutcome],
    ) -> None:
        self._open, self._facts, self._number = open_session, facts, number
        self._outcomes = {one.method: one for one in outcomes}
        self._copies: dict[str, Session] = {}
        self._opened: list[Session] = []
        self._done, self._total, self._began = 0, 1, time.perf_counter()
        self._found: list[TakenBack] = []

    def steps(
        self, sessions: Mapping[str, Session], numbers: Numbers
    ) -> Generator[TakingBack, None, tuple[TakenBack, ...]]:
        """Take the fact back in copies, method by method, and return what each did."""
        self._total = sum(self._cost(session, numbers[method]) for method, session in sessions.items())
        for method, session in sessions.items():
            made = yield from self._method(method, session, numbers[method])
            self._found.append(made)
        yield self._at("after", made.method)
        return tuple(self._found)

    def committed(
        self, sessions: Mapping[str, Session], numbers: Numbers
    ) -> tuple[dict[str, Session], dict[str, tuple[int, ...]]]:
        """Return the sessions without the fact, and what each holds.

        A SoLA session is changed itself: its copies have libraries of their own, and somebody may be asking it.
        """
        after, left = dict(sessions), dict(numbers)
        for method, copy in self._copies.items():
            session = sessions[method]
            if isinstance(session, SolaEditor):
                session.delete(_edit_id(session, numbers[method], self._number))
            else:
                after[method] = copy
            left[method] = _without(numbers[method], self._number)
        return after, left

    def close(self) -> None:
        """Let go of the copies that took nobody's place."""
        for session in self._opened:
            session.close()
        self._opened.clear()

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _cost(self, session: Session, held: tuple[int, ...]) -> int:
        """Return how many pieces of work one method is."""
        kept = len(_without(held, self._number))
        if not self._can(session, held):
            return 2
        return 2 + (1 + kept) + 1 + (1 + kept) + 1 + ((kept + 1 + kept) if _exact(session) else 0)

    def _can(self, session: Session, held: tuple[int, ...]) -> bool:
        return self._number in held and session.capabilities.delete != "none"

    def _method(self, method: str, session: Session, held: tuple[int, ...]) -> Steps:
        fact, outcome = self._facts[self._number - 1], self._outcomes[method]
        others = _without(held, self._number)
        start_over = sum(one.seconds for one in outcome.facts if one.number in others)
        most = len(session.host.target_ids(fact.target)) - 1 + EXTRA_TOKENS
        yield self._at("before", method)
        said_base, said_before = _said(session.base_answer(fact.prompt, most)), _said(session.answer(fact.prompt, most))
        self._done += 2
        if not self._can(session, held):
            return TakenBack(
                method=method, capabilities=session.capabilities, done=False, reason=self._why_not(method, session, held),
                seconds=0.0, said_before=said_before, said_after=said_before, said_base=said_base,
                answered_by=(), base_again=False, base_bits=False, others=len(others), others_same=0, others_bits=0, anew=None,
                start_over=start_over,
            )  # fmt: skip
        copy = session.copy()
        if isinstance(copy, SolaEditor):
            self._opened.append(copy)
        before = yield from self._looks("before", method, copy, others)
        seconds = yield from self._taken(method, copy, held)
        self._copies[method] = copy
        said = copy.answer(fact.prompt, most)
        self._done += 1
        after = yield from self._looks("after", method, copy, (self._number, *others))
        base = _base_look(session, fact.prompt)
        self._done += 1
        anew = (yield from self._anew(method, copy, others, after)) if _exact(session) else None
        return TakenBack(
            method=method,
            capabilities=session.capabilities,
            done=True,
            reason="",
            seconds=seconds,
            said_before=said_before,
            said_after=_said(said),
            said_base=said_base,
            answered_by=tuple(
                number for number, edit in zip(others, copy.edits, strict=True) if edit.id in said.route.edit_ids
            ),
            base_again=after[self._number].tokens == base.tokens,
            base_bits=after[self._number].logits == base.logits,
            others=len(others),
            others_same=sum(after[n].tokens == before[n].tokens for n in others),
            others_bits=sum(after[n].logits == before[n].logits for n in others),
            anew=anew,
            start_over=start_over,
        )

    def _why_not(self, method: str, session: Session, held: tuple[int, ...]) -> str:
        if self._number in held:
            return session.capabilities.why
        failed = self._outcomes[method].facts[self._number - 1].outcome == "failed"
        return (
            Sentence("This method could not be taught this fact.") if failed else Sentence("It was taken back before.")
        )

    def _looks(
        self, stage: Stage, method: str, session: Session, numbers: Sequence[int]
    ) -> Generator[TakingBack, None, dict[int, Look]]:
        found = {}
        for number in numbers:
            yield self._at(stage, method)
            found[number] = _look(session, self._facts[number - 1].prompt)
            self._done += 1
        return found

    def _taken(self, method: str, copy: Session, held: tuple[int, ...]) -> Generator[TakingBack, None, float]:
        """Take the fact out of a copy; return the seconds."""
        yield self._at("taking back", method)
        edit_id, began = _edit_id(copy, held, self._number), time.perf_counter()
        if isinstance(copy, SolaEditor):
            copy.delete(edit_id)
        else:
            with closing(copy.delete_steps(edit_id)) as steps:
                for _ in steps:
                    yield self._at("taking back", method)
        self._done += 1
        return time.perf_counter() - began

    def _anew(
        self, method: str, copy: Session, others: tuple[int, ...], after: Mapping[int, Look]
    ) -> Generator[TakingBack, None, Anew]:
        """Teach the other facts to a session that never had this one, and compare."""
        fresh = self._open(method)
        self._opened.append(fresh)
        began = time.perf_counter()
        for number in others:
            try:
                with closing(fresh.edit_steps(self._facts[number - 1])) as steps:
                    for _ in steps:
                        yield self._at("anew", method)
            except EditFailed:  # it was taught before: then the states differ, and that is what is told
                pass
            self._done += 1
        seconds = time.perf_counter() - began
        looks = yield from self._looks("anew", method, fresh, tuple(after))
        return Anew(
            asked=len(after),
            bits=sum(looks[number].logits == after[number].logits for number in after),
            state=fresh.state_digest == copy.state_digest,
            seconds=seconds,
        )

    def _at(self, stage: Stage, method: str) -> TakingBack:
        rest = self._total - self._done
        left = rest * (time.perf_counter() - self._began) / self._done if self._done else None
        return TakingBack(
            stage=stage, method=method, done=self._done, total=self._total, left=left, found=tuple(self._found)
        )


def _said(answer: Answer) -> str:
    return f"{answer.text}…" if answer.stopped == "limit" else answer.text


def _exact(session: Session) -> bool:
    return session.capabilities.delete == "exact"


def _without(held: tuple[int, ...], number: int) -> tuple[int, ...]:
    return tuple(one for one in held if one != number)


def _edit_id(session: Session, held: tuple[int, ...], number: int) -> str:
    return session.edits[held.index(number)].id


def _look(session: Session, prompt: str) -> Look:
    logits = session.generation_logits(prompt, STEPS)
    return Look(tokens=tuple(logits.argmax(-1).tolist()), logits=trace(logits))


def _base_look(session: Session, prompt: str) -> Look:
    logits = session.base_generation_logits(prompt, STEPS)
    return Look(tokens=tuple(logits.argmax(-1).tolist()), logits=trace(logits))
