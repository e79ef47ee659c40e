"""One file that carries edits from library to library: safetensors, with a manifest of all words in its header.

Knows the file alone: no database, no model, no router. What is read was written by a stranger: the header is checked before
any tensor is looked at, and nothing in it is believed that can be computed (ids, digests, keys).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from sola_core.errors import InvalidInput, LibraryMismatch
from sola_core.records import EditRequest
from sola_core.text import checked_request
from sola_core.words import Sentence

FORMAT, VERSION = "sola-edits", 1
MAX_HEADER = 1_000_000  # bytes, parsed before any tensor; room for some 2,000 edits
MAX_EDITS = 2_000
MAX_BYTES = 256_000_000  # of a whole file
MAX_SETTINGS = 4_000  # characters of the settings, as JSON
LARGEST = 1_000.0  # no number of an adapter may be beyond it; trained ones stay below 10
_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class PackedEdit:
    """What a file says of one edit."""

    request: EditRequest
    enabled: bool
    tensors: Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A file's edits in order of teaching, and what they were made for."""

    host_name: str
    host_fingerprint: str
    method: str
    settings: Mapping[str, object]  # those that an adapter's effect depends on
    edits: tuple[PackedEdit, ...]


def pack_bytes(pack: Pack) -> bytes:
    """Return a pack as the bytes of a safetensors file; raise InvalidInput when it is more than one file may hold."""
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "host": {"name": pack.host_name, "fingerprint": pack.host_fingerprint},
        "method": pack.method,
        "settings": dict(pack.settings),
        "edits": [_words(edit) for edit in pack.edits],
    }
    tensors = {
        f"{number}/{name}": tensor.detach().cpu().contiguous().clone()
        for number, edit in enumerate(pack.edits)
        for name, tensor in edit.tensors.items()
    }
    made = safetensors.torch.save(tensors, metadata={"manifest": json.dumps(manifest, ensure_ascii=False)})
    if len(pack.edits) > MAX_EDITS or int.from_bytes(made[:8], "little") > MAX_HEADER or len(made) > MAX_BYTES:
        raise InvalidInput(
            Sentence(
                "{count:,} edits are more than one file may hold (at most {most:,}, with short texts). Save them in "
                "several files.",
                count=len(pack.edits),
                most=MAX_EDITS,
            )
        )
    return made


def read_bytes(path: Path) -> bytes:
    """Read a file; raise InvalidInput when it cannot be read, or is larger than one may be."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInput(
                Sentence("The file is larger than {size} MB. Choose another one.", size=MAX_BYTES // 1_000_000)
            )
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            Sentence("The file cannot be read: {reason}. Choose another one.", reason=error.strerror)
        ) from error


def pack_of(content: bytes, *, host_fingerprint: str, method: str, settings: Mapping[str, object]) -> Pack:
    """Return what a file holds; raise InvalidInput when a part of it is not what it must be, LibraryMismatch for another host.

    Every edit has the same tensors, of the same shapes, as the first; whether these fit the host, the caller checks.
    """
    header, rest = _header(content)
    manifest = _manifest(header)
    _check_made_for(manifest, host_fingerprint, method, settings)
    words = manifest.get("edits")
    if not isinstance(words, list) or not 0 < len(words) <= MAX_EDITS:
        raise _bad(Sentence("it must list 1 to {most:,} edits", most=MAX_EDITS))
    found = _tensors(header, rest, len(words))
    host = manifest["host"]
    return Pack(
        host_name=str(host.get("name", ""))[:200],
        host_fingerprint=host_fingerprint,
        method=method,
        settings=dict(settings),
        edits=tuple(_edit(number, entry, found[number]) for number, entry in enumerate(words)),
    )


# ---- helpers in the order of use -------------------------------------------------------------------------------------


def _words(edit: PackedEdit) -> dict[str, object]:
    request = edit.request
    return {
        "prompt": request.prompt,
        "target": request.target,
        "subject": request.subject,
        "rephrases": list(request.rephrases),
        "enabled": edit.enabled,
    }


def _bad(why: str) -> InvalidInput:
    return InvalidInput(
        Sentence("This is no file of edits, or it is damaged: {why}. Choose a file that was saved here.", why=why)
    )


def _header(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return the parsed header and the bytes behind it."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= size <= MAX_HEADER or 8 + size > len(content):
        raise _bad(Sentence("its header is too short or too long"))
    try:
        header = json.loads(content[8 : 8 + size].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _bad(Sentence("its header is not readable")) from error
    if not isinstance(header, dict):
        raise _bad(Sentence("its header is not readable"))
    return header, memoryview(content)[8 + size :]


def _manifest(header: Mapping[str, Any]) -> dict[str, Any]:
    metadata = header.get("__metadata__")
    try:
        manifest = json.loads(metadata["manifest"]) if isinstance(metadata, dict) else None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _bad(Sentence("it has no manifest")) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _bad(Sentence("it has no manifest"))
    if manifest.get("version") != VERSION:
        raise InvalidInput(
            Sentence("This file was saved by another version of SoLA Studio. Save it again with this one.")
        )
    return manifest


def _check_made_for(manifest: Mapping[str, Any], fingerprint: str, method: str, settings: Mapping[str, object]) -> None:
    host, made = manifest.get("host"), manifest.get("settings")
    if not isinstance(host, dict) or not isinstance(made, dict) or len(json.dumps(made)) > MAX_SETTINGS:
        raise _bad(Sentence("it does not say what it was made for"))
    if host.get("fingerprint") != fingerprint:
        name = str(host.get("name", ""))[:60]
        raise LibraryMismatch(
            Sentence(
                "These edits belong to another model ({name!r}); an adapter fits the model that it was trained on. "
                "Open that model, or teach the facts again.",
                name=name,
            )
        )
    plain = json.loads(json.dumps(dict(settings)))
    if manifest.get("method") != method or made != plain:
        raise InvalidInput(
            Sentence(
                "These edits were made with other settings of the method, so here they would act otherwise. Teach "
                "the facts again."
            )
        )


def _tensors(header: Mapping[str, Any], rest: memoryview, count: int) -> list[dict[str, torch.Tensor]]:
    """Return each edit's tensors; the bytes must be used exactly, without holes and overlaps."""
    found: list[dict[str, torch.Tensor]] = [{} for _ in range(count)]
    names = {str(number): number for number in range(count)}
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        number, _, inner = name.partition("/")
        if number not in names or not inner:
            raise _bad(Sentence("it has a tensor that belongs to no edit"))
        begin, end, tensor = _tensor(entry, rest)
        spans.append((begin, end))
        found[names[number]][inner] = tensor
    if [begin for begin, _ in sorted(spans)] != [0, *(end for _, end in sorted(spans))][: len(spans)]:
        raise _bad(Sentence("its tensors overlap"))
    if sum(end - begin for begin, end in spans) != len(rest):
        raise _bad(Sentence("it is cut short, or too long"))
    shapes = [{name: tensor.shape for name, tensor in tensors.items()} for tensors in found]
    if any(shape != shapes[0] for shape in shapes):
        raise _bad(Sentence("its edits are not all of one kind"))
    return found


def _tensor(entry: object, rest: memoryview) -> tuple[int, int, torch.Tensor]:
    match entry:
        case {"dtype": str(dtype), "shape": [int(rows), int(columns)], "data_offsets": [int(begin), int(end)]}:
            pass
        case _:
            raise _bad(Sentence("a tensor is not described"))
    kind = _DTYPES.get(dtype)
    if kind is None or not (0 < rows <= 100_000 and 0 < columns <= 100_000):
        raise _bad(Sentence("a tensor has an unknown type or size"))
    if not 0 <= begin <= end <= len(rest) or end - begin != rows * columns * kind.itemsize:
        raise _bad(Sentence("a tensor lies outside of the file"))
    tensor = torch.frombuffer(bytearray(rest[begin:end]), dtype=kind).reshape(rows, columns)
    most = tensor.abs().max().item()
    if not math.isfinite(most) or most > LARGEST:
        raise _bad(Sentence("a number in it is out of range"))
    return begin, end, tensor


def _edit(number: int, entry: object, tensors: Mapping[str, torch.Tensor]) -> PackedEdit:
    match entry:
        case {
            "prompt": str(prompt),
            "target": str(target),
            "subject": str() | None as subject,
            "rephrases": list(rephrases),
            "enabled": bool(enabled),
        }:
            request = EditRequest(prompt=prompt, target=target, subject=subject, rephrases=tuple(rephrases))
        case _:
            raise _bad(Sentence("edit {number} is not described", number=number + 1))
    try:
        return PackedEdit(request=checked_request(request), enabled=enabled, tensors=tensors)
    except InvalidInput as error:
        raise InvalidInput(
            Sentence("Edit {number} of the file: {error}", number=number + 1, error=str(error))
        ) from error
