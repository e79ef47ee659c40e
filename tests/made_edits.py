"""Trained edits made up in code, with tiny tensors and no model, for tests of storage.

Knows nothing of training.
"""

from __future__ import annotations

import torch

from sola_core.records import EditRequest, TrainedEdit, TrainingRecord

HOST = {"host_name": "tiny-host", "host_fingerprint": "f1" * 32}
DTYPES = (torch.float16, torch.float32, torch.bfloat16)

RECORD = TrainingRecord(
    losses=(2.5, 0.1 + 0.2, 1e-30),
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
