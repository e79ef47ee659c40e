"""Files that a visitor takes along: each in a folder of its own with a name that nobody can guess.

Knows the temporary folder that gradio serves from and clears.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from gradio.utils import get_upload_folder


def to_take_along(name: str, content: bytes) -> str:
    """Write a file where gradio may serve it and return its path; gradio deletes it after a while (`delete_cache`)."""
    root = Path(get_upload_folder())
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=root, prefix="sola-"))
    (folder / name).write_bytes(content)
    return str(folder / name)
