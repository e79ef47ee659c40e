"""Where a model runs: a person's word for a device becomes one that torch can use.

Knows torch's devices and nothing of models.
"""

from __future__ import annotations

import torch

from sola_core.errors import InvalidInput
from sola_core.words import Sentence


def chosen_device(wanted: str) -> str:
    """Return a usable device for auto, cpu, cuda or mps; auto takes CUDA, then MPS, then CPU. Raises InvalidInput."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind = wanted.partition(":")[0]
    if kind not in {"cpu", "cuda", "mps"}:
        raise InvalidInput(Sentence("Unknown device '{wanted}'. Use auto, cpu, cuda or mps.", wanted=wanted))
    if kind == "cuda" and not torch.cuda.is_available():
        raise InvalidInput(Sentence("This machine has no usable CUDA device. Use --device cpu."))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InvalidInput(Sentence("This machine has no usable MPS device. Use --device cpu."))
    return wanted
