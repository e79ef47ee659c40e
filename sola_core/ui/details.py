"""The part of the list that an open row opens to: the edit's facts, its loss curve and its probe.

Knows the workspace's `details` and which row is open. It stands between the two halves of the list and is drawn once, so
that a probe goes on filling it while the rows around it are drawn anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from sola_core.errors import UnknownEdit
from sola_core.studio import Studio
from sola_core.ui import border, markup, row_words, texts
from sola_core.ui.figures import loss_figure
from sola_core.ui.listing import Looking, Window, found_words, window
from sola_core.ui.plot import shown
from sola_core.ui.probe import ProbePanel, probe_panel
from sola_core.ui.visible import HIDDEN, seen
from sola_core.words import say, written

MANY = 12  # with more edits than these there is a search
Shown = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class DetailsPanel:
    """The components that an open row fills."""

    probe: ProbePanel
    shown: list[gr.components.Component]  # group, facts, chart, table


def details_panel() -> DetailsPanel:
    """Draw the part; it is hidden until a row is opened."""
    with (
        gr.Group(visible=HIDDEN, elem_classes="sola-bare") as group,
        gr.Column(elem_id="details", elem_classes="sola-details"),
    ):
        facts = gr.HTML(elem_id="details-facts")
        gr.HTML(markup.whose(texts.ROW_LOSS))
        chart = gr.Plot(label=texts.ROW_LOSS, show_label=False, elem_id="details-loss")
        with gr.Accordion(texts.AS_TABLE, open=False, elem_id="details-table"):
            table = gr.HTML()
        probe = probe_panel()
    return DetailsPanel(probe=probe, shown=[group, facts, chart, table])


class DetailsHandlers:
    """Fills what follows the list: the open row's part, the search and the line under it."""

    def __init__(self, studio: Studio) -> None:
        self._registry = studio.registry

    def follow(
        self, rows: object, looking: object, page: object, opened: object, token: object, request: gr.Request
    ) -> Shown:
        """Return the search's group, its line, and what the open row opens to, as the list is now."""
        if not (isinstance(rows, tuple) and isinstance(looking, Looking) and isinstance(page, int)):
            return gr.skip(), gr.skip(), *self._closed()
        part = window(rows, looking, page, opened if isinstance(opened, str) else "")
        search = gr.update(visible=seen(len(rows) > MANY or looking.words.strip()))
        return search, markup.note(found_words(part)), *self._opened(part, token, request)

    def _opened(self, part: Window, token: object, request: gr.Request) -> Shown:
        if part.opened is None:
            return self._closed()
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            try:
                details = workspace.details(part.opened.id)
            except UnknownEdit:  # deleted elsewhere meanwhile: the list that follows shows it
                return self._closed()
            numbers = workspace.numbers()
        facts = markup.known(row_words.facts_of(details, part.opened, numbers))
        losses = details.edit.training.losses
        rows = [(str(step), written(loss, ".4f")) for step, loss in enumerate(losses, 1)]
        table = markup.table(texts.ROW_LOSS, (say("Step"), say("Loss")), rows)
        return gr.update(visible=True), facts, gr.update(value=shown(loss_figure(losses))), table

    def _closed(self) -> Shown:
        return gr.update(visible=HIDDEN), gr.skip(), gr.skip(), gr.skip()
