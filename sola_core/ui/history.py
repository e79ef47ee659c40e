"""The tab with all that was done here: a timeline, a slider that shows the model as it was, and undo for switches.

Knows the workspace's history and what is asked of it; how a moment is answered is not its business.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import gradio as gr

from sola_core.history import History, PastEdit, PastState
from sola_core.records import Edit
from sola_core.revisiting import AnswerThen
from sola_core.studio import Studio
from sola_core.text import checked_prompt
from sola_core.ui import border, history_words, markup, present, texts
from sola_core.ui.history_figure import history_figure
from sola_core.ui.history_words import Clock
from sola_core.ui.plot import shown
from sola_core.words import say

LISTED = 20  # edits of a moment, of each kind
ZONE_JS = """(kept) => {
  let zone = "";
  try { zone = Intl.DateTimeFormat().resolvedOptions().timeZone || ""; } catch (error) { zone = ""; }
  return [{ ...(kept && typeof kept === "object" ? kept : {}), zone: zone }];
}"""  # tells the visitor's time zone when the page is opened
Shown = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class HistoryPanel:
    """The components that are listened to or filled.

    None of them comes and goes: in a tab that was never opened, Gradio 6.31 loses updates of `visible`.
    """

    slider: gr.Slider
    undo: gr.Button
    undone: gr.HTML
    question: gr.Textbox
    ask: gr.Button
    stop: gr.Button
    shown: list[gr.components.Component]  # follow every change of the edits
    moment: list[gr.components.Component]  # follow the slider
    answered: list[gr.components.Component]


def history_panel() -> HistoryPanel:
    """Draw the tab."""
    with gr.Column(elem_classes="sola-card", elem_id="timeline-card"):
        gr.HTML(markup.heading("", texts.HISTORY_HEADING, texts.HISTORY_HINT))
        chart = gr.Plot(label=texts.HISTORY_CHART, show_label=False, elem_id="history-chart")
        gr.HTML(_legend(), elem_id="history-legend")
        slider = gr.Slider(
            0, 1, value=0, step=1, label=texts.HISTORY_SLIDER, interactive=False,
            elem_id="history-slider",
        )  # fmt: skip
        words = gr.HTML(markup.note(texts.HISTORY_EMPTY), elem_id="history-moment")
        note = gr.HTML(elem_id="history-note")
        with gr.Accordion(texts.AS_TABLE, open=False, elem_id="history-table"):
            table = gr.HTML()
    with gr.Row(elem_classes="sola-main"):
        with gr.Column(scale=5, min_width=320), gr.Column(elem_classes="sola-card", elem_id="state-card"):
            gr.HTML(markup.heading("", texts.STATE_HEADING))
            state = gr.HTML(elem_id="history-state")
            undo = gr.Button(texts.UNDO, interactive=False, elem_id="undo")
            undo_words, undone = gr.HTML(elem_id="undo-words"), gr.HTML(elem_id="undone")
            gr.HTML(markup.note(texts.FOR_EVER), elem_id="for-ever")
        with gr.Column(scale=7, min_width=320), gr.Column(elem_classes="sola-card", elem_id="then-card"):
            gr.HTML(markup.heading("", texts.THEN_HEADING, texts.THEN_HINT))
            question = gr.Textbox(
                label=texts.QUESTION, placeholder=texts.QUESTION_PLACEHOLDER, max_lines=6, elem_id="then-question"
            )
            with gr.Row():
                ask = gr.Button(texts.ASK_THEN, variant="primary", scale=3, elem_id="ask-then")
                stop = gr.Button(texts.STOP, interactive=False, scale=1, min_width=90, elem_id="stop-then")
            with gr.Column(elem_classes="sola-answer sola-answer-edit", min_width=260):
                answer = gr.Textbox(
                    label=texts.THEN_ANSWER, lines=3, max_lines=14, interactive=False,
                    placeholder=texts.ANSWER_PLACEHOLDER, elem_id="then-answer",
                )  # fmt: skip
                who, when = gr.HTML(elem_id="then-badge"), gr.HTML(elem_id="then-when")
    return HistoryPanel(
        slider=slider,
        undo=undo,
        undone=undone,
        question=question,
        ask=ask,
        stop=stop,
        shown=[chart, words, state, slider, note, table, undo, undo_words],
        moment=[chart, words, state],
        answered=[answer, who, when, stop],
    )


class HistoryHandlers:
    """What happens when the slider is moved or a button of the tab is pressed."""

    def __init__(self, studio: Studio) -> None:
        self._registry = studio.registry

    def draw(self, token: object, request: gr.Request) -> Shown:
        """Return the tab as it is now, with the slider at the present."""
        clock = _clock(token)
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            history, edits = workspace.history(), workspace.edits
            undoable = workspace.undoable(history)
        first, some = history_words.first_shown(history), history.now > 0
        older = history_words.timeline(history, edits, clock).older
        zone = texts.HISTORY_ZONE.format(zone=clock.name) if some else ""
        return (
            *_moment(history, edits, history.now, clock),
            gr.update(minimum=first, maximum=max(first + 1, history.now), value=history.now, interactive=some),
            markup.note(" ".join(part for part in (older, zone) if part)),
            _tables(history, edits, clock),
            gr.update(interactive=undoable is not None),
            markup.note(history_words.undo_words(undoable)),
        )

    def turn(self, moment: object, token: object, request: gr.Request) -> Shown:
        """Show another moment."""
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            history, edits = workspace.history(), workspace.edits
        number = border.moment_field(moment, history_words.first_shown(history), history.now)
        return _moment(history, edits, number, _clock(token))

    def ask(self, question: object, moment: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Answer as it was at the moment at which the slider stands; every message names every component."""
        text, clock = checked_prompt(border.text_field(question, say("question"))), _clock(token)
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            history, numbers = workspace.history(), workspace.numbers()
            number = border.moment_field(moment, history_words.first_shown(history), history.now)
            when = history_words.moment_words(history, number, clock)
            yield "", "", markup.note(when), gr.update(interactive=True)
            with closing(workspace.ask_at(text, number)) as pieces:
                for piece in pieces:
                    yield self._answered(piece, present.who_answered(piece.route, numbers), when, clock)

    def undo(self, token: object, request: gr.Request) -> str:
        """Set the last switch back and say which state this is."""
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            change = workspace.undo_switch()
            return markup.note(present.switched(change.number, change.kind == "off", workspace.same_state()), "good")

    def stopped(self) -> tuple[str, object]:
        """Say that the answer was stopped or failed."""
        return markup.note(texts.STOPPED, "stop"), gr.update(interactive=False)

    def _answered(self, then: AnswerThen, who: str, when: str, clock: Clock) -> Shown:
        badge = markup.badge(who, "base" if then.route.deferred else "edit")
        badge += markup.note(present.how_it_ended(then.answer), "stop")
        words = markup.note(when) + markup.note(history_words.lost_words(then.state, clock), "stop")
        return then.text, badge, words, gr.update(interactive=then.answer is None)


def _clock(token: object) -> Clock:
    return Clock.of(border.zone(token), time.time())


def _moment(history: History, edits: tuple[Edit, ...], number: int, clock: Clock) -> Shown:
    """Return the picture with its line, the moment in words and the edits there were."""
    picture = history_words.timeline(history, edits, clock)
    return (
        shown(history_figure(picture, number)),
        markup.note(history_words.moment_words(history, number, clock)),
        _state(history.at(number), edits, clock),
    )


def _legend() -> str:
    words = "".join(
        f'<li class="sola-is-{kind}"><span aria-hidden="true"></span>{markup.escaped(words)}</li>'
        for kind, words in texts.HISTORY_LEGEND.items()
    )
    return f'<ul class="sola-legend">{words}</ul>'


def _state(state: PastState, edits: tuple[Edit, ...], clock: Clock) -> str:
    by_id = {edit.id: edit for edit in edits}

    def listed(found: tuple[PastEdit, ...], *, enabled: bool) -> str:
        rows = []
        for past in found[-LISTED:]:
            edit = by_id.get(past.edit_id or "")
            if edit is not None:  # else it was deleted this moment
                rows.append(markup.fact(past.number, edit.prompt, edit.target, "", (), enabled=enabled))
        if len(found) > LISTED:
            rows.append(markup.note(texts.STATE_MORE.format(count=len(found) - LISTED)))
        return "".join(rows)

    none = "" if state.on or state.lost else markup.note(texts.STATE_NONE_ON)
    lost = markup.note(history_words.lost_words(state, clock), "stop")
    return none + listed(state.on, enabled=True) + listed(state.off, enabled=False) + lost


def _tables(history: History, edits: tuple[Edit, ...], clock: Clock) -> str:
    moments = history_words.moments_table(history, clock)
    rows = history_words.edits_table(history, edits, clock)
    return markup.table(
        texts.HISTORY_EDITS, (say("Edit"), say("Its question"), say("On"), say("Now")), rows
    ) + markup.table(texts.HISTORY_MOMENTS, (say("Moment"), say("Time"), say("What was done")), moments)
