"""What bit-equal is measured by: a SHA-256 for the logits of each generated step.

Knows tensors only. What it means: same machine, dtype, threads, versions and call shape (batch 1, one-pass prefill).
"""

from __future__ import annotations

import hashlib

import torch

STEPS = 16  # generated steps whose logits are compared
Trace = tuple[str, ...]  # one hex SHA-256 for each step


def trace(logits: torch.Tensor) -> Trace:
    """Return one SHA-256 for each row of float32 logits, (steps, vocab): equal digests mean equal bits."""
    rows = logits.detach().cpu().contiguous().numpy()
    return tuple(hashlib.sha256(row.tobytes()).hexdigest() for row in rows)


def digest(steps: Trace) -> str:
    """Return one hex SHA-256 over those of all steps."""
    return hashlib.sha256(" ".join(steps).encode()).hexdigest()
