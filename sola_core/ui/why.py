"""The panel that says why: one sentence, the scores as bars with the threshold as a line, and the same as a table.

Knows the record `Why` and nothing of routers.
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from sola_core.ui import markup, texts
from sola_core.ui.explain import Why
from sola_core.ui.figures import why_figure
from sola_core.ui.plot import shown
from sola_core.ui.visible import HIDDEN, seen
from sola_core.words import say, written


@dataclass(frozen=True, kw_only=True)
class WhyPanel:
    """The components that a question fills."""

    shown: list[gr.components.Component]


def why_panel() -> WhyPanel:
    """Draw the panel."""
    gr.HTML(markup.heading("", texts.WHY_HEADING))
    decided_by = gr.HTML(elem_id="why-router")
    sentence = gr.HTML(markup.note(texts.WHY_EMPTY), elem_id="why-sentence")
    chart = gr.Plot(label=texts.WHY_CHART, show_label=False, visible=HIDDEN, elem_id="why-chart")
    with gr.Accordion(texts.AS_TABLE, open=False, visible=HIDDEN, elem_id="why-table") as fold:
        table = gr.HTML()
    return WhyPanel(shown=[decided_by, sentence, chart, fold, table])


def show_why(why: Why) -> tuple[object, ...]:
    """Return the five values that the panel shows for a question."""
    rows = [
        (
            say("Edit {number}", number=row.number),
            row.prompt,
            written(row.score, ".3f"),
            say("on") if row.enabled else say("off"),
            row.verdict,
        )
        for row in why.rows
    ]
    caption = say(
        "Router “{router}”: {score_name}, threshold {threshold:.3f}",
        router=why.router,
        score_name=why.score_name,
        threshold=why.threshold,
    )
    score = why.score_name[0].upper() + why.score_name[1:]
    head = (say("Edit"), say("Its question"), score, say("Switch"), say("Outcome"))
    return (
        markup.badge(say("Decided by the router “{router}”", router=why.router), "router"),
        markup.note(why.sentence),
        gr.update(value=shown(why_figure(why)) if rows else None, visible=seen(rows)),
        gr.update(visible=seen(rows)),
        markup.table(caption, head, rows),
    )
