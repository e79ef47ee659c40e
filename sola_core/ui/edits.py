"""The panel that lists the edits: one row each with its fact, a switch and a delete button that asks back.

Knows rows made by `present`, which of them are on the screen, and the workspace's switch and delete.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import gradio as gr

from sola_core.errors import InvalidInput, UnknownEdit
from sola_core.studio import Studio
from sola_core.ui import border, joining, markup, present, texts
from sola_core.ui.details import DetailsPanel, details_panel
from sola_core.ui.files import to_take_along
from sola_core.ui.listing import ORDERS, Looking, window
from sola_core.ui.present import EditRow
from sola_core.ui.probe import at_rest
from sola_core.ui.visible import HIDDEN
from sola_core.words import say
from sola_core.workspace import Workspace

MAX_WORDS = 200  # characters of a search


@dataclass(frozen=True, kw_only=True)
class EditsPanel:
    """The components that other panels fill."""

    rows: gr.State  # tuple[EditRow, ...], newest first
    summary: gr.HTML
    status: gr.HTML
    page: gr.State  # of the list, from 0
    opened: gr.State  # id of the edit whose row is open, empty for none
    wanted: gr.State  # changes when a probe is asked for
    looking: gr.State  # Looking
    search: gr.Textbox
    order: gr.Dropdown
    details: DetailsPanel
    following: list[gr.components.Component]  # what DetailsHandlers.follow fills: search's group, its line, details


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
    with gr.Group(visible=HIDDEN, elem_classes="sola-bare") as group, gr.Row(elem_classes="sola-search"):
        search = gr.Textbox(
            label=texts.SEARCH, placeholder=texts.SEARCH_PLACEHOLDER, max_lines=1, max_length=MAX_WORDS, scale=3,
            min_width=180, elem_id="search",
        )  # fmt: skip
        order = gr.Dropdown(
            [(words, name) for name, words in texts.ORDERS.items()], value="newest", label=texts.ORDER,
            interactive=True, filterable=False, scale=2, min_width=150, elem_id="order",
        )  # fmt: skip
    found = gr.HTML(elem_id="found")
    rows, asking, page = gr.State(()), gr.State(""), gr.State(0)
    opened, wanted, looking = gr.State(""), gr.State(0), gr.State(Looking())

    def draw_first(
        rows_now: tuple[EditRow, ...], asking_now: str, page_now: int, opened_now: str, looking_now: Looking
    ) -> None:
        part = window(rows_now, looking_now, page_now, opened_now)
        for row in part.first:
            draw_row(row, row.id == asking_now, part.opened is row)

    def draw_rest(
        rows_now: tuple[EditRow, ...], asking_now: str, page_now: int, opened_now: str, looking_now: Looking
    ) -> None:
        part = window(rows_now, looking_now, page_now, opened_now)
        for row in part.rest:
            draw_row(row, row.id == asking_now, False)
        if part.last:
            draw_pager(part.page, part.last)

    def draw_row(row: EditRow, ask_back: bool, is_open: bool) -> None:
        with gr.Column(elem_classes=["sola-row", "sola-open"] if is_open else "sola-row"):
            draw_fact(row, ask_back, is_open)

    def draw_fact(row: EditRow, ask_back: bool, is_open: bool) -> None:
        gr.HTML(markup.fact(row.number, row.prompt, row.target, row.detail, row.notes, enabled=row.enabled))
        with gr.Row(elem_classes="sola-controls"):
            switch = gr.Checkbox(
                row.enabled,
                label=say("Edit {number} is on", number=row.number),
                interactive=True,  # inside a render function it would come up disabled
                container=False,
                min_width=120,
                elem_id=f"switch-{row.number}",
            )
            if not ask_back:
                words = (
                    say("Close edit {number}", number=row.number)
                    if is_open
                    else say("Open edit {number}", number=row.number)
                )
                open_or_close = small(words, f"open-{row.number}")
                probe = small(say("Probe edit {number}", number=row.number), f"probe-{row.number}")
                delete = small(say("Delete edit {number}", number=row.number), f"delete-{row.number}")
                listen(row, "open", open_or_close.click, handlers.opener(row), [opened], [opened, *fresh])
                listen(row, "probe", probe.click, handlers.prober(row), [opened, wanted], [wanted, opened, *fresh])
                listen(row, "delete", delete.click, handlers.asker(row), None, [asking])
        outputs = [status, *followers.outputs]
        listen(row, "switch", switch.input, handlers.toggler(row), [switch, *followers.inputs], outputs)
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
        listen(row, "save", save.click, handlers.save, followers.inputs, [file])
        listen(row, "yes", yes.click, handlers.deleter(row), followers.inputs, [asking, status, *followers.outputs])
        listen(row, "no", no.click, lambda: "", None, [asking])

    def listen(row: EditRow, what: str, *join: Any) -> None:
        # the key keeps a listener through a redrawing: a click on a row that is just being drawn anew is not lost
        joining.state(*join, key=(what, row.id), trigger_mode="once")

    def small(words: str, name: str) -> gr.Button:
        return gr.Button(words, size="sm", min_width=92, scale=0, elem_id=name)

    def draw_pager(page_now: int, last: int) -> None:
        with gr.Row():
            newer = gr.Button(texts.NEWER, size="sm", interactive=page_now > 0)
            older = gr.Button(texts.OLDER, size="sm", interactive=page_now < last)
        joining.state(newer.click, lambda: max(0, page_now - 1), None, [page], key="newer", trigger_mode="once")
        joining.state(older.click, lambda: min(last, page_now + 1), None, [page], key="older", trigger_mode="once")

    watched = [rows, asking, page, opened, looking]
    # one after the other: two renders at once write to one dictionary of gradio's while it is being read
    render = functools.partial(
        gr.render, inputs=watched, concurrency_id="rows", concurrency_limit=1, show_progress="hidden"
    )
    render()(draw_first)
    details = details_panel()
    fresh = [details.probe.wordings, details.probe.neighbours, *details.probe.shown]
    render()(draw_rest)
    return EditsPanel(
        rows=rows,
        summary=summary,
        status=status,
        page=page,
        opened=opened,
        wanted=wanted,
        looking=looking,
        search=search,
        order=order,
        details=details,
        following=[group, found, *details.shown],
    )


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

    def look(self, words: object, order: object) -> tuple[Looking, int]:
        """Return what to look for, and the first page."""
        text = border.text_field(words, say("search"))
        if len(text) > MAX_WORDS:
            raise InvalidInput(
                say(
                    "The search has {count:,} characters; at most {most} are looked for. Shorten it.",
                    count=len(text),
                    most=MAX_WORDS,
                )
            )
        name = border.name_field(order, say("the order"))
        if name not in ORDERS:
            raise InvalidInput(texts.WRONG_TYPE.format(name=say("the order")))
        return Looking(words=text, order=name), 0

    def opener(self, row: EditRow) -> Callable[[object], tuple[object, ...]]:
        """Return the handler that opens a row, or closes it; what was typed and probed there before goes."""

        def toggle_open(opened: object) -> tuple[object, ...]:
            return "" if opened == row.id else row.id, "", "", *at_rest()

        return toggle_open

    def prober(self, row: EditRow) -> Callable[[object, object], tuple[object, ...]]:
        """Return the handler that opens a row and asks for a probe; what was typed there stays if it was open."""

        def ask_for(opened: object, wanted: object) -> tuple[object, ...]:
            typed = (gr.skip(), gr.skip()) if opened == row.id else ("", "")
            return _next(wanted), row.id, *typed, *at_rest()

        return ask_for

    def again(self, wanted: object) -> int:
        """Ask for a probe of the row that is open."""
        return _next(wanted)

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
        visitor = border.visitor(self._registry, request, token)
        with self._registry.visit(visitor) as workspace:
            content = workspace.export()
        path = to_take_along("sola-edits.safetensors", content, self._registry.alias(visitor))
        return gr.update(value=path, visible=True)

    def _acted(self, act: Callable[[Workspace], str], token: object, request: gr.Request) -> str:
        with self._registry.visit(border.visitor(self._registry, request, token)) as workspace:
            try:
                return markup.note(act(workspace), "good")
            except UnknownEdit:  # deleted elsewhere meanwhile: the list that follows shows it
                return markup.note(texts.GONE, "stop")


def _next(wanted: object) -> int:
    return wanted + 1 if isinstance(wanted, int) else 0
