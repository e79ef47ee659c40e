"""Which edit stands before which: among edits with an equal key the enabled one taught last answers.

Pure functions over edits in order of teaching; nothing of it is stored, and routing decides by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from sola_core.records import Edit
from sola_core.text import canonical


def covers(edits: Sequence[Edit]) -> dict[str, tuple[str, ...]]:
    """Return, for each edit, the enabled later edits that answer its prompt in its place, oldest first."""
    owners: dict[str, list[int]] = {}
    for order, edit in enumerate(edits):
        for key in {canonical(text) for text in edit.request.key_texts} if edit.enabled else ():
            owners.setdefault(key, []).append(order)
    return {
        edit.id: tuple(edits[later].id for later in owners.get(canonical(edit.prompt), ()) if later > order)
        for order, edit in enumerate(edits)
    }


def uncovered_by(edits: Sequence[Edit]) -> dict[str, str]:
    """Return, for each enabled edit that answers some wording of an older one, the newest that answers it without it."""
    order = {edit.id: place for place, edit in enumerate(edits)}
    owners: dict[str, list[str]] = {}
    for edit in edits:
        for key in {canonical(text) for text in edit.request.key_texts} if edit.enabled else ():
            owners.setdefault(key, []).append(edit.id)
    found: dict[str, str] = {}
    for *_, older, newest in (ids for ids in owners.values() if len(ids) > 1):
        if newest not in found or order[older] > order[found[newest]]:
            found[newest] = older
    return found
