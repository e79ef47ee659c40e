"""The panel that shows the same facts and questions in the space of each router, side by side.

Knows the workspace and `spaces_steps`; what the cosines mean is said in `map_words`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import gradio as gr

from sola_core.spaces import Closeness, Space, closeness, spaces_steps
from sola_core.studio import Studio
from sola_core.text import canonical
from sola_core.ui import border, map_words, markup, texts
from sola_core.ui.figures import map_figure
from sola_core.ui.places import drawn_texts, picture, point_of
from sola_core.ui.plot import shown
from sola_core.ui.visible import HIDDEN, seen
from sola_core.words import say
from sola_core.workspace import AskedQuestion, Workspace

SPACES = ("hidden", "sentence", "scope")  # from the paper's own key to ours
HEIGHT = 300  # pixels of one picture
Shown = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class SpacesPanel:
    """The components that are listened to or filled."""

    compare: gr.Button
    stop: gr.Button
    shown: list[gr.components.Component]  # status, stop, three titles, three charts, three notes, fold, table


def spaces_panel() -> SpacesPanel:
    """Draw the panel."""
    gr.HTML(markup.subheading(texts.SPACES_HEADING, texts.SPACES_HINT))
    with gr.Row():
        compare = gr.Button(texts.SPACES_COMPARE, size="sm", scale=3, elem_id="compare-spaces")
        stop = gr.Button(texts.STOP, size="sm", interactive=False, scale=1, min_width=90, elem_id="stop-spaces")
    status = gr.HTML(elem_id="spaces-status")
    titles, charts, notes = [], [], []
    with gr.Row(elem_classes="sola-spaces"):
        for name in SPACES:
            with gr.Column(min_width=220):
                titles.append(gr.HTML())
                label = texts.SPACES_CHART.format(name=name)
                charts.append(gr.Plot(label=label, show_label=False, visible=HIDDEN, elem_id=f"space-{name}"))
                notes.append(gr.HTML(elem_id=f"space-{name}-note"))
    with gr.Accordion(texts.AS_TABLE, open=False, visible=HIDDEN, elem_id="spaces-table") as fold:
        table = gr.HTML()
    return SpacesPanel(compare=compare, stop=stop, shown=[status, stop, *titles, *charts, *notes, fold, table])


class SpacesHandlers:
    """What happens when the button is pressed."""

    def __init__(self, studio: Studio) -> None:
        self._registry = studio.registry

    def compare(self, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Fill the three spaces with the visitor's facts and questions, and draw them."""
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            if not workspace.remembers or not workspace.edits:
                yield nothing(markup.note(texts.MAP_NO_EDITS))
                return
            edits, questions = workspace.edits, workspace.questions
            steps = spaces_steps(
                workspace.editor, workspace.spaces, drawn_texts(edits, questions), [asked.text for asked in questions]
            )
            try:
                while True:
                    step = next(steps)
                    bar = markup.progress(map_words.space_step(step), step.done, step.total)
                    yield bar, gr.update(interactive=True), *(gr.skip(),) * (3 * len(SPACES) + 2)
            except StopIteration as finished:
                found: dict[str, Space] = finished.value
            finally:
                steps.close()
            yield self._drawn(workspace, {name: found[name] for name in SPACES}, questions)

    def unfinished(self) -> Shown:
        """Say that it was stopped or failed."""
        return nothing(markup.note(texts.SPACES_STOPPED, "stop"))

    def _drawn(self, workspace: Workspace, spaces: Mapping[str, Space], questions: tuple[AskedQuestion, ...]) -> Shown:
        edits, numbers = workspace.edits, workspace.numbers()
        figures = []
        for space in spaces.values():
            now = [
                replace(question, edit_id=route.edit_id)
                for question, route in zip(questions, space.routes, strict=True)
            ]
            figures.append(map_figure(picture(space.layout, edits, numbers, now), height=HEIGHT, legend=False))
        thresholds = {name: space.threshold for name, space in spaces.items()}
        close = {name: self._closeness(workspace, space, questions) for name, space in spaces.items()}
        sentences = [map_words.space_words(name, close[name], numbers, thresholds[name]) for name in spaces]
        tables = markup.table(
            texts.SPACES_COSINES,
            (say("Space"), say("Between facts"), say("Closest facts"), say("Question to its edit"), say("Threshold")),
            map_words.cosine_rows(close, thresholds),
        )
        tables += markup.table(
            texts.SPACES_TABLE,
            (say("Sign"), say("Question"), *spaces),
            map_words.space_rows(spaces, questions, numbers),
        )
        return (
            markup.note(texts.SPACES_PCA),
            gr.update(interactive=False),
            *(markup.badge(name, "router") for name in spaces),
            *(gr.update(value=shown(figure), visible=True) for figure in figures),
            *(markup.note(words) for words in sentences),
            gr.update(visible=seen(tables)),
            tables,
        )

    def _closeness(self, workspace: Workspace, space: Space, questions: tuple[AskedQuestion, ...]) -> Closeness:
        """Compare different facts, and questions in other words with the fact that answered each when it was asked."""
        facts = {canonical(edit.prompt): edit.id for edit in workspace.edits if f"{edit.id}/0" in space.vectors}
        wordings = {canonical(text) for edit in workspace.edits for text in edit.request.key_texts}
        asked = [
            (space.vectors[point_of(question)], space.vectors[f"{question.edit_id}/0"])
            for question in questions
            if f"{question.edit_id}/0" in space.vectors and canonical(question.text) not in wordings
        ]
        return closeness({edit_id: space.vectors[f"{edit_id}/0"] for edit_id in facts.values()}, asked)


def nothing(words: str) -> Shown:
    """Show words and no pictures."""
    hidden, count = gr.update(visible=HIDDEN), len(SPACES)
    return words, gr.update(interactive=False), *("",) * count, *(hidden,) * count, *("",) * count, hidden, ""
