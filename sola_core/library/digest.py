"""Digests of one edit and of a whole state: equal digests mean equal edits and equal precedence.

Knows nothing of files, ids or times; two libraries are compared by what they hold.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch

from sola_core.records import Edit, EditRequest
from sola_core.text import canonical


def edit_digest(request: EditRequest, tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the hex SHA-256 of a request and of its tensors as they are stored.

    Every part goes in with its length in front, so no two different edits share an encoding. Tensors go in sorted by
    name, each with dtype, shape and its bytes (little-endian, row by row): equal values in another dtype are another
    edit, and so is 0.0 in place of -0.0.
    """
    subject = [] if request.subject is None else [request.subject.encode()]
    names = sorted(tensors)
    digest = _hash(
        b"sola edit 1",
        request.prompt.encode(),
        request.target.encode(),
        *_counted(subject),
        *_counted([text.encode() for text in request.rephrases]),
        *_counted([_hash(name.encode(), *_tensor_parts(tensors[name])) for name in names]),
    )
    return digest.hex()


def state_digest(edits: Sequence[Edit], encoder_id: str) -> str:
    """Return the hex SHA-256 of a state: which edits there are, which are on, and who goes before whom.

    `edits` come in order of teaching. Two things go in: the sorted entries of all edits (an entry hashes the edit's
    own digest, its canonical key texts, the encoder's id and the switch), and for each key text that two or more
    edits share, the entries of those edits in order of teaching, because the last one answers.

    After a delete the digest equals that of a library that never had the edit: an entry depends on its own edit
    alone; the sorted list of entries loses exactly one; a group loses its member while the others keep their order;
    and a group left with one member goes in no more, as if it had never had two. Ids, times and every other order
    are left out, so nothing of a deleted edit can remain. Switching off and on again gives the old digest likewise.
    """
    entries: list[bytes] = []
    groups: defaultdict[str, list[bytes]] = defaultdict(list)
    for edit in edits:
        keys = tuple(dict.fromkeys(canonical(text) for text in edit.request.key_texts))
        entry = _entry(edit, keys, encoder_id)
        entries.append(entry)
        for key in keys:
            groups[key].append(entry)
    shared = (_hash(key.encode(), *members) for key, members in groups.items() if len(members) > 1)
    parts = (*_counted(sorted(entries)), *_counted(sorted(shared)))
    return _hash(b"sola state 1", encoder_id.encode(), *parts).hex()


def _entry(edit: Edit, keys: Sequence[str], encoder_id: str) -> bytes:
    switch = b"on" if edit.enabled else b"off"
    texts = _counted([key.encode() for key in keys])
    return _hash(b"sola entry 1", bytes.fromhex(edit.digest), encoder_id.encode(), switch, *texts)


def _tensor_parts(tensor: torch.Tensor) -> list[bytes]:
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    dtype = str(tensor.dtype).removeprefix("torch.")
    shape = ",".join(str(size) for size in tensor.shape)
    return [dtype.encode(), shape.encode(), flat.numpy().tobytes()]


def _counted(parts: Sequence[bytes]) -> list[bytes]:
    return [str(len(parts)).encode(), *parts]


def _hash(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
