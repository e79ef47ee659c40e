"""The tab that compares methods: which ones and which facts, what they remember, one question for all, one fact taken back.

Draws the components and joins them to `CompareHandlers`.
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from gradio.events import Dependency

from sola_core.studio import Studio
from sola_core.ui import compare_markup, compare_words, joining, markup
from sola_core.ui import compare_texts as texts
from sola_core.ui.compare_handlers import AHEAD, ASKED, GROUPS, PARTS, TAKEN, CompareHandlers
from sola_core.ui.visible import HIDDEN

CHOSEN = 3  # methods that are chosen at first


@dataclass(frozen=True, kw_only=True)
class ComparePanel:
    """The components that are listened to or filled."""

    tab: gr.Tab
    methods: gr.CheckboxGroup
    facts: gr.Textbox
    few: gr.Button
    many: gr.Button
    run: gr.Button
    question: gr.Textbox
    ask: gr.Button
    undo: gr.Button
    parts: dict[str, gr.components.Component]  # by the names of PARTS

    @property
    def shown(self) -> list[gr.components.Component]:
        """Everything that a contest fills, in the order of PARTS."""
        return [self.parts[name] for name in PARTS]


def compare_panel(studio: Studio, tab: gr.Tab) -> ComparePanel:
    """Draw the tab."""
    parts: dict[str, gr.components.Component] = {}
    with gr.Column(elem_classes="sola-card", elem_id="compare-card"):
        methods, facts, few, many, run = _setup(studio, parts)
    with (
        gr.Group(visible=HIDDEN, elem_classes="sola-bare") as parts["results"],
        gr.Column(elem_classes="sola-card", elem_id="compare-results"),
    ):
        gr.HTML(markup.heading("", texts.RESULTS))
        parts["table"] = gr.HTML(elem_id="compare-table")
        gr.HTML(markup.subheading(texts.CURVES, texts.CURVES_HINT))
        parts["curves"] = gr.Plot(label=texts.CURVES, show_label=False, elem_id="compare-curves")
        with gr.Accordion(texts.AS_TABLE, open=False, elem_id="compare-more"):
            parts["details"] = gr.HTML()
    # beside the results and not in them: a group that is shown again shows the hidden groups in it, too
    with (
        gr.Group(visible=HIDDEN, elem_classes="sola-bare") as parts["places"],
        gr.Column(elem_classes="sola-card", elem_id="compare-places-card"),
    ):
        gr.HTML(markup.heading("", texts.PLACES, texts.PLACES_HINT))
        parts["map"] = gr.Plot(label=texts.PLACES, show_label=False, elem_id="compare-places")
    with (
        gr.Group(visible=HIDDEN, elem_classes="sola-bare") as parts["after"],
        gr.Column(elem_classes="sola-compare-after"),
    ):
        with gr.Column(elem_classes="sola-card", elem_id="compare-ask-card"):
            question, ask = _asking(parts)
        with gr.Column(elem_classes="sola-card", elem_id="compare-undo-card"):
            undo = _undoing(parts)
    with (
        gr.Group(visible=HIDDEN, elem_classes="sola-bare") as parts["undo_group"],
        gr.Column(elem_classes="sola-card", elem_id="compare-undone"),
    ):
        gr.HTML(markup.heading("", texts.UNDO_TABLE))
        parts["undo_chart"] = gr.Plot(label=texts.UNDO_CHART, show_label=False, elem_id="compare-undo-chart")
        parts["undo_table"] = gr.HTML(elem_id="compare-undo-table")
    return ComparePanel(
        tab=tab, methods=methods, facts=facts, few=few, many=many, run=run, question=question, ask=ask, undo=undo, parts=parts,
    )  # fmt: skip


def _setup(
    studio: Studio, parts: dict[str, gr.components.Component]
) -> tuple[gr.CheckboxGroup, gr.Textbox, gr.Button, gr.Button, gr.Button]:
    gr.HTML(markup.heading("", texts.HEADING, texts.HINT))
    contenders = studio.arenas.contenders
    methods = gr.CheckboxGroup(
        [(compare_words.choice(one), one.name) for one in contenders],
        value=[one.name for one in contenders[:CHOSEN]],
        label=texts.METHODS,
        interactive=True,
        elem_id="compare-methods",
        elem_classes="sola-choice",
    )
    with gr.Accordion(texts.WHY, open=False, elem_id="compare-why"):
        gr.HTML(compare_markup.why(contenders))
    facts = gr.Textbox(
        compare_words.fact_lines([(one.prompt, one.target_new or "") for one in studio.facts[: texts.START_WITH]]),
        label=texts.FACTS,
        placeholder=texts.FACTS_PLACEHOLDER,
        lines=6,
        max_lines=12,
        interactive=True,
        elem_id="compare-facts",
    )
    with gr.Row():
        few = gr.Button(texts.FEW_DEMO, size="sm", elem_id="compare-few")
        many = gr.Button(texts.MANY_DEMO, size="sm", elem_id="compare-many")
    with gr.Row():
        run = gr.Button(texts.RUN, variant="primary", scale=3, elem_id="compare-run")
        parts["stop"] = gr.Button(texts.STOP, interactive=False, scale=1, min_width=90, elem_id="compare-stop")
    parts["status"] = gr.HTML(elem_id="compare-status")
    return methods, facts, few, many, run


def _asking(parts: dict[str, gr.components.Component]) -> tuple[gr.Textbox, gr.Button]:
    gr.HTML(markup.heading("", texts.ASK_HEADING, texts.ASK_HINT))
    question = gr.Textbox(
        label=texts.QUESTION, placeholder=texts.QUESTION_PLACEHOLDER, max_lines=6, elem_id="compare-question"
    )
    with gr.Row():
        ask = gr.Button(texts.ASK, variant="primary", scale=3, elem_id="compare-ask")
        parts["ask_stop"] = gr.Button(texts.STOP, interactive=False, scale=1, min_width=90, elem_id="compare-ask-stop")
    parts["replies"], parts["ask_note"] = gr.HTML(elem_id="compare-replies"), gr.HTML(elem_id="compare-ask-note")
    return question, ask


def _undoing(parts: dict[str, gr.components.Component]) -> gr.Button:
    gr.HTML(markup.heading("", texts.UNDO_HEADING, texts.UNDO_HINT))
    parts["number"] = gr.Dropdown([], label=texts.NUMBER, interactive=True, elem_id="compare-number")
    with gr.Row():
        undo = gr.Button(texts.UNDO, variant="primary", scale=3, elem_id="compare-undo")
        parts["undo_stop"] = gr.Button(
            texts.STOP, interactive=False, scale=1, min_width=90, elem_id="compare-undo-stop"
        )
    # hidden unless a method of the contest can tell
    parts["foresee"] = gr.Button(texts.FORESEE, visible=HIDDEN, size="sm", elem_id="compare-foresee")
    parts["undo_status"] = gr.HTML(elem_id="compare-undo-status")
    parts["foreseen"] = gr.HTML(elem_id="compare-foreseen")
    return undo


def join_compare(
    panel: ComparePanel, act: CompareHandlers, token: gr.BrowserState, at_once: int, arrived: Dependency
) -> None:
    """Join the tab's controls to its handlers."""
    parts = panel.parts
    joining.quick(panel.few.click, act.few, None, [panel.facts])
    joining.quick(panel.many.click, act.many, None, [panel.facts])
    # without gradio's own check of a choice, which would write what a program sent to the log
    run = joining.model(
        panel.run.click, act.run, [panel.methods, panel.facts, token], panel.shown, at_once, preprocess=False
    )
    joining.quick(run.failure, act.unfinished, [token], panel.shown)
    _stops(parts["stop"], run)
    answers = [parts[name] for name in ASKED]
    asked = joining.model(
        [panel.ask.click, panel.question.submit], act.ask, [panel.question, token], answers, at_once, preprocess=False
    )
    joining.quick(asked.failure, act.ask_unfinished, None, answers[1:])
    _stops(parts["ask_stop"], asked)
    taken = [parts[name] for name in TAKEN]
    took = joining.model(panel.undo.click, act.take_back, [parts["number"], token], taken, at_once, preprocess=False)
    joining.quick(took.failure, act.undo_unfinished, [token], taken)
    foresee = parts["foresee"]
    assert isinstance(foresee, gr.Button)
    ahead = [parts[name] for name in AHEAD]
    looked = joining.model(foresee.click, act.foresee, [parts["number"], token], ahead, at_once, preprocess=False)
    joining.quick(looked.failure, act.foresee_unfinished, None, ahead)
    _stops(parts["undo_stop"], took, looked)
    joining.quick(arrived.then, act.resume, [token], panel.shown)
    # in a tab that was never opened, Gradio 6.31 loses updates of `visible`
    joining.quick(panel.tab.select, act.opened, [token], [parts[name] for name in GROUPS])


def _stops(button: gr.components.Component, *runs: Dependency) -> None:
    assert isinstance(button, gr.Button)
    button.click(None, cancels=list(runs))
