"""The panel that saves all edits as a file, loads such a file, and teaches a list of facts.

Knows the workspace's `export`, `take_in` and `teach_list`; what the files look like is not its business.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import gradio as gr

from sola_core.errors import InvalidInput
from sola_core.fact_lists import ListedFact, read_facts_list
from sola_core.studio import Studio
from sola_core.teaching_lists import ListedOutcome
from sola_core.transfer import PRESENT, Imported, Present
from sola_core.ui import border, kept_words, markup, present, texts
from sola_core.ui.files import to_take_along
from sola_core.ui.visible import HIDDEN, seen
from sola_core.words import here, say

SHOWN_ROWS = 200  # of a list, in the table
Shown = tuple[object, ...]  # status, table, waiting list, teach button, stop button


@dataclass(frozen=True, kw_only=True)
class KeepPanel:
    """The components that are listened to or filled."""

    save: gr.Button
    download: gr.DownloadButton
    load: gr.UploadButton
    choose: gr.UploadButton
    present: gr.Radio
    teach: gr.Button
    stop: gr.Button
    status: gr.HTML
    waiting: gr.State  # tuple[ListedFact, ...] of a list that was read and not taught yet
    shown: list[gr.components.Component]


def keep_panel() -> KeepPanel:
    """Draw the panel."""
    gr.HTML(markup.heading("", texts.KEEP_HEADING, texts.KEEP_HINT))
    with gr.Row():
        save = gr.Button(texts.SAVE, size="sm", elem_id="save")
        load = gr.UploadButton(texts.LOAD, size="sm", file_types=[".safetensors"], elem_id="load")
        choose = gr.UploadButton(texts.LIST, size="sm", file_types=[".csv", ".tsv", ".jsonl", ".txt"], elem_id="list")
    download = gr.DownloadButton(texts.DOWNLOAD, size="sm", visible=HIDDEN, elem_id="download")
    policy = gr.Radio(
        [(words, name) for name, words in texts.PRESENT_CHOICES.items()],
        value=PRESENT[0],
        label=texts.PRESENT,
        elem_id="present",
        elem_classes="sola-choice",
    )
    status, table, waiting = gr.HTML(elem_id="keep-status"), gr.HTML(elem_id="keep-table"), gr.State(())
    with gr.Row():
        teach = gr.Button(texts.TEACH_LIST, variant="primary", size="sm", visible=HIDDEN, elem_id="teach-list")
        stop = gr.Button(texts.STOP, size="sm", interactive=False, visible=HIDDEN, elem_id="stop-list")
    return KeepPanel(
        save=save,
        download=download,
        load=load,
        choose=choose,
        present=policy,
        teach=teach,
        stop=stop,
        status=status,
        waiting=waiting,
        shown=[status, table, waiting, teach, stop],
    )


class KeepHandlers:
    """What happens when a button of the panel is pressed or a file is chosen."""

    def __init__(self, studio: Studio) -> None:
        self._registry = studio.registry

    def save(self, token: object, request: gr.Request) -> tuple[str, object]:
        """Write all edits into a file, and offer it."""
        visitor = border.visitor(self._registry, request, token)
        with self._registry.visit(visitor) as workspace:
            content = workspace.export()
        path = to_take_along("sola-edits.safetensors", content, self._registry.alias(visitor))
        return markup.note(texts.SAVED), gr.update(value=path, visible=True)

    def load(self, file: object, policy: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Try every edit of a file and store those that hold."""
        content, choice = border.upload_field(file, say("the file"), self._registry.limits.file_bytes), _policy(policy)
        yield self._running(kept_words.trying(0, 1), 0, 1)
        with self._registry.claim(border.visitor(self._registry, request, token)) as workspace:
            steps = workspace.take_in(content, choice)
            try:
                while True:
                    at = next(steps)
                    yield self._running(kept_words.trying(at.done, at.total), at.done, at.total)
            except StopIteration as finished:
                imported: Imported = finished.value
            finally:
                steps.close()
        rows = [(present.one_line(request.prompt), here(why)) for request, why in imported.failures]
        table = markup.table(texts.LIST_TABLE, (say("Not stored"), say("Why")), rows)
        yield self._rest(markup.note(kept_words.loaded(imported), "good" if imported.edits else "stop"), table)

    def choose(self, file: object) -> Shown:
        """Read a list and show its rows; nothing is taught yet."""
        facts = read_facts_list(border.upload_field(file, say("the list"), self._registry.limits.list_bytes))
        usable = sum(fact.request is not None for fact in facts)
        words = markup.note(kept_words.list_read(len(facts), usable))
        return words, _rows(facts), facts, gr.update(visible=seen(usable)), gr.update(visible=HIDDEN)

    def teach(
        self, waiting: object, policy: object, token: object, request: gr.Request
    ) -> Generator[Shown, None, None]:
        """Teach the rows of the list that was read."""
        if not isinstance(waiting, tuple) or not waiting or not isinstance(waiting[0], ListedFact):
            raise InvalidInput(texts.NO_LIST)
        choice = _policy(policy)
        yield self._running(kept_words.teaching_list(0, len(waiting)), 0, len(waiting))
        with self._registry.claim(border.visitor(self._registry, request, token)) as workspace:
            steps = workspace.teach_list(waiting, choice)
            try:
                while True:
                    at = next(steps)
                    yield self._running(kept_words.teaching_list(at.done, at.total), at.done, at.total)
            except StopIteration as finished:
                outcomes: tuple[ListedOutcome, ...] = finished.value
            finally:
                steps.close()
        rows = [(str(o.line), texts.OUTCOMES[o.outcome], here(o.reason)) for o in outcomes if o.outcome != "taught"][
            :SHOWN_ROWS
        ]
        table = markup.table(texts.LIST_TABLE, (say("Line"), say("Outcome"), say("Why")), rows)
        taught = any(o.outcome == "taught" for o in outcomes)
        yield self._rest(markup.note(kept_words.list_taught(outcomes), "good" if taught else "plain"), table)

    def unfinished(self) -> Shown:
        """Say that it was stopped or failed; an error has told its reason in a message of its own."""
        return self._rest(markup.note(texts.KEEP_STOPPED, "stop"), "")

    def _running(self, words: str, done: int, total: int) -> Shown:
        stop = gr.update(visible=True, interactive=True)
        return markup.progress(words, done, total), gr.skip(), gr.skip(), gr.update(visible=HIDDEN), stop

    def _rest(self, status: str, table: str) -> Shown:
        hidden = gr.update(visible=HIDDEN)
        return status, table, (), hidden, hidden


def _policy(value: object) -> Present:
    for name in PRESENT:
        if value == name:
            return name
    raise InvalidInput(texts.WRONG_TYPE.format(name=say("what to do with facts that are there")))


def _rows(facts: tuple[ListedFact, ...]) -> str:
    rows = [
        (str(fact.line), present.one_line(fact.request.prompt), present.one_line(fact.request.target), "")
        if fact.request
        else (str(fact.line), "", "", here(fact.error))
        for fact in facts[:SHOWN_ROWS]
    ]
    return markup.table(texts.LIST_TABLE, (say("Line"), say("Question"), say("New answer"), say("What is wrong")), rows)
