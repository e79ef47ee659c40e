"""What is known of one stored edit beside its request: sizes, and where it stands among the others.

Knows an editor from outside. Knows no visitors and no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sola_core.errors import UnknownEdit
from sola_core.records import Candidate, Edit, Route
from sola_core.routing.router import ROUTERS
from sola_core.text import canonical
from sola_core.words import Sentence

if TYPE_CHECKING:
    from sola_core.session import SolaEditor


@dataclass(frozen=True, kw_only=True)
class EditDetails:
    """One edit, looked at closely."""

    edit: Edit
    parameters: int  # numbers in its adapter
    adapter_bytes: int  # as stored, header included
    key_bytes: Mapping[str, int]  # of all its keys, by router; routers that have none are absent
    route: Route  # of its own question, now
    nearest: Candidate | None  # the other edit that the router finds nearest to its question
    sharing: tuple[Edit, ...]  # other edits with a wording of this one, in order of teaching


def details_of(editor: SolaEditor, edit_id: str) -> EditDetails:
    """Return what is known of an edit; raise UnknownEdit for an unknown id."""
    edits = editor.edits
    edit = next((one for one in edits if one.id == edit_id), None)
    if edit is None:
        raise UnknownEdit(Sentence("There is no edit {edit_id!r}. It may have been deleted.", edit_id=edit_id))
    sizes, route = editor.sizes_of(edit_id), editor.route(edit.prompt)
    return EditDetails(
        edit=edit,
        parameters=sum(tensor.numel() for tensor in editor.tensors(edit_id).values()),
        adapter_bytes=sizes.adapter,
        key_bytes={name: size for name in ROUTERS for encoder, size in sizes.keys.items() if encoder.startswith(name)},
        route=route,
        nearest=next((found for found in route.candidates if found.edit_id != edit_id), None),
        sharing=sharing(edit, edits),
    )


def sharing(edit: Edit, edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Return the other edits that have a wording of this one among their keys."""
    own = {canonical(text) for text in edit.request.key_texts}
    return tuple(
        one for one in edits if one.id != edit.id and own & {canonical(text) for text in one.request.key_texts}
    )
