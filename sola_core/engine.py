"""All that goes with one host: an editor over its library, the map's spaces, what the footer says, and its worker.

Knows how these are made and let go of together. Knows no page and not when a host is exchanged (that is `switching`).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from sola_core.arenas import Arenas
from sola_core.atlas import Atlas, Embed, Layout
from sola_core.host.model import HostModel
from sola_core.host.together import Together
from sola_core.routing.router import ROUTERS, make_router
from sola_core.session import SolaEditor, load_editor
from sola_core.settings import Limits
from sola_core.settings import Worker as WorkerName
from sola_core.words import Sentence
from sola_core.worker.process import ProcessWorker
from sola_core.worker.zero import OnGpu, ZeroGpuWorker
from sola_core.workspace import Workspace

if TYPE_CHECKING:
    from sola_core.routing.encoders import TextEncoder
    from sola_core.worker.tasks import Worker

SHOWN_VERSIONS = ("sola-studio", "torch", "transformers", "gradio")


@dataclass(frozen=True, kw_only=True)
class About:
    """What the footer says about this server."""

    model: str
    fingerprint: str  # hex SHA-256 of the host's files
    device: str
    dtype: str
    router: str  # the one that every workspace starts with
    seed: int
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One host at work."""

    wanted: str  # what it was asked for by: a known name, a folder, a Hub id
    about: About
    layers: int
    parameters: int
    memory: int  # bytes of its parameters
    library: Path | None  # None: in memory
    new_workspace: Callable[[], Workspace]  # the first one opened takes the library
    worker: Worker | None
    arenas: Arenas  # the visitors' comparisons of methods

    @property
    def place(self) -> str:
        """A name for this library of this host, the same as often as it is opened; empty for one in memory."""
        if self.library is None:
            return ""
        return hashlib.sha256(f"{self.library}\n{self.about.fingerprint}".encode()).hexdigest()[:16]

    def close(self) -> None:
        """Forget the comparisons, and let go of the worker."""
        self.arenas.close()
        if self.worker is not None:
            self.worker.close()


class EngineRoom:
    """What hosts that follow one another have in common: the encoder, the reference sentences of the map, the limits."""

    def __init__(
        self,
        *,
        device: str,
        seed: int,
        limits: Limits,
        encoder: TextEncoder,
        atlas: Atlas,
        worker: WorkerName = "here",
        on_gpu: OnGpu | None = None,
    ) -> None:
        self.device, self.seed, self.limits, self.worker_name = device, seed, limits, worker
        self._encoder, self._atlas, self._on_gpu = encoder, atlas, on_gpu

    @property
    def copies(self) -> int:
        """How often a host is held in memory: a second process has one of its own."""
        return 2 if self.worker_name == "process" else 1

    def load(self, wanted: str, on_progress: Callable[[str, float | None], None] | None = None) -> HostModel:
        """Load a host where it is to be."""
        return HostModel.load(wanted, "cpu" if self.worker_name == "zerogpu" else self.device, on_progress)

    def hire(self, host: HostModel, wanted: str) -> Worker | None:
        """Return what trains and answers with a host, if that is not done here."""
        if self._on_gpu is not None:
            return ZeroGpuWorker(host, self._on_gpu)
        if self.worker_name == "process":
            return ProcessWorker(functools.partial(HostModel.load, wanted, self.device))
        return None

    def open(self, host: HostModel, wanted: str, library: Path | None, worker: Worker | None) -> Engine:
        """Open a library over a host; raises LibraryError children, LibraryMismatch for another host's."""
        encoder, seed = self._encoder, self.seed
        load = functools.partial(
            load_editor, "sola", host=host, encoder=encoder, seed=seed, worker=worker, together=Together(host)
        )
        editor = load(library=library or ":memory:")
        embeds = _embeds(editor, encoder)
        name = editor.router_name
        reads_host = (
            f" of {host.fingerprint}" if name == "hidden" else ""
        )  # the others' planes are the same for all hosts
        sheet = self._atlas.sheet(name + reads_host, embeds[name])
        plain = {name: self._atlas.cold_sheet(embed) for name, embed in embeds.items()}
        waiting = [editor]

        def new_workspace() -> Workspace:
            own = waiting.pop() if waiting else load()
            spaces = {name: Layout(cold, "pca") for name, cold in plain.items()}
            most = None if library else self.limits.edits
            return Workspace(own, Layout(sheet), self.limits, max_edits=most, spaces=spaces)

        parameters, memory = host.size
        return Engine(
            wanted=wanted,
            about=describe(editor, self.seed),
            layers=host.n_layers,
            parameters=parameters,
            memory=memory,
            library=library,
            new_workspace=new_workspace,
            worker=worker,
            arenas=Arenas(host, encoder, seed=seed, limits=self.limits),
        )


def describe(editor: SolaEditor, seed: int) -> About:
    """Return what the footer says about an editor and this installation."""
    host = editor.host
    return About(
        model=host.name,
        fingerprint=host.fingerprint,
        device=host.device,
        dtype=str(host.dtype).removeprefix("torch."),
        router=editor.router_name,
        seed=seed,
        versions={name: _version(name) for name in SHOWN_VERSIONS},
    )


def _embeds(editor: SolaEditor, encoder: TextEncoder) -> dict[str, Embed]:
    """Return what turns a text into a vector in each router's space: routers of the map's own, which hold no keys."""
    host, module = editor.host, editor.method.decision_module(editor.host)
    return {
        name: make_router(
            name,
            encoder=encoder,
            read_state=lambda text: host.module_input(text, module),
            host_fingerprint=host.fingerprint,
        ).embed
        for name in reversed(ROUTERS)
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return Sentence("from a checkout")
