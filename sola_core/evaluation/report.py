"""Makes one self-contained page of a measurement's JSON: it opens from disk, asks no network, and works light and dark.

Knows the page's frame and where plotly.js comes from; what is shown is in `report_sections`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sola_core.errors import InvalidInput, SolaError
from sola_core.evaluation.report_parts import escaped, figures_table, section
from sola_core.evaluation.report_sections import content_of
from sola_core.resources import asset

FRAME = "report.html"


def write_report(stored: object, path: Path) -> None:
    """Write the page of a result to a file; raise SolaError when it cannot be made or written."""
    page = report_page(stored)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SolaError(f"Cannot write {path}: {error.strerror}. Name another file.") from error


def read_result(path: Path) -> object:
    """Return the JSON of a result that was written before; raise InvalidInput when it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidInput(
            f"The file {path} cannot be read as JSON: {error}. Give a file written with --json."
        ) from error


def report_page(stored: object) -> str:
    """Return the page of a result of bench, scope or general, in the form that `--json` writes.

    Raises InvalidInput for another JSON, and SolaError when plotly is not installed.
    """
    if not isinstance(stored, Mapping):
        raise InvalidInput("This is no result of a measurement: it is not a JSON object.")
    content = content_of(stored)
    shown = section("Figures", figures_table(content.figures)) if content.figures else ""
    parts = {
        "title": escaped(content.title),
        "body": shown + content.body + content.foot,
        "charts": _harmless(content.charts),
        "plotly": _plotly() if content.charts else "",
    }
    before, *rest = asset(FRAME).read_text(encoding="utf-8").split("{{")
    pieces = [before]
    for piece in rest:  # one pass: nothing that is put in is searched for further places
        name, _, behind = piece.partition("}}")
        pieces += [parts[name], behind]
    return "".join(pieces)


def _harmless(charts: Mapping[str, Any]) -> str:
    """Return JSON that can stand inside a script element: no character in it can end the element."""
    return json.dumps(charts, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c").replace("&", "\\u0026")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise SolaError('The report draws with plotly. Install it: pip install "sola-studio[ui]"') from error
    return str(get_plotlyjs())
