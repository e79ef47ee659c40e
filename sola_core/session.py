"""What `load_editor` returns: it routes a prompt, lets the method answer or learn, and commits to the library.

Joins one editor, one router and one library over one host. Knows no page and no method's insides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from torch import Tensor

from sola_core.answering import BASE, AnswerStream, Plan
from sola_core.editors.base import Editor
from sola_core.editors.sola import Sola, SolaSettings
from sola_core.errors import BatchFailed, EditFailed, InvalidInput, InvalidRequest, UnknownEdit
from sola_core.host.intervention import Intervention
from sola_core.host.model import HostModel
from sola_core.host.scoring import TargetScore, score_targets
from sola_core.host.stream import Generation
from sola_core.library.store import Library
from sola_core.records import (
    Answer,
    Candidate,
    Edit,
    EditRequest,
    Erasure,
    Event,
    KeyText,
    Route,
    TrainedEdit,
    TrainingStep,
)
from sola_core.routing.router import ROUTERS, Router, make_router
from sola_core.text import checked_prompt, checked_request

if TYPE_CHECKING:
    import numpy as np

    from sola_core.routing.encoders import TextEncoder

Result = TypeVar("Result")
OnProgress = Callable[[TrainingStep], None]
METHODS = ("sola",)


def load_editor(
    method: str = "sola",
    model: str = "smollm2-135m",
    router: str = "scope",
    device: str = "auto",
    library: str | Path = ":memory:",
    seed: int = 0,
    host: HostModel | None = None,
    encoder: TextEncoder | None = None,
) -> SolaEditor:
    """Load a host, a router and a library, and return the editor over them.

    `model` is a known name, a hub id or a local folder; `library` is ":memory:" or a file. `host` and `encoder` share ones
    already loaded. Raises a SolaError child that says what to do when a part cannot be had.
    """
    if method not in METHODS:
        raise InvalidInput(f"Unknown method '{method}'. Available: {', '.join(METHODS)}.")
    host = host or HostModel.load(model, device)
    store = Library.open(library, host_name=host.name, host_fingerprint=host.fingerprint)
    try:
        return SolaEditor(
            method=Sola(SolaSettings(seed=seed)), host=host, library=store, router=router, encoder=encoder
        )
    except BaseException:
        store.close()
        raise


def load_encoder() -> TextEncoder:
    """Load the sentence encoder that the routers `scope` and `sentence` read texts with."""
    from sola_core.host.sources import fetch_encoder
    from sola_core.routing.encoders import TextEncoder

    folder = fetch_encoder()
    return TextEncoder.load(folder.path, folder.fingerprint)


class SolaEditor:
    """Teach, ask, switch off and take back facts on one frozen host.

    Safe to call from several threads: the state (library and router) changes under one short lock, and the host does one
    step at a time; nothing is held while a caller reads an answer.
    """

    def __init__(
        self,
        *,
        method: Editor,
        host: HostModel,
        library: Library,
        router: str = "scope",
        encoder: TextEncoder | None = None,
    ) -> None:
        self.host, self.method, self.capabilities = host, method, method.capabilities
        self._library = library
        self._encoder = encoder
        self._state = threading.RLock()
        self._followed: tuple[Edit, ...] | None = None  # the edits that the router is known to agree with
        self._router = self._filled_router(router)

    # ---- teaching ------------------------------------------------------------------------------------------------

    def edit(self, request: EditRequest, *, replace: Sequence[str] = (), on_progress: OnProgress | None = None) -> Edit:
        """Teach one fact and return it, stored; raise EditFailed, and store nothing, when it cannot be learnt.

        `replace` names edits that are deleted in the same transaction.
        """
        return _finish(self.edit_steps(request, replace=replace), on_progress)

    def edit_steps(self, request: EditRequest, *, replace: Sequence[str] = ()) -> Generator[TrainingStep, None, Edit]:
        """Teach one fact step by step; closing the generator before its end leaves no trace of it."""
        try:
            request = checked_request(request)
        except InvalidInput as error:
            raise InvalidRequest(str(error)) from error
        replace = tuple(dict.fromkeys(replace))
        for edit_id in replace:
            self._library.get(edit_id)
        trained = yield from self.method.train_steps(request, self.host)
        record = trained.training
        yield TrainingStep(step=len(record.losses), total=len(record.losses), loss=record.losses[-1], stage="storing")
        return self._store(trained, replace)

    def edit_many(
        self,
        requests: Sequence[EditRequest],
        on_progress: OnProgress | None = None,
        on_failure: Callable[[int, EditFailed], None] | None = None,
    ) -> list[Edit]:
        """Teach many facts in batches and return those that hold, in the order given; each is stored by itself.

        A failed one goes to `on_failure(index, error)`; without it, BatchFailed is raised once the others are stored.
        """
        edits: list[Edit] = []
        failures: dict[int, EditFailed] = {}
        size = getattr(getattr(self.method, "settings", None), "batch_rows", 16)
        for start in range(0, len(requests), size):
            outcomes = _finish(self.method.train_many(requests[start : start + size], self.host), on_progress)
            for index, outcome in enumerate(outcomes, start):
                if isinstance(outcome, EditFailed):
                    failures[index] = outcome
                    if on_failure is not None:
                        on_failure(index, outcome)
                else:
                    edits.append(self._store(outcome))
        if failures and on_failure is None:
            raise BatchFailed(edits, failures)
        return edits

    # ---- asking --------------------------------------------------------------------------------------------------

    def answer(self, prompt: str, max_new_tokens: int = 48) -> Answer:
        """Answer with the edit that the router chooses, or with the untouched model."""
        return self.stream(prompt, max_new_tokens).drain()

    def base_answer(self, prompt: str, max_new_tokens: int = 48) -> Answer:
        """Answer with the untouched model."""
        return self.base_stream(prompt, max_new_tokens).drain()

    def stream(self, prompt: str, max_new_tokens: int = 48, *, ignore_end: bool = False) -> AnswerStream:
        """Return an iterator over the pieces of an answer; its route is decided once and holds to the end."""
        request = self._plan(prompt)
        tokens = self.host.stream(
            prompt, max_new_tokens=max_new_tokens, intervention=request.intervention, ignore_end=ignore_end
        )
        return AnswerStream(tokens, request)

    def base_stream(self, prompt: str, max_new_tokens: int = 48, *, ignore_end: bool = False) -> AnswerStream:
        """Return an iterator over the pieces of the untouched model's answer."""
        checked_prompt(prompt)
        tokens = self.host.stream(prompt, max_new_tokens=max_new_tokens, ignore_end=ignore_end)
        return AnswerStream(tokens, Plan(BASE, None))

    def next_token_logits(self, prompt: str) -> Tensor:
        """Return the float32 logits, (vocab,), of the first token, with the routed edit applied."""
        return self.host.next_token_logits(prompt, self._plan(prompt).intervention)

    def generation_logits(self, prompt: str, steps: int = 16) -> Tensor:
        """Return the float32 logits of the first greedy steps, (at most `steps`, vocab), with the routed edit applied."""
        return self.host.generation_logits(prompt, steps, self._plan(prompt).intervention)

    def base_generation_logits(self, prompt: str, steps: int = 16) -> Tensor:
        """Return the same of the untouched model."""
        return self.host.generation_logits(checked_prompt(prompt), steps)

    def target_scores(self, prompt: str, targets: Sequence[str]) -> tuple[TargetScore, ...]:
        """Return how likely each target is as the answer, teacher-forced, with the edit that `answer` would route to."""
        return score_targets(self.host, prompt, targets, self._plan(prompt).intervention)

    def base_target_scores(self, prompt: str, targets: Sequence[str]) -> tuple[TargetScore, ...]:
        """Return the same of the untouched model."""
        return score_targets(self.host, checked_prompt(prompt), targets)

    def forced_answer(self, edit_id: str, prompt: str, max_new_tokens: int = 48) -> Generation:
        """Answer with this edit, on or off, whatever the router would choose; raise UnknownEdit for an unknown id."""
        forced = self.method.intervention(self._library.tensors(edit_id), self.host)
        return self.host.generate(checked_prompt(prompt), max_new_tokens=max_new_tokens, intervention=forced)

    # ---- routing -------------------------------------------------------------------------------------------------

    def route(self, prompt: str) -> Route:
        """Return the route that `answer` would take now."""
        prompt = checked_prompt(prompt)
        return self._judged(prompt, lambda router, activation: router.route(prompt, activation))

    def scores(self, prompt: str) -> tuple[Candidate, ...]:
        """Return the score of every stored edit for this prompt, best first."""
        prompt = checked_prompt(prompt)
        return self._judged(prompt, lambda router, activation: router.scores(prompt, activation))

    def embed(self, text: str) -> np.ndarray:
        """Return the vector that the map draws for a text, (dim,) float32."""
        return self._router.embed(checked_prompt(text))

    @property
    def router_name(self) -> str:
        """The router in use: hidden, sentence or scope."""
        return self._router.name

    def use_router(self, name: str) -> None:
        """Route with another router from now on; keys that it lacks are made from the edits' texts."""
        while True:
            before = self.edits
            router = self._filled_router(name)
            with self._state:
                if self.edits == before:
                    self._router = router
                    return

    # ---- the edits -----------------------------------------------------------------------------------------------

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits, in order of teaching."""
        return self._library.edits()

    def set_enabled(self, edit_id: str, enabled: bool) -> Edit:
        """Switch an edit on or off; raise UnknownEdit for an id this library does not hold."""
        self._follow()
        with self._state:
            edit = self._library.set_enabled(edit_id, enabled)
            with suppress(UnknownEdit):  # taught this moment by another process: the next question follows
                self._router.set_enabled(edit_id, enabled)
            return edit

    def delete(self, edit_id: str) -> Erasure:
        """Delete an edit for ever; say whether its text is already gone from the disk ("erased") or still going."""
        self._follow()
        with self._state:
            erasure = self._library.delete(edit_id)
            with suppress(UnknownEdit):  # taught this moment by another process
                self._router.remove(edit_id)
            return erasure

    @property
    def erasing(self) -> bool:
        """True while the text of a deleted edit is not yet gone from the disk."""
        return self._library.erasing

    def retry_erasure(self) -> bool:
        """Try again to clear deleted texts from the disk; return True when nothing is left."""
        return self._library.retry_erasure()

    def events(self) -> tuple[Event, ...]:
        """Return what was done here: kinds, ids and times, no texts."""
        return self._library.events()

    @property
    def state_digest(self) -> str:
        """Hex SHA-256 of the edits that are stored, independent of how this state was reached."""
        with self._state:
            return self._library.state_digest(self._router.encoder_id)

    def close(self) -> None:
        """Close the library; the editor cannot be used afterwards."""
        self._library.close()

    def __enter__(self) -> SolaEditor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _filled_router(self, name: str) -> Router:
        if name != "hidden" and name in ROUTERS and self._encoder is None:
            self._encoder = load_encoder()
        router = make_router(
            name, encoder=self._encoder, read_state=self._read_state, host_fingerprint=self.host.fingerprint
        )
        known = self._library.keys(router.encoder_id)
        for edit in self._library.edits():
            if edit.id not in known:
                keys = router.encode(_key_texts(edit.request))
                try:
                    self._library.put_keys(edit.id, router.encoder_id, keys)
                except UnknownEdit:  # deleted meanwhile
                    continue
                known[edit.id] = tuple(keys)
            router.add(edit.id, edit.request.key_texts, known[edit.id], edit.enabled)
        return router

    def _read_state(self, text: str) -> Tensor:
        return self.host.module_input(text, self.method.decision_module(self.host))

    def _store(self, trained: TrainedEdit, replace: Sequence[str] = ()) -> Edit:
        texts = _key_texts(trained.request)
        self._follow()
        while True:
            router = self._router
            keys = router.encode(texts)  # outside the lock: a hidden-state key needs the host
            with self._state:
                if router is not self._router:  # switched meanwhile: its keys are other ones
                    continue
                edit = self._library.add(trained, keys={router.encoder_id: keys}, replace=replace)
                for old in replace:
                    with suppress(UnknownEdit):
                        router.remove(old)
                router.add(edit.id, edit.request.key_texts, keys, edit.enabled)
                return edit

    def _follow(self) -> None:
        """Take up what another process changed in the library's file since the last look."""
        with self._state:
            edits = self._library.edits()  # the same object as long as nothing was changed
            if edits is self._followed:
                return
            if [(edit.id, edit.enabled) for edit in edits] == self._router.switches():
                self._followed = edits
                return
        self.use_router(self._router.name)

    def _judged(self, prompt: str, judge: Callable[[Router, Tensor | None], Result]) -> Result:
        """Let the router judge a prompt, with the host's state if it reads one; that is read outside of the lock."""
        self._follow()
        while True:
            router = self._router
            reads = router.reads == "hidden" and router.any_enabled
            activation = self._read_state(prompt) if reads else None
            with self._state:
                ready = activation is not None or router.reads == "text" or not router.any_enabled
                if router is self._router and ready:
                    return judge(router, activation)

    def _plan(self, prompt: str) -> Plan:
        """Decide the route now, or leave the decision to the edited layer when the router reads hidden states."""
        prompt = checked_prompt(prompt)
        self._follow()
        with self._state:
            if self._router.reads == "text" or not self._router.any_enabled:
                return self._decided(prompt, None)
        plan = Plan(BASE, None)

        def decide(row: int, activation: Tensor) -> Intervention | None:
            with self._state:
                decided = self._decided(prompt, activation.cpu())
            plan.route, modules = decided.route, decided.intervention
            return modules

        plan.intervention = Intervention(decides_in=self.method.decision_module(self.host), decide=decide)
        return plan

    def _decided(self, prompt: str, activation: Tensor | None) -> Plan:
        route = self._router.route(prompt, activation)
        if route.edit_id is None:
            return Plan(route, None)
        return Plan(route, self.method.intervention(self._library.tensors(route.edit_id), self.host))


def _key_texts(request: EditRequest) -> list[KeyText]:
    return [KeyText(text=text, subject=request.subject) for text in request.key_texts]


def _finish(steps: Generator[TrainingStep, None, Result], on_progress: OnProgress | None) -> Result:
    while True:
        try:
            step = next(steps)
        except StopIteration as finished:
            result: Result = finished.value
            return result
        if on_progress is not None:
            on_progress(step)
