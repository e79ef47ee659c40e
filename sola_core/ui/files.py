"""Files that a visitor takes along: each in a folder of its own with a name that nobody can guess.

Knows the temporary folder that gradio serves from and clears. A visitor has the last few; saving again and again fills no disk.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from gradio.utils import get_upload_folder

from sola_core.ui.uploads import clear

KEPT = 4  # of one visitor
PREFIX = "sola-"
OLD = 3 * 3600.0  # seconds; the visitor is gone, or the server that wrote it


def to_take_along(name: str, content: bytes, visitor: str) -> str:
    """Write a file where gradio may serve it and return its path; `visitor` is the registry's alias of whose it is.

    gradio deletes it after a while (`delete_cache`).
    """
    clear(PREFIX, OLD)
    home = Path(get_upload_folder()) / f"{PREFIX}{visitor}"
    folder = home / secrets.token_hex(16)
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    for old in sorted(home.iterdir(), key=lambda one: one.stat().st_mtime_ns)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return str(folder / name)
