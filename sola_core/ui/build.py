"""Builds the page from its panels and launches it.

Knows where each panel stands; how they follow one another is in `wires`, what they do is theirs.
"""

from __future__ import annotations

import gradio as gr

from sola_core.errors import InvalidInput
from sola_core.resources import asset
from sola_core.studio import Studio
from sola_core.ui import border, markup, present, texts
from sola_core.ui.ask import ask_panel
from sola_core.ui.edits import edits_panel
from sola_core.ui.endpoints import add_endpoints
from sola_core.ui.keep import keep_panel
from sola_core.ui.lesson import lesson_panel
from sola_core.ui.map import map_panel
from sola_core.ui.proof import proof_panel
from sola_core.ui.routers import routers_panel
from sola_core.ui.teach import teach_panel
from sola_core.ui.theme import theme
from sola_core.ui.why import why_panel
from sola_core.ui.wires import Wires

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def build(studio: Studio) -> gr.Blocks:
    """Return the page over a studio; nothing is served yet."""
    page = gr.Blocks(title=texts.TITLE, analytics_enabled=False, fill_width=True, delete_cache=(1800, 3600))
    with page:
        add_endpoints(studio)  # first, so that they have their names to themselves
        wires = Wires(studio)
        gr.HTML(markup.header(asset("logo.svg"), _note(studio)), elem_id="head")
        with gr.Tabs(elem_id="tabs"):
            with _tab("studio"):
                _studio_tab(studio, wires)
            with _tab("lesson"), _card("lesson"):
                wires.lesson = lesson_panel(studio)
            with _tab("keep"), gr.Row(elem_classes="sola-main"):
                with _column(6), _card("proof"):
                    wires.proof = proof_panel()
                with _column(6), _card("keep"):
                    wires.keep = keep_panel()
        wires.foot = gr.HTML(markup.footer(studio.about, "", studio.about.router), elem_id="foot")
        wires.connect(page)
    return page


def launch(
    page: gr.Blocks, studio: Studio, *, host: str | None = None, port: int | None = None, block: bool = True
) -> str:
    """Serve the page and return its address; a personal library is refused to other computers.

    `host` and `port` default to gradio's environment variables, then to 127.0.0.1 and the first free port from 7860.
    Nothing is sent anywhere: no telemetry, no sharing, no fonts, no history in the browser.
    """
    host = host or border.environment("GRADIO_SERVER_NAME") or "127.0.0.1"
    if studio.registry.personal and host not in LOOPBACK:
        raise InvalidInput(texts.NOT_LOOPBACK.format(host=host))
    limits = studio.registry.limits
    queued = page.queue(max_size=limits.queue, default_concurrency_limit=limits.at_once)
    try:
        address = _launch(queued, host, port, block)
    except OSError as error:
        raise InvalidInput(
            f"The page cannot be served on {host}, port {port or 'from 7860 on'}: {error}. Choose another --port."
        ) from error
    return str(address)


def _launch(page: gr.Blocks, host: str, port: int | None, block: bool) -> str:
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        theme=theme(),
        css_paths=[asset("style.css")],
        favicon_path=asset("logo.svg"),
        footer_links=["api", "settings"],
        share=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        show_error=False,
        max_file_size="4mb",
        allowed_paths=[],
        prevent_thread_lock=not block,
        quiet=not block,
    )
    return str(address)


def _studio_tab(studio: Studio, wires: Wires) -> None:
    with gr.Row(elem_classes="sola-main"):
        with _column(5):
            with _card("teach"):
                wires.teach = teach_panel(studio)
            with _card("edits"):
                wires.edits = edits_panel(studio, wires)
        with _column(7):
            with _card("ask"):
                wires.ask = ask_panel()
            with _card("why"):
                wires.why = why_panel().shown
                wires.routers = routers_panel(studio)
            with _card("map"):
                wires.map = map_panel()


def _tab(name: str) -> gr.Tab:
    # its children are mounted while it is not seen, so that no update of theirs is lost (see `visible`)
    return gr.Tab(texts.TABS[name], id=name, elem_id=f"{name}-tab", render_children=True)


def _column(scale: int) -> gr.Column:
    return gr.Column(scale=scale, min_width=320)


def _card(name: str) -> gr.Column:
    return gr.Column(elem_classes="sola-card", elem_id=f"{name}-card")


def _note(studio: Studio) -> str:
    return texts.PERSONAL if studio.registry.personal else present.kept_for(studio.registry.limits)
