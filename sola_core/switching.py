"""Exchanges the host of a personal page: fetched and loaded beside the one in use, which stays until the new one is ready.

Knows engines, the registry's one workspace, and which file keeps the edits of which host. Knows no page.
"""

from __future__ import annotations

import functools
import gc
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sola_core.engine import About, Engine, EngineRoom
from sola_core.errors import HostUnavailable, LibraryCorrupt, LibraryMismatch, SolaError, SwitchRefused
from sola_core.fact_lists import ListedFact, listed
from sola_core.host.device import chosen_device
from sola_core.host.memory import free_memory, memory_needed
from sola_core.host.needs import HostNeeds, folder_size, menu_needs, needs_of
from sola_core.library_files import files_for, root_of
from sola_core.loading import PAUSE, Loaded, Loading, LoadStep
from sola_core.registry import WorkspaceRegistry
from sola_core.text import canonical
from sola_core.words import Sentence

if TYPE_CHECKING:
    from sola_core.host.sources import ModelFolder
    from sola_core.records import Edit

__all__ = ["HostInUse", "HostNeeds", "HostOffer", "HostSwitch", "LeftBehind", "LoadStep"]

MAX_CHARS = 1000  # of a name or a path


@dataclass(frozen=True, kw_only=True)
class HostOffer:
    """A host that one could change to, what it needs and whether that is there."""

    needs: HostNeeds
    free: int | None  # bytes of memory that are free now; None: the system does not tell
    loaded: bool  # it is the one in use

    @property
    def fits(self) -> bool | None:
        """Whether there is memory for it beside the one in use; None: not known before it is fetched."""
        if self.free is None or self.needs.memory is None:
            return None
        return self.needs.memory <= self.free


@dataclass(frozen=True, kw_only=True)
class HostInUse:
    """The host that answers now."""

    about: About
    parameters: int
    layers: int
    memory: int  # bytes of its parameters
    source: HostNeeds | None  # where it came from, if that can still be told
    library: Path


@dataclass(frozen=True, kw_only=True)
class LeftBehind:
    """The facts of the library that was in use before, which its file keeps."""

    model: str
    library: Path
    facts: tuple[ListedFact, ...]


class HostSwitch:
    """The engine of a personal page, and how it is exchanged for another. Safe to call from several threads."""

    def __init__(self, registry: WorkspaceRegistry, room: EngineRoom, engine: Engine) -> None:
        self._registry, self._room = registry, room
        self.engine = engine
        self._first = _file(engine)  # that the person named
        self._root = root_of(self._first, engine.about.model)
        self._left: LeftBehind | None = None
        self._turn = threading.Lock()  # one switch at a time
        self._loading: Loading | None = None

    @property
    def in_use(self) -> HostInUse:
        """The host that answers now."""
        engine, source = self.engine, None
        with suppress(SolaError):  # a folder that has gone since
            source = needs_of(engine.wanted, engine.about.device)
        return HostInUse(
            about=engine.about,
            parameters=engine.parameters,
            layers=engine.layers,
            memory=engine.memory,
            source=source,
            library=_file(engine),
        )

    def menu(self) -> tuple[HostOffer, ...]:
        """Return the hosts that this program knows, each with what it needs and what is free now."""
        return tuple(self._offer(needs) for needs in menu_needs(self._device))

    def look(self, wanted: str) -> HostOffer:
        """Return the same of a folder, a Hub id or a known name; raises HostError children for what is none."""
        return self._offer(needs_of(_name(wanted), self._device))

    def left_behind(self) -> LeftBehind | None:
        """Return the facts of the library in use before that are not taught here; None when there are none."""
        left = self._left
        if left is None:
            return None
        with self._registry.visit(self._registry.visitor(None)) as workspace:
            here = {(canonical(edit.prompt), edit.target) for edit in workspace.edits}
        facts = tuple(
            fact
            for fact in left.facts
            if fact.request and (canonical(fact.request.prompt), fact.request.target) not in here
        )
        return replace(left, facts=facts) if facts else None

    def steps(self, wanted: str) -> Generator[LoadStep, None, Engine]:
        """Fetch and load a host, open its library, then exchange; closing the generator before its end changes nothing.

        Raises SwitchRefused while something is being taught, when there is no memory for it or when it is in use already;
        HostError and LibraryError children when it or its library cannot be had. Whatever is raised, the old one stays.
        """
        if not self._turn.acquire(blocking=False):
            raise SwitchRefused(Sentence("Another model is being loaded already. Wait for it, or stop it first."))
        try:
            if self._loading is not None and self._loading.going_on:
                raise SwitchRefused(
                    Sentence("The loading that was stopped is still coming to its end. Try again in a minute.")
                )
            if self._registry.changing:
                raise SwitchRefused(
                    Sentence("Something is being taught just now. Wait for it or stop it, then change the model.")
                )
            offer = self.look(wanted)
            if offer.loaded:
                raise SwitchRefused(Sentence("{model} is the model in use already.", model=offer.needs.model))
            self._require_memory(offer.needs.model, offer.needs.memory)
            self._loading = Loading(self._room, _name(wanted), self._check)
            loaded = yield from self._loading.steps()
            try:
                return (yield from self._exchange(loaded, _name(wanted)))
            except BaseException:
                if loaded.worker is not None:
                    loaded.worker.close()
                raise
        finally:
            self._turn.release()

    def stop(self) -> None:
        """Let go of a host that is still being loaded."""
        if self._loading is not None:
            self._loading.cancel()

    @property
    def _device(self) -> str:
        return chosen_device(self._room.device)

    def _offer(self, needs: HostNeeds) -> HostOffer:
        engine = self.engine
        own = {engine.wanted, engine.about.model}
        with suppress(OSError, RuntimeError, ValueError):
            own.add(str(Path(engine.wanted).expanduser().resolve()))
        memory = None if needs.memory is None else needs.memory * self._room.copies
        loaded = needs.model in own or (needs.origin == "folder" and needs.place in own)
        return HostOffer(needs=replace(needs, memory=memory), free=free_memory(self._device), loaded=loaded)

    def _check(self, folder: ModelFolder) -> None:
        """Look at what was fetched, before it is loaded."""
        if folder.fingerprint == self.engine.about.fingerprint:
            raise SwitchRefused(
                Sentence("{model} is the model in use already: its weights are the same.", model=folder.name)
            )
        parameters, _ = folder_size(folder.path)
        self._require_memory(folder.name, memory_needed(parameters, self._device) * self._room.copies)

    def _require_memory(self, name: str, needed: int | None) -> None:
        free = free_memory(self._device)
        if needed is not None and free is not None and needed > free:
            raise SwitchRefused(
                Sentence(
                    "{model} does not fit into memory beside the model in use: it needs {needed:.1f} GB, and {free:.1f} GB "
                    "are free. Close other programs, or start again with it (--model) and a library file of its own.",
                    model=name,
                    needed=needed / 1e9,
                    free=free / 1e9,
                )
            )

    def _exchange(self, loaded: Loaded, wanted: str) -> Generator[LoadStep, None, Engine]:
        """Put a loaded host in the place of the old one, as soon as nothing is being taught."""
        while True:
            while self._registry.changing:
                yield LoadStep(text=Sentence("Ready. Waiting until what is being taught is stored"))
                time.sleep(PAUSE)
            engine, old = self._opened(loaded, wanted), self.engine
            then = functools.partial(_let_go, old)
            edits = self._registry.exchange(engine.new_workspace, engine.place, then)
            if edits is not None:
                break
            engine.new_workspace().close()  # something began just now
        self._left = self._of(old, edits) or self._left
        self.engine = engine
        del old, then
        gc.collect()
        return engine

    def _of(self, old: Engine, edits: tuple[Edit, ...]) -> LeftBehind | None:
        if not edits:
            return None
        return LeftBehind(model=old.about.model, library=_file(old), facts=listed(edits))

    def _opened(self, loaded: Loaded, wanted: str) -> Engine:
        """Open the library that belongs to a host, made if there is none."""
        host, now = loaded.host, _file(self.engine)
        for file in files_for(self._root, self._first, host.name, host.fingerprint):
            if file == now:
                continue  # belongs to the host in use
            try:
                return self._room.open(host, wanted, file, loaded.worker)
            except LibraryMismatch as error:
                refusal: SolaError = error
            except LibraryCorrupt as error:
                if file != self._root or file == self._first:
                    raise
                refusal = error  # no library of ours: nobody said that it is one
        raise refusal


def _let_go(engine: Engine) -> None:
    engine.close()
    gc.collect()


def _file(engine: Engine) -> Path:
    assert engine.library is not None
    return engine.library


def _name(wanted: str) -> str:
    name = wanted.strip()
    if not name or len(name) > MAX_CHARS:
        raise HostUnavailable(
            Sentence("Name a model: one of the list, a folder on this computer, or an id on the Hugging Face Hub.")
        )
    return name
