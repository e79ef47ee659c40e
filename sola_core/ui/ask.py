"""The panel that asks: the untouched model and the edited one answer side by side, streaming.

Knows the workspace's `ask`; which edit answers, and why, it only hands on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import gradio as gr

from sola_core.comparison import SideBySide
from sola_core.records import EditRequest, Route
from sola_core.studio import Studio, fact_for
from sola_core.text import checked_prompt
from sola_core.ui import border, explain, markup, present, texts
from sola_core.ui.compared import PARTS, ComparedPanel, compared_panel, not_yet, show_compared
from sola_core.ui.explain import Why
from sola_core.ui.routers import Decided, waiting
from sola_core.ui.visible import HIDDEN, seen
from sola_core.ui.why import show_why
from sola_core.words import say
from sola_core.workspace import AskedQuestion, Workspace

Shown = tuple[
    object, ...
]  # base text, base badge, edited text, edited badge, comparison, asked, why, stop button, why panel, decided, routers panel,
# both answers, panel of what they are to each other
WHY_PARTS = 5  # components of the why panel
ONCE = WHY_PARTS + 1 + 5  # ... the question as it was decided, and the routers panel: told with the first piece
FOLLOWING = ONCE + 1 + PARTS  # ... both answers, and the panel under them


@dataclass(frozen=True, kw_only=True)
class AskPanel:
    """The components that other panels listen to or fill."""

    question: gr.Textbox
    ask: gr.Button
    stop: gr.Button
    suggestions: tuple[gr.Button, ...]
    suggested: gr.State  # the three questions behind them
    told: gr.State  # Why, to be shown again when the answers have ended
    asked: gr.State  # AskedQuestion, for a visitor who has no workspace to remember it
    shown: list[gr.components.Component]
    compared: ComparedPanel


def ask_panel() -> AskPanel:
    """Draw the panel."""
    gr.HTML(markup.heading("2", texts.ASK_HEADING, texts.ASK_HINT))
    question = gr.Textbox(label=texts.QUESTION, placeholder=texts.QUESTION_PLACEHOLDER, max_lines=6, elem_id="question")
    with gr.Row():
        ask = gr.Button(texts.ASK, variant="primary", interactive=False, scale=3, elem_id="ask")
        stop = gr.Button(texts.STOP, interactive=False, scale=1, min_width=90, elem_id="stop")
    with gr.Row(elem_classes="sola-suggestions"):
        suggestions = tuple(
            gr.Button("", size="sm", visible=HIDDEN, min_width=120, elem_id=f"suggestion-{number}")
            for number in (1, 2, 3)
        )
    with gr.Row(elem_classes="sola-answers"):
        with gr.Column(elem_classes="sola-answer sola-answer-base", min_width=260):
            base = gr.Textbox(
                label=texts.BASE_ANSWER,
                lines=4,
                max_lines=14,
                interactive=False,
                elem_id="base-answer",
                placeholder=texts.ANSWER_PLACEHOLDER,
            )
            base_badge = gr.HTML(elem_id="base-badge")
        with gr.Column(elem_classes="sola-answer sola-answer-edit", min_width=260):
            edited = gr.Textbox(
                label=texts.EDITED_ANSWER,
                lines=4,
                max_lines=14,
                interactive=False,
                elem_id="edited-answer",
                placeholder=texts.ANSWER_PLACEHOLDER,
            )
            edited_badge = gr.HTML(elem_id="edited-badge")
    compared, panel = gr.HTML(elem_id="compared"), compared_panel()
    asked, told, suggested = gr.State(None), gr.State(None), gr.State(("", "", ""))
    return AskPanel(
        question=question,
        ask=ask,
        stop=stop,
        suggestions=suggestions,
        suggested=suggested,
        told=told,
        asked=asked,
        shown=[base, base_badge, edited, edited_badge, compared, asked, told, stop],
        compared=panel,
    )


class AskHandlers:
    """What happens when a question is asked."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._registry = studio, studio.registry

    def ask(self, question: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Stream both answers; who answered and why is known with the first piece."""
        visitor = border.visitor(self._registry, request, token)
        text = checked_prompt(border.text_field(question, say("question")))
        before = *(gr.skip(),) * WHY_PARTS, None, *waiting(), None, *not_yet()
        yield "", "", "", "", "", gr.skip(), gr.skip(), gr.update(interactive=True), *before
        with self._registry.visit(visitor) as workspace:
            numbers = workspace.numbers()
            rounds = workspace.ask(text)
            try:
                for count, both in enumerate(rounds):
                    who = present.who_answered(both.route, numbers)
                    first = self._first(workspace, both) if count == 0 else (gr.skip(),) * (3 + ONCE)
                    news = both if count == 0 or (both.base and both.edited) else gr.skip()
                    yield (*self._texts(both, who), markup.note(present.comparison(both)), *first, news, *not_yet())
            finally:
                rounds.close()

    def ended(self) -> object:
        """Put the stop button to rest."""
        return gr.update(interactive=False)

    def why_again(self, told: object) -> tuple[object, ...]:
        """Return once more what the panel that says why shows.

        Gradio's page applies a streamed message to the one before it, in place: of several that arrive together only the
        last one's updates of a component are seen, and the later ones here have none.
        """
        return show_why(told) if isinstance(told, Why) else (gr.skip(),) * WHY_PARTS

    def compared(self, both: object) -> tuple[object, ...]:
        """Return what stands under the answers, now that they have ended or were stopped."""
        return show_compared(both)

    def unfinished(self) -> str:
        """Say that the answers were stopped or failed."""
        return markup.note(texts.STOPPED, "stop")

    def suggest(self, taught: EditRequest | None) -> Shown:
        """Offer questions about the fact learnt last: itself, in other words, and a neighbour."""
        if taught is None:
            return *(gr.update(visible=HIDDEN),) * 3, ("", "", "")
        fact = fact_for(self._studio.facts, taught.prompt)
        words = fact.rephrases[0] if fact else next(iter(taught.rephrases), "")
        offers = (taught.prompt, words, fact.locality[0].prompt if fact else "")
        names = (texts.SUGGEST_SAME, texts.SUGGEST_OTHER_WORDS, texts.SUGGEST_NEIGHBOUR)
        return (
            *(
                gr.update(value=f"{texts.SUGGESTIONS} {name}: {present.one_line(offer, 70)}", visible=seen(offer))
                for name, offer in zip(names, offers, strict=True)
            ),
            offers,
        )

    def taker(self, number: int) -> Callable[[object], str]:
        """Return the handler of a suggestion: it fills in the question."""

        def take(suggested: object) -> str:
            assert isinstance(suggested, tuple)
            return str(suggested[number])

        return take

    def _first(self, workspace: Workspace, both: SideBySide) -> Shown:
        why = explain.why(both.question, both.route, workspace.edits, workspace.numbers())
        asked = AskedQuestion(number=1, text=both.question, edit_id=both.route.edit_id, at=time.time())
        return asked, why, gr.skip(), *show_why(why), Decided(question=both.question, route=both.route), *waiting()

    def _texts(self, both: SideBySide, who: str) -> tuple[str, str, str, str]:
        base_badge = markup.badge(say("The model as it was trained"), "base")
        base_badge += markup.note(present.how_it_ended(both.base), "stop")
        edited_badge = markup.badge(who, _kind(both.route)) + markup.note(present.how_it_ended(both.edited), "stop")
        return both.base_text, base_badge, both.edited_text, edited_badge


def _kind(route: Route) -> str:
    return "base" if route.deferred else "edit"
