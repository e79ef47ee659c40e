"""One visitor's session: an editor of one's own, what was asked in it and what state it was in when.

Knows nothing of other visitors, of the page, of models or of how an edit is made.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sola_core.asked import AskedQuestion, AskedQuestions
from sola_core.comparison import SideBySide, answer_twice
from sola_core.edit_details import EditDetails, details_of
from sola_core.edit_probe import Probing, probe_steps
from sola_core.errors import InvalidInput, InvalidRequest, LibraryFull
from sola_core.evaluation.certificate import certify_steps
from sola_core.evaluation.traces import digest, trace
from sola_core.history import Change, History, history_of
from sola_core.lesson import Snapshot
from sola_core.reach import Reach
from sola_core.records import Edit, EditRequest, Erasure, KeysMade, Route, TrainingStep
from sola_core.revisiting import AnswerThen, answer_then
from sola_core.settings import MAX_TARGET_TOKENS, Limits
from sola_core.steps import finish
from sola_core.teaching_lists import teach_list_steps
from sola_core.words import Sentence

if TYPE_CHECKING:
    from sola_core.atlas import Layout
    from sola_core.evaluation.certificate import Certificate, Certifying
    from sola_core.evaluation.rows import Row
    from sola_core.fact_lists import ListedFact
    from sola_core.session import SolaEditor
    from sola_core.teaching_lists import ListedOutcome, ListProgress
    from sola_core.transfer import Imported, Present, Tried

__all__ = ["AskedQuestion", "Limits", "Moment", "Workspace"]

SNAPSHOT_STEPS = 4  # generated steps whose logits go into a snapshot: a second or two on two cores
Happened = Literal["start", "taught", "on", "off", "deleted", "routed"]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A state the workspace was in: its digest, and what had just happened."""

    digest: str
    after: Happened
    number: int = 0  # of the edit that it happened to, if it did to one


class Workspace:
    """An editor of one's own and the questions asked in it. Safe to call from several threads."""

    def __init__(
        self,
        editor: SolaEditor,
        layout: Layout,
        limits: Limits,
        *,
        max_edits: int | None = None,
        spaces: Mapping[str, Layout] | None = None,
    ) -> None:
        self.editor, self.layout, self.limits = editor, layout, limits
        self.spaces = spaces or {}  # one layout for each router's own space
        self.reach = Reach(editor)  # what each edit would answer, once somebody has asked for it
        self.taught = False  # an edit was stored here, so there is something to keep
        self.remembers = True  # the questions asked and the router chosen; not where strangers read side by side
        self._max_edits = max_edits
        self._lock = threading.Lock()
        self._asked = AskedQuestions(limits.questions)
        self._moments = [Moment(digest=editor.state_digest, after="start")]
        self._undoing = threading.Lock()
        self._undone: frozenset[int] = frozenset()  # events: switches that were set back, and those that did it

    # ---- reading ----

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits, in order of teaching."""
        return self.editor.edits

    def edits_of(self, prompt: str) -> tuple[Edit, ...]:
        """Return the edits whose own prompt is equal to this one, in order of teaching."""
        return self.editor.edits_of(prompt)

    @property
    def digest(self) -> str:
        """The state digest, hex."""
        return self.editor.state_digest

    @property
    def questions(self) -> tuple[AskedQuestion, ...]:
        """The questions remembered, oldest first."""
        return self._asked()

    @property
    def router_name(self) -> str:
        """The router in use."""
        return self.editor.router_name

    def numbers(self) -> dict[str, int]:
        """Return the number of each edit by id: it was the how-manieth taught here. Numbers are never used again."""
        return self.editor.numbers()

    def snapshot(self, question: str) -> Snapshot:
        """Return what the model is at this moment: its edits, its parameters, and the numbers behind one answer.

        Raises InvalidInput when the question is unusable. Bit-equal means the same as everywhere: see `traces`.
        """
        editor = self.editor
        return Snapshot(
            state=self.digest,
            parameters=editor.host.parameters_digest(),
            base=digest(trace(editor.base_generation_logits(question, SNAPSHOT_STEPS))),
            answered=digest(trace(editor.generation_logits(question, SNAPSHOT_STEPS))),
        )

    def same_state(self) -> Moment | None:
        """Return the first moment at which the digest was what it is now, if that was before the last change."""
        with self._lock:
            now = self._moments[-1]
            return next((moment for moment in self._moments[:-1] if moment.digest == now.digest), None)

    def history(self) -> History:
        """Return all that was done to the edits, with what of them is stored now."""
        while True:
            edits = self.edits
            found = history_of(self.editor.events(), edits)
            if self.edits is edits:  # nothing changed in between
                return found

    # ---- acting ----

    def teach(self, request: EditRequest, replace: Sequence[str] = ()) -> Generator[TrainingStep, None, Edit]:
        """Teach one fact step by step; closing the generator early leaves nothing of it."""
        if self._max_edits is not None and self.editor.count - len(replace) >= self._max_edits:
            raise LibraryFull(
                Sentence("At most {most} edits fit here. Delete one that you no longer need.", most=self._max_edits)
            )
        self._require_room()
        self._require_short(request)
        edit = yield from self.editor.edit_steps(request, replace=replace)
        self.taught = True
        self._note("taught", edit.id)
        return edit

    def ask(self, question: str) -> Generator[SideBySide, None, SideBySide]:
        """Answer with the untouched model and with the edits, piece by piece in turn; yields after every round."""
        self.limits.check_prompt(question)
        with closing(answer_twice(self.editor, question, self.limits.answer_tokens)) as rounds:
            first = next(rounds)
            self._remember(first.question, first.route)
            yield first
            return (yield from rounds)

    def ask_at(self, question: str, moment: int) -> Generator[AnswerThen, None, AnswerThen]:
        """Answer as it was after a moment of the history, piece by piece; changes and remembers nothing.

        The router in use now decides, among the edits that were on then and are stored still.
        """
        return (yield from answer_then(self.editor, question, self.history().at(moment), self.limits.answer_tokens))

    def edit(self, request: EditRequest, *, replace: Sequence[str] = ()) -> Edit:
        """Teach one fact to its end."""
        return finish(self.teach(request, replace))

    def teach_list(
        self, facts: Sequence[ListedFact], present: Present
    ) -> Generator[ListProgress, None, tuple[ListedOutcome, ...]]:
        """Teach a list of facts row by row; closing the generator early keeps what is taught."""
        return teach_list_steps(self, facts, present)

    def export(self) -> bytes:
        """Return all edits as one file."""
        return self.editor.export()

    def take_in(self, content: bytes, present: Present) -> Generator[Tried, None, Imported]:
        """Try the edits of such a file and store those that hold; closing the generator early stores none."""
        self._require_room(len(content))
        room = None if self._max_edits is None else self._max_edits - self.editor.count
        imported = yield from self.editor.import_steps(content, present, room=room)
        self.taught = self.taught or bool(imported.edits)
        for edit in imported.edits:
            self._note("taught", edit.id)
        return imported

    def certify(self) -> Generator[Certifying, None, Certificate]:
        """Take every edit back in a copy and return what was compared; nothing here changes."""
        return certify_steps(self.editor)

    def details(self, edit_id: str) -> EditDetails:
        """Return what is known of one edit; raise UnknownEdit for one that is not stored here."""
        return details_of(self.editor, edit_id)

    def probe(
        self, edit_id: str, fact: Row | None, wordings: Sequence[str], neighbours: Sequence[str]
    ) -> Generator[Probing, None, Probing]:
        """Ask one edit's own question, other wordings and neighbours; the map does not remember these questions."""
        most = self.limits.answer_tokens
        return probe_steps(self.editor, edit_id, fact, wordings, neighbours, max_new_tokens=most)

    def compare_routers(self, question: str) -> Generator[KeysMade, None, dict[str, Route]]:
        """Return the route that each router would take now, by name; the one in use stays in use."""
        self.limits.check_prompt(question)
        return self.editor.routes_steps(question)

    def use_router(self, name: str) -> Generator[KeysMade, None, None]:
        """Route with another router from now on; nothing changes where strangers read side by side."""
        if not self.remembers or name == self.router_name:
            return
        yield from self.editor.use_router_steps(name)
        with self._lock:
            untouched = len(self._moments) == 1
            if untouched:  # the router belongs to the state that one started from
                self._moments = [Moment(digest=self.digest, after="start")]
        if not untouched:
            self._note("routed")

    def set_enabled(self, edit_id: str, enabled: bool) -> Edit:
        """Switch an edit on or off."""
        edit = self.editor.set_enabled(edit_id, enabled)
        self._note("on" if enabled else "off", edit_id)
        return edit

    def undo_switch(self) -> Change:
        """Set the last switch back that was not set back yet, and return what was undone; the log tells of both.

        Raises InvalidInput when there is none. Undone switches are known as such until the workspace is closed.
        """
        with self._undoing:
            last = self.undoable(self.history())
            if last is None:
                raise InvalidInput(Sentence("There is no switch to undo. A deleted edit cannot be brought back."))
            self.set_enabled(last.edit_id, last.kind == "off")
            made = max(event.number for event in self.editor.events() if event.edit_id == last.edit_id)
            self._undone |= {last.event, made}
            return last

    def undoable(self, history: History) -> Change | None:
        """Return the switch that `undo_switch` would set back, None when there is none."""
        return history.last_switch(self._undone)

    def delete(self, edit_id: str) -> Erasure:
        """Delete an edit for ever."""
        erasure = self.editor.delete(edit_id)
        self._note("deleted", edit_id)
        return erasure

    def close(self) -> None:
        """Close the editor and forget the questions."""
        self._asked.clear()
        self.reach.forget()
        self.editor.close()

    def _require_room(self, wanted: int = 0) -> None:
        """Raise LibraryFull when the workspace has its bytes, or `wanted` more would be too many."""
        most = self.limits.workspace_bytes
        if self._max_edits is None:  # the owner's own file
            return
        taken = self.editor.sizes.pages
        if taken + max(1, wanted) > most:
            raise LibraryFull(
                Sentence(
                    "The edits here take {taken:,.1f} MB of {most:,.1f} MB. Delete some that you no longer need.",
                    taken=taken / 1e6,
                    most=most / 1e6,
                )
            )

    def _require_short(self, request: EditRequest) -> None:
        """Raise InvalidRequest when a fact is larger than this server takes; other faults are found in teaching."""
        try:
            self.limits.check_request(request.prompt, request.target, request.rephrases)
        except InvalidInput as error:
            raise InvalidRequest(str(error)) from error
        if self.limits.target_tokens == MAX_TARGET_TOKENS:  # which training checks itself
            return
        words = len(self.editor.host.target_ids(request.target)) - 1
        if words > self.limits.target_tokens:
            raise InvalidRequest(
                Sentence(
                    "The new answer has {words} tokens; at most {most} are allowed. Shorten it.",
                    words=words,
                    most=self.limits.target_tokens,
                )
            )

    def _remember(self, question: str, route: Route) -> None:
        if self.remembers:
            self._asked.add(question, route.edit_id)

    def _note(self, after: Happened, edit_id: str = "") -> None:
        moment = Moment(digest=self.digest, after=after, number=self.editor.number(edit_id))
        with self._lock:
            self._moments.append(moment)
            del self._moments[1:-500]
