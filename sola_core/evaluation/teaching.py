"""Teaches a stream of facts, one by one or in batches, or finds them in a library, and says what became of each.

Knows the session and rows. Knows no figures, and asks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sola_core.errors import EditFailed, InvalidInput
from sola_core.evaluation.rows import Row
from sola_core.records import Edit
from sola_core.session import AnyEditor


@dataclass(frozen=True, kw_only=True)
class Taught:
    """What became of one fact while the stream was taught."""

    row_id: str
    prompt: str
    target: str
    edit_id: str | None  # None: it could not be taught
    seconds: float
    steps: int
    failure: str = ""


def teach_one(editor: AnyEditor, row: Row) -> Taught:
    """Teach one fact; a failure is recorded, not raised."""
    try:
        return _taught(row, editor.edit(row.request))
    except EditFailed as error:
        return _not_taught(row, str(error))


def teach_batch(editor: AnyEditor, rows: Sequence[Row]) -> list[Taught]:
    """Teach facts in the method's batches; a failure is recorded, not raised."""
    failures: dict[int, EditFailed] = {}
    edits = iter(editor.edit_many([row.request for row in rows], on_failure=failures.__setitem__))
    return [
        _not_taught(row, str(failures[index])) if index in failures else _taught(row, next(edits))
        for index, row in enumerate(rows)
    ]


def taught_before(editor: AnyEditor, rows: Sequence[Row]) -> list[Taught]:
    """Find the facts among the edits of the editor's library; one that is not there is recorded as not taught.

    Raises InvalidInput when the library holds edits of no row: they would answer the benchmark's questions.
    """
    edits = {(edit.prompt, edit.target): edit for edit in editor.edits}
    requests = [row.request for row in rows]
    strangers = edits.keys() - {(request.prompt, request.target) for request in requests}
    if strangers:
        raise InvalidInput(
            f"The library holds edits that are not among the facts, {len(strangers):,} of them: "
            f"{min(strangers)[0]!r}. Name the facts that it was made from, all of them."
        )
    found = [edits.get((request.prompt, request.target)) for request in requests]
    return [
        _not_taught(row, "it is not in the library") if edit is None else _taught(row, edit)
        for row, edit in zip(rows, found, strict=True)
    ]


def _taught(row: Row, edit: Edit) -> Taught:
    return Taught(
        row_id=row.id,
        prompt=edit.prompt,
        target=edit.target,
        edit_id=edit.id,
        seconds=edit.seconds,
        steps=edit.training.steps,
    )


def _not_taught(row: Row, failure: str) -> Taught:
    target = row.target_new or ""
    return Taught(row_id=row.id, prompt=row.prompt, target=target, edit_id=None, seconds=0.0, steps=0, failure=failure)
