"""Teaches a list of facts in batches: faster than row by row, with the same answers, each edit stored by itself.

Knows lists, the session and its batches. Knows no file and no page.

In which order edits are stored: window by window in the list's order, and inside a window of a few batches the short rows
first. Rows with a key in common (the same question or rephrasing) are never in one window, so among them the list's order, and
with it the question of which one answers, is that of teaching row by row.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from sola_core.errors import EditFailed, LibraryFull
from sola_core.fact_lists import ListedFact
from sola_core.records import EditRequest
from sola_core.session import SolaEditor
from sola_core.teaching_lists import ListedOutcome, ListProgress, check_present, left_alone
from sola_core.transfer import Present
from sola_core.worker.batches import BatchLimits, Engine, Finished, Outcome, windows

Told = Generator[ListProgress, None, None]


def teach_batches_steps(
    editor: SolaEditor,
    facts: Sequence[ListedFact],
    present: Present = "skip",
    *,
    limits: BatchLimits | None = None,
    engine: Engine | None = None,
) -> Generator[ListProgress, None, tuple[ListedOutcome, ...]]:
    """Teach the usable rows batch by batch; the policies and outcomes are those of `teach_list_steps`, row by row.

    A batch is stored as soon as it is trained; closing the generator keeps what is stored, and nothing half-done. Each step of the
    training is told, too, so that a display stays alive.
    """
    check_present(present)
    run = _Run(editor, facts, present, limits or BatchLimits(), engine)
    yield from run.steps()
    return tuple(run.outcomes[place] for place in range(len(facts)))


class _Run:
    """One list on its way into one library."""

    def __init__(
        self,
        editor: SolaEditor,
        facts: Sequence[ListedFact],
        present: Present,
        limits: BatchLimits,
        engine: Engine | None,
    ) -> None:
        self._editor, self._facts, self._present = editor, facts, present
        self._limits, self._engine = limits, engine
        self.outcomes: dict[int, ListedOutcome] = {}  # by place in the list
        self._full = ""  # why nothing more can be stored

    def steps(self) -> Told:
        """Teach all of it."""
        usable: list[tuple[int, EditRequest]] = []
        for place, fact in enumerate(self._facts):
            if fact.request is None:
                yield self._is(place, ListedOutcome(line=fact.line, outcome="unusable", reason=fact.error))
            else:
                usable.append((place, fact.request))
        size = self._limits.rows * self._limits.window * (self._engine.width if self._engine else 1)
        for window in windows([request for _, request in usable], size):
            yield from self._window([usable[i] for i in window])
        yield self._now()

    def _window(self, rows: Sequence[tuple[int, EditRequest]]) -> Told:
        """Teach rows of which no two have a key in common."""
        wanted: list[tuple[int, EditRequest]] = []
        for place, request in rows:
            fact = self._facts[place]
            known = left_alone(fact, self._editor.edits_of(request.prompt), self._present)
            if self._full:
                yield self._is(place, self._not_tried(fact))
            elif known is not None:
                yield self._is(place, known)
            else:
                wanted.append((place, request))
        yield self._now()
        with closing(
            self._editor.train_steps([request for _, request in wanted], self._limits, self._engine)
        ) as training:
            for told in training:
                if not isinstance(told, Finished):
                    yield self._now()
                    continue
                for i, outcome in zip(told.places, told.outcomes, strict=True):
                    yield self._is(wanted[i][0], self._stored(self._facts[wanted[i][0]], outcome))
                if self._full:
                    break
        for place, _ in wanted:
            if place not in self.outcomes:
                yield self._is(place, self._not_tried(self._facts[place]))

    def _stored(self, fact: ListedFact, outcome: Outcome) -> ListedOutcome:
        if isinstance(outcome, EditFailed):
            return ListedOutcome(line=fact.line, outcome="failed", reason=str(outcome))
        if self._full:
            return self._not_tried(fact)
        replaced: list[str] = []
        if self._present == "replace":
            replaced = [edit.id for edit in self._editor.edits_of(outcome.request.prompt)]
        try:
            edit = self._editor.store(outcome, replaced, enabled=fact.enabled)
        except LibraryFull as error:
            self._full = str(error)
            return self._not_tried(fact)
        return ListedOutcome(line=fact.line, outcome="taught", edit=edit)

    def _not_tried(self, fact: ListedFact) -> ListedOutcome:
        return ListedOutcome(line=fact.line, outcome="not tried", reason=self._full)

    def _is(self, place: int, outcome: ListedOutcome) -> ListProgress:
        self.outcomes[place] = outcome
        return self._now(outcome)

    def _now(self, last: ListedOutcome | None = None) -> ListProgress:
        return ListProgress(done=len(self.outcomes), total=len(self._facts), last=last)
