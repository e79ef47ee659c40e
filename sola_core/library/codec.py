"""Turns the parts of an edit into bytes and back: JSON for words, safetensors for the adapter, never pickle.

Knows nothing of SQL. Damaged bytes raise LibraryCorrupt.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from sola_core.errors import LibraryCorrupt
from sola_core.records import EditRequest, TrainingRecord
from sola_core.words import Sentence

SUM = 4  # bytes of a checksum
_alike: dict[str, dict[str, Any]] = {}  # see `_one`


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is stored in words about one edit; `digest` is of the request and the stored tensors."""

    request: EditRequest
    training: TrainingRecord
    digest: str


def seal(content: bytes, cover: int) -> bytes:
    """Return content behind `cover` zeros and a checksum, so that all of it lies on pages of its own.

    SQLite moves short rows between pages when it balances a tree, and can leave a copy in the unused part of the old
    page; `secure_delete` does not clear that copy when the row is deleted later. What lies beyond a row's first page
    is never moved, and its pages are overwritten when the row goes. The zeros, as many as a page has bytes, fill that
    first page.
    """
    return bytes(cover) + zlib.crc32(content).to_bytes(SUM, "big") + content


def unseal(blob: bytes, cover: int) -> bytes:
    """Return what `seal` was given; raise LibraryCorrupt when a byte of it has changed."""
    content, start = blob[cover + SUM :], bytes(cover) + zlib.crc32(blob[cover + SUM :]).to_bytes(SUM, "big")
    if len(blob) < len(start) or not blob.startswith(start):
        raise LibraryCorrupt(_DAMAGED)
    return content


def encode_facts(facts: Facts) -> bytes:
    """Return the request, the training record and the digest as UTF-8 JSON; TypeError when a setting has no JSON."""
    words = {"request": _fields(facts.request), "training": _fields(facts.training), "digest": facts.digest}
    return json.dumps(words, ensure_ascii=False, default=_plain).encode()


def decode_facts(content: bytes) -> Facts:
    """Return what `encode_facts` was given, with lists where settings had tuples."""
    try:
        words: dict[str, Any] = json.loads(content)
        request, training = EditRequest(**words["request"]), words["training"]
        losses = tuple(training.pop("losses"))
        for name in ("settings", "versions"):
            training[name] = _one(training[name])
        record = TrainingRecord(losses=losses, **training)
        return Facts(request=request, training=record, digest=words["digest"])
    except (ValueError, TypeError, KeyError) as error:
        raise LibraryCorrupt(_DAMAGED) from error


def _one(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return one object for all mappings that are written alike: most edits of a library have the same settings."""
    if len(_alike) > 64:
        _alike.clear()
    return _alike.setdefault(repr(mapping), mapping)


def encode_tensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return tensors as the bytes of a safetensors file, each with the dtype it has."""
    return safetensors.torch.save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})


def decode_tensors(content: bytes) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file, on the CPU."""
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise LibraryCorrupt(_DAMAGED) from error


_DAMAGED = Sentence(
    "An edit in this library is damaged. Use a copy of the file from before the damage; this one was not changed."
)


def _fields(record: EditRequest | TrainingRecord) -> dict[str, object]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a training setting of type {type(value).__name__} cannot be stored as JSON")
