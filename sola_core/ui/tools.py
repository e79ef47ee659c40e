"""The endpoints as MCP tools: the same work, each call with the id of a workspace, because such calls have no session.

Knows the registry and the JSON forms. Annotations stand unquoted here: gradio reads the types of the tools from them.
"""

from gradio.events import api

from sola_core.errors import InvalidInput
from sola_core.records import EditRequest
from sola_core.registry import Visitor
from sola_core.steps import finish
from sola_core.studio import Studio
from sola_core.ui import border, texts, wire
from sola_core.ui.wire import AskJson, EditJson
from sola_core.words import say


def add_tools(studio: Studio) -> None:
    """Add the tools to the page being built."""
    tools = Tools(studio)
    for tool, group, limit in (
        (tools.open_workspace, "library", 8),
        (tools.teach_fact, "model", studio.registry.limits.at_once),
        (tools.ask_question, "model", studio.registry.limits.at_once),
        (tools.list_edits, "library", 8),
        (tools.switch_edit, "library", 8),
        (tools.delete_edit, "library", 8),
        (tools.state_digest, "library", 8),
    ):
        api(border.guarded(tool), api_name=tool.__name__, concurrency_id=group, concurrency_limit=limit)


class Tools:
    """The handlers; the docstrings are what an assistant reads."""

    def __init__(self, studio: Studio) -> None:
        self._registry = studio.registry

    def open_workspace(self) -> str:
        """Return the id of a new, empty workspace, which every other tool wants.

        Whoever has the id can read and change what is in the workspace: keep it to yourself.
        """
        return self._registry.mint()

    def teach_fact(self, workspace: str, prompt: str, target: str, subject: str = "", rephrases: str = "") -> EditJson:
        """Teach the model one fact; afterwards the prompt is answered with the target, and nothing else changes.

        Args:
            workspace: The id that open_workspace gave.
            prompt: A question, or the beginning of a sentence.
            target: The new answer, short.
            subject: What the fact is about, if it is known.
            rephrases: Other wordings of the prompt, one on each line.
        """
        wanted = EditRequest(
            prompt=border.text_field(prompt, say("prompt")),
            target=border.text_field(target, say("new answer")),
            subject=border.text_field(subject, say("subject")) or None,
            rephrases=border.lines_field(rephrases, say("rephrasings")),
        )
        with self._registry.claim(self._visitor(workspace)) as found:
            return wire.edit_json(finish(found.teach(wanted)))

    def ask_question(self, workspace: str, question: str) -> AskJson:
        """Ask the untouched model and the edited one; return both answers and which edit, if any, answered.

        Args:
            workspace: The id that open_workspace gave.
            question: The question; the model remembers none before it.
        """
        with self._registry.visit(self._visitor(workspace)) as found:
            return wire.ask_json(finish(found.ask(border.text_field(question, say("question")))))

    def list_edits(self, workspace: str) -> list[EditJson]:
        """Return the facts that were taught, in order of teaching.

        Args:
            workspace: The id that open_workspace gave.
        """
        with self._registry.visit(self._visitor(workspace)) as found:
            return [wire.edit_json(edit) for edit in found.edits]

    def switch_edit(self, workspace: str, edit_id: str, enabled: bool) -> list[EditJson]:
        """Switch a fact on or off; return all facts.

        Args:
            workspace: The id that open_workspace gave.
            edit_id: The id of the fact, from list_edits.
            enabled: True for on, False for off.
        """
        on, wanted = border.switch_field(enabled), border.id_field(edit_id)
        with self._registry.visit(self._visitor(workspace)) as found:
            found.set_enabled(wanted, on)
            return [wire.edit_json(edit) for edit in found.edits]

    def delete_edit(self, workspace: str, edit_id: str) -> list[EditJson]:
        """Delete a fact for good; return the facts that remain.

        Args:
            workspace: The id that open_workspace gave.
            edit_id: The id of the fact, from list_edits.
        """
        wanted = border.id_field(edit_id)
        with self._registry.visit(self._visitor(workspace)) as found:
            found.delete(wanted)
            return [wire.edit_json(edit) for edit in found.edits]

    def state_digest(self, workspace: str) -> str:
        """Return the state digest: equal digests mean that exactly the same facts are stored.

        Args:
            workspace: The id that open_workspace gave.
        """
        with self._registry.visit(self._visitor(workspace)) as found:
            return found.digest

    def _visitor(self, workspace: object) -> Visitor:
        """Name who asks by the id alone; what this server did not sign opens nothing."""
        if not self._registry.personal and not self._registry.is_minted(workspace):
            raise InvalidInput(texts.NO_WORKSPACE)
        return self._registry.visitor(None, workspace)
