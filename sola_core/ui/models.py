"""The panel of a personal page that says which model is in use, what others need, and changes to one of them.

Knows the studio's `switch`; how a model is loaded, and which file keeps its edits, is not its business.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import gradio as gr

from sola_core.errors import InvalidInput, SolaError
from sola_core.resources import asset
from sola_core.studio import Studio
from sola_core.switching import HostSwitch
from sola_core.ui import border, keep, markup, model_words
from sola_core.ui import model_texts as texts
from sola_core.ui.model_words import OTHER
from sola_core.ui.visible import HIDDEN, seen
from sola_core.words import here, say

# the page that changed the model turns to this tab again when it has been loaded anew
RELOAD_JS = "() => { try { sessionStorage.setItem('sola-tab', 'keep'); } catch {} location.reload(); }"
Shown = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class ModelsPanel:
    """The components that are listened to or filled."""

    choice: gr.Radio
    other: gr.Textbox
    load: gr.Button
    stop: gr.Button
    teach: gr.Button
    looked: list[gr.components.Component]  # choice, what the one in the box needs
    loading: list[gr.components.Component]  # status, load button, stop button
    shown: list[
        gr.components.Component
    ]  # the model in use, choice, those that do not fit, the offer, its words, its button


def models_panel() -> ModelsPanel:
    """Draw the panel; it is filled when somebody comes."""
    gr.HTML(markup.heading("", texts.HEADING, texts.HINT))
    now = gr.HTML(elem_id="model-now")
    # a group can be hidden from the beginning
    with gr.Group(visible=HIDDEN, elem_classes="sola-bare") as offer, gr.Column(elem_classes="sola-question"):
        offered = gr.HTML(elem_id="model-offer")
        teach = gr.Button(texts.OFFER_BUTTON, variant="primary", size="sm", elem_id="model-teach")
    gr.HTML(markup.subheading(texts.CHANGE_HEADING, texts.CHANGE_HINT))
    choice = gr.Radio(
        [(texts.OTHER_CHOICE, OTHER)], label=texts.CHOICE_UNKNOWN, elem_id="model-choice", elem_classes="sola-choice"
    )
    unfit = gr.HTML(elem_id="model-unfit")
    other = gr.Textbox(label=texts.OTHER, placeholder=texts.OTHER_PLACEHOLDER, elem_id="model-other")
    needs = gr.HTML(elem_id="model-needs")
    with gr.Row():
        load = gr.Button(texts.LOAD, variant="primary", scale=3, elem_id="model-load")
        stop = gr.Button(texts.STOP, interactive=False, scale=1, min_width=90, elem_id="model-stop")
    status = gr.HTML(elem_id="model-status")
    return ModelsPanel(
        choice=choice,
        other=other,
        load=load,
        stop=stop,
        teach=teach,
        looked=[choice, needs],
        loading=[status, load, stop],
        shown=[now, choice, unfit, offer, offered, teach],
    )


def moved_notice() -> gr.HTML:
    """Draw what tells a page that the model was changed elsewhere; nothing of it is seen before."""
    words = (
        f'<div class="sola-moved" role="alert" hidden><p>{markup.escaped(texts.MOVED)}</p>'
        f'<button type="button">{markup.escaped(texts.RELOAD)}</button></div>'
    )
    return gr.HTML(words, elem_id="moved", js_on_load=asset("model_watch.js").read_text(encoding="utf-8"))


class ModelsHandlers:
    """What happens when somebody comes, names a model, changes to it, or takes the facts along."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._registry = studio, studio.registry

    def show(self, token: object, request: gr.Request) -> Shown:
        """Say which model is in use, offer those that fit, and the facts of the one before."""
        switch = self._here(token, request)
        menu, left = switch.menu(), switch.left_behind()
        words, button = model_words.offered(left, switch.in_use.about.model) if left else ("", texts.OFFER_BUTTON)
        return (
            markup.known(model_words.in_use(switch.in_use)),
            gr.update(choices=model_words.choices(menu), label=model_words.choice_label(menu), value=None),
            "".join(markup.note(line) for line in model_words.unfit(menu)),
            gr.update(visible=seen(left)),
            markup.note(words),
            gr.update(value=button),
        )

    def look(self, other: object, token: object, request: gr.Request) -> Shown:
        """Say what the model in the box needs."""
        name = border.text_field(other, say("the model")).strip()
        switch = self._here(token, request)
        if not name:
            return gr.skip(), ""
        try:
            words = markup.note(model_words.looked_at(switch.look(name)))
        except SolaError as error:  # it is still being written: no reason to raise the voice
            words = markup.note(here(str(error)), "stop")
        return OTHER, words

    def load(self, choice: object, other: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Fetch and load the chosen model, and change to it."""
        wanted = self._wanted(choice, other)
        switch = self._here(token, request)
        busy, stop = gr.update(interactive=False), gr.update(interactive=True)
        yield markup.progress(texts.LOADING.format(model=wanted), 0, 1), busy, stop
        steps = switch.steps(wanted)
        try:
            while True:
                step = next(steps)
                share = round(100 * min(max(step.share or 0.0, 0.0), 1.0))
                yield markup.progress(here(step.text), share, 100), busy, stop
        except StopIteration as finished:
            name = finished.value.about.model
        finally:
            steps.close()
        yield markup.note(texts.CHANGED.format(model=name), "good"), busy, gr.update(interactive=False)

    def unfinished(self) -> Shown:
        """Say that it was stopped or failed; an error has told its reason in a message of its own."""
        words = texts.NOT_CHANGED.format(model=self._studio.about.model)
        return markup.note(words, "stop"), gr.update(interactive=True), gr.update(interactive=False)

    def take_along(self, token: object, request: gr.Request) -> keep.Shown:
        """List the facts of the model before as a list of facts that waits to be taught."""
        left = self._here(token, request).left_behind()
        if left is None:
            raise InvalidInput(texts.NO_OFFER)
        return keep.waiting(left.facts, model_words.shown(left))

    def _here(self, token: object, request: gr.Request) -> HostSwitch:
        """Return the switch to who may use it: somebody whose page shows the library that is open."""
        switch = self._studio.switch
        if switch is None:
            raise InvalidInput(texts.CLOSED)
        with self._registry.visit(border.visitor(self._registry, request, token)):
            return switch

    def _wanted(self, choice: object, other: object) -> str:
        name = border.text_field(other, say("the model")).strip()
        if choice is None or choice == "":
            choice = OTHER
        wanted = name if border.name_field(choice, say("the model")) == OTHER else str(choice)
        if not wanted:
            raise InvalidInput(texts.CHOOSE_FIRST)
        return wanted
