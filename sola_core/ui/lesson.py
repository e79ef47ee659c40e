"""The lesson tab: the line of steps, the step that is shown, and one button that does what the step is about.

Draws the components and joins them to `LessonHandlers`. One view changes its content from step to step, so that no
component is ever mounted anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import gradio as gr
from gradio.events import Dependency

from sola_core.studio import Studio
from sola_core.ui import joining, lesson_markup, markup, present
from sola_core.ui import lesson_texts as texts
from sola_core.ui.lesson_handlers import LessonHandlers, boxes_of
from sola_core.ui.lesson_view import PARTS
from sola_core.ui.visible import HIDDEN
from sola_core.words import say

KEPT_KEY = "sola-lesson"  # where the browser keeps how far the lesson has come; it holds no secret
# The control that is needed next takes the focus once it is there, if nothing outside of the lesson has it.
FOCUS: Final = """(name) => {
  if (!name) return;
  const until = Date.now() + 4000;
  const look = () => {
    const now = document.activeElement;
    if (now && now !== document.body && !document.getElementById('lesson-card').contains(now)) return;
    const control = document.getElementById('lesson-' + name);
    if (control && control.offsetParent !== null && !control.disabled)
      (control.querySelector('textarea') || control).focus();
    else if (Date.now() < until) setTimeout(look, 50);
  };
  setTimeout(look, 50);
}"""


@dataclass(frozen=True, kw_only=True)
class LessonPanel:
    """The components that are listened to or filled."""

    kept: gr.BrowserState
    examples: gr.Dataset
    boxes: list[gr.components.Component]  # prompt, target, rephrase, neighbour, subject
    wording: gr.Textbox
    go: gr.Button
    stop: gr.Button
    back: gr.Button
    next: gr.Button
    anyway: gr.Button
    again: gr.Button
    focus: gr.Textbox
    shown: list[gr.components.Component]  # in the order of PARTS


def lesson_panel(studio: Studio) -> LessonPanel:
    """Draw the panel."""
    parts: dict[str, gr.components.Component] = {}
    kept = gr.BrowserState("", storage_key=KEPT_KEY)
    gr.HTML(markup.heading("", texts.LESSON_HEADING, texts.LESSON_HINT))
    gr.Checkbox(False, label=texts.LARGE, interactive=True, container=False, elem_id="lesson-large")
    parts["line"] = gr.HTML(lesson_markup.line(None), elem_id="lesson-line")
    parts["body"] = gr.HTML(lesson_markup.body(1, "ask"), elem_id="lesson-body")
    with gr.Group(elem_classes="sola-bare") as parts["setup"], gr.Column(elem_classes="sola-lesson-setup"):
        examples, boxes = _setup(studio)
    wording = gr.Textbox(label=texts.REPHRASE_NOW, visible=HIDDEN, max_lines=4, elem_id="lesson-wording")
    with gr.Row(elem_classes="sola-lesson-do"):
        go = gr.Button(texts.STEPS["ask"].button, variant="primary", interactive=False, scale=3, elem_id="lesson-go")
        stop = gr.Button(texts.STOP, interactive=False, scale=1, min_width=90, elem_id="lesson-stop")
    with (
        gr.Group(visible=HIDDEN, elem_classes="sola-bare") as parts["answers"],
        gr.Row(elem_classes="sola-answers"),
    ):
        with gr.Column(min_width=260):
            parts["base"] = gr.HTML(elem_id="lesson-base")
        with gr.Column(min_width=260):
            parts["edited"] = gr.HTML(elem_id="lesson-edited")
    parts["outcome"], parts["prints"] = gr.HTML(elem_id="lesson-outcome"), gr.HTML(elem_id="lesson-prints")
    with gr.Row(elem_classes="sola-lesson-nav"):
        back = gr.Button(texts.BACK, interactive=False, scale=0, min_width=100, elem_id="lesson-back")
        onward = gr.Button("", variant="primary", visible=HIDDEN, scale=2, elem_id="lesson-next")
        anyway = gr.Button(texts.ANYWAY, visible=HIDDEN, scale=2, elem_id="lesson-anyway")
        again = gr.Button(texts.START_AGAIN, interactive=False, scale=1, min_width=140, elem_id="lesson-again")
    with gr.Accordion(texts.WHY, open=False, elem_id="lesson-why"):
        parts["why"] = gr.HTML(lesson_markup.why("ask"), elem_classes="sola-lesson-fold")
    with gr.Accordion(texts.NOTES, open=False, elem_id="lesson-notes"):
        parts["notes"] = gr.HTML(lesson_markup.notes("ask"), elem_classes="sola-lesson-fold")
    focus = gr.Textbox("", label=say("Next control"), visible=HIDDEN, elem_id="lesson-focus")
    parts |= {
        "kept": kept,
        "wording": wording,
        "focus": focus,
        "go": go,
        "stop": stop,
        "back": back,
        "next": onward,
        "anyway": anyway,
        "again": again,
    }
    return LessonPanel(
        kept=kept,
        examples=examples,
        boxes=boxes,
        wording=wording,
        go=go,
        stop=stop,
        back=back,
        next=onward,
        anyway=anyway,
        again=again,
        focus=focus,
        shown=[parts[name] for name in PARTS],
    )


def _setup(studio: Studio) -> tuple[gr.Dataset, list[gr.components.Component]]:
    prompt, target, rephrase, neighbour, subject = boxes_of(studio.facts[0])
    examples = gr.Dataset(
        label=texts.CHOOSE,
        components=["textbox"],
        samples=[[fact.prompt] for fact in studio.facts],
        sample_labels=[present.one_line(fact.subject or fact.prompt, 40) for fact in studio.facts],
        type="index",
        layout="gallery",
        samples_per_page=12,
        elem_id="lesson-examples",
    )
    gr.HTML(markup.note(texts.FACT_HINT))
    with gr.Row():
        first = gr.Textbox(prompt, label=texts.PROMPT, interactive=True, min_width=260, elem_id="lesson-prompt")
        second = gr.Textbox(target, label=texts.TARGET, interactive=True, min_width=260, elem_id="lesson-target")
    with gr.Row():
        third = gr.Textbox(rephrase, label=texts.REPHRASE, interactive=True, min_width=260, elem_id="lesson-rephrase")
        fourth = gr.Textbox(
            neighbour, label=texts.NEIGHBOUR, interactive=True, min_width=260, elem_id="lesson-neighbour"
        )
    fifth = gr.Textbox(subject, label=texts.SUBJECT, interactive=True, elem_id="lesson-subject")
    return examples, [first, second, third, fourth, fifth]


def join_lesson(
    panel: LessonPanel,
    act: LessonHandlers,
    token: gr.BrowserState,
    at_once: int,
    arrived: Dependency,
    follow: Callable[[Dependency], None],
) -> None:
    """Join the panel's controls to its handlers; `follow` lets the other panels follow a change of edits."""
    here: list[gr.components.Component] = [panel.kept, token]
    joining.quick(panel.examples.click, act.choose, [panel.examples], panel.boxes)
    run = joining.model(
        [panel.go.click, panel.wording.submit], act.go, [*panel.boxes, panel.wording, *here], panel.shown, at_once
    )
    stopped = joining.quick(run.failure, act.unfinished, here, panel.shown)
    panel.stop.click(None, cancels=[run])
    follow(run)
    started_again = joining.quick(panel.again.click, act.again, here, panel.shown)
    follow(started_again)
    moves = [
        joining.quick(panel.next.click, act.next, here, panel.shown),
        joining.quick(panel.anyway.click, act.next, here, panel.shown),
        joining.quick(panel.back.click, act.back, here, panel.shown),
    ]
    for ended in (run.success, stopped.then, started_again.then, *(move.then for move in moves)):
        ended(None, [panel.focus], None, js=FOCUS, api_visibility="private", show_progress="hidden")
    joining.quick(arrived.then, act.resume, here, panel.shown)
