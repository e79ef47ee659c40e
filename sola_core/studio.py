"""What a page works with: one host for all visitors, their workspaces, the map, the demo facts.

Opens the engine for many visitors at once. Knows no page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sola_core.arenas import Arenas
from sola_core.atlas import Atlas
from sola_core.engine import About, Engine, EngineRoom, describe
from sola_core.evaluation.facts import read_facts
from sola_core.evaluation.rows import Row
from sola_core.host.fingerprint import Progress as OnProgress
from sola_core.host.model import HostModel
from sola_core.registry import WorkspaceRegistry
from sola_core.resources import asset
from sola_core.routed import load_encoder
from sola_core.settings import Limits
from sola_core.settings import Worker as WorkerName
from sola_core.switching import HostSwitch
from sola_core.words import Sentence
from sola_core.worker.zero import OnGpu, gpu_decorator

if TYPE_CHECKING:
    from sola_core.routing.encoders import TextEncoder
    from sola_core.worker.tasks import Worker

__all__ = ["About", "OnProgress", "Studio", "describe", "fact_for", "open_studio"]


@dataclass(frozen=True, kw_only=True)
class Studio:
    """One server's page: all that its panels share."""

    registry: WorkspaceRegistry
    facts: tuple[Row, ...]  # made-up ones to try; their rephrasings and neighbours are asked, not taught
    engine: Engine | None = None  # of a shared server, for good
    switch: HostSwitch | None = None  # of a personal one, which has an engine that can be exchanged

    @property
    def about(self) -> About:
        """What the footer says now."""
        return self._engine.about

    @property
    def arenas(self) -> Arenas:
        """The visitors' comparisons of methods, on the host in use."""
        return self._engine.arenas

    @property
    def worker(self) -> Worker | None:
        """Where the model trains and answers, if not here."""
        return self._engine.worker

    def close(self) -> None:
        """Close every workspace, and let go of the worker."""
        if self.switch is not None:
            self.switch.stop()
        self.registry.close()
        self._engine.close()

    @property
    def _engine(self) -> Engine:
        engine = self.engine if self.switch is None else self.switch.engine
        assert engine is not None
        return engine


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
    wanted = model if host is None else host.name
    if host is None:
        tell(Sentence("Loading the language model"), None)
        host = HostModel.load(model, "cpu" if worker == "zerogpu" else device, on_progress)
    if encoder is None:
        tell(Sentence("Loading the encoder of questions"), None)
        encoder = load_encoder(on_progress)
    tell(Sentence("Preparing the page"), None)
    atlas = Atlas(asset("reference_sentences.txt").read_text(encoding="utf-8").splitlines(), use_umap=use_umap)
    room = EngineRoom(
        device=device, seed=seed, limits=limits, encoder=encoder, atlas=atlas, worker=worker, on_gpu=on_gpu
    )
    own = Path(library).expanduser().absolute() if library else None
    engine = room.open(host, wanted, own, room.hire(host, model))
    personal = library is not None
    registry = WorkspaceRegistry(engine.new_workspace, limits=limits, personal=personal, place=engine.place)
    if not personal:
        return Studio(registry=registry, facts=read_facts(), engine=engine)
    return Studio(registry=registry, facts=read_facts(), switch=HostSwitch(registry, room, engine))


def fact_for(facts: Sequence[Row], prompt: str) -> Row | None:
    """Return the demo fact with this prompt."""
    return next((fact for fact in facts if fact.prompt == prompt), None)
