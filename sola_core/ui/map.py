"""The panel with the map of edits and questions, what a click on it tells, and the same as a table.

Knows `places` and the workspace; how texts become points is the atlas's business, what an edit reaches the router's.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import gradio as gr

from sola_core.precedence import covers, uncovered_by
from sola_core.studio import Studio
from sola_core.ui import border, bridge, map_words, markup, present, texts
from sola_core.ui.figures import map_figure
from sola_core.ui.listing import ORDERS, ROWS_SHOWN, Looking, matches
from sola_core.ui.places import drawn_texts, keys_of, picture
from sola_core.ui.plot import shown
from sola_core.ui.visible import HIDDEN, seen
from sola_core.words import say
from sola_core.workspace import AskedQuestion, Workspace

CHECK_SECONDS = 3.0  # between two looks whether UMAP is ready
SHOWN_PARTS = 9  # components that a drawing fills
Shown = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class MapPanel:
    """The components that are listened to or filled."""

    bridge: gr.HTML
    closer: gr.Button
    farther: gr.Button
    whole: gr.Button
    relayout: gr.Button
    to_list: gr.Button
    reach: gr.Checkbox
    again: gr.Button
    stop: gr.Button
    status: gr.HTML
    chosen: gr.State  # number of the edit whose point was clicked, 0 for none
    timer: gr.Timer
    details: gr.HTML
    method: gr.State  # the projection now on the screen
    shown: list[gr.components.Component]  # what `MapHandlers.draw` returns values for

    @property
    def worked(self) -> list[gr.components.Component]:
        """What the handlers that take a while fill."""
        return [self.status, self.stop, *self.shown]

    @property
    def told(self) -> list[gr.components.Component]:
        """What a click on a point fills, beside the question."""
        return [self.details, self.to_list, self.chosen]


def map_panel() -> MapPanel:
    """Draw the panel."""
    gr.HTML(markup.heading("", texts.MAP_HEADING, texts.MAP_HINT))
    chart = gr.Plot(label=texts.MAP_CHART, show_label=False, elem_id="map-chart")
    joined = bridge.map_bridge()
    with gr.Row(elem_classes="sola-tools"):
        closer = gr.Button(texts.MAP_CLOSER, size="sm", min_width=90, elem_id="map-closer")
        farther = gr.Button(texts.MAP_FARTHER, size="sm", min_width=90, elem_id="map-farther")
        whole = gr.Button(texts.MAP_WHOLE, size="sm", min_width=90, elem_id="map-whole")
        relayout = gr.Button(texts.MAP_RELAYOUT, size="sm", min_width=110, elem_id="map-relayout")
    details = gr.HTML(elem_id="map-details")
    to_list = gr.Button(texts.SHOW_IN_LIST, size="sm", visible=HIDDEN, elem_id="map-to-list")
    note = gr.HTML(elem_id="map-note")
    reach = gr.Checkbox(False, label=texts.MAP_REACH, container=False, interactive=True, elem_id="map-reach")
    status = gr.HTML(elem_id="map-status")
    again = gr.Button(texts.MAP_REACH_AGAIN, size="sm", visible=HIDDEN, elem_id="map-again")
    stop = gr.Button(texts.STOP, size="sm", visible=HIDDEN, elem_id="map-stop")
    with gr.Accordion(texts.AS_TABLE, open=False, elem_id="map-table"):
        table = gr.HTML()
    method, chosen = gr.State(""), gr.State(0)
    return MapPanel(
        bridge=joined, closer=closer, farther=farther, whole=whole, relayout=relayout, to_list=to_list, reach=reach,
        again=again, stop=stop, status=status, chosen=chosen, timer=gr.Timer(CHECK_SECONDS), details=details,
        method=method, shown=[chart, note, table, method, reach, again, details, to_list, chosen],
    )  # fmt: skip


class MapHandlers:
    """Draws the map of whoever asks, and tells what is on it."""

    def __init__(self, studio: Studio) -> None:
        self._registry = studio.registry

    def draw(self, asked: object, token: object, request: gr.Request) -> Shown:
        """Return the map as it is now; points keep their places."""
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            return self._shown(workspace, asked)

    def improve(self, asked: object, method: object, token: object, request: gr.Request) -> Shown:
        """Change to UMAP once it is ready, and stop looking when nothing better will come."""
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            settled = workspace.layout.sheet.settled  # read before improving: it may become ready in between
            workspace.layout.improve()
            changed = workspace.layout.method != method
            drawn = self._shown(workspace, asked) if changed else (gr.skip(),) * SHOWN_PARTS
        return *drawn, gr.Timer(active=not settled)

    def relayout(self, asked: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Lay the map out anew around the visitor's edits; no other visitor's map changes."""
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            if not self._has_edits(workspace):
                yield markup.note(texts.MAP_NO_EDITS), gr.update(visible=HIDDEN), *self._shown(workspace, asked)
                return
            yield self._busy(markup.progress(texts.MAP_LAYING_OUT, 0, 1))
            edits, layout = workspace.edits, workspace.layout
            layout.relayout(drawn_texts(edits, workspace.questions), keys_of(edits).keys())
            words = markup.note(map_words.laid_out(layout.method), "good")
            yield words, gr.update(visible=HIDDEN), *self._shown(workspace, asked)

    def count(self, on: object, asked: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Ask the router about every text on the map, and mark those that an edit would answer; or put that away."""
        wanted = border.switch_field(on)
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            words = ""
            if not wanted or not self._has_edits(workspace):
                workspace.reach.forget()
                words = texts.MAP_NO_EDITS if wanted else ""
            else:
                steps = workspace.reach.steps(self._judged(workspace))
                try:
                    for count, step in enumerate(steps):
                        if count % 4 == 0:
                            yield self._busy(markup.progress(map_words.judging(step), step.done, step.total))
                finally:
                    steps.close()
            yield markup.note(words), gr.update(visible=HIDDEN), *self._shown(workspace, asked)

    def again(self, asked: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Count once more."""
        yield from self.count(True, asked, token, request)

    def unfinished(self, asked: object, token: object, request: gr.Request) -> Shown:
        """Show what was found before it was stopped."""
        return markup.note(texts.MAP_STOPPED, "stop"), gr.update(visible=HIDDEN), *self.draw(asked, token, request)

    def pick(self, asked: object, token: object, request: gr.Request, event: gr.EventData) -> Shown:
        """Tell what the clicked point stands for: an edit as in the list, or a question, which goes into its box again."""
        kind, number = bridge.picked(event)
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            if kind == "edit":
                return gr.skip(), *self._edit(workspace, number)
            return self._question(workspace, self._questions(workspace, asked), number)

    def find(self, rows: object, looking: object, chosen: object) -> Shown:
        """Return the page of the list on which the chosen edit stands; a search that hides it is given up."""
        known = [row for row in rows if isinstance(row, present.EditRow)] if isinstance(rows, tuple) else []
        looking = looking if isinstance(looking, Looking) else Looking()
        if not any(row.number == chosen and matches(row, looking.words) for row in known):
            looking = Looking(order=looking.order)
        order = [row.number for row in ORDERS[looking.order](known) if matches(row, looking.words)]
        return order.index(chosen) // ROWS_SHOWN if chosen in order else 0, looking, looking.words

    # ---- helpers in the order of use ----

    def _has_edits(self, workspace: Workspace) -> bool:
        return workspace.remembers and bool(workspace.edits)  # one that strangers read side by side is not theirs

    def _busy(self, words: str) -> Shown:
        return words, gr.update(visible=True), *(gr.skip(),) * SHOWN_PARTS

    def _judged(self, workspace: Workspace) -> list[str]:
        return [*workspace.layout.sheet.references, *drawn_texts(workspace.edits, workspace.questions).values()]

    def _questions(self, workspace: Workspace, asked: object) -> tuple[AskedQuestion, ...]:
        if workspace.remembers:
            return workspace.questions
        return (asked,) if isinstance(asked, AskedQuestion) else ()

    def _edit(self, workspace: Workspace, number: int) -> Shown:
        edits, numbers = workspace.edits, workspace.numbers()
        rows = present.edit_rows(edits, numbers, covers(edits), uncovered_by(edits))
        row = next((row for row in rows if row.number == number), None)
        if row is None:
            return markup.note(texts.GONE, "stop"), gr.update(visible=HIDDEN), 0
        fact = markup.fact(row.number, row.prompt, row.target, row.detail, row.notes, enabled=row.enabled)
        return f'<div data-edit="{number:d}" role="status">{fact}</div>', gr.update(visible=True), number

    def _question(self, workspace: Workspace, questions: Sequence[AskedQuestion], number: int) -> Shown:
        hidden, found = gr.update(visible=HIDDEN), next((q for q in questions if q.number == number), None)
        if found is None:
            return gr.skip(), markup.note(texts.QUESTION_GONE, "stop"), hidden, 0
        answered = workspace.numbers().get(found.edit_id or "", 0)
        words = f"{present.quoted(found.text)} {map_words.asked_words(found, answered, time.time())}"
        return found.text, markup.note(words), hidden, 0

    def _shown(self, workspace: Workspace, asked: object) -> Shown:
        layout, edits, numbers, reach = workspace.layout, workspace.edits, workspace.numbers(), workspace.reach
        layout = layout if workspace.remembers else layout.empty()
        found = reach.found()
        drawn = picture(layout, edits, numbers, self._questions(workspace, asked), found)
        words = markup.note(map_words.drawn_with(drawn, layout.own))
        stale = reach.wanted and (found is None or drawn.judged < len(set(self._judged(workspace))))
        if found is not None:
            on = [numbers.get(edit.id, 0) for edit in edits if edit.enabled]
            words += markup.note(map_words.reach_words(drawn, on, len(set(self._judged(workspace)))))
        elif reach.wanted:
            words += markup.note(map_words.reach_stale(), "stop")
        head = (say("Sign"), say("What"), say("Text"), say("Answered by"))
        return (
            shown(map_figure(drawn)), words, markup.table(texts.MAP_CHART, head, map_words.map_rows(drawn)),
            drawn.method, reach.wanted, gr.update(visible=seen(stale)), "", gr.update(visible=HIDDEN), 0,
        )  # fmt: skip
