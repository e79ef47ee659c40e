"""Builds the page from its panels, wires them to one another, and launches it.

Knows which panel follows which change; what the panels do is theirs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal

import gradio as gr
from gradio.events import Dependency

from sola_core.errors import InvalidInput
from sola_core.precedence import covers, uncovered_by
from sola_core.resources import asset
from sola_core.studio import Studio
from sola_core.ui import border, markup, present, texts
from sola_core.ui.ask import AskHandlers, AskPanel, ask_panel
from sola_core.ui.edits import EditsPanel, edits_panel
from sola_core.ui.endpoints import add_endpoints
from sola_core.ui.keep import KeepHandlers, KeepPanel, keep_panel
from sola_core.ui.map import MapHandlers, MapPanel, map_panel
from sola_core.ui.proof import ProofHandlers, ProofPanel, proof_panel
from sola_core.ui.routers import RouterHandlers, RoutersPanel, routers_panel
from sola_core.ui.teach import TeachHandlers, TeachPanel, teach_panel
from sola_core.ui.theme import theme
from sola_core.ui.why import why_panel

LOOPBACK = ("127.0.0.1", "::1", "localhost")
TOKEN_KEY = "sola-studio"  # where the browser keeps its token and the router it chose


def build(studio: Studio) -> gr.Blocks:
    """Return the page over a studio; nothing is served yet."""
    page = gr.Blocks(title=texts.TITLE, analytics_enabled=False, fill_width=True, delete_cache=(1800, 3600))
    with page:
        add_endpoints(studio)  # first, so that they have their names to themselves
        wires = _Wires(studio)
        gr.HTML(markup.header(asset("logo.svg"), _note(studio)), elem_id="head")
        with gr.Row(elem_classes="sola-main"):
            with gr.Column(scale=5, min_width=320):
                with _card("teach"):
                    wires.teach = teach_panel(studio)
                with _card("edits"):
                    wires.edits = edits_panel(studio, wires)
                with _card("proof"):
                    wires.proof = proof_panel()
                with _card("keep"):
                    wires.keep = keep_panel()
            with gr.Column(scale=7, min_width=320):
                with _card("ask"):
                    wires.ask = ask_panel()
                with _card("why"):
                    wires.why = why_panel().shown
                    wires.routers = routers_panel(studio)
                with _card("map"):
                    wires.map = map_panel()
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


@dataclass
class _Wires:
    """The panels while they are being joined."""

    studio: Studio
    teach: TeachPanel
    edits: EditsPanel
    ask: AskPanel
    map: MapPanel
    why: list[gr.components.Component]
    routers: RoutersPanel
    proof: ProofPanel
    keep: KeepPanel
    foot: gr.HTML

    def __init__(self, studio: Studio) -> None:
        self.studio, self.registry = studio, studio.registry
        self.token = gr.BrowserState("", storage_key=TOKEN_KEY)
        self.teaching, self.asking, self.mapping = TeachHandlers(studio), AskHandlers(studio), MapHandlers(studio)
        self.routing, self.proving, self.keeping = RouterHandlers(studio), ProofHandlers(studio), KeepHandlers(studio)

    def connect(self, page: gr.Blocks) -> None:
        """Join every button to its handler and every handler to the panels that follow."""
        self._connect_teach()
        self._connect_ask()
        self._connect_routers()
        self._connect_proof()
        self._connect_keep()
        _quick(self.map.timer.tick, self.mapping.improve, [self.ask.asked, self.map.method, self.token],
               [*self.map.shown, self.map.timer])  # fmt: skip
        arrived = _quick(page.load, self.arrive, [self.token], [self.token, self.teach.teach, self.ask.ask])
        self.follow(arrived)

    def follow(self, change: Dependency) -> None:
        """Let every panel that shows edits follow a change of them."""
        _state(change.then, self.after, self.inputs, self.outputs)

    @property
    def inputs(self) -> list[gr.components.Component]:
        """What `after` takes beside the request."""
        return [self.ask.asked, self.token]

    @property
    def outputs(self) -> list[gr.components.Component]:
        """What `after` returns values for."""
        edits, ask = self.edits, self.ask
        return [
            edits.rows,
            edits.summary,
            self.foot,
            self.routers.choice,
            *ask.suggestions,
            ask.suggested,
            *self.map.shown,
        ]

    def after(self, asked: object, token: object, request: gr.Request) -> tuple[object, ...]:
        """Return the list of edits, its summary, the footer, the router, the suggestions and the map as they are now."""
        with self.registry.visit(border.visitor(self.registry, request, token)) as workspace:
            edits = workspace.edits
            rows = present.edit_rows(edits, workspace.numbers(), covers(edits), uncovered_by(edits))
            router = workspace.router_name
            foot = markup.footer(self.studio.about, workspace.digest, router)
        suggestions = self.asking.suggest(edits[-1].request if edits else None)
        summary = markup.note(present.edits_summary(rows))
        return rows, summary, foot, router, *suggestions, *self.mapping.draw(asked, token, request)

    def arrive(self, token: object) -> tuple[object, object, object]:
        """Give a new browser its token, and open the buttons."""
        return border.kept(self.registry, token), gr.update(interactive=True), gr.update(interactive=True)

    def _connect_teach(self) -> None:
        panel, act = self.teach, self.teaching
        _quick(panel.examples.click, act.choose, [panel.examples],
               [panel.prompt, panel.target, panel.subject, panel.rephrases, self.ask.question])  # fmt: skip
        boxes = [panel.prompt, panel.target, panel.subject, panel.rephrases, self.token]
        runs = [
            self._model([panel.teach.click, panel.target.submit], act.teach, boxes, panel.shown),
            self._model([panel.replace.click], act.replace, [panel.pending, self.token], panel.shown),
            self._model([panel.keep_both.click], act.keep_both, [panel.pending, self.token], panel.shown),
        ]
        for run in runs:
            self.follow(run)
            _quick(run.failure, act.unfinished, None, panel.shown)
        _quick(panel.never_mind.click, act.never_mind, None, panel.shown)
        panel.cancel.click(None, cancels=[*runs])  # to the page a cancelled run is one that failed

    def _connect_ask(self) -> None:
        panel, act = self.ask, self.asking
        run = self._model(
            [panel.ask.click, panel.question.submit], act.ask, [panel.question, self.token],
            [*panel.shown, *self.why, *self.routers.shown],
        )  # fmt: skip
        _quick(run.then, act.ended, None, [panel.stop])
        _quick(run.then, act.why_again, [panel.told], self.why)
        _quick(run.failure, act.unfinished, None, [panel.shown[4]])
        decided, known = self.routers.decided, self.routers.shown
        self._model(run.success, self.routing.compare_soon, [decided, self.token], known, trigger_mode="multiple")
        _state(run.failure, self.routing.offer, [decided], known)
        _quick(run.then, self.mapping.draw, [panel.asked, self.token], self.map.shown)
        panel.stop.click(None, cancels=[run])
        for number, button in enumerate(panel.suggestions):
            taken = _quick(button.click, act.taker(number), [panel.suggested], [panel.question])
            taken.then(None, js=f"() => document.getElementById('{panel.ask.elem_id}').click()")

    def _connect_routers(self) -> None:
        panel, act = self.routers, self.routing
        self._model([panel.compare.click], act.compare, [panel.decided, self.token], panel.shown)
        # without gradio's own check of the choice, which would write what a program sent to the log
        switched = self._model([panel.choice.input], act.switch, [panel.choice, self.token], [self.token, panel.status],
                               trigger_mode="always_last", preprocess=False)  # fmt: skip
        self.follow(switched)
        _quick(switched.failure, lambda: "", None, [panel.status])

    def _connect_proof(self) -> None:
        panel, act = self.proof, self.proving
        run = self._model([panel.prove.click], act.prove, [self.token], panel.shown)
        _quick(run.failure, act.unfinished, None, panel.shown)
        panel.stop.click(None, cancels=[run])

    def _connect_keep(self) -> None:
        panel, act = self.keep, self.keeping
        _quick(panel.save.click, act.save, [self.token], [panel.status, panel.download])
        loaded = self._model([panel.load.upload], act.load, [panel.load, panel.present, self.token], panel.shown)
        taught = self._model([panel.teach.click], act.teach, [panel.waiting, panel.present, self.token], panel.shown)
        chosen = _state(panel.choose.upload, act.choose, [panel.choose], panel.shown)
        for run in (loaded, taught):
            self.follow(run)
        for run in (loaded, taught, chosen):
            _quick(run.failure, act.unfinished, None, panel.shown)
        panel.stop.click(None, cancels=[loaded, taught])

    def _model(
        self,
        triggers: list[Callable[..., Dependency]] | Callable[..., Dependency],
        handler: Callable[..., Generator[tuple[object, ...], None, None]],
        inputs: list[gr.components.Component],
        outputs: list[gr.components.Component],
        *,
        trigger_mode: Literal["once", "multiple", "always_last"] = "once",
        preprocess: bool = True,
    ) -> Dependency:
        """Join work of the model: queued, a few visitors at a time, one at a time for each page."""
        listen = functools.partial(gr.on, triggers) if isinstance(triggers, list) else triggers
        run: Dependency = listen(
            border.guarded_steps(handler), inputs, outputs, api_visibility="private",
            concurrency_id="model", concurrency_limit=self.registry.limits.at_once, trigger_mode=trigger_mode,
            show_progress="hidden", preprocess=preprocess,
        )  # fmt: skip
        return run


def _state(
    listen: Callable[..., Dependency],
    handler: Callable[..., object],
    inputs: list[gr.components.Component],
    outputs: list[gr.components.Component],
) -> Dependency:
    """Join work that sets a State which something listens to: only queued events tell the page of such a change."""
    return listen(
        border.guarded(handler), inputs, outputs, api_visibility="private", concurrency_id="state",
        concurrency_limit=16, trigger_mode="multiple", show_progress="hidden",
    )  # fmt: skip


def _quick(
    listen: Callable[..., Dependency],
    handler: Callable[..., object],
    inputs: list[gr.components.Component] | None,
    outputs: list[gr.components.Component],
) -> Dependency:
    """Join work that takes a moment and needs no queue."""
    return listen(
        border.guarded(handler), inputs, outputs, api_visibility="private", queue=False, show_progress="hidden",
    )  # fmt: skip


def _card(name: str) -> gr.Column:
    return gr.Column(elem_classes="sola-card", elem_id=f"{name}-card")


def _note(studio: Studio) -> str:
    return texts.PERSONAL if studio.registry.personal else present.kept_for(studio.registry.limits)
