"""The library and the router over it, kept in step: which edits there are, which of them answers, and what it then does.

Knows when a route is decided and who else may have changed the library's file. Knows no training and no answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from torch import Tensor

from sola_core.answering import BASE
from sola_core.editors.base import Editor, Plan
from sola_core.errors import UnknownEdit
from sola_core.host.fingerprint import Progress
from sola_core.host.intervention import Intervention
from sola_core.host.model import HostModel
from sola_core.host.sources import fetch_encoder
from sola_core.library.edit_rows import NewEdit
from sola_core.library.peft_routes import PeftRoutes, RoutedAdapter
from sola_core.library.store import Library
from sola_core.records import Candidate, Edit, EditRequest, Erasure, KeysMade, KeyText, Route, TrainedEdit
from sola_core.routing.router import ROUTERS, Router, checked_name, make_router
from sola_core.steps import finish
from sola_core.text import checked_prompt

if TYPE_CHECKING:
    import numpy as np

    from sola_core.routing.encoders import TextEncoder

Result = TypeVar("Result")


def load_encoder(on_progress: Progress | None = None) -> TextEncoder:
    """Load the sentence encoder that the routers `scope` and `sentence` read texts with, fetched first if need be."""
    from sola_core.routing.encoders import TextEncoder

    folder = fetch_encoder(on_progress=on_progress)
    return TextEncoder.load(folder.path, folder.fingerprint)


class RoutedEdits:
    """The stored edits and the router that chooses among them, changed together under one short lock.

    Safe to call from several threads. No host step is done while the lock is held.
    """

    def __init__(
        self, library: Library, method: Editor, host: HostModel, *, router: str, encoder: TextEncoder | None
    ) -> None:
        self._library, self._method, self._host, self._encoder = library, method, host, encoder
        self._state = threading.RLock()
        self._followed = library.moment  # up to which the router has taken up what was changed
        self._router = finish(self._filling(router))

    @property
    def encoder(self) -> TextEncoder | None:
        """The sentence encoder, once a router has needed it."""
        return self._encoder

    # ---- the edits -----------------------------------------------------------------------------------------------

    def add(self, trained: TrainedEdit, replace: Sequence[str] = ()) -> Edit:
        """Store a trained edit, deleting those named by `replace` in the same transaction, and route to it from now on."""
        return self.add_many([(trained, True)], replace)[0]

    def add_many(self, trained: Sequence[tuple[TrainedEdit, bool]], replace: Sequence[str] = ()) -> tuple[Edit, ...]:
        """Store trained edits, each on or off, in one transaction with the deletion of those named by `replace`."""
        self._follow()
        while True:
            router = self._router
            # outside the lock: a hidden-state key needs the host
            keys = [router.encode(_key_texts(made.request)) for made, _ in trained]
            with self._state:
                if router is not self._router:  # switched meanwhile: its keys are other ones
                    continue
                edits = self._library.add_many(
                    [
                        NewEdit(trained=made, keys={router.encoder_id: own}, enabled=enabled)
                        for (made, enabled), own in zip(trained, keys, strict=True)
                    ],
                    replace,
                )
                self._caught_up()
                return edits

    def set_enabled(self, edit_id: str, enabled: bool) -> Edit:
        """Switch an edit on or off; raise UnknownEdit for an id this library does not hold."""
        with self._state:
            edit = self._library.set_enabled(edit_id, enabled)
            self._caught_up()
            return edit

    def delete(self, edit_id: str) -> Erasure:
        """Delete an edit for ever; say whether its text is already gone from the disk ("erased") or still going."""
        with self._state:
            erasure = self._library.delete(edit_id)
            self._caught_up()
            return erasure

    @property
    def state_digest(self) -> str:
        """Hex SHA-256 of the edits that are stored, independent of how this state was reached."""
        with self._state:
            return self._library.state_digest(self._router.encoder_id)

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

    def plan(self, prompt: str, on: Collection[str] | None = None) -> Plan:
        """Decide the route now, or leave the decision to the edited layer when the router reads hidden states.

        With `on`, plan as if exactly these edits were switched on; nothing is changed.
        """
        prompt = checked_prompt(prompt)
        self._follow()
        with self._state:
            if self._router.reads == "text" or not self._router.any_of(on):
                return self._decided(prompt, None, on)
        plan = Plan(BASE, None)

        def decide(row: int, activation: Tensor) -> Intervention | None:
            with self._state:
                decided = self._decided(prompt, activation.cpu(), on)
            plan.route, modules = decided.route, decided.intervention
            return modules

        plan.intervention = Intervention(decides_in=self._method.decision_module(self._host), decide=decide)
        return plan

    def chosen(self, prompt: str, on: Collection[str] | None = None) -> tuple[Route, Mapping[str, Tensor]]:
        """Decide the route now, whatever the router reads; return it with the adapter that answers, empty for none.

        With `on`, decide as if exactly these edits were switched on; nothing is changed.
        """
        prompt = checked_prompt(prompt)

        def choose(router: Router, activation: Tensor | None) -> tuple[Route, Mapping[str, Tensor]]:
            route = router.route(prompt, activation, on)
            return route, {} if route.edit_id is None else self.adapter(route.edit_id)

        return self._judged(prompt, choose, on)

    def adapter(self, edit_id: str) -> Mapping[str, Tensor]:
        """Return the adapter of an edit, on or off; raise UnknownEdit for an unknown id."""
        return self._library.tensors(edit_id)

    def intervention(self, edit_id: str) -> Intervention:
        """Return what an edit, on or off, does to the host; raise UnknownEdit for an unknown id."""
        return self._method.intervention(self.adapter(edit_id), self._host)

    def peft_routes(self, edits: Sequence[Edit]) -> PeftRoutes:
        """Return the routing table of edits that are exported, in the order given."""
        router = self._router
        listed = [
            RoutedAdapter(adapter=edit.id, key_texts=edit.request.key_texts, subject=edit.subject, enabled=edit.enabled)
            for edit in edits
        ]
        return PeftRoutes(
            host_name=self._host.name,
            host_fingerprint=self._host.fingerprint,
            template=self._host.format.digest,
            router=router.name,
            encoder=router.encoder_id,
            threshold=router.threshold,
            edits=tuple(listed),
        )

    @property
    def router_name(self) -> str:
        """The router in use: hidden, sentence or scope."""
        return self._router.name

    def use_router_steps(self, name: str) -> Generator[KeysMade, None, None]:
        """Route with another router from now on; keys that it lacks are made from the edits' texts, edit by edit.

        Until the end, and if the generator is closed before, the old router stays in use.
        """
        moment = self._library.moment
        router = yield from self._filling(name)
        while True:
            with self._state:
                moment, lacking = self._taken_up(router, moment)
                if not lacking:
                    self._router, self._followed = router, moment
                    return
            for edit_id in lacking:  # taught meanwhile
                self._made_keys(router, edit_id)

    def routes_steps(self, prompt: str) -> Generator[KeysMade, None, dict[str, Route]]:
        """Return the route that each router would take now, by name; keys that one lacks are made and stored first.

        The router in use stays in use. The others are filled for this one question and let go, so nothing of an edit
        that is deleted afterwards can stay in them.
        """
        prompt = checked_prompt(prompt)
        while True:
            self._follow()
            used, before = self._router, self._library.moment
            routers = {used.name: used}
            for name in ROUTERS:
                if name != used.name:
                    routers[name] = yield from self._filling(name)
            state = self._read_state(prompt) if used.any_enabled else None
            with self._state:
                if self._router is used and not self._library.changes_since(before):
                    return {name: routers[name].route(prompt, _wanted(routers[name], state)) for name in ROUTERS}

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _filling(self, name: str) -> Generator[KeysMade, None, Router]:
        """Return a router that holds every edit; told before and after each edit whose keys are made."""
        if checked_name(name) != "hidden" and self._encoder is None:
            self._encoder = load_encoder()
        router = make_router(
            name, encoder=self._encoder, read_state=self._read_state, host_fingerprint=self._host.fingerprint
        )
        edits = self._library.keyed(router.encoder_id)
        lacking = sum(edit.keys is None for edit in edits)
        made = 0
        for edit in edits:
            keys = edit.keys
            if keys is None:
                yield KeysMade(router=name, done=made, total=lacking)
                keys, made = self._made_keys(router, edit.id), made + 1
            if keys is not None:
                router.add(edit.id, edit.texts, keys, edit.enabled)
        if lacking:
            yield KeysMade(router=name, done=made, total=lacking)
        return router

    def _made_keys(self, router: Router, edit_id: str) -> tuple[bytes | None, ...] | None:
        """Make and store an edit's keys, and return them; None when it was deleted meanwhile."""
        try:
            keys = router.encode(_key_texts(self._library.get(edit_id).request))
            self._library.put_keys(edit_id, router.encoder_id, keys)
        except UnknownEdit:
            return None
        return tuple(keys)

    def _read_state(self, text: str) -> Tensor:
        return self._host.module_input(text, self._method.decision_module(self._host))

    def _follow(self) -> None:
        """Take up what another process changed in the library's file since the last look."""
        while True:
            with self._state:
                router, lacking = self._router, self._caught_up()
            if not lacking:
                return
            for edit_id in lacking:  # outside the lock: a hidden-state key needs the host
                self._made_keys(router, edit_id)

    def _caught_up(self) -> tuple[str, ...]:
        """Bring the router in use up to date; return the edits that it has to be given keys of first, if there are any."""
        self._followed, lacking = self._taken_up(self._router, self._followed)
        return lacking

    def _taken_up(self, router: Router, moment: int) -> tuple[int, tuple[str, ...]]:
        """Have a router that is up to date as of a moment take up what was changed since; return the moment it is at now.

        Where an edit has no keys of its encoder, nothing is done, and these edits are returned with the old moment.
        """
        changes = self._library.changes_since(moment)
        new = self._library.keyed(router.encoder_id, changes.take_up) if changes.take_up else []
        lacking = tuple(edit.id for edit in new if edit.keys is None)
        if lacking:
            return moment, lacking
        for edit_id in changes.forget:
            with suppress(UnknownEdit):  # taught and deleted since
                router.remove(edit_id)
        for edit in new:
            router.add(edit.id, edit.texts, edit.keys or (), edit.enabled)
        for edit in self._library.keyed(router.encoder_id, changes.switch) if changes.switch else ():
            router.set_enabled(edit.id, edit.enabled)
        return changes.moment, ()

    def _judged(
        self, prompt: str, judge: Callable[[Router, Tensor | None], Result], on: Collection[str] | None = None
    ) -> Result:
        """Let the router judge a prompt, with the host's state if it reads one; that is read outside of the lock."""
        self._follow()
        while True:
            router = self._router
            reads = router.reads == "hidden" and router.any_of(on)
            activation = self._read_state(prompt) if reads else None
            with self._state:
                ready = activation is not None or router.reads == "text" or not router.any_of(on)
                if router is self._router and ready:
                    return judge(router, activation)

    def _decided(self, prompt: str, activation: Tensor | None, on: Collection[str] | None) -> Plan:
        route = self._router.route(prompt, activation, on)
        if route.edit_id is None:
            return Plan(route, None)
        return Plan(route, self.intervention(route.edit_id))


def _wanted(router: Router, state: Tensor | None) -> Tensor | None:
    return state if router.reads == "hidden" else None


def _key_texts(request: EditRequest) -> list[KeyText]:
    return [KeyText(text=text, subject=request.subject) for text in request.key_texts]
