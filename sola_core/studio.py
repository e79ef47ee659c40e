"""What a page works with: one host for all visitors, their workspaces, the map, the demo facts.

Opens the engine for many visitors at once. Knows no page.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from sola_core.arenas import Arenas
from sola_core.atlas import Atlas, Embed, Layout
from sola_core.evaluation.facts import read_facts
from sola_core.evaluation.rows import Row
from sola_core.host.fingerprint import Progress as OnProgress
from sola_core.host.model import HostModel
from sola_core.registry import WorkspaceRegistry
from sola_core.resources import asset
from sola_core.routed import load_encoder
from sola_core.routing.router import ROUTERS, make_router
from sola_core.session import SolaEditor, load_editor
from sola_core.settings import Limits
from sola_core.settings import Worker as WorkerName
from sola_core.words import Sentence
from sola_core.worker.process import ProcessWorker
from sola_core.worker.zero import OnGpu, ZeroGpuWorker, gpu_decorator
from sola_core.workspace import Workspace

if TYPE_CHECKING:
    from sola_core.routing.encoders import TextEncoder
    from sola_core.worker.tasks import Worker

__all__ = ["About", "OnProgress", "Studio", "describe", "fact_for", "open_studio"]

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
class Studio:
    """One server's page: all that its panels share."""

    registry: WorkspaceRegistry
    about: About
    facts: tuple[Row, ...]  # made-up ones to try; their rephrasings and neighbours are asked, not taught
    arenas: Arenas  # the visitors' comparisons of methods
    worker: Worker | None = None  # where the model trains and answers, if not here

    def close(self) -> None:
        """Close every workspace and comparison, and let go of the worker."""
        self.arenas.close()
        self.registry.close()
        if self.worker is not None:
            self.worker.close()


def open_studio(
    *,
    model: str = "smollm2-135m",
    device: str = "auto",
    library: str | None = None,
    seed: int = 0,
    limits: Limits | None = None,
    use_umap: bool = True,
    host: HostModel | None = None,
    encoder: TextEncoder | None = None,
    worker: WorkerName = "here",
    on_progress: OnProgress | None = None,
) -> Studio:
    """Load the model once and return the studio over it; `library` names the file of a personal one.

    `worker` says where the model trains and answers: here, in a process of its own, or on ZeroGPU, where it stays on the CPU here.
    `host` and `encoder` share ones already loaded. `on_progress(text, share or None)` hears what is fetched and loaded.
    """
    tell = on_progress or (lambda text, share: None)
    limits = limits or Limits()
    on_gpu: OnGpu | None = gpu_decorator() if worker == "zerogpu" else None
    if host is None:
        tell(Sentence("Loading the language model"), None)
        host = HostModel.load(model, "cpu" if worker == "zerogpu" else device, on_progress)
    if encoder is None:
        tell(Sentence("Loading the encoder of questions"), None)
        encoder = load_encoder(on_progress)
    tell(Sentence("Preparing the page"), None)
    hired: Worker | None = None if on_gpu is None else ZeroGpuWorker(host, on_gpu)
    if worker == "process":
        hired = ProcessWorker(functools.partial(HostModel.load, model, device))
    editor = load_editor(library=library or ":memory:", seed=seed, host=host, encoder=encoder, worker=hired)
    atlas = Atlas(asset("reference_sentences.txt").read_text(encoding="utf-8").splitlines(), use_umap=use_umap)
    embeds = _embeds(editor, encoder)
    sheet = atlas.sheet(editor.router_name, embeds[editor.router_name])
    plain = {name: atlas.cold_sheet(embed) for name, embed in embeds.items()}
    waiting = [editor]

    def new_workspace() -> Workspace:
        own = waiting.pop() if waiting else load_editor(host=editor.host, encoder=encoder, seed=seed, worker=hired)
        spaces = {name: Layout(cold, "pca") for name, cold in plain.items()}
        return Workspace(own, Layout(sheet), limits, max_edits=None if library else limits.edits, spaces=spaces)

    return Studio(
        registry=WorkspaceRegistry(new_workspace, limits=limits, personal=library is not None),
        about=describe(editor, seed),
        facts=read_facts(),
        arenas=Arenas(host, encoder, seed=seed, limits=limits),
        worker=hired,
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


def fact_for(facts: Sequence[Row], prompt: str) -> Row | None:
    """Return the demo fact with this prompt."""
    return next((fact for fact in facts if fact.prompt == prompt), None)


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
