"""Opens the page: flags, then a busy page while the model is loaded, then the studio. `python app.py --help` lists the flags.

Knows nothing of models or edits; the page is `sola_core.ui`, the engine `sola_core`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sola_core import SolaError
from sola_core.settings import Settings
from sola_core.studio import OnProgress, Studio, open_studio
from sola_core.ui.serve import serve
from sola_core.words import languages


def flags(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="SoLA Studio: teach a language model facts, and take them back.")
    parser.add_argument("--host", help="address to serve on (default: 127.0.0.1, this computer only)")
    parser.add_argument("--port", type=int, help="port to serve on (default: the first free one from 7860)")
    parser.add_argument("--library", metavar="FILE", help="keep the edits in this file, for you alone on this computer")
    parser.add_argument("--model", default="smollm2-135m", help="known name, Hub id or folder (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    parser.add_argument("--language", help=f"of the page: {', '.join(languages())} (default: SOLA_LANGUAGE, or en)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page until it is stopped; return 1 with a message when it cannot start."""
    chosen = flags(argv)

    def load(settings: Settings, on_progress: OnProgress) -> Studio:
        engine = {"model": chosen.model, "device": chosen.device, "library": chosen.library}
        return open_studio(
            **engine,
            limits=settings.limits,
            worker=settings.worker,
            use_umap=settings.umap,
            on_progress=on_progress,
        )

    try:
        personal = chosen.library is not None
        serve(load, host=chosen.host, port=chosen.port, personal=personal, language=chosen.language)
    except SolaError as error:
        print(f"SoLA Studio cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
