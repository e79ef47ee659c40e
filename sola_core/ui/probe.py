"""The part of an open row that probes its edit: progress, figures, a table of every question, and lines of one's own.

Knows the workspace's `probe`; what is asked and what counts as right is not its business.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import gradio as gr

from sola_core.edit_probe import Probing
from sola_core.errors import InvalidInput
from sola_core.studio import Studio, fact_for
from sola_core.ui import border, markup, row_words, texts
from sola_core.words import say

MAX_LINES = 12  # of a visitor's own, in either box
Shown = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class ProbePanel:
    """The components that are listened to or filled."""

    probe: gr.Button
    stop: gr.Button
    wordings: gr.Textbox
    neighbours: gr.Textbox
    so_far: gr.State  # Probing as it was last, None before the first question was answered
    shown: list[gr.components.Component]  # status, figures, table, stop button, so far


def probe_panel() -> ProbePanel:
    """Draw the part."""
    gr.HTML(markup.subheading(texts.PROBE_HEADING, texts.PROBE_HINT))
    with gr.Row():
        probe = gr.Button(texts.PROBE, size="sm", variant="primary", scale=3, elem_id="probe")
        stop = gr.Button(texts.STOP, size="sm", interactive=False, scale=1, min_width=90, elem_id="stop-probe")
    status, figures = gr.HTML(elem_id="probe-status"), gr.HTML(elem_id="probe-figures")
    table = gr.HTML(elem_id="probe-table")
    with gr.Accordion(texts.PROBE_OWN_LINES, open=False, elem_id="probe-lines"):
        wordings = gr.Textbox(
            label=texts.PROBE_WORDINGS, placeholder=texts.PROBE_WORDINGS_PLACEHOLDER, lines=2, max_lines=6,
            elem_id="probe-wordings",
        )  # fmt: skip
        neighbours = gr.Textbox(
            label=texts.PROBE_NEIGHBOURS, placeholder=texts.PROBE_NEIGHBOURS_PLACEHOLDER, lines=2, max_lines=6,
            elem_id="probe-neighbours",
        )  # fmt: skip
    so_far = gr.State(None)
    return ProbePanel(
        probe=probe,
        stop=stop,
        wordings=wordings,
        neighbours=neighbours,
        so_far=so_far,
        shown=[status, figures, table, stop, so_far],
    )


def at_rest() -> Shown:
    """Return what the panel shows before anything was asked."""
    return "", "", "", gr.update(interactive=False), None


class ProbeHandlers:
    """What happens when a probe is asked for."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._registry = studio, studio.registry

    def probe(
        self, opened: object, wordings: object, neighbours: object, token: object, request: gr.Request
    ) -> Generator[Shown, None, None]:
        """Ask everything about the open row's edit; every message shows all that is known so far."""
        edit_id = border.id_field(opened)
        own = _lines(wordings, say("wordings")), _lines(neighbours, say("neighbours"))
        visitor = border.visitor(self._registry, request, token)
        yield self._running(None)
        with self._registry.visit(visitor) as workspace:
            numbers = workspace.numbers()
            prompts = {edit.id: edit.prompt for edit in workspace.edits}
            fact = fact_for(self._studio.facts, prompts.get(edit_id, ""))
            steps = workspace.probe(edit_id, fact, *own)
            told: Probing | None = None
            try:
                for at in steps:
                    if at is not told:  # a few tokens more are no news, but a moment in which one can stop
                        message, told = self._running(at, numbers), at
                    yield message
            finally:
                steps.close()
        assert told is not None
        yield self._ended(told, numbers)

    def unfinished(self, so_far: object, opened: object, token: object, request: gr.Request) -> Shown:
        """Show what was asked before it was stopped or failed; an error has told its reason in a message of its own."""
        if not isinstance(so_far, Probing) or so_far.edit.id != opened:  # another row was opened: that one is fresh
            return at_rest()
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            return self._ended(so_far, workspace.numbers())

    def _running(self, at: Probing | None, numbers: dict[str, int] | None = None) -> Shown:
        if at is None:
            bar = markup.progress(texts.PROBE_START, 0, 1)
            return bar, "", "", gr.update(interactive=True), None
        bar = markup.progress(row_words.probing_words(at), len(at.answered), at.total)
        return bar, *self._table(at, numbers or {}), gr.update(interactive=True), at

    def _ended(self, at: Probing, numbers: dict[str, int]) -> Shown:
        status = markup.note(row_words.probe_verdict(at), "plain" if at.ended else "stop")
        return status, *self._table(at, numbers), gr.update(interactive=False), at

    def _table(self, at: Probing, numbers: dict[str, int]) -> Shown:
        if not at.answered:
            return "", ""
        head = (say("Question"), say("Answer"), say("Counts as"), say("Score"))
        table = markup.lines(markup.table(texts.PROBE_TABLE, head, row_words.probe_rows(at, numbers)), texts.COUNTS)
        return markup.figures(row_words.figures_of(at)), table


def _lines(value: object, name: str) -> tuple[str, ...]:
    lines = border.lines_field(value, name)
    if len(lines) > MAX_LINES:
        raise InvalidInput(
            say(
                "There are {count:,} {name} of your own; at most {most} are asked. Take some out.",
                count=len(lines),
                name=name,
                most=MAX_LINES,
            )
        )
    return lines
