"""The panel's part that switches the router, and the one that shows what each router would have done.

Knows the workspace's `use_router` and `compare_routers`; how a router decides is not its business.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import gradio as gr

from sola_core.records import Route
from sola_core.studio import Studio
from sola_core.ui import border, explain, markup, present, texts
from sola_core.ui.explain import RouterRow
from sola_core.ui.figures import routers_figure
from sola_core.ui.plot import shown
from sola_core.ui.visible import HIDDEN, seen
from sola_core.words import say, written

UNASKED = 24  # keys that a comparison makes without being asked for it
Shown = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A question and how it was decided, kept until the other routers were asked about it."""

    question: str
    route: Route


@dataclass(frozen=True, kw_only=True)
class RoutersPanel:
    """The components that a question or a switch fills."""

    choice: gr.Radio
    status: gr.HTML
    compare: gr.Button
    decided: gr.State  # Decided: the question asked last, None when its answer has not begun
    compared: gr.State  # the Decided that was compared last
    shown: list[gr.components.Component]  # words, button, chart, table's fold, table


def routers_panel(studio: Studio) -> RoutersPanel:
    """Draw both parts."""
    words = gr.HTML(elem_id="routers-words")
    compare = gr.Button(texts.COMPARE, size="sm", visible=HIDDEN, elem_id="compare-routers")
    chart = gr.Plot(label=texts.ROUTERS_CHART, show_label=False, visible=HIDDEN, elem_id="routers-chart")
    with gr.Accordion(texts.AS_TABLE, open=False, visible=HIDDEN, elem_id="routers-table") as fold:
        table = gr.HTML()
    choice = gr.Radio(
        [(words_of, name) for name, words_of in texts.ROUTERS.items()],
        value=studio.about.router,
        label=texts.ROUTER,
        interactive=True,
        elem_id="router",
        elem_classes="sola-choice",
    )
    return RoutersPanel(
        choice=choice,
        status=gr.HTML(elem_id="router-status"),
        compare=compare,
        decided=gr.State(None),
        compared=gr.State(None),
        shown=[words, compare, chart, fold, table],
    )


def waiting() -> Shown:
    """Return what `RoutersPanel.shown` shows from a question's first piece until the comparison comes."""
    return _words("")


class RouterHandlers:
    """What happens when another router is chosen, and after a question."""

    def __init__(self, studio: Studio) -> None:
        self._registry = studio.registry

    def switch(self, name: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Route with another router from now on: what the browser keeps, and a line of status."""
        wanted = border.name_field(name, say("the router"))
        visitor = border.visitor(self._registry, request, token)
        for step in self._registry.use_router(visitor, wanted):
            yield gr.skip(), markup.progress(present.keys_text(step), step.done, step.total)
        words = present.router_switched(wanted)
        yield border.kept(self._registry, token, wanted), markup.note(words, "good")

    def compare_soon(self, decided: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Ask every router about the question, unless many keys have to be made for that: then offer it."""
        yield from self._compare(decided, token, request, UNASKED)

    def compare(self, decided: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Ask every router about the question, however long it takes."""
        yield from self._compare(decided, token, request, None)

    def offer(self, decided: object, compared: object) -> Shown:
        """Offer the comparison for a question whose answer was stopped, when nobody was asked yet."""
        if not isinstance(decided, Decided) or decided is compared:
            return (gr.skip(),) * len(waiting())
        return _words(_heading(), button=True)

    def _compare(
        self, decided: object, token: object, request: gr.Request, most: int | None
    ) -> Generator[Shown, None, None]:
        if not isinstance(decided, Decided):
            return
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            steps = workspace.compare_routers(decided.question)
            try:
                while True:
                    step = next(steps)
                    if most is not None and step.total > most:
                        yield decided, *_words(_heading() + markup.note(present.keys_first(step)), button=True)
                        return
                    yield decided, *_words(_heading() + markup.progress(present.keys_text(step), step.done, step.total))
            except StopIteration as finished:
                routes: dict[str, Route] = finished.value
            finally:
                steps.close()
            changed = decided.route.router in routes and routes[decided.route.router] != decided.route
            routes |= {decided.route.router: decided.route}
            rows = explain.router_rows(
                list(routes.values()), decided.route.router, workspace.edits, workspace.numbers()
            )
        yield decided, *self._compared(decided.question, rows, changed)

    def _compared(self, question: str, rows: list[RouterRow], changed: bool) -> Shown:
        table = [
            (
                say("{router}, used", router=row.router) if row.used else row.router,
                row.decision,
                say("none") if row.score is None else written(row.score, ".3f"),
                written(row.threshold, ".3f"),
                f"{row.number}: {present.one_line(row.prompt)}" if row.number else say("none"),
            )
            for row in rows
        ]
        head = (say("Router"), say("Decision"), say("Score"), say("Threshold"), say("Its best edit"))
        words = markup.note(f"{present.quoted(question)} {explain.agreement(rows, changed)}")
        drawn = any(row.number for row in rows)
        chart = gr.update(value=shown(routers_figure(rows)) if drawn else None, visible=seen(drawn))
        fold, gone = gr.update(visible=seen(drawn)), gr.update(visible=HIDDEN)
        return _heading() + words, gone, chart, fold, markup.table(texts.ROUTERS_CHART, head, table)


def _heading() -> str:
    return markup.subheading(texts.ROUTERS_HEADING, texts.ROUTERS_HINT)


def _words(words: str, *, button: bool = False) -> Shown:
    """Show words in place of a comparison. Every part is named each time: of streamed messages only the last may be seen."""
    hidden = gr.update(visible=HIDDEN)
    return words, gr.update(visible=seen(button)), hidden, hidden, ""
