"""Serves the studio from the first moment: settings, a busy page while the model is loaded, then the page itself.

Knows the order of starting. What is loaded, and what the page is made of, is not its business.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec

from sola_core.errors import InvalidInput, SolaError
from sola_core.progress import ProgressLine
from sola_core.settings import Settings, settings_from
from sola_core.studio import OnProgress, Studio
from sola_core.ui import texts
from sola_core.ui.lobby import Lobby
from sola_core.words import choose, here

Load = Callable[[Settings, OnProgress], Studio]


def serve(
    load: Load,
    *,
    host: str | None = None,
    port: int | None = None,
    personal: bool = False,
    language: str | None = None,
) -> None:
    """Serve the busy page, load, then serve the studio until it is stopped.

    Raises a SolaError when it cannot start: at once for a wrong setting or a port that is taken, otherwise when the pages
    that are open have been told.
    """
    settings = settings_from(os.environ)
    choose(language or settings.language)
    if settings.mcp and find_spec("mcp") is None:
        raise InvalidInput(texts.NO_MCP)
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # it logs the names that programs call
    lobby = Lobby(host, port, personal=personal)
    line = ProgressLine()

    def tell(text: str, share: float | None = None) -> None:
        lobby.say(here(text), share)
        line.message(text, share)

    try:
        try:
            tell(texts.STARTING)
            # gradio's import takes seconds, which the busy page is there for
            from sola_core.ui.build import build, launch

            studio = load(settings, tell)
        finally:
            line.clear()
    except BaseException as error:
        lobby.fail(here(str(error)) if isinstance(error, SolaError) else texts.NOT_LOADED)
        lobby.close()
        raise
    try:
        page = build(studio, mcp=settings.mcp)
        lobby.close()  # the studio takes over the port
        launch(page, studio, host=lobby.host, port=lobby.port, mcp=settings.mcp)
    finally:
        lobby.close()
        studio.close()
