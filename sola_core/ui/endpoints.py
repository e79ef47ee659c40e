"""The six public endpoints: JSON in, JSON out, each caller in a session of its own.

Knows the registry and the JSON forms; knows nothing of the page. Annotations stand unquoted here: gradio reads the types
of the API page from them.
"""

import gradio as gr
from gradio.events import api

from sola_core.records import EditRequest
from sola_core.steps import finish
from sola_core.studio import Studio
from sola_core.ui import border, wire
from sola_core.ui.wire import AskJson, EditJson
from sola_core.words import say


def add_endpoints(studio: Studio) -> None:
    """Add /edit, /ask, /edits, /toggle, /delete and /digest to the page being built."""
    handlers = Endpoints(studio)
    for handler, group, limit in (
        (handlers.edit, "model", studio.registry.limits.at_once),
        (handlers.ask, "model", studio.registry.limits.at_once),
        (handlers.edits, "library", 8),
        (handlers.toggle, "library", 8),
        (handlers.delete, "library", 8),
        (handlers.digest, "library", 8),
    ):
        call = border.guarded(handler)
        vars(call)["_mcp_type"] = "none"  # calls through MCP have no session: they have tools of their own
        api(call, api_name=handler.__name__, concurrency_id=group, concurrency_limit=limit)


class Endpoints:
    """The handlers; the docstrings are what the API page shows."""

    def __init__(self, studio: Studio) -> None:
        self._registry = studio.registry

    def edit(self, request: gr.Request, prompt: str, target: str, subject: str = "", rephrases: str = "") -> EditJson:
        """Teach one fact and return it as an edit: afterwards `prompt` is answered with `target`.

        `subject` is what the fact is about; `rephrases` holds other wordings, one on each line. An edit that answered the
        prompt before is kept, and comes back when this one is deleted.
        """
        wanted = EditRequest(
            prompt=border.text_field(prompt, say("prompt")),
            target=border.text_field(target, say("new answer")),
            subject=border.text_field(subject, say("subject")) or None,
            rephrases=border.lines_field(rephrases, say("rephrasings")),
        )
        with self._registry.claim(border.visitor(self._registry, request)) as workspace:
            return wire.edit_json(finish(workspace.teach(wanted)))

    def ask(self, request: gr.Request, question: str) -> AskJson:
        """Ask the untouched model and the edited one; return both answers and the route, which says who answered."""
        with self._registry.visit(border.visitor(self._registry, request)) as workspace:
            return wire.ask_json(finish(workspace.ask(border.text_field(question, say("question")))))

    def edits(self, request: gr.Request) -> list[EditJson]:
        """Return the edits of this session, in order of teaching."""
        with self._registry.visit(border.visitor(self._registry, request)) as workspace:
            return [wire.edit_json(edit) for edit in workspace.edits]

    def toggle(self, request: gr.Request, edit_id: str, enabled: bool) -> list[EditJson]:
        """Switch an edit on or off; return all edits."""
        on, wanted = border.switch_field(enabled), border.id_field(edit_id)
        with self._registry.visit(border.visitor(self._registry, request)) as workspace:
            workspace.set_enabled(wanted, on)
            return [wire.edit_json(edit) for edit in workspace.edits]

    def delete(self, request: gr.Request, edit_id: str) -> list[EditJson]:
        """Delete an edit for good; return the edits that remain."""
        wanted = border.id_field(edit_id)
        with self._registry.visit(border.visitor(self._registry, request)) as workspace:
            workspace.delete(wanted)
            return [wire.edit_json(edit) for edit in workspace.edits]

    def digest(self, request: gr.Request) -> str:
        """Return the state digest: equal digests mean that exactly the same edits are stored."""
        with self._registry.visit(border.visitor(self._registry, request)) as workspace:
            return workspace.digest
