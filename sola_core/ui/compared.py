"""What stands under two finished answers: the words that differ, and the first token's probabilities in both models.

Knows the record `SideBySide`. It is filled by an event of its own when the answers have ended: of streamed messages that
arrive together the page may apply only the last one's updates of a component.
"""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from sola_core.comparison import SideBySide
from sola_core.ui import markup, texts
from sola_core.ui.differing import Differing, best_first, differing, percent, token_words
from sola_core.ui.figures import GREY, TEAL, first_token_figure
from sola_core.ui.plot import shown
from sola_core.ui.visible import HIDDEN

Shown = tuple[object, ...]
PARTS = 5  # components of the panel


@dataclass(frozen=True, kw_only=True)
class ComparedPanel:
    """The components that the end of two answers fills."""

    both: gr.State  # SideBySide as it was last, None when no answer has begun
    shown: list[gr.components.Component]  # group, words that differ, two charts, table


def compared_panel() -> ComparedPanel:
    """Draw the panel."""
    # a column cannot be hidden from the beginning, a group can
    with gr.Group(visible=HIDDEN, elem_classes="sola-bare") as group:
        words = gr.HTML(elem_id="differing")
        gr.HTML(markup.subheading(texts.FIRST_HEADING, texts.FIRST_HINT))
        with gr.Row(elem_classes="sola-answers"):
            base, edited = (_chart(whose, name) for whose, name in (
                (texts.BASE_ANSWER, "first-base"), (texts.EDITED_ANSWER, "first-edited")
            ))  # fmt: skip
        with gr.Accordion(texts.AS_TABLE, open=False, elem_id="compared-table"):
            table = gr.HTML()
    return ComparedPanel(both=gr.State(None), shown=[group, words, base, edited, table])


def not_yet() -> Shown:
    """Return what the panel shows while the answers are made: nothing."""
    return gr.update(visible=HIDDEN), *(gr.skip(),) * (PARTS - 1)


def show_compared(both: object) -> Shown:
    """Return what the panel shows for answers that have ended, or of which the first token at least is known."""
    if not isinstance(both, SideBySide) or not both.first:
        return not_yet()
    ended = both.base is not None and both.edited is not None
    found = differing(both.base_text, both.edited_text) if ended else None
    charts = (
        gr.update(value=shown(first_token_figure(best_first(both.first, edited=edited), colour)))
        for edited, colour in ((False, GREY), (True, TEAL))
    )
    return gr.update(visible=True), _words(found), *charts, _tables(both, found)


def _chart(whose: str, name: str) -> gr.Plot:
    with gr.Column(min_width=260):
        gr.HTML(markup.whose(whose))
        return gr.Plot(label=f"{texts.FIRST_CHART}: {whose}", show_label=False, elem_id=name)


def _words(found: Differing | None) -> str:
    if found is None:
        return ""
    sides = ((texts.BASE_ANSWER, found.base), (texts.EDITED_ANSWER, found.edited))
    return markup.beside(texts.WORDS_HEADING, [markup.marked(whose, pieces) for whose, pieces in sides])


def _tables(both: SideBySide, found: Differing | None) -> str:
    head = (texts.BASE_ANSWER, texts.EDITED_ANSWER)
    rows = [(token_words(chance), percent(chance.base), percent(chance.edited)) for chance in both.first]
    tokens = markup.table(texts.FIRST_TABLE, (texts.TOKEN, *head), rows)
    if found is None:
        return tokens
    pairs = [(base or texts.NO_WORDS, edited or texts.NO_WORDS) for base, edited in found.pairs]
    return markup.table(texts.WORDS_TABLE, head, pairs) + tokens
