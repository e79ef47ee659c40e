"""Finds the Chromium that browser tests drive; run as a program it says whether there is one.

Knows only where browsers usually are. It needs nothing installed, so that CI can ask before it sets anything up.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Nothing but this computer is found, nothing is drawn by a graphics card that no test machine has.
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-gpu",
    "--disable-software-rasterizer",
    "--disable-extensions",
    "--disable-background-networking",
)
MISSING = (
    "No Chromium was found. Install it (Debian, Ubuntu: apt-get install chromium), "
    "or name its file in the environment variable CHROMIUM."
)


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome: $CHROMIUM, else the first on the search path, else None."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named if Path(named).is_file() else None
    return next((path for name in NAMES if (path := shutil.which(name))), None)


if __name__ == "__main__":
    found = find_chromium()
    print(f"Chromium: {found}" if found else MISSING, file=sys.stdout if found else sys.stderr)
    raise SystemExit(0 if found else 1)
