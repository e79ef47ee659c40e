"""The panel with the map of edits and questions, and the same as a table.

Knows `places` and the workspace; how texts become points is the atlas's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from sola_core.studio import Studio
from sola_core.ui import border, markup, present, texts
from sola_core.ui.figures import map_figure
from sola_core.ui.places import MapPicture, picture
from sola_core.ui.plot import shown
from sola_core.workspace import AskedQuestion

KINDS = {"on": "edit, on", "off": "edit, off", "question": "question"}
CHECK_SECONDS = 3.0  # between two looks whether UMAP is ready


@dataclass(frozen=True, kw_only=True)
class MapPanel:
    """The components that a change fills."""

    chart: gr.Plot
    note: gr.HTML
    table: gr.HTML
    method: gr.State  # the projection now on the screen
    timer: gr.Timer

    @property
    def shown(self) -> list[gr.components.Component]:
        """What `MapHandlers.draw` returns values for."""
        return [self.chart, self.note, self.table, self.method]


def map_panel() -> MapPanel:
    """Draw the panel."""
    gr.HTML(markup.heading("", texts.MAP_HEADING, texts.MAP_HINT))
    chart = gr.Plot(label=texts.MAP_CHART, show_label=False, elem_id="map-chart")
    note = gr.HTML(elem_id="map-note")
    with gr.Accordion(texts.AS_TABLE, open=False, elem_id="map-table"):
        table = gr.HTML()
    return MapPanel(chart=chart, note=note, table=table, method=gr.State(""), timer=gr.Timer(CHECK_SECONDS))


class MapHandlers:
    """Draws the map of whoever asks."""

    def __init__(self, studio: Studio) -> None:
        self._registry = studio.registry

    def draw(self, asked: object, token: object, request: gr.Request) -> tuple[object, ...]:
        """Return the map as it is now; points keep their places."""
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            layout, questions = workspace.layout, workspace.questions
            if not workspace.remembers:
                layout, questions = layout.empty(), (asked,) if isinstance(asked, AskedQuestion) else ()
            return self._shown(picture(layout, workspace.edits, workspace.numbers(), questions))

    def improve(self, asked: object, method: object, token: object, request: gr.Request) -> tuple[object, ...]:
        """Change to UMAP once it is ready, and stop looking when nothing better will come."""
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            settled = workspace.layout.sheet.settled  # read before improving: it may become ready in between
            workspace.layout.improve()
            changed = workspace.layout.method != method
        drawn = self.draw(asked, token, request) if changed else (gr.skip(),) * 4
        return *drawn, gr.Timer(active=not settled)

    def _shown(self, drawn: MapPicture) -> tuple[object, ...]:
        method = "UMAP" if drawn.method == "umap" else "PCA, until UMAP is warm"
        words = f"Drawn with {method}. The small dots are everyday sentences, for orientation."
        if drawn.left_out:
            words += f" {drawn.left_out} older edits are not drawn."
        rows = [
            (
                point.label,
                KINDS[point.kind],
                present.one_line(point.text, 120),
                f"edit {point.answered_by}" if point.answered_by else "",
            )
            for point in drawn.points
        ]
        table = markup.table(texts.MAP_CHART, ("Sign", "What", "Text", "Answered by"), rows)
        return shown(map_figure(drawn)), markup.note(words), table, drawn.method
