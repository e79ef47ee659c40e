"""The panel that lists the edits: one row each with its fact, a switch and a delete button that asks back.

Knows rows made by `present` and the workspace's switch and delete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import gradio as gr

from sola_core.errors import UnknownEdit
from sola_core.studio import Studio
from sola_core.ui import border, markup, present, texts
from sola_core.ui.files import to_take_along
from sola_core.ui.present import EditRow
from sola_core.ui.visible import HIDDEN
from sola_core.workspace import Workspace

ROWS_SHOWN = 12  # of one screenful; older ones are a page away


@dataclass(frozen=True, kw_only=True)
class EditsPanel:
    """The components that other panels fill."""

    rows: gr.State  # tuple[EditRow, ...], newest first
    summary: gr.HTML
    status: gr.HTML


class Followers(Protocol):
    """The panels that change with the edits. They are filled by the same event, not by a chained one: drawing the rows
    anew takes away the listeners of the old rows, and whatever was chained to them with it."""

    @property
    def inputs(self) -> list[gr.components.Component]:
        """What `after` takes beside the request."""

    @property
    def outputs(self) -> list[gr.components.Component]:
        """What `after` returns values for."""

    def after(self, asked: object, token: object, request: gr.Request) -> tuple[object, ...]:
        """Return what the panels show now."""


def edits_panel(studio: Studio, followers: Followers) -> EditsPanel:
    """Draw the panel."""
    handlers = EditsHandlers(studio, followers)
    gr.HTML(markup.heading("3", texts.EDITS_HEADING))
    summary, status = gr.HTML(markup.note(texts.NO_EDITS), elem_id="edits-summary"), gr.HTML(elem_id="edits-status")
    rows, asking, page = gr.State(()), gr.State(""), gr.State(0)

    def draw(rows_now: tuple[EditRow, ...], asking_now: str, page_now: int) -> None:
        last = max(0, (len(rows_now) - 1) // ROWS_SHOWN)
        start = min(page_now, last) * ROWS_SHOWN
        for row in rows_now[start : start + ROWS_SHOWN]:
            with gr.Column(elem_classes="sola-row"):
                draw_row(row, row.id == asking_now)
        if last:
            draw_pager(min(page_now, last), last)

    def draw_row(row: EditRow, ask_back: bool) -> None:
        gr.HTML(markup.fact(row.number, row.prompt, row.target, row.detail, row.notes, enabled=row.enabled))
        with gr.Row(elem_classes="sola-controls"):
            switch = gr.Checkbox(
                row.enabled,
                label=f"Edit {row.number} is on",
                interactive=True,  # inside a render function it would come up disabled
                container=False,
                min_width=120,
                elem_id=f"switch-{row.number}",
            )
            if not ask_back:
                delete = gr.Button(
                    f"Delete edit {row.number}", size="sm", min_width=110, scale=0, elem_id=f"delete-{row.number}"
                )
                _listen(delete.click, handlers.asker(row), None, [asking])
        outputs = [status, *followers.outputs]
        _listen(switch.input, handlers.toggler(row), [switch, *followers.inputs], outputs)
        if ask_back:
            draw_question(row)

    def draw_question(row: EditRow) -> None:
        with gr.Column(elem_classes="sola-question"):
            gr.HTML(markup.note(present.delete_question(row)) + markup.note(texts.SAVE_FIRST_HINT))
            save = gr.Button(texts.SAVE_FIRST, size="sm", elem_id=f"save-first-{row.number}")
            file = gr.DownloadButton(texts.DOWNLOAD, size="sm", visible=HIDDEN, elem_id=f"take-{row.number}")
            with gr.Row():
                yes = gr.Button(texts.DELETE_YES, variant="stop", size="sm", elem_id=f"yes-{row.number}")
                no = gr.Button(texts.DELETE_NO, size="sm", elem_id=f"no-{row.number}")
        _listen(save.click, handlers.save, followers.inputs, [file])
        _listen(yes.click, handlers.deleter(row), followers.inputs, [asking, status, *followers.outputs])
        _listen(no.click, lambda: "", None, [asking])

    def draw_pager(page_now: int, last: int) -> None:
        with gr.Row():
            newer = gr.Button(texts.NEWER, size="sm", interactive=page_now > 0)
            older = gr.Button(texts.OLDER, size="sm", interactive=page_now < last)
        _listen(newer.click, lambda: max(0, page_now - 1), None, [page])
        _listen(older.click, lambda: min(last, page_now + 1), None, [page])

    gr.render(inputs=[rows, asking, page], concurrency_limit=1, show_progress="hidden")(draw)
    return EditsPanel(rows=rows, summary=summary, status=status)


class EditsHandlers:
    """What happens when a switch or a button of a row is used; each is bound to its edit's id."""

    def __init__(self, studio: Studio, followers: Followers) -> None:
        self._registry, self._followers = studio.registry, followers

    def toggler(self, row: EditRow) -> Callable[[object, object, object, gr.Request], tuple[object, ...]]:
        """Return the handler of a row's switch."""

        def toggle(enabled: object, asked: object, token: object, request: gr.Request) -> tuple[object, ...]:
            on = border.switch_field(enabled)

            def act(workspace: Workspace) -> str:
                workspace.set_enabled(row.id, on)
                return present.switched(row.number, on, workspace.same_state())

            return self._acted(act, token, request), *self._followers.after(asked, token, request)

        return toggle

    def asker(self, row: EditRow) -> Callable[[], str]:
        """Return the handler that asks back before a delete."""
        return lambda: row.id

    def deleter(self, row: EditRow) -> Callable[[object, object, gr.Request], tuple[object, ...]]:
        """Return the handler of the answer yes."""

        def delete(asked: object, token: object, request: gr.Request) -> tuple[object, ...]:
            def act(workspace: Workspace) -> str:
                erasure = workspace.delete(row.id)
                return present.deleted(row.number, erasure == "erased", workspace.same_state())

            return "", self._acted(act, token, request), *self._followers.after(asked, token, request)

        return delete

    def save(self, asked: object, token: object, request: gr.Request) -> object:
        """Write all edits into a file, to be had before one of them goes."""
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            content = workspace.export()
        return gr.update(value=to_take_along("sola-edits.safetensors", content), visible=True)

    def _acted(self, act: Callable[[Workspace], str], token: object, request: gr.Request) -> str:
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            try:
                return markup.note(act(workspace), "good")
            except UnknownEdit:  # deleted elsewhere meanwhile: the list that follows shows it
                return markup.note(texts.GONE, "stop")


def _listen(
    listen: Callable[..., object],
    handler: Callable[..., object],
    inputs: list[gr.components.Component] | None,
    outputs: list[gr.components.Component],
) -> None:
    """Join a row's control; queued, because only queued events tell the page that a State changed."""
    listen(
        border.guarded(handler), inputs, outputs, api_visibility="private", concurrency_id="state",
        concurrency_limit=16, show_progress="hidden",
    )  # fmt: skip
