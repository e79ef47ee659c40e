"""Which file keeps the edits of which host: one beside the other, the host's name in the file's.

Knows names of files only; opens none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

MAX_CHARS = 80  # of a host's name in a file's name


def root_of(library: Path, host_name: str) -> Path:
    """Return the name that the files of all hosts share: `facts.db` of `facts.tiny.db` when that is tiny's."""
    own = f".{_safe(host_name)}"
    return library.with_name(library.stem.removesuffix(own) + library.suffix)


def files_for(root: Path, first: Path, host_name: str, fingerprint: str) -> Iterator[Path]:
    """Yield the files that may keep a host's edits, in the order to try them.

    Those that are there already come first, whoever they belong to; then the host's own name, and with a piece of its fingerprint
    in case another host of the same name has that.
    """
    yield from (file for file in dict.fromkeys((root, first)) if file.exists())
    name = _safe(host_name)
    yield root.with_name(f"{root.stem}.{name}{root.suffix}")
    yield root.with_name(f"{root.stem}.{name}-{fingerprint[:8]}{root.suffix}")


def _safe(host_name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "--", host_name).strip(".-")[:MAX_CHARS] or "model"
