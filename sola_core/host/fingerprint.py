"""Tells by its tensors which model a folder holds.

Knows nothing of where the folder came from, and loads no tensor: it reads the safetensors files as bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sola_core.errors import HostCorrupt
from sola_core.words import Sentence

logger = logging.getLogger(__name__)

Progress = Callable[[str, float | None], None]  # what happens now; how much of it is done, 0..1, None: unknown

CHUNK = 1 << 22  # bytes read at a time
MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors format


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """Where one tensor stands in a safetensors file."""

    name: str
    dtype: str  # as stored: "BF16", "F32" ...
    shape: tuple[int, ...]
    file: Path
    start: int  # byte position in the file
    end: int


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the safetensors files that make up the model in `folder`; raise HostCorrupt when there are none.

    One `model.safetensors` goes before an index with shards, as in transformers.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return (single,)
    if not index.is_file():
        raise HostCorrupt(_no_weights(folder))
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HostCorrupt(
            Sentence("{index} cannot be read as a list of weight files. Fetch the model again.", index=index)
        ) from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise HostCorrupt(
                Sentence("{index} names a weight file outside its folder. Do not use this model.", index=index)
            )
        if not (folder / name).is_file():
            raise HostCorrupt(
                Sentence(
                    "The weight file {name} is missing in {folder}. Fetch the model again.", name=name, folder=folder
                )
            )
    return tuple(folder / name for name in names)


def stored_tensors(file: Path) -> tuple[StoredTensor, ...]:
    """Read the header of a safetensors file; raise HostCorrupt when it is damaged or the file is cut off."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER):
            raise _damaged(file, Sentence("its header is cut off"))
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        header.pop("__metadata__", None)
        tensors = sorted(
            (
                StoredTensor(
                    name=name,
                    dtype=str(entry["dtype"]),
                    shape=tuple(int(n) for n in entry["shape"]),
                    file=file,
                    start=8 + length + int(entry["data_offsets"][0]),
                    end=8 + length + int(entry["data_offsets"][1]),
                )
                for name, entry in header.items()
            ),
            key=lambda t: (t.start, t.end),
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise _damaged(file, Sentence("its header cannot be read")) from error
    at = 8 + length
    for tensor in tensors:
        if tensor.start != at or tensor.end < at:
            raise _damaged(file, Sentence("the place of {name} is wrong", name=tensor.name))
        at = tensor.end
    if at != size:
        raise _damaged(file, Sentence("it has {size:,} bytes where its header asks for {at:,}", size=size, at=at))
    return tuple(tensors)


def fingerprint(folder: Path, on_progress: Progress | None = None) -> str:
    """Return the hex SHA-256 over the sorted (name, shape, stored dtype, stored bytes) of a model folder.

    Each tensor gives one line of JSON, `[name, shape, dtype, number of bytes]`, then its bytes. No cast, no load.
    """
    tensors = sorted((t for file in weight_files(folder) for t in stored_tensors(file)), key=lambda t: t.name)
    for one, other in pairwise(tensors):
        if one.name == other.name:
            raise HostCorrupt(
                Sentence(
                    "Two weight files in {folder} hold {name}. Fetch the model again.", folder=folder, name=one.name
                )
            )
    total, done, digest = sum(t.end - t.start for t in tensors) or 1, 0, hashlib.sha256()
    with ExitStack() as stack:
        streams = {t.file: stack.enter_context(t.file.open("rb")) for t in tensors}
        for tensor in tensors:
            left = tensor.end - tensor.start
            digest.update(json.dumps([tensor.name, tensor.shape, tensor.dtype, left]).encode() + b"\n")
            streams[tensor.file].seek(tensor.start)
            while left:
                chunk = streams[tensor.file].read(min(left, CHUNK))
                if not chunk:
                    raise _damaged(tensor.file, Sentence("it ends too early"))
                digest.update(chunk)
                left, done = left - len(chunk), done + len(chunk)
            if on_progress is not None:
                on_progress(Sentence("Checking the weights"), done / total)
    return digest.hexdigest()


def known_fingerprint(folder: Path, memory: Path, on_progress: Progress | None = None) -> str:
    """Return `fingerprint(folder)`, from the notes in the folder `memory` while no weight file has changed.

    A file has changed when its name, size, or time of change differs. `memory` need not be writable.
    """
    files = weight_files(folder)
    try:
        note = json.loads(_note_file(folder, memory).read_text("utf-8"))
        if note["files"] == _stamps(files) and isinstance(note["fingerprint"], str):
            return str(note["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no note, or an unusable one: read the weights
    before = _stamps(files)
    found = fingerprint(folder, on_progress)
    if before == _stamps(files):
        remember_fingerprint(folder, memory, found)
    return found


def remember_fingerprint(folder: Path, memory: Path, value: str) -> None:
    """Note the fingerprint of a folder's present weight files; a place that cannot be written is left alone."""
    note = {"files": _stamps(weight_files(folder)), "fingerprint": value}
    file = _note_file(folder, memory)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        memory.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_text(json.dumps(note), "utf-8")
            os.replace(draft, file)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        logger.debug("fingerprint of %s not noted: %s", folder, error.strerror)


def _note_file(folder: Path, memory: Path) -> Path:
    return memory / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]}.json"


def _stamps(files: Sequence[Path]) -> list[list[str | int]]:
    stats = [(file, file.stat()) for file in files]
    return [[file.name, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for file, s in stats]


def _damaged(file: Path, what: str) -> HostCorrupt:
    return HostCorrupt(
        Sentence(
            "The weight file {file} is damaged: {what}. Delete it and fetch the model again.", file=file, what=what
        )
    )


def _no_weights(folder: Path) -> str:
    pickles = any(file.suffix in (".bin", ".pt", ".pth") for file in folder.iterdir())
    return Sentence(
        "There is no model.safetensors (nor an index of several) in {folder}{pickled}. Pickles can run code "
        "when they are read, so only safetensors is loaded: choose another model, or save this one again "
        "with save_pretrained.",
        folder=folder,
        pickled=Sentence(", only pickled weights (.bin, .pt)") if pickles else "",
    )
