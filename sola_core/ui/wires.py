"""Wires the panels to one another: which of them follows which change.

Knows every panel and the events; what the panels do is theirs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Unpack

import gradio as gr
from gradio.events import Dependency

from sola_core.errors import LibraryExchanged
from sola_core.precedence import covers, uncovered_by
from sola_core.studio import Studio
from sola_core.ui import border, joining, markup, present
from sola_core.ui.ask import AskHandlers, AskPanel
from sola_core.ui.compare import ComparePanel, join_compare
from sola_core.ui.compare_handlers import CompareHandlers
from sola_core.ui.details import DetailsHandlers
from sola_core.ui.edits import EditsHandlers, EditsPanel
from sola_core.ui.history import ZONE_JS, HistoryHandlers, HistoryPanel
from sola_core.ui.joining import quick
from sola_core.ui.keep import KeepHandlers, KeepPanel
from sola_core.ui.lesson import LessonPanel, join_lesson
from sola_core.ui.lesson_handlers import LessonHandlers
from sola_core.ui.map import MapHandlers, MapPanel
from sola_core.ui.map_wires import connect_map, connect_spaces
from sola_core.ui.model_wires import connect_models
from sola_core.ui.models import ModelsPanel
from sola_core.ui.probe import ProbeHandlers
from sola_core.ui.proof import ProofHandlers, ProofPanel
from sola_core.ui.routers import RouterHandlers, RoutersPanel
from sola_core.ui.spaces import SpacesHandlers, SpacesPanel
from sola_core.ui.teach import TeachHandlers, TeachPanel

TOKEN_KEY = "sola-studio"  # where the browser keeps its token and the router it chose


@dataclass
class Wires:
    """The panels while they are being joined."""

    studio: Studio
    teach: TeachPanel
    edits: EditsPanel
    ask: AskPanel
    map: MapPanel
    spaces: SpacesPanel
    why: list[gr.components.Component]
    routers: RoutersPanel
    proof: ProofPanel
    keep: KeepPanel
    history: HistoryPanel
    lesson: LessonPanel
    compare: ComparePanel
    foot: gr.HTML
    models: ModelsPanel | None  # of a personal page
    taught_lists: tuple[Dependency, ...]  # the runs that teach a list or load a file

    def __init__(self, studio: Studio) -> None:
        self.studio, self.registry = studio, studio.registry
        self.models = None
        self.token = gr.BrowserState("", storage_key=TOKEN_KEY)
        self.teaching, self.asking, self.mapping = TeachHandlers(studio), AskHandlers(studio), MapHandlers(studio)
        self.routing, self.proving, self.keeping = RouterHandlers(studio), ProofHandlers(studio), KeepHandlers(studio)
        self.remembering = HistoryHandlers(studio)
        self.lessons = LessonHandlers(studio)
        self.comparing = CompareHandlers(studio)
        self.spacing = SpacesHandlers(studio)

    def connect(self, page: gr.Blocks) -> None:
        """Join every button to its handler and every handler to the panels that follow."""
        self._connect_teach()
        self._connect_rows()
        self._connect_ask()
        self._connect_routers()
        self._connect_proof()
        self._connect_keep()
        self._connect_history()
        connect_map(self)
        connect_spaces(self)
        arrived = quick(functools.partial(page.load, js=ZONE_JS), self.arrive, [self.token],
                        [self.token, self.teach.teach, self.ask.ask])  # fmt: skip
        self.follow(arrived)
        at_once = self.registry.limits.at_once
        join_lesson(self.lesson, self.lessons, self.token, at_once, arrived, self.follow)
        join_compare(self.compare, self.comparing, self.token, at_once, arrived)
        if self.models is not None:
            connect_models(self, self.models, arrived)

    def follow(self, change: Dependency) -> None:
        """Let every panel that shows edits follow a change of them."""
        joining.state(change.then, self.after, self.inputs, self.outputs)

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
            *self.history.shown,
        ]

    def after(self, asked: object, token: object, request: gr.Request) -> tuple[object, ...]:
        """Return the list of edits, its summary, the footer, the router, the suggestions, the map and the history as they are now."""
        try:
            return self._now(asked, token, request)
        except LibraryExchanged:  # whoever did something here was told
            return (gr.skip(),) * len(self.outputs)

    def _now(self, asked: object, token: object, request: gr.Request) -> tuple[object, ...]:
        with self.registry.visit(border.visitor(self.registry, request, token)) as workspace:
            edits = workspace.edits
            rows = present.edit_rows(edits, workspace.numbers(), covers(edits), uncovered_by(edits))
            router = workspace.router_name
            foot = markup.footer(self.studio.about, workspace.digest, router)
        suggestions = self.asking.suggest(edits[-1].request if edits else None)
        summary = markup.note(present.edits_summary(rows))
        drawn = *self.mapping.draw(asked, token, request), *self.remembering.draw(token, request)
        return rows, summary, foot, router, *suggestions, *drawn

    def arrive(self, token: object) -> tuple[object, object, object]:
        """Give a new browser its token, and open the buttons."""
        kept = border.kept(self.registry, token, place=self.registry.place)
        return kept, gr.update(interactive=True), gr.update(interactive=True)

    def _connect_teach(self) -> None:
        panel, act = self.teach, self.teaching
        quick(panel.examples.click, act.choose, [panel.examples],
              [panel.prompt, panel.target, panel.subject, panel.rephrases, self.ask.question])  # fmt: skip
        boxes = [panel.prompt, panel.target, panel.subject, panel.rephrases, self.token]
        runs = [
            self._model([panel.teach.click, panel.target.submit], act.teach, boxes, panel.shown),
            self._model([panel.replace.click], act.replace, [panel.pending, self.token], panel.shown),
            self._model([panel.keep_both.click], act.keep_both, [panel.pending, self.token], panel.shown),
        ]
        for run in runs:
            self.follow(run)
            quick(run.failure, act.unfinished, None, panel.shown)
        quick(panel.never_mind.click, act.never_mind, None, panel.shown)
        panel.cancel.click(None, cancels=[*runs])  # to the page a cancelled run is one that failed

    def _connect_rows(self) -> None:
        panel, acts = self.edits, EditsHandlers(self.studio, self)
        joining.latest([panel.search.change, panel.order.input], acts.look, [panel.search, panel.order],
                       [panel.looking, panel.page], preprocess=False)  # fmt: skip
        watched = [panel.rows, panel.looking, panel.page, panel.opened]
        joining.latest([one.change for one in watched], DetailsHandlers(self.studio).follow,
                       [*watched, self.token], panel.following)  # fmt: skip
        probe, act = panel.details.probe, ProbeHandlers(self.studio)
        joining.state(probe.probe.click, acts.again, [panel.wanted], [panel.wanted])
        # by the time that the page hears that a probe is wanted, the row is open and what was asked before is stopped
        heard = joining.state(panel.wanted.change, lambda: None, None, [])
        run = self._model(heard.then, act.probe, [panel.opened, probe.wordings, probe.neighbours, self.token],
                          probe.shown, trigger_mode="multiple")  # fmt: skip
        quick(run.failure, act.unfinished, [probe.so_far, panel.opened, self.token], probe.shown)
        gr.on([panel.wanted.change, panel.opened.change], None, cancels=[run], api_visibility="private")
        probe.stop.click(None, cancels=[run])

    def _connect_ask(self) -> None:
        panel, act = self.ask, self.asking
        run = self._model(
            [panel.ask.click, panel.question.submit], act.ask, [panel.question, self.token],
            [*panel.shown, *self.why, self.routers.decided, *self.routers.shown, panel.compared.both,
             *panel.compared.shown],
        )  # fmt: skip
        quick(run.then, act.ended, None, [panel.stop])
        quick(run.then, act.why_again, [panel.told], self.why)
        quick(run.then, act.compared, [panel.compared.both], panel.compared.shown)
        quick(run.failure, act.unfinished, None, [panel.shown[4]])
        routers = self.routers
        self._model(run.success, self.routing.compare_soon, [routers.decided, self.token],
                           [routers.compared, *routers.shown], trigger_mode="always_last")  # fmt: skip
        quick(run.failure, self.routing.offer, [routers.decided, routers.compared], routers.shown)
        quick(run.then, self.mapping.draw, [panel.asked, self.token], self.map.shown)
        panel.stop.click(None, cancels=[run])
        for number, button in enumerate(panel.suggestions):
            taken = quick(button.click, act.taker(number), [panel.suggested], [panel.question])
            taken.then(None, js=f"() => document.getElementById('{panel.ask.elem_id}').click()")

    def _connect_routers(self) -> None:
        panel, act = self.routers, self.routing
        self._model([panel.compare.click], act.compare, [panel.decided, self.token], [panel.compared, *panel.shown])
        # without gradio's own check of the choice, which would write what a program sent to the log
        switched = self._model([panel.choice.input], act.switch, [panel.choice, self.token], [self.token, panel.status],
                               trigger_mode="always_last", preprocess=False)  # fmt: skip
        self.follow(switched)
        quick(switched.failure, lambda: "", None, [panel.status])

    def _connect_proof(self) -> None:
        panel, act = self.proof, self.proving
        run = self._model([panel.prove.click], act.prove, [self.token], panel.shown)
        quick(run.failure, act.unfinished, None, panel.shown)
        panel.stop.click(None, cancels=[run])

    def _connect_keep(self) -> None:
        panel, act = self.keep, self.keeping
        quick(panel.save.click, act.save, [self.token], [panel.status, panel.download])
        # without gradio's own reading of a file, which leaves an empty one behind each time
        loaded = self._model([panel.load.upload], act.load, [panel.load, panel.present, self.token], panel.shown,
                             preprocess=False)  # fmt: skip
        taught = self._model([panel.teach.click], act.teach, [panel.waiting, panel.present, self.token], panel.shown,
                             preprocess=False)  # fmt: skip
        chosen = joining.state(panel.choose.upload, act.choose, [panel.choose], panel.shown, preprocess=False)
        self.taught_lists = (loaded, taught)
        for run in self.taught_lists:
            self.follow(run)
        for run in (loaded, taught, chosen):
            quick(run.failure, act.unfinished, None, panel.shown)
        panel.stop.click(None, cancels=[loaded, taught])

    def _connect_history(self) -> None:
        panel, act = self.history, self.remembering
        # without gradio's own check of the slider, which would write what a program sent to the log
        quick(panel.slider.input, act.turn, [panel.slider, self.token], panel.moment,
               trigger_mode="always_last", preprocess=False)  # fmt: skip
        run = self._model(
            [panel.ask.click, panel.question.submit], act.ask, [panel.question, panel.slider, self.token],
            panel.answered, preprocess=False,
        )  # fmt: skip
        quick(run.failure, act.stopped, None, panel.answered[2:])
        panel.stop.click(None, cancels=[run])
        self.follow(quick(panel.undo.click, act.undo, [self.token], [panel.undone]))

    def _model(
        self,
        triggers: list[Callable[..., Dependency]] | Callable[..., Dependency],
        handler: Callable[..., Generator[tuple[object, ...], None, None]],
        inputs: list[gr.components.Component],
        outputs: list[gr.components.Component],
        **options: Unpack[joining.ModelOptions],
    ) -> Dependency:
        return joining.model(triggers, handler, inputs, outputs, self.registry.limits.at_once, **options)
