"""What `load_editor` returns for a method whose facts share a state: the same session as SoLA's, kept in memory.

Joins one joint method and its facts over one host. Knows no page and no method's insides.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import replace as changed
from importlib.metadata import version
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from sola_core.asking import Asking
from sola_core.editors.base import Plan
from sola_core.editors.joint import Fact, Foreseen, Foretells, JointMethod, Learnt
from sola_core.errors import BatchFailed, EditFailed, InvalidInput, InvalidRequest, NotReversible, UnknownEdit
from sola_core.host.model import HostModel
from sola_core.library.digest import edit_digest, state_digest
from sola_core.library.sizes import LibrarySizes
from sola_core.records import Candidate, Edit, EditRequest, Erasure, Event, Route, TrainingRecord, TrainingStep
from sola_core.steps import finish
from sola_core.text import checked_prompt, checked_request, normalised_answer
from sola_core.words import Sentence

OnProgress = Callable[[TrainingStep], None]
EXTRA_TOKENS = 8  # how much longer than the target the asked answer may run
Now = tuple[Any, tuple[Edit, ...]]  # a method's state, and the edits in order of teaching


class JointEditor(Asking):
    """Teach, ask, switch off and take back facts that share one state.

    Safe to call from several threads, and nothing is held while a caller looks on: a change is worked out beside the present
    state and takes its place at the end; when another change was quicker, it is worked out again after that one.
    """

    def __init__(self, *, method: JointMethod[Any], host: HostModel) -> None:
        super().__init__(host, self)
        self.method, self.capabilities = method, method.capabilities
        self._state = threading.Lock()  # for the moment in which one state takes another's place
        self._now: Now = (method.empty(host), ())  # replaced as one
        self._events: list[Event] = []

    # ---- teaching ------------------------------------------------------------------------------------------------

    def edit(self, request: EditRequest, *, replace: Sequence[str] = (), on_progress: OnProgress | None = None) -> Edit:
        """Teach one fact; raise EditFailed, and change nothing, for an unusable request or numbers out of range.

        `edit.training.held` says whether the fact is answered now. `replace` names edits that are deleted before.
        """
        return finish(self.edit_steps(request, replace=replace), on_progress)

    def edit_steps(self, request: EditRequest, *, replace: Sequence[str] = ()) -> Generator[TrainingStep, None, Edit]:
        """Teach one fact step by step; closing the generator before its end leaves no trace of it."""
        request = _usable(request)
        while True:
            before = now = self._now
            gone = [_get(before[1], old) for old in dict.fromkeys(replace)]
            for old in gone:
                now = yield from self._without(now, old.id)
            state, made = yield from self._learnt(now[0], [request])
            if self._replaced(before, (state, (*now[1], *made)), deleted=gone, erased=gone, taught=made):
                return made[0]

    def edit_many(
        self,
        requests: Sequence[EditRequest],
        on_progress: OnProgress | None = None,
        on_failure: Callable[[int, EditFailed], None] | None = None,
    ) -> list[Edit]:
        """Teach many facts in the batches of the method, in the order given; each batch is kept as soon as it is learnt.

        A failed one goes to `on_failure(index, error)`; without it, BatchFailed is raised once the others are kept.
        """
        made: list[Edit] = []
        failures: dict[int, EditFailed] = {}
        usable: dict[int, EditRequest] = {}
        for index, request in enumerate(requests):
            try:
                usable[index] = _usable(request)
            except InvalidRequest as failure:
                failures[index] = failure
        places, size = list(usable), self.method.batch_facts
        for start in range(0, len(places), size):
            made += self._together({i: usable[i] for i in places[start : start + size]}, failures, on_progress)
        if failures and on_failure is None:
            raise BatchFailed(made, failures)
        for index, error in sorted(failures.items()):
            on_failure(index, error)  # type: ignore[misc]  # without it there was no way past the line before
        return made

    def _together(
        self, requests: dict[int, EditRequest], failures: dict[int, EditFailed], on_progress: OnProgress | None
    ) -> list[Edit]:
        """Learn a batch; of one that fails, each by itself, so that only those that fail alone are failures."""
        try:
            return finish(self._batch(list(requests.values())), on_progress)
        except EditFailed as failure:
            if len(requests) == 1:
                failures[next(iter(requests))] = failure
                return []
        made = []
        for index, request in requests.items():
            made += self._together({index: request}, failures, on_progress)
        return made

    def _batch(self, requests: Sequence[EditRequest]) -> Generator[TrainingStep, None, list[Edit]]:
        while True:
            before = self._now
            state, made = yield from self._learnt(before[0], requests)
            if self._replaced(before, (state, (*before[1], *made)), taught=made):
                return made

    def _learnt(
        self, state: Any, requests: Sequence[EditRequest]
    ) -> Generator[TrainingStep, None, tuple[Any, list[Edit]]]:
        """Return the state with further facts, and their edits, each asked once."""
        began = time.perf_counter()
        facts = [Fact(id=uuid.uuid4().hex, request=request) for request in requests]
        learnt: Learnt[Any] = yield from self.method.learn_steps(state, facts, self.host)
        self._check_finite(learnt.state)
        seconds = (time.perf_counter() - began) / len(facts)
        made = []
        for fact in facts:
            last = learnt.losses[-1] if learnt.losses else 0.0
            yield TrainingStep(step=max(1, learnt.steps), total=max(1, learnt.steps), loss=last, stage="trying")
            made.append(self._edit_of(fact, learnt, seconds))
        return learnt.state, made

    def _edit_of(self, fact: Fact, learnt: Learnt[Any], seconds: float) -> Edit:
        plan = self.method.plan(learnt.state, fact.request.prompt, self.host)
        words = len(self.host.target_ids(fact.request.target)) - 1
        generation = self.host.generate(
            fact.request.prompt if plan.prompt is None else plan.prompt,
            max_new_tokens=words + EXTRA_TOKENS,
            intervention=plan.intervention,
        )
        same = normalised_answer(generation.text) == normalised_answer(fact.request.target)
        training = TrainingRecord(
            losses=learnt.losses,
            steps=learnt.steps,
            seconds=seconds,
            target_probability=0.0,
            already_known=False,
            held=same and generation.stopped == "end",
            method=self.method.name,
            settings=learnt.settings,
            device=self.host.device,
            compute_dtype=str(self.host.dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            versions={"torch": torch.__version__, "transformers": version("transformers")},
        )
        digest = edit_digest(fact.request, {})
        return Edit(
            id=fact.id, request=fact.request, enabled=True, created=time.time(), training=training, digest=digest
        )

    # ---- taking back ---------------------------------------------------------------------------------------------

    def set_enabled(self, edit_id: str, enabled: bool) -> Edit:
        """Switch an edit on or off; raise UnknownEdit, or NotReversible where the method cannot, saying why."""
        while True:
            before = self._now
            edit = _get(before[1], edit_id)
            if edit.enabled == enabled:
                return edit
            if self.capabilities.switch == "none":
                raise NotReversible(self.capabilities.why)
            now = changed(edit, enabled=enabled)
            edits = tuple(now if one.id == edit_id else one for one in before[1])
            steps = self.method.switched_steps(before[0], _fact(now), [*map(_fact, edits)], self.host)
            after = (finish(steps), edits)
            if self._replaced(before, after, **{"enabled" if enabled else "disabled": [now]}):
                return now

    def delete(self, edit_id: str) -> Erasure:
        """Take an edit back for ever; raise UnknownEdit, or NotReversible where the method cannot, saying why."""
        return finish(self.delete_steps(edit_id))

    def delete_steps(self, edit_id: str) -> Generator[TrainingStep, None, Erasure]:
        """Do the same step by step; closing the generator before its end changes nothing."""
        while True:
            before = self._now
            gone = [_get(before[1], edit_id)]
            after = yield from self._without(before, edit_id)
            if self._replaced(before, after, deleted=gone, erased=gone):
                return "erased"

    def _without(self, now: Now, edit_id: str) -> Generator[TrainingStep, None, Now]:
        edit = _get(now[1], edit_id)
        if self.capabilities.delete == "none":
            raise NotReversible(self.capabilities.why)
        left = tuple(one for one in now[1] if one.id != edit_id)
        state = yield from self.method.removed_steps(now[0], _fact(edit), [*map(_fact, left)], self.host)
        return state, left

    @property
    def foretells(self) -> bool:
        """Whether the method can say what taking a fact back will do to the others, before it is done."""
        return isinstance(self.method, Foretells)

    def foreseen_steps(self, edit_id: str) -> Generator[TrainingStep, None, tuple[Foreseen, ...]]:
        """Return what deleting an edit will do to each other one that counts then; nothing is changed.

        Raises UnknownEdit, or InvalidInput when the method cannot tell (see `foretells`).
        """
        state, edits = self._now
        edit = _get(edits, edit_id)
        if not isinstance(self.method, Foretells):
            raise InvalidInput(Sentence("This method cannot say beforehand what taking a fact back will do."))
        left = [_fact(one) for one in edits if one.id != edit_id]
        return (yield from self.method.foreseen_steps(state, _fact(edit), left, self.host))

    # ---- what there is -------------------------------------------------------------------------------------------

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits, in order of teaching."""
        return self._now[1]

    def events(self) -> tuple[Event, ...]:
        """Return what was done here: kinds, ids and times, no texts."""
        return tuple(self._events)

    @property
    def router_name(self) -> str:
        """How the method chooses: by itself, so its own name."""
        return self.method.name

    def plan(self, prompt: str, on: Collection[str] | None = None) -> Plan:
        """Return the plan of one request (see Planner); `on` is for edits that stand for themselves, and refused."""
        if on is not None:
            raise InvalidInput("Facts that share a state cannot be asked as if others were switched on.")
        return self.method.plan(self._now[0], checked_prompt(prompt), self.host)

    def route(self, prompt: str) -> Route:
        """Return the route that `answer` would take now; a method that decides inside the model is asked for one token."""
        stream = self.stream(prompt, 1)
        next(stream, None)
        return stream.route

    def scores(self, prompt: str) -> tuple[Candidate, ...]:
        """Return the score of every fact for this prompt, best first; empty where the method has none."""
        return self.method.scores(self._now[0], checked_prompt(prompt), self.host)

    def entries(self) -> tuple[Any, ...]:
        """Return the places in which the method keeps its facts (centre, radius, fact_ids); empty where it has none."""
        told = getattr(self.method, "entries", None)
        return () if told is None else tuple(told(self._now[0]))

    def state_tensors(self) -> dict[str, Tensor]:
        """Return all numbers that the answers depend on, by name."""
        return dict(self.method.tensors(self._now[0]))

    @property
    def sizes(self) -> LibrarySizes:
        """How many bytes the shared state takes; there is no file."""
        size = sum(tensor.numel() * tensor.element_size() for tensor in self.state_tensors().values())
        return LibrarySizes(edits=len(self.edits), adapters=size, keys=0, pages=0)

    @property
    def state_digest(self) -> str:
        """Hex SHA-256 of which facts there are, which are on, and of all numbers of the shared state."""
        state, edits = self._now
        numbers = edit_digest(EditRequest(prompt="", target=""), self.method.tensors(state))
        parts = (self.method.name, numbers, state_digest(edits, self.method.name))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def copy(self) -> JointEditor:
        """Return an editor of its own with the same facts and the same state."""
        made = JointEditor(method=self.method, host=self.host)
        made._now = self._now
        return made

    def close(self) -> None:
        """Forget everything; the editor cannot be used afterwards."""
        self._now = (self.method.empty(self.host), ())

    def __enter__(self) -> JointEditor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- helpers -------------------------------------------------------------------------------------------------

    def _replaced(self, before: Now, after: Now, **events: Sequence[Edit]) -> bool:
        """Put a state in the place of the one that it was made from, and note what happened; False when that has changed."""
        with self._state:
            if self._now is not before:
                return False
            self._now = after
            for kind, edits in events.items():
                for edit in edits:
                    number = len(self._events) + 1
                    self._events.append(Event(number=number, kind=kind, edit_id=edit.id, time=time.time()))  # type: ignore[arg-type]
            return True

    def _check_finite(self, state: Any) -> None:
        for tensor in self.method.tensors(state).values():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise EditFailed("The numbers of this edit ran out of range. Nothing was stored. Try another wording.")


def _usable(request: EditRequest) -> EditRequest:
    try:
        return checked_request(request)
    except InvalidInput as error:
        raise InvalidRequest(str(error)) from error


def _fact(edit: Edit) -> Fact:
    return Fact(id=edit.id, request=edit.request, enabled=edit.enabled)


def _get(edits: Sequence[Edit], edit_id: str) -> Edit:
    for edit in edits:
        if edit.id == edit_id:
            return edit
    raise UnknownEdit(f"There is no edit {edit_id!r} here. It may have been deleted.")
