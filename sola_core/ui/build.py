"""Builds the page from its panels and launches it.

Knows where each panel stands; how they follow one another is in `wires`, what they do is theirs.
"""

from __future__ import annotations

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sola_core.registry import WorkspaceRegistry
from sola_core.resources import asset
from sola_core.studio import Studio
from sola_core.ui import markup, present, texts
from sola_core.ui.ask import ask_panel
from sola_core.ui.compare import compare_panel
from sola_core.ui.edits import edits_panel
from sola_core.ui.endpoints import add_endpoints
from sola_core.ui.gate import Gate
from sola_core.ui.guarded import GuardedBlocks
from sola_core.ui.history import history_panel
from sola_core.ui.keep import keep_panel
from sola_core.ui.lesson import lesson_panel
from sola_core.ui.lobby import READY, address, require_loopback, taken
from sola_core.ui.map import map_panel
from sola_core.ui.models import models_panel, moved_notice
from sola_core.ui.proof import proof_panel
from sola_core.ui.routers import routers_panel
from sola_core.ui.sessions import Sessions
from sola_core.ui.spaces import spaces_panel
from sola_core.ui.teach import teach_panel
from sola_core.ui.theme import theme
from sola_core.ui.tools import add_tools
from sola_core.ui.uploads import Uploads
from sola_core.ui.why import why_panel
from sola_core.ui.wires import Wires
from sola_core.words import ENGLISH, chosen

# a picture that was drawn while its tab was not seen takes the width of the page when it is told of a change of size
FIT_JS = "() => { setTimeout(() => window.dispatchEvent(new Event('resize')), 50); }"


def build(studio: Studio, *, mcp: bool = False) -> GuardedBlocks:
    """Return the page over a studio, with MCP tools if they are wanted; nothing is served yet."""
    page = GuardedBlocks(title=texts.TITLE, analytics_enabled=False, fill_width=True, delete_cache=(1800, 3600))
    with page:
        add_endpoints(studio)  # first, so that they have their names to themselves
        if mcp:
            add_tools(studio)
        wires = Wires(studio)
        gr.HTML(markup.header(asset("logo.svg"), _note(studio)), elem_id="head")
        if studio.switch is not None:
            moved_notice()
        with gr.Tabs(elem_id="tabs"):
            with _tab("studio"):
                _studio_tab(studio, wires)
            with _tab("lesson"), _card("lesson"):
                wires.lesson = lesson_panel(studio)
            with _tab("history"):
                wires.history = history_panel()
            with _tab("compare") as tab:
                wires.compare = compare_panel(studio, tab)
            with _tab("keep"), gr.Row(elem_classes="sola-main"):
                with _column(6):
                    with _card("proof"):
                        wires.proof = proof_panel()
                    if studio.switch is not None:
                        with _card("model"):
                            wires.models = models_panel()
                with _column(6), _card("keep"):
                    wires.keep = keep_panel()
        wires.foot = gr.HTML(markup.footer(studio.about, "", studio.about.router), elem_id="foot")
        wires.connect(page)
    return page


def launch(
    page: GuardedBlocks,
    studio: Studio,
    *,
    host: str | None = None,
    port: int | None = None,
    block: bool = True,
    mcp: bool = False,
) -> str:
    """Serve the page and return its address; a personal library is refused to other computers.

    `GET /health` answers 200 from now on. `host` and `port` default to gradio's environment variables, then to 127.0.0.1 and the first free port from 7860.
    Nothing is sent anywhere: no telemetry, no sharing, no fonts, no history in the browser.
    """
    host = address(host)
    require_loopback(host, personal=studio.registry.personal)
    limits = studio.registry.limits
    page.fair_queue(limits)
    try:
        found = _launch(page, studio.registry, host, port, block, mcp)
    except OSError as error:
        raise taken(host, port, error) from error
    page.app.state_holder = page.state_holder = Sessions(page, limits.pages, limits.page_seconds)
    if block:
        page.block_thread()
    return found


async def _health(_: Request) -> Response:
    return Response(READY.body, READY.code, media_type="application/json", headers={"cache-control": "no-store"})


def _place(registry: WorkspaceRegistry) -> Route:
    """Return where a personal page learns which library is open (see assets/model_watch.js)."""

    async def place(_: Request) -> Response:
        return JSONResponse({"place": registry.place}, headers={"cache-control": "no-store"})

    return Route("/place", place)


def _launch(
    page: GuardedBlocks, registry: WorkspaceRegistry, host: str, port: int | None, block: bool, mcp: bool
) -> str:
    limits = registry.limits
    largest = max(limits.file_bytes, limits.list_bytes)
    _, found, _ = page.launch(
        server_name=host,
        server_port=port,
        theme=theme(),
        css_paths=[asset("style.css")],
        favicon_path=asset("logo.svg"),
        head=_spoken(),
        footer_links=["api", "settings"],
        share=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=mcp,
        show_error=False,
        max_file_size=largest,
        allowed_paths=[],
        prevent_thread_lock=True,  # until the sessions are ours
        _frontend=False,  # gradio would ask itself for the page, and give up on a machine that takes more than 3 seconds
        quiet=not block,
        app_kwargs={
            "routes": [Route("/health", _health), *([_place(registry)] if registry.personal else [])],
            "middleware": [Middleware(Gate, uploads=Uploads(largest))],
        },
    )
    return str(found)


def _spoken() -> str | None:
    """Return what tells screen readers the page's language; gradio's own page says English."""
    name = chosen().name
    return None if name == ENGLISH else f"<script>document.documentElement.lang = '{name}';</script>"


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
                wires.spaces = spaces_panel()


def _tab(name: str) -> gr.Tab:
    # its children are mounted while it is not seen, so that no update of theirs is lost (see `visible`)
    tab = gr.Tab(texts.TABS[name], id=name, elem_id=f"{name}-tab", render_children=True)
    tab.select(None, js=FIT_JS)
    return tab


def _column(scale: int) -> gr.Column:
    return gr.Column(scale=scale, min_width=320)


def _card(name: str) -> gr.Column:
    return gr.Column(elem_classes="sola-card", elem_id=f"{name}-card")


def _note(studio: Studio) -> str:
    return texts.PERSONAL if studio.registry.personal else present.kept_for(studio.registry.limits)
