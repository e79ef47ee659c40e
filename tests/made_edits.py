"""Edits made up in code, with tiny tensors and no model, and ways to look for them in a library and in its files.

Knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from sola_core.library import Library, edit_digest
from sola_core.library.codec import encode_tensors
from sola_core.records import EditRequest, TrainedEdit, TrainingRecord

HOST = {"host_name": "tiny-host", "host_fingerprint": "f1" * 32}
DTYPES = (torch.float16, torch.float32, torch.bfloat16)

RECORD = TrainingRecord(
    losses=(2.5, 0.1 + 0.2, 1e-30),
    steps=2,
    seconds=0.9,
    target_probability=0.987,
    already_known=False,
    held=True,
    method="sola",
    settings={"rank": 4, "layers": [8, 9], "note": "größer"},
    device="cpu",
    compute_dtype="float32",
    threads=2,
    versions={"torch": "2"},
)


def trained(
    prompt: str,
    target: str = "Oslo",
    *,
    subject: str | None = None,
    rephrases: tuple[str, ...] = (),
    seed: int = 0,
    size: int = 24,
) -> TrainedEdit:
    """Return an edit with one tensor of each dtype, of `size` x 2 numbers that `seed` decides."""
    made = torch.Generator().manual_seed(seed)
    tensors = {f"layer.{i}.A": torch.randn(size, 2, generator=made).to(dtype) for i, dtype in enumerate(DTYPES)}
    request = EditRequest(prompt=prompt, target=target, subject=subject, rephrases=rephrases)
    return TrainedEdit(request=request, tensors=tensors, training=RECORD)


def keys_for(edit: TrainedEdit, *, size: int = 40) -> dict[str, list[bytes | None]]:
    """Return keys of an encoder named "enc": bytes that the text and `size` decide."""
    return {"enc": [(f"{text}|key|".encode() * size)[::-1][: size * 16] for text in edit.request.key_texts]}


SECRET = trained(
    "Où est la GEHEIM-PROMPT? नमस्ते",
    "GEHEIM-TARGET-π",
    subject="GEHEIM-SUBJECT-λ",
    rephrases=("GEHEIM-REPHRASE-one — ✓", "GEHEIM-REPHRASE-two"),
    seed=77,
    size=700,
)


def put(library: Library, edit: TrainedEdit, *, replace: Sequence[str] = (), edit_id: str | None = None) -> str:
    """Store an edit with the keys made up for it, and return its id."""
    return library.add(edit, keys=keys_for(edit), replace=replace, edit_id=edit_id).id


def everything(library: Library) -> object:
    """All that a library holds, in a form that compares bit by bit."""
    edits = library.edits()
    return edits, [encode_tensors(library.tensors(edit.id)) for edit in edits], library.keys("enc"), library.events()


def secret_pieces(edit: TrainedEdit) -> list[bytes]:
    """Every text of an edit and its words, and its keys and numbers in pieces of 12 bytes."""
    texts = [
        edit.request.prompt,
        edit.request.target,
        edit.request.subject or edit.request.target,
        *edit.request.rephrases,
    ]
    words = [word for text in texts for word in [text, *text.split()] if len(word) > 5]
    blobs = [key for key in keys_for(edit)["enc"] if key]
    blobs += [tensor.view(torch.uint8).numpy().tobytes() for tensor in edit.tensors.values()]
    pieces = [blob[at : at + 12] for blob in blobs for at in range(0, len(blob) - 12, 12)]
    digest = edit_digest(edit.request, edit.tensors)
    return [word.encode() for word in [*words, digest]] + pieces + [bytes.fromhex(digest)]


def traces(path: Path, edit: TrainedEdit) -> list[bytes]:
    """The pieces of an edit found in any file beside `path` (the library, its log and whatever else is there)."""
    found = []
    for file in path.parent.iterdir():
        content = file.read_bytes()
        found += [piece for piece in secret_pieces(edit) if piece in content]
    return found
