"""Where a model runs: a person's word for a device becomes one that torch can use.

Knows torch's devices and nothing of models.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sola_core.errors import InvalidInput
from sola_core.words import Sentence


def chosen_device(wanted: str) -> str:
    """Return a usable device for auto, cpu, cuda or mps; auto takes CUDA, then MPS, then CPU. Raises InvalidInput."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return chosen_device("cuda")
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind = wanted.partition(":")[0]
    if kind not in {"cpu", "cuda", "mps"}:
        raise InvalidInput(Sentence("Unknown device '{wanted}'. Use auto, cpu, cuda or mps.", wanted=wanted))
    if kind == "cuda" and not torch.cuda.is_available():
        raise InvalidInput(Sentence("This machine has no usable CUDA device. Use --device cpu."))
    if kind == "cuda":
        _fix_sums()
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InvalidInput(Sentence("This machine has no usable MPS device. Use --device cpu."))
    return wanted


def _fix_sums() -> None:
    """Let cuBLAS take its sums in one order; it reads this once, before its first product."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """Let gradients be the same in every run: on CUDA some sums are taken in any order unless torch is told otherwise.

    The switch is torch's own and the process's; it is put back at the end. Nothing is done elsewhere.
    """
    if not device.startswith("cuda"):
        yield
        return
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)
