"""What every measurement says beside its figures: the surroundings it ran in, tables for the terminal, JSON.

Knows nothing of what is measured.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

import torch

from sola_core.host.model import HostModel

PACKAGES = ("sola-studio", "torch", "transformers", "peft", "sentence-transformers", "numpy")


def surroundings(host: HostModel) -> dict[str, str | int]:
    """Return what a figure depends on beside code and settings: host, device, dtype, threads, versions."""
    found: dict[str, str | int] = {
        "host": host.name,
        "host_fingerprint": host.fingerprint,
        "device": host.device,
        "dtype": str(host.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a checkout, or an extra that is not installed
            continue
    return found


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as lines of aligned columns under their headers; numbers stand on the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(header), *(len(row[i]) for row in cells)]) for i, header in enumerate(headers)]
    numeric = [all(isinstance(row[i], int | float) for row in rows) and bool(rows) for i in range(len(headers))]

    def line(texts: Sequence[str]) -> str:
        return "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(texts, widths, numeric, strict=True)
        ).rstrip()

    return "\n".join([line(headers), line(["-" * width for width in widths]), *map(line, cells)])


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def to_json(value: object) -> str:
    """Return a record (or any nest of records, mappings, sequences and plain values) as readable JSON."""
    return json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False)


def plain(value: object) -> object:
    """Return a value as what JSON can hold; a number that is not finite becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item) for item in value]
    return str(value)
