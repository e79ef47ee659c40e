"""What a host asks of this machine, told before it is fetched or loaded: bytes to fetch, bytes of memory.

Knows the catalogue, and how to read the size of a model folder without its weights. Fetches and loads nothing.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sola_core.errors import HostCorrupt, HostError, HostUnavailable
from sola_core.host.architecture import architecture_of
from sola_core.host.fingerprint import stored_tensors, weight_files
from sola_core.host.hub import cached_snapshot
from sola_core.host.known import KNOWN_HOSTS, SUGGESTED_HOSTS, HubModel
from sola_core.host.memory import memory_needed
from sola_core.host.packaged import MANIFEST, PackagedModel, made_folder
from sola_core.host.sources import HUB_ID, check_folder, existing, no_folder, no_such_model
from sola_core.words import Sentence

Origin = Literal["package", "hub", "folder"]
LAYERS = ("num_hidden_layers", "n_layer")  # what families call it in their configuration


@dataclass(frozen=True, kw_only=True)
class HostNeeds:
    """A host, and what it asks of this machine."""

    model: str  # what `HostModel.load` takes
    origin: Origin
    place: str  # the package, the id on the Hub or the folder
    here: bool  # nothing has to be fetched
    parameters: int | None = None  # None: not known before it is fetched
    layers: int | None = None
    download: int | None = None  # bytes that have to be fetched
    memory: int | None = None  # bytes while it runs


def menu_needs(device: str) -> tuple[HostNeeds, ...]:
    """Return the hosts that this program knows, each with what it needs on a device."""
    return tuple(needs_of(name, device) for name in (*KNOWN_HOSTS, *SUGGESTED_HOSTS))


def needs_of(name_or_path: str, device: str) -> HostNeeds:
    """Return what a known name, a local folder or a Hub id `owner/name` needs on a device.

    Raises HostUnavailable for what names no model, HostCorrupt for a folder without one, HostError for a family we do not know.
    """
    known = KNOWN_HOSTS.get(name_or_path)
    if isinstance(known, PackagedModel):
        here = (made_folder(known) / MANIFEST).is_file()
        place = f"{known.wheel.package} {known.wheel.version}"
        return _sized(known.name, "package", place, here, known.parameters, known.layers, known.wheel.size, device)
    if known is not None:
        return _of_hub(known, device)
    folder = existing(name_or_path)
    if folder is not None and not folder.is_dir():
        raise no_folder(folder)
    if folder is not None:
        parameters, layers = folder_size(folder)
        return _sized(name_or_path, "folder", str(folder.resolve()), True, parameters, layers, 0, device)
    if HUB_ID.fullmatch(name_or_path):
        return _of_hub(SUGGESTED_HOSTS.get(name_or_path) or HubModel(name=name_or_path, repo=name_or_path), device)
    raise no_such_model(name_or_path)


def folder_size(folder: Path) -> tuple[int, int]:
    """Return the parameters and layers of a model folder, from its configuration and the headers of its weights.

    Raises HostCorrupt when a part is missing or damaged, HostUnavailable when it cannot be read, HostError for a family we do not know.
    """
    try:
        check_folder(folder)
        config: Any = json.loads((folder / "config.json").read_text("utf-8"))
        if not isinstance(config, dict):
            raise ValueError
        architecture_of(str(config.get("model_type", "")))
        parameters = sum(math.prod(t.shape) for file in weight_files(folder) for t in stored_tensors(file))
    except (ValueError, RecursionError) as error:
        raise HostCorrupt(
            Sentence("config.json in {folder} cannot be read. Fetch the model again.", folder=folder)
        ) from error
    except OSError as error:
        raise HostUnavailable(
            Sentence(
                "The model in {folder} cannot be read: {reason}.", folder=folder, reason=error.strerror or str(error)
            )
        ) from error
    layers = next((config[name] for name in LAYERS if isinstance(config.get(name), int)), 0)
    return parameters, layers


def _of_hub(model: HubModel, device: str) -> HostNeeds:
    """Read the copy in the Hub's cache, if there is a whole one; else tell what the catalogue knows."""
    folder = cached_snapshot(model.repo, model.revision)
    try:
        if folder is not None:
            parameters, layers = folder_size(folder)
            return _sized(model.name, "hub", model.repo, True, parameters, layers, 0, device)
    except HostError:  # a part of it: the Hub has it whole
        pass
    return _sized(
        model.name,
        "hub",
        model.repo,
        False,
        model.parameters or None,
        model.layers or None,
        model.download or None,
        device,
    )


def _sized(
    model: str,
    origin: Origin,
    place: str,
    here: bool,
    parameters: int | None,
    layers: int | None,
    download: int | None,
    device: str,
) -> HostNeeds:
    return HostNeeds(
        model=model,
        origin=origin,
        place=place,
        here=here,
        parameters=parameters,
        layers=layers or None,
        download=0 if here else download,
        memory=None if not parameters else memory_needed(parameters, device),
    )
