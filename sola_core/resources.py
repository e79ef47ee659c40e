"""Finds the files that the project ships beside its code: thresholds, tables, demo facts, style sheet.

Knows nothing of what they mean.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from sola_core.errors import SolaError


def asset(name: str) -> Path:
    """Return the path of a shipped file; raise SolaError when the installation lacks it.

    An installed package carries its assets inside; in a checkout they lie in `assets/` beside the package.
    """
    package = Path(str(resources.files("sola_core")))
    for folder in (package / "assets", package.parent / "assets"):
        if (folder / name).exists():
            return folder / name
    raise SolaError(f"The file {name} that belongs to this project is missing. Install the project again.")
