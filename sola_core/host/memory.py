"""How much memory is free for a model now, and how much one of a given size takes while it runs.

Knows the operating system's words for free memory, and nothing of models but how many parameters they have.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

BYTES = {"cuda": 2}  # of one parameter, by device: bfloat16 there, float32 elsewhere
REST = 400_000_000  # bytes beside the parameters: states of a long prompt, logits, a training step
SPARE = 1.1  # measured: SmolLM2-135M, 538 MB of parameters, takes 0.8 GB when sixteen facts are learnt at once


def memory_needed(parameters: int, device: str) -> int:
    """Return how many bytes a model takes while it answers and learns."""
    return int(parameters * BYTES.get(device.partition(":")[0], 4) * SPARE) + REST


def free_memory(device: str = "cpu") -> int | None:
    """Return how many bytes a new model could take now where it would run; None where the system does not tell."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    known = [found for found in (_of_machine(), _of_group()) if found is not None]
    return min(known, default=None)


def _of_machine() -> int | None:
    """What is free, with what the system would give back at once (Linux says that best)."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):  # not on Windows and macOS
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_group(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container has left, where there is a limit."""
    with suppress(OSError, ValueError, IndexError):
        most = int((folder / "memory.max").read_text("ascii"))
        used = int((folder / "memory.current").read_text("ascii"))
        for line in (folder / "memory.stat").read_text("ascii").splitlines():
            if line.startswith("inactive_file "):  # files read before, which make room at once
                used -= int(line.split()[1])
        return max(0, most - used)
    return None
