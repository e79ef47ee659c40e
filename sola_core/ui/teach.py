"""The panel that teaches: a fact to write or to choose, what it replaces, and the loss while it is learnt.

Knows the workspace's `teach`; how an edit is made is not its business.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import gradio as gr

from sola_core.errors import UnknownEdit
from sola_core.records import Edit, EditRequest, TrainingStep
from sola_core.registry import Visitor
from sola_core.studio import Studio
from sola_core.text import checked_request
from sola_core.ui import border, markup, present, texts
from sola_core.ui.figures import loss_figure
from sola_core.ui.plot import shown
from sola_core.ui.visible import HIDDEN
from sola_core.words import say
from sola_core.workspace import Workspace

REDRAW_SECONDS = 0.25
Update = dict[str, object]
Shown = tuple[object, ...]  # status, chart, conflict group, conflict text, pending, cancel button


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A checked request that waits for the visitor's word, and the edit that it meets."""

    request: EditRequest
    answers_now: str  # edit id


@dataclass(frozen=True, kw_only=True)
class TeachPanel:
    """The components that other panels listen to or fill."""

    prompt: gr.Textbox
    target: gr.Textbox
    subject: gr.Textbox
    rephrases: gr.Textbox
    examples: gr.Dataset
    teach: gr.Button
    replace: gr.Button
    keep_both: gr.Button
    never_mind: gr.Button
    cancel: gr.Button
    pending: gr.State
    shown: list[gr.components.Component]


def teach_panel(studio: Studio) -> TeachPanel:
    """Draw the panel."""
    gr.HTML(markup.heading("1", texts.TEACH_HEADING, texts.TEACH_HINT))
    examples = gr.Dataset(
        label=texts.EXAMPLES,
        components=["textbox"],
        samples=[[fact.request.prompt] for fact in studio.facts],
        sample_labels=[present.one_line(fact.request.subject or fact.request.prompt, 40) for fact in studio.facts],
        type="index",
        layout="gallery",
        samples_per_page=8,
        elem_id="examples",
    )
    prompt = gr.Textbox(label=texts.PROMPT, placeholder=texts.PROMPT_PLACEHOLDER, lines=2, elem_id="prompt")
    target = gr.Textbox(label=texts.TARGET, placeholder=texts.TARGET_PLACEHOLDER, elem_id="target")
    with gr.Accordion(texts.OPTIONAL, open=False):
        subject = gr.Textbox(label=texts.SUBJECT, placeholder=texts.SUBJECT_PLACEHOLDER, elem_id="subject")
        rephrases = gr.Textbox(
            label=texts.REPHRASES, placeholder=texts.REPHRASES_PLACEHOLDER, lines=2, elem_id="rephrases"
        )
    with gr.Row():
        teach = gr.Button(texts.TEACH, variant="primary", interactive=False, scale=3, elem_id="teach")
        cancel = gr.Button(texts.CANCEL, interactive=False, scale=1, min_width=90, elem_id="cancel")
    # a column cannot be hidden from the beginning, a group can; its id would be in the page twice
    with (
        gr.Group(visible=HIDDEN, elem_classes="sola-bare") as conflict,
        gr.Column(elem_id="conflict", elem_classes="sola-question"),
    ):
        conflict_text = gr.HTML()
        with gr.Row():
            replace = gr.Button(texts.REPLACE, variant="primary", size="sm", elem_id="replace")
            keep_both = gr.Button(texts.KEEP_BOTH, size="sm", elem_id="keep-both")
            never_mind = gr.Button(texts.NEVER_MIND, size="sm", elem_id="never-mind")
    status = gr.HTML(elem_id="teach-status")
    chart = gr.Plot(label=texts.LOSS_CHART, show_label=False, visible=HIDDEN, elem_id="loss-chart")
    pending = gr.State(None)
    return TeachPanel(
        prompt=prompt,
        target=target,
        subject=subject,
        rephrases=rephrases,
        examples=examples,
        teach=teach,
        replace=replace,
        keep_both=keep_both,
        never_mind=never_mind,
        cancel=cancel,
        pending=pending,
        shown=[status, chart, conflict, conflict_text, pending, cancel],
    )


class TeachHandlers:
    """What happens when a button of the panel is pressed."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._registry = studio, studio.registry

    def choose(self, index: object) -> tuple[str, str, str, str, str]:
        """Fill the boxes, and the question to ask, with an example."""
        fact = self._studio.facts[border.whole_field(index, say("the example"), len(self._studio.facts))]
        request = fact.request
        return request.prompt, request.target, request.subject or "", "", request.prompt

    def teach(
        self, prompt: object, target: object, subject: object, rephrases: object, token: object, request: gr.Request
    ) -> Generator[Shown, None, None]:
        """Teach what the boxes hold; if an edit already answers it, ask first."""
        visitor = border.visitor(self._registry, request, token)
        wanted = checked_request(
            EditRequest(
                prompt=border.text_field(prompt, say("prompt")),
                target=border.text_field(target, say("new answer")),
                subject=border.text_field(subject, say("subject")) or None,
                rephrases=border.lines_field(rephrases, say("rephrasings")),
            )
        )
        with self._registry.visit(visitor) as workspace:
            route = workspace.editor.route(wanted.prompt)
            meets = _edit(workspace.edits, route.edit_id)
            number = workspace.numbers().get(meets.id, 0) if meets else 0
        if meets is None:
            yield from self._learn(visitor, wanted, ())
            return
        question = markup.note(present.conflict(meets, number, route))
        pending = Pending(request=wanted, answers_now=meets.id)
        yield "", gr.update(visible=HIDDEN), gr.update(visible=True), question, pending, gr.skip()

    def replace(self, pending: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Teach the waiting fact and delete, in the same transaction, the edit that answered it."""
        waiting = self._waiting(pending)
        yield from self._learn(border.visitor(self._registry, request, token), waiting.request, (waiting.answers_now,))

    def keep_both(self, pending: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Teach the waiting fact beside the edit that answered it."""
        yield from self._learn(border.visitor(self._registry, request, token), self._waiting(pending).request, ())

    def unfinished(self) -> Shown:
        """Say that it was cancelled or failed; an error has told its reason in a message of its own."""
        return self._rest(markup.note(texts.UNFINISHED, "stop"))

    def never_mind(self) -> Shown:
        """Put the waiting fact away."""
        return self._rest(markup.note(texts.NOT_TAUGHT))

    def _rest(self, status: str) -> Shown:
        hidden = gr.update(visible=HIDDEN)
        return status, hidden, hidden, "", None, gr.update(interactive=False)

    def _waiting(self, pending: object) -> Pending:
        if not isinstance(pending, Pending):
            raise UnknownEdit(say("There is no fact waiting any more. Write it again and press the button."))
        return pending

    def _learn(self, visitor: Visitor, wanted: EditRequest, replace: Sequence[str]) -> Generator[Shown, None, None]:
        hidden = gr.update(visible=HIDDEN)
        start = markup.progress(say("Getting ready"), 0, 1)
        yield start, hidden, hidden, "", None, gr.update(interactive=True)
        with self._registry.claim(visitor) as workspace:
            numbers = workspace.numbers()
            losses: list[float] = []
            steps = workspace.teach(wanted, replace)
            try:
                drawn = 0.0
                while True:
                    step = next(steps)
                    if step.stage == "training":
                        losses.append(step.loss)
                    if time.monotonic() - drawn >= REDRAW_SECONDS:
                        drawn = time.monotonic()
                        yield self._running(step, losses)
            except StopIteration as finished:
                edit: Edit = finished.value
            finally:
                steps.close()
            words = self._finished_words(workspace, edit, [numbers.get(old, 0) for old in replace])
        chart = gr.update(value=shown(loss_figure(edit.training.losses)), visible=True)
        yield markup.note(words, "good"), chart, hidden, "", None, gr.update(interactive=False)

    def _running(self, step: TrainingStep, losses: Sequence[float]) -> Shown:
        bar = markup.progress(present.progress_text(step), step.step, step.total)
        chart = gr.update(value=shown(loss_figure(losses)), visible=True) if losses else gr.skip()
        return bar, chart, gr.skip(), gr.skip(), gr.skip(), gr.skip()

    def _finished_words(self, workspace: Workspace, edit: Edit, replaced: Sequence[int]) -> str:
        return present.taught(edit, workspace.numbers().get(edit.id, 0), replaced)


def _edit(edits: Sequence[Edit], edit_id: str | None) -> Edit | None:
    return next((edit for edit in edits if edit.id == edit_id), None)
