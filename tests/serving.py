"""Serves the page for a test, in this process, over a tiny host or a given one.

Knows the studio and the page; knows nothing of browsers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sola_core.host.model import HostModel
from sola_core.routing.encoders import TextEncoder
from sola_core.studio import Studio, open_studio
from sola_core.ui.build import build, launch
from sola_core.ui.guarded import GuardedBlocks
from sola_core.workspace import Limits
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder


@dataclass(frozen=True, kw_only=True)
class Served:
    """A page being served."""

    url: str
    studio: Studio
    page: GuardedBlocks


@contextmanager
def served(
    host: HostModel | None = None,
    encoder: TextEncoder | None = None,
    *,
    limits: Limits | None = None,
    library: str | None = None,
    use_umap: bool = False,
) -> Iterator[Served]:
    """Serve the page on a free port of this computer until the block ends; a tiny host unless one is given."""
    studio = open_studio(
        host=host or tiny_host(),
        encoder=encoder or tiny_encoder(),
        limits=limits or Limits(answer_tokens=8),
        library=library,
        use_umap=use_umap,
    )
    page = build(studio)
    try:
        yield Served(url=launch(page, studio, host="127.0.0.1", block=False), studio=studio, page=page)
    finally:
        page.close(verbose=False)
        studio.registry.close()
