"""Serves the page over a tiny host whose loading waits for a file: `python -m tests.slow_page PORT FOLDER`.

It loads as soon as there is a file `FOLDER/go`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from sola_core.errors import SolaError
from sola_core.settings import Settings
from sola_core.studio import OnProgress, Studio, open_studio
from sola_core.ui.serve import serve
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder


def main(port: int, folder: Path) -> int:
    """Serve until stopped."""
    torch.set_num_threads(1)

    def load(settings: Settings, on_progress: OnProgress) -> Studio:
        on_progress("Fetching a <b>tiny</b> model (7 MB)", 0.25)
        while not (folder / "go").exists():
            time.sleep(0.05)
        return open_studio(host=tiny_host(), encoder=tiny_encoder(), limits=settings.limits, use_umap=False)

    try:
        serve(load, host="127.0.0.1", port=port)
    except SolaError as error:
        print(f"SoLA Studio cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), Path(sys.argv[2])))
