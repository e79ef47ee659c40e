"""A contest of two to four methods over one host: the same facts taught to all, the same questions asked, side by side.

Knows methods by what the registry and their sessions say of them, none by name. Knows no visitor and no page.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from sola_core.answering import AnswerStream
from sola_core.arena_foresight import able, foreseen_steps
from sola_core.arena_places import Seen, seen, tracks
from sola_core.arena_records import (
    Asked,
    Contender,
    FactOutcome,
    Foreseeing,
    Foresight,
    MethodOutcome,
    Reply,
    RetentionPoint,
    RunProgress,
    TakenBack,
    TakingBack,
)
from sola_core.arena_run import FIRST, Run, asked_after
from sola_core.arena_undo import Undo
from sola_core.editors.methods import JOINT, joint_method
from sola_core.editors.sola import Sola
from sola_core.errors import EditFailed, InvalidInput
from sola_core.joint_session import EXTRA_TOKENS, JointEditor
from sola_core.records import Answer, EditRequest
from sola_core.routing.encoders import TextEncoder
from sola_core.session import SolaEditor
from sola_core.text import canonical, checked_prompt, normalised_answer
from sola_core.words import Sentence

LEAST_METHODS, MOST_METHODS, MOST_FACTS = 2, 4, 20
ANSWER_TOKENS = 48  # of an answer that is shown
ELSEWHERE = (  # asked at the end: nothing that is taught here is about them
    "What is the capital of Portugal?",
    "How many legs does a spider have?",
    "What colour is a ripe banana?",
)
ELSEWHERE_TOKENS = 16

Session = SolaEditor | JointEditor
Open = Callable[[str], Session]  # opens a session of a method by name


def contenders(encoder: TextEncoder | None, seed: int = 0) -> tuple[Contender, ...]:
    """Return all methods of the registry, SoLA first."""
    own = Contender(name=Sola.name, capabilities=Sola.capabilities)
    others = [Contender(name=name, capabilities=joint_method(name, seed, encoder).capabilities) for name in JOINT]
    return (own, *others)


class Arena:
    """The sessions of one contest. Safe to call from several threads: one change at a time, and any number of questions."""

    def __init__(self, chosen: Sequence[Contender], facts: Sequence[EditRequest], open_session: Open) -> None:
        if not LEAST_METHODS <= len({one.name for one in chosen}) <= MOST_METHODS or len(chosen) > MOST_METHODS:
            raise InvalidInput(Sentence("Choose {least} to {most} methods.", least=LEAST_METHODS, most=MOST_METHODS))
        if not 1 <= len(facts) <= MOST_FACTS:
            raise InvalidInput(Sentence("Give 1 to {most} facts.", most=MOST_FACTS))
        self.facts = tuple(facts)
        self.outcomes: tuple[MethodOutcome, ...] = tuple(_fresh(one, len(facts)) for one in chosen)
        self.last_undo: tuple[int, tuple[TakenBack, ...]] | None = None  # fact number, and what each method did
        self._open = open_session
        self._sessions: dict[str, Session] = {}
        self._numbers: dict[str, tuple[int, ...]] = {}  # of the facts that a session holds, in order of its edits
        self._undoing = False
        self._swapping = threading.Lock()  # held for a moment, while sessions and numbers are read or replaced together

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, in the order chosen."""
        return tuple(one.method for one in self.outcomes)

    # ---- teaching and asking again ---------------------------------------------------------------------------------

    def run_steps(self) -> Generator[RunProgress, None, tuple[MethodOutcome, ...]]:
        """Teach all facts to all methods, one fact after another, and ask the first ones again as more are added.

        Closing the generator early closes every session.
        """
        run = Run(self.outcomes, len(self.facts), len(self._elsewhere()))
        places: dict[str, list[Seen]] = {method: [] for method in self.methods}
        try:
            for method in self.methods:
                yield run.at("opening", method, 0)
                self._sessions[method], self._numbers[method] = self._open(method), ()
            for number in range(1, len(self.facts) + 1):
                for method in self.methods:
                    yield from self._teach(run, method, number)
                if number in asked_after(len(self.facts)):
                    for method in self.methods:
                        yield from self._ask_first(run, method, number)
                self._see(places, number)
            yield from self._ask_rest(run)
        except BaseException:
            self.close()
            raise
        for method, found in places.items():
            run.change(method, tracks=tracks(found))
        self.outcomes = run.outcomes
        return self.outcomes

    def _teach(self, run: Run, method: str, number: int) -> Generator[RunProgress, None, None]:
        began, outcome, reason = time.perf_counter(), "taught", ""
        try:
            with closing(self._sessions[method].edit_steps(self.facts[number - 1])) as steps:
                for _ in steps:
                    yield run.at("teaching", method, number)
            self._numbers[method] += (number,)
        except EditFailed as error:
            outcome, reason = "failed", str(error)
        seconds = run.took("teaching", began)
        run.change_fact(method, number, outcome=outcome, reason=reason, seconds=seconds)

    def _ask_first(self, run: Run, method: str, taught: int) -> Generator[RunProgress, None, None]:
        asked, rightly = min(FIRST, taught), 0
        for number in range(1, asked + 1):
            yield run.at("asking", method, number)
            right, exact = self._judged(run, method, number)
            rightly += right
            if taught == len(self.facts):
                run.change_fact(method, number, right=right, exact=exact)
        point = RetentionPoint(taught=taught, asked=asked, right=rightly)
        run.change(method, points=(*run.of(method).points, point))

    def _ask_rest(self, run: Run) -> Generator[RunProgress, None, None]:
        for number in range(FIRST + 1, len(self.facts) + 1):
            for method in self.methods:
                yield run.at("asking", method, number)
                right, exact = self._judged(run, method, number)
                run.change_fact(method, number, right=right, exact=exact)
        for question in self._elsewhere():
            yield run.at("asking", "", 0)
            base = self._answer(run, "", question, ELSEWHERE_TOKENS).text
            for method in self.methods:
                yield run.at("asking", method, 0)
                same = self._answer(run, method, question, ELSEWHERE_TOKENS).text == base
                so_far = run.of(method)
                run.change(method, elsewhere=so_far.elsewhere + 1, elsewhere_same=so_far.elsewhere_same + same)
        yield run.at("asking", self.methods[-1], 0)

    def _see(self, places: dict[str, list[Seen]], taught: int) -> None:
        for method, numbers in self._numbers_by_id().items():
            places[method] += seen(self._sessions[method], numbers, self.facts, taught)

    def _elsewhere(self) -> tuple[str, ...]:
        taught = {canonical(fact.prompt) for fact in self.facts}
        return tuple(question for question in ELSEWHERE if canonical(question) not in taught)

    def _judged(self, run: Run, method: str, number: int) -> tuple[bool, bool]:
        """Ask a fact; say whether its target is in the answer, and whether it is the whole answer."""
        fact = self.facts[number - 1]
        words = len(self._sessions[method].host.target_ids(fact.target)) - 1
        answer = self._answer(run, method, fact.prompt, words + EXTRA_TOKENS)
        said, target = normalised_answer(answer.text), normalised_answer(fact.target)
        return f" {target} " in f" {said} ", answer.stopped == "end" and said == target

    def _answer(self, run: Run, method: str, question: str, most: int) -> Answer:
        """Ask a method, or the untouched model (the empty name)."""
        began, session = time.perf_counter(), self._sessions[method or self.methods[0]]
        answer = session.answer(question, most) if method else session.base_answer(question, most)
        run.took("asking", began)
        return answer

    # ---- asking ------------------------------------------------------------------------------------------------------

    def ask_steps(self, question: str, max_new_tokens: int = ANSWER_TOKENS) -> Generator[Asked, None, Asked]:
        """Yield the answers of the untouched model and of all methods so far after each round of one token each.

        Raises InvalidInput when the question is unusable. Closing the generator stops all of them.
        """
        question = checked_prompt(question)
        with self._swapping:
            sessions, numbers = dict(self._sessions), self._numbers_by_id()
        if not sessions:
            raise InvalidInput(Sentence("There is no comparison to ask. Run one first."))
        streams: dict[str, AnswerStream] = {}
        try:
            streams[""] = next(iter(sessions.values())).base_stream(question, max_new_tokens)
            for method, session in sessions.items():
                streams[method] = session.stream(question, max_new_tokens)
            texts, running = dict.fromkeys(streams, ""), set(streams)
            while True:
                for method in [name for name in streams if name in running]:
                    try:
                        texts[method] += next(streams[method])
                    except StopIteration:
                        running.discard(method)
                base, *replies = (
                    _reply(name, texts[name], stream, numbers.get(name, {}), ended=name not in running)
                    for name, stream in streams.items()
                )
                asked = Asked(question=question, base=base, replies=tuple(replies))
                yield asked
                if not running:
                    return asked
        finally:
            for stream in streams.values():
                stream.close()

    def _numbers_by_id(self) -> dict[str, dict[str, int]]:
        return {
            method: {edit.id: number for edit, number in zip(session.edits, self._numbers[method], strict=True)}
            for method, session in self._sessions.items()
        }

    # ---- taking back -------------------------------------------------------------------------------------------------

    def take_back_steps(self, number: int) -> Generator[TakingBack, None, tuple[TakenBack, ...]]:
        """Take one fact back with every method that can, and compare what remains (see `arena_undo`).

        All is done in copies; only at the end do these take the place of the sessions. Closing the generator early changes
        nothing. Raises InvalidInput when there is no such fact.
        """
        if not self._sessions or not 1 <= number <= len(self.facts):
            raise InvalidInput(Sentence("There is no fact of this number in the comparison. Choose another one."))
        if self._undoing:
            raise InvalidInput(Sentence("A fact is being taken back already. Wait for its end."))
        self._undoing = True
        undo = Undo(self._open, self.facts, number, self.outcomes)
        try:
            found = yield from undo.steps(self._sessions, self._numbers)
            with self._swapping:
                self._sessions, self._numbers = undo.committed(self._sessions, self._numbers)
            self.last_undo = (number, found)
            return found
        finally:
            self._undoing = False
            undo.close()

    @property
    def foretell(self) -> tuple[str, ...]:
        """The methods that can say what taking a fact back will do to the others, before it is done."""
        return able(self._sessions)

    def foresee_steps(self, number: int) -> Generator[Foreseeing, None, tuple[Foresight, ...]]:
        """Let each method that can (see `foretell`) say what taking a fact back will do to the others; nothing is changed.

        Raises InvalidInput when no such method holds a fact of this number.
        """
        with self._swapping:
            sessions, numbers = dict(self._sessions), dict(self._numbers)
        return foreseen_steps(sessions, numbers, number)

    def close(self) -> None:
        """Forget everything; the contest cannot be asked afterwards."""
        for session in self._sessions.values():
            session.close()
        self._sessions, self._numbers = {}, {}


def _fresh(chosen: Contender, facts: int) -> MethodOutcome:
    waiting = tuple(FactOutcome(number=number) for number in range(1, facts + 1))
    return MethodOutcome(method=chosen.name, capabilities=chosen.capabilities, facts=waiting)


def _reply(method: str, text: str, stream: AnswerStream, numbers: dict[str, int], *, ended: bool) -> Reply:
    found = tuple(sorted(numbers[edit_id] for edit_id in stream.route.edit_ids if edit_id in numbers))
    best = next((one for one in stream.route.candidates if one.edit_id in numbers), None)
    return Reply(
        method=method,
        text=text,
        route=stream.route,
        numbers=found,
        nearest=None if best is None else (numbers[best.edit_id], best.score),
        answer=stream.answer if ended else None,
    )
