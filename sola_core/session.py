"""What `load_editor` returns: it routes a prompt, lets the method answer or learn, and commits to the library.

Joins one editor, one router and one library over one host. Knows no page and no method's insides.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace as changed
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, overload

from torch import Tensor

from sola_core.asking import RoutedAsking
from sola_core.editors.base import Editor
from sola_core.editors.methods import METHODS, READS_TEXTS, joint_method
from sola_core.editors.sola import Sola, SolaSettings
from sola_core.errors import BatchFailed, EditFailed, InvalidInput, InvalidRequest, LibraryFull, UnknownEdit
from sola_core.host.model import HostModel
from sola_core.joint_session import JointEditor
from sola_core.library.pack import pack_of
from sola_core.library.peft_io import peft_files
from sola_core.library.peft_routes import PeftRoutes
from sola_core.library.sizes import EditSizes, LibrarySizes
from sola_core.library.store import Library
from sola_core.records import (
    Candidate,
    Edit,
    EditRequest,
    Erasure,
    Event,
    KeysMade,
    Route,
    TrainedEdit,
    TrainingStep,
)
from sola_core.routed import RoutedEdits, load_encoder
from sola_core.steps import finish
from sola_core.text import canonical, checked_request
from sola_core.transfer import PRESENT, Imported, Present, Tried, checked_shapes, exported, peft_base, tried_steps
from sola_core.words import Sentence
from sola_core.worker.batches import BatchLimits, Engine, Finished, Here, train_steps
from sola_core.worker.tasks import Train, Worker, one_request, run

if TYPE_CHECKING:
    import numpy as np

    from sola_core.host.together import Together
    from sola_core.routing.encoders import TextEncoder

OnProgress = Callable[[TrainingStep], None]


@overload
def load_editor(
    method: Literal["sola"] = "sola",
    model: str = "smollm2-135m",
    router: str = "scope",
    device: str = "auto",
    library: str | Path = ":memory:",
    seed: int = 0,
    host: HostModel | None = None,
    encoder: TextEncoder | None = None,
    worker: Worker | None = None,
    together: Together | None = None,
) -> SolaEditor: ...


@overload
def load_editor(
    method: str,
    model: str = "smollm2-135m",
    router: str = "scope",
    device: str = "auto",
    library: str | Path = ":memory:",
    seed: int = 0,
    host: HostModel | None = None,
    encoder: TextEncoder | None = None,
    worker: Worker | None = None,
    together: Together | None = None,
) -> SolaEditor | JointEditor: ...


def load_editor(
    method: str = "sola",
    model: str = "smollm2-135m",
    router: str = "scope",
    device: str = "auto",
    library: str | Path = ":memory:",
    seed: int = 0,
    host: HostModel | None = None,
    encoder: TextEncoder | None = None,
    worker: Worker | None = None,
    together: Together | None = None,
) -> SolaEditor | JointEditor:
    """Load a host, a router and a library, and return the editor over them.

    `model` is a known name, a hub id or a local folder; `library` is ":memory:" or a file. `host` and `encoder` share ones
    already loaded. A `worker` trains and answers elsewhere; everything else stays here. Editors with the same `together`, which
    is made over their host, answer in common steps: the same tokens, near-ties aside, and many answers sooner. The methods that SoLA is compared
    with (`sola_core.editors.methods`) choose by themselves, take no router and no worker, and keep their facts in memory.
    Raises a SolaError child that says what to do when a part cannot be had.
    """
    if method not in METHODS:
        raise InvalidInput(
            Sentence("Unknown method '{method}'. Available: {names}.", method=method, names=", ".join(METHODS))
        )
    if method != "sola" and (str(library) != ":memory:" or worker is not None):
        raise InvalidInput(f"'{method}' keeps its facts in memory and works here alone: leave out library and worker.")
    host = host or HostModel.load(model, device)
    if method != "sola":
        if method in READS_TEXTS and encoder is None:
            encoder = load_encoder()
        return JointEditor(method=joint_method(method, seed, encoder), host=host)
    made = Sola(SolaSettings(seed=seed))
    store = Library.open(library, host_name=host.name, host_fingerprint=host.fingerprint)
    try:
        return SolaEditor(
            method=made, host=host, library=store, router=router, encoder=encoder, worker=worker, together=together
        )
    except BaseException:
        store.close()
        raise


class SolaEditor(RoutedAsking):
    """Teach, ask, switch off and take back facts on one frozen host.

    Safe to call from several threads: library and router change together under one short lock, and the host does one step
    at a time; nothing is held while a caller reads an answer.
    """

    def __init__(
        self,
        *,
        method: Editor,
        host: HostModel,
        library: Library,
        router: str = "scope",
        encoder: TextEncoder | None = None,
        worker: Worker | None = None,
        together: Together | None = None,
    ) -> None:
        routed = RoutedEdits(library, method, host, router=router, encoder=encoder)
        super().__init__(host, method, routed, worker, together)
        self.capabilities = method.capabilities
        self._library = library

    # ---- teaching ------------------------------------------------------------------------------------------------

    def edit(self, request: EditRequest, *, replace: Sequence[str] = (), on_progress: OnProgress | None = None) -> Edit:
        """Teach one fact and return it, stored; raise EditFailed, and store nothing, when it cannot be learnt.

        `replace` names edits that are deleted in the same transaction.
        """
        return finish(self.edit_steps(request, replace=replace), on_progress)

    def edit_steps(self, request: EditRequest, *, replace: Sequence[str] = ()) -> Generator[TrainingStep, None, Edit]:
        """Teach one fact step by step; closing the generator before its end leaves no trace of it."""
        try:
            request = checked_request(request)
        except InvalidInput as error:
            raise InvalidRequest(str(error)) from error
        replace = tuple(dict.fromkeys(replace))
        for edit_id in replace:
            self._library.get(edit_id)
        trained = one_request((yield from run(Train(method=self.method, requests=(request,)), self.host, self._worker)))
        record = trained.training
        yield TrainingStep(step=len(record.losses), total=len(record.losses), loss=record.losses[-1], stage="storing")
        return self._routed.add(trained, replace)

    def edit_many(
        self,
        requests: Sequence[EditRequest],
        on_progress: OnProgress | None = None,
        on_failure: Callable[[int, EditFailed], None] | None = None,
    ) -> list[Edit]:
        """Teach many facts in batches and return those that hold, in the order given; each is stored by itself.

        Rows of about one length are trained together, so within a window of a few batches the short ones are stored first.

        A failed one goes to `on_failure(index, error)`; without it, BatchFailed is raised once the others are stored.
        """
        edits: dict[int, Edit] = {}
        failures: dict[int, EditFailed] = {}
        for told in self.train_steps(requests):
            if isinstance(told, TrainingStep):
                if on_progress is not None:
                    on_progress(told)
                continue
            for index, outcome in zip(told.places, told.outcomes, strict=True):
                if isinstance(outcome, EditFailed):
                    failures[index] = outcome
                    if on_failure is not None:
                        on_failure(index, outcome)
                else:
                    edits[index] = self.store(outcome)
        held = [edits[index] for index in sorted(edits)]
        if failures and on_failure is None:
            raise BatchFailed(held, dict(sorted(failures.items())))
        return held

    def train_steps(
        self, requests: Sequence[EditRequest], limits: BatchLimits | None = None, engine: Engine | None = None
    ) -> Generator[TrainingStep | Finished, None, None]:
        """Train many facts in batches and store nothing: give what each finished batch holds to `store` before going on."""
        rows = getattr(getattr(self.method, "settings", None), "batch_rows", BatchLimits.rows)
        engine = engine or Here(self.host, self._worker)
        return train_steps(requests, self.method, self.host, engine, limits or BatchLimits(rows=rows))

    def store(self, trained: TrainedEdit, replace: Sequence[str] = (), *, enabled: bool = True) -> Edit:
        """Keep an edit that was trained apart from here for this host, and route to it from now on; it is not tried.

        The edits named by `replace` are deleted in the same transaction.
        """
        return self._routed.add_many([(trained, enabled)], replace)[0]

    # ---- from library to library ---------------------------------------------------------------------------------

    def export(self, edit_ids: Sequence[str] | None = None) -> bytes:
        """Return all edits, or those named, in order of teaching, as one safetensors file whose header says what they are.

        Raises InvalidInput when there are none, or more than one file holds; UnknownEdit for an unknown id.
        """
        edits = self.edits if edit_ids is None else tuple(map(self._library.get, dict.fromkeys(edit_ids)))
        return exported(edits, {edit.id: self.tensors(edit.id) for edit in edits}, self.method, self.host)

    def peft_files(self, edit_id: str) -> dict[str, bytes]:
        """Return an edit as the files of a PEFT adapter folder, by name; raise UnknownEdit for an unknown id."""
        edit = self._library.get(edit_id)
        base = peft_base(edit, self.host)
        return peft_files(edit, self.tensors(edit_id), base)

    def peft_routes(self, edit_ids: Sequence[str] | None = None) -> PeftRoutes:
        """Return the routing table to put beside the PEFT folders of all edits, or of those named, in order of teaching."""
        wanted = None if edit_ids is None else set(edit_ids)
        return self._routed.peft_routes([edit for edit in self.edits if wanted is None or edit.id in wanted])

    def import_steps(
        self, content: bytes, present: Present = "skip", *, room: int | None = None
    ) -> Generator[Tried, None, Imported]:
        """Try every edit of an exported file, then store those that hold, in one transaction.

        Only questions, answers, switches and adapters are taken from the file; ids, keys and digests are made anew.
        `present` says what to do with a question that is taught here already, `room` how many edits may be added. Raises
        InvalidInput when the file is not what it must be, LibraryMismatch when it belongs to another host, LibraryFull. Closing the generator before its end stores nothing.
        """
        if present not in PRESENT:
            raise InvalidInput(
                Sentence("Choose what to do with facts that are there already: {names}.", names=", ".join(PRESENT))
            )
        fingerprint, effect = self.host.fingerprint, self.method.effect(self.host)
        pack = pack_of(content, host_fingerprint=fingerprint, method=self.method.name, settings=effect)
        checked_shapes(pack, self.method, self.host)
        if room is not None and len(pack.edits) > room:
            raise LibraryFull(
                Sentence(
                    "The file holds {count:,} edits, and there is room for {room:,} here. Delete some first.",
                    count=len(pack.edits),
                    room=max(0, room),
                )
            )
        prompts = {edit.request.prompt for edit in pack.edits}
        own = {canonical(prompt): [edit.id for edit in self.edits_of(prompt)] for prompt in prompts}
        held, replaced, outcome = yield from tried_steps(pack, own, present, self.method, self.host)
        return changed(outcome, edits=self._routed.add_many(held, tuple(dict.fromkeys(replaced))) if held else ())

    # ---- routing -------------------------------------------------------------------------------------------------

    def route(self, prompt: str) -> Route:
        """Return the route that `answer` would take now."""
        return self._routed.route(prompt)

    def scores(self, prompt: str) -> tuple[Candidate, ...]:
        """Return the score of every stored edit for this prompt, best first."""
        return self._routed.scores(prompt)

    def embed(self, text: str) -> np.ndarray:
        """Return the vector that the map draws for a text, (dim,) float32."""
        return self._routed.embed(text)

    @property
    def router_name(self) -> str:
        """The router in use: hidden, sentence or scope."""
        return self._routed.router_name

    def use_router(self, name: str) -> None:
        """Route with another router from now on; keys that it lacks are made from the edits' texts."""
        finish(self._routed.use_router_steps(name))

    def use_router_steps(self, name: str) -> Generator[KeysMade, None, None]:
        """Do the same edit by edit; closing the generator before its end leaves the old router in use."""
        return self._routed.use_router_steps(name)

    def routes(self, prompt: str) -> dict[str, Route]:
        """Return the route that each router would take now, by name; the one in use stays in use."""
        return finish(self._routed.routes_steps(prompt))

    def routes_steps(self, prompt: str) -> Generator[KeysMade, None, dict[str, Route]]:
        """Do the same edit by edit, as far as keys have to be made first; no answer is generated."""
        return self._routed.routes_steps(prompt)

    # ---- the edits -----------------------------------------------------------------------------------------------

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits, in order of teaching. Where a library is large, ask for what is wanted of them instead."""
        return self._library.edits()

    @property
    def count(self) -> int:
        """How many edits there are."""
        return self._library.count

    def edits_of(self, prompt: str) -> tuple[Edit, ...]:
        """Return the edits whose own prompt is equal to this one, in order of teaching."""
        return self._library.edits_of(prompt)

    def number(self, edit_id: str) -> int:
        """Return the how-manieth taught here an edit was, deleted ones included; 0 for an id that no edit ever had."""
        return self._library.number(edit_id)

    def numbers(self) -> dict[str, int]:
        """Return the same for all, by id."""
        return self._library.numbers()

    def set_enabled(self, edit_id: str, enabled: bool) -> Edit:
        """Switch an edit on or off; raise UnknownEdit for an id this library does not hold."""
        return self._routed.set_enabled(edit_id, enabled)

    def delete(self, edit_id: str) -> Erasure:
        """Delete an edit for ever; say whether its text is already gone from the disk ("erased") or still going."""
        return self._routed.delete(edit_id)

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

    def tensors(self, edit_id: str) -> dict[str, Tensor]:
        """Return an edit's adapter as it is stored; raise UnknownEdit for an unknown id."""
        return self._library.tensors(edit_id)

    @property
    def sizes(self) -> LibrarySizes:
        """How many bytes the stored edits take: adapters, keys, and all of it in the library's file."""
        return self._library.sizes

    def sizes_of(self, edit_id: str) -> EditSizes:
        """How many bytes one edit takes; raise UnknownEdit for an unknown id."""
        return self._library.sizes_of(edit_id)

    @property
    def state_digest(self) -> str:
        """Hex SHA-256 of the edits that are stored, independent of how this state was reached."""
        return self._routed.state_digest

    def copy(self, *, empty: bool = False, together: Together | None = None) -> SolaEditor:
        """Return an editor of its own in memory, over the same host, with copies of all edits or with none.

        It answers by itself, or in common steps with others if it is given them (see load_editor).
        """
        library = Library.open(":memory:", host_name=self.host.name, host_fingerprint=self.host.fingerprint)
        made = SolaEditor(
            method=self.method,
            host=self.host,
            library=library,
            router=self.router_name,
            encoder=self._routed.encoder,
            together=together,
        )
        while not empty:
            with suppress(UnknownEdit):  # deleted meanwhile: begin again
                made._routed.add_many([(self._trained(edit), edit.enabled) for edit in self.edits])
                break
        return made

    def _trained(self, edit: Edit) -> TrainedEdit:
        return TrainedEdit(request=edit.request, tensors=self.tensors(edit.id), training=edit.training)

    def close(self) -> None:
        """Close the library; the editor cannot be used afterwards."""
        self._library.close()

    def __enter__(self) -> SolaEditor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


AnyEditor = SolaEditor | JointEditor
