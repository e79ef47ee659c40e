"""Turns records into what the page shows: rows and sentences, as plain text.

Pure functions; knows neither gradio nor plotly nor markup (that is `markup`, which escapes what it is given).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sola_core.comparison import SideBySide
from sola_core.records import Answer, Edit, KeysMade, Route, TrainingStep
from sola_core.ui import texts

if TYPE_CHECKING:
    from sola_core.evaluation.certificate import Certificate, Certifying
    from sola_core.teaching_lists import ListedOutcome
    from sola_core.transfer import Imported
    from sola_core.workspace import Limits, Moment

SHORT = 60  # characters of a text in a sentence or a label
DIGEST_CHARS = 12


@dataclass(frozen=True, kw_only=True)
class EditRow:
    """One line of the list of edits."""

    id: str
    number: int
    prompt: str
    target: str
    subject: str  # empty when it was not given
    enabled: bool
    detail: str  # how it was learnt, in words
    notes: tuple[str, ...]  # what covers it and what it covers


# ---- texts ----


def one_line(text: str, limit: int = SHORT) -> str:
    """Return a text on one line, cut with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def quoted(text: str, limit: int = SHORT) -> str:
    """Return a text in quotation marks, kept apart from the direction of the sentence around it."""
    return f"“\u2068{one_line(text, limit)}\u2069”"


def seconds(value: float) -> str:
    """Return a duration in words."""
    return f"{value:.1f} s"


# ---- files and lists ----


def trying(done: int, total: int) -> str:
    """Return how far the loading of a file is, in words."""
    return f"Trying edit {min(done + 1, total)} of {total}"


def loaded(imported: Imported) -> str:
    """Return what became of a file's edits, in words."""
    words = [f"{_many(len(imported.edits), 'edit')} stored; each gave its answer here before it was."]
    if imported.skipped:
        words.append(f"{_many(len(imported.skipped), 'question')} taught here already, so left as it is.")
    if imported.failures:
        words.append(
            f"{_many(len(imported.failures), 'edit')} did not give its answer with this model and was not stored."
        )
    return " ".join(words)


def list_read(rows: int, usable: int) -> str:
    """Return what a list holds, in words."""
    wrong = rows - usable
    words = f"{_many(usable, 'fact')} can be taught."
    return f"{words} {_many(wrong, 'row')} cannot: the table says why." if wrong else words


def teaching_list(done: int, total: int) -> str:
    """Return how far a list is, in words."""
    return f"Teaching row {min(done + 1, total)} of {total}"


def list_taught(outcomes: Sequence[ListedOutcome]) -> str:
    """Return what became of a list, in words."""
    taught, there = (sum(o.outcome == kind for o in outcomes) for kind in ("taught", "present"))
    words = f"{_many(taught, 'fact')} taught."
    if there:
        words += f" {there:,} had been taught before."
    if left := len(outcomes) - taught - there:
        words += f" {_many(left, 'row')} not taught: the table says why."
    return words


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


# ---- proof ----


def certifying(at: Certifying) -> str:
    """Return how far a proof is, in words."""
    return f"{at.stage[0].upper()}{at.stage[1:]}: edit {min(at.done + 1, at.total)} of {at.total}"


def certified(certificate: Certificate) -> str:
    """Return the verdict of a proof, in words."""
    edits, cases = len(certificate.witnesses), sum(check.cases for check in certificate.checks)
    if certificate.breaches:
        return (
            f"Not proved: {certificate.breaches:,} of {cases:,} comparisons found a difference. "
            "The table names them; please report it with the certificate."
        )
    many = f"All {edits:,} edits were" if edits > 1 else "The edit was"
    return (
        f"{many} taken back, and every number of the model is what it was before: {cases:,} comparisons, no difference in a "
        "single bit."
    )


# ---- edits ----


def edit_rows(
    edits: Sequence[Edit],
    numbers: Mapping[str, int],
    covers: Mapping[str, Sequence[str]],
    uncovered: Mapping[str, str],
) -> tuple[EditRow, ...]:
    """Return the list of edits, newest first."""
    return tuple(
        EditRow(
            id=edit.id,
            number=numbers.get(edit.id, 0),
            prompt=edit.prompt,
            target=edit.target,
            subject=edit.subject or "",
            enabled=edit.enabled,
            detail=_how_learnt(edit),
            notes=_notes(edit, numbers, covers, uncovered),
        )
        for edit in reversed(edits)
    )


def _how_learnt(edit: Edit) -> str:
    record = edit.training
    steps = "1 step" if record.steps == 1 else f"{record.steps} steps"
    words = f"learnt in {seconds(edit.seconds)}, {steps}"
    if edit.rephrases:
        words += f", {len(edit.rephrases)} more wording" + ("s" if len(edit.rephrases) > 1 else "")
    return words + (", the model already answered so" if record.already_known else "")


def _notes(
    edit: Edit, numbers: Mapping[str, int], covers: Mapping[str, Sequence[str]], uncovered: Mapping[str, str]
) -> tuple[str, ...]:
    notes = []
    if edit.enabled and edit.id in uncovered:
        older = numbers.get(uncovered[edit.id], 0)
        notes.append(f"Stands before edit {older}: without this one, edit {older} answers, not the untouched model.")
    if edit.enabled and covers.get(edit.id):
        newer = numbers.get(covers[edit.id][-1], 0)
        notes.append(f"Edit {newer} was taught later for the same question and answers in its place.")
    return tuple(notes)


def edits_summary(rows: Sequence[EditRow]) -> str:
    """Return the line over the list of edits."""
    if not rows:
        return texts.NO_EDITS
    on = sum(row.enabled for row in rows)
    return f"{len(rows)} stored, {on} switched on" if len(rows) > 1 else f"1 stored, {'on' if on else 'switched off'}"


def delete_question(row: EditRow) -> str:
    """Return what is asked before an edit goes."""
    back = next((note for note in row.notes if note.startswith("Stands before")), "")
    return f"Delete edit {row.number} for good? It cannot be brought back, only taught again. {back}".rstrip()


def conflict(edit: Edit, number: int, route: Route) -> str:
    """Return what is said when an edit already answers the prompt that is to be taught."""
    how = "this very question" if route.reason == "equal" else "a question like this"
    after = (
        "If you keep both, the new one answers, and without it the old one does again."
        if route.reason == "equal"
        else "If you keep both, the new one answers this wording, and the closer of the two answers others."
    )
    return f"Edit {number} already answers {how}: {quoted(edit.prompt)} gives {quoted(edit.target)}. {after}"


def taught(edit: Edit, number: int, replaced: Sequence[int] = ()) -> str:
    """Return what is said when a fact was stored."""
    record = edit.training
    words = f"Learnt as edit {number} in {seconds(edit.seconds)}: {quoted(edit.prompt)} now gives {quoted(edit.target)}"
    words += f" (probability {record.target_probability:.0%})."
    if record.already_known:
        words += " The model already answered so before."
    if replaced:
        words += f" Edit {replaced[0]} was replaced."
    return words


def deleted(number: int, erased: bool, again: Moment | None) -> str:
    """Return what is said after a delete."""
    words = f"Edit {number} is deleted" + (
        "." if erased else "; its text is still being erased from the disk, because another program reads the file."
    )
    return words + _again(again)


def switched(number: int, enabled: bool, again: Moment | None) -> str:
    """Return what is said after a switch was moved."""
    return f"Edit {number} is switched {'on' if enabled else 'off'}." + _again(again)


def _again(moment: Moment | None) -> str:
    if moment is None:
        return ""
    when = {
        "start": "at the start",
        "taught": f"after edit {moment.number} was taught",
        "on": f"after edit {moment.number} was switched on",
        "off": f"after edit {moment.number} was switched off",
        "deleted": f"after edit {moment.number} was deleted",
        "routed": "after the router was changed",
    }[moment.after]
    return f" The state is exactly the one {when} (digest {moment.digest[:DIGEST_CHARS]}…)."


def progress_text(step: TrainingStep) -> str:
    """Return the words beside the progress bar."""
    doing = {"training": "Learning", "trying": "Trying it out", "storing": "Storing it", "reading": "Reading"}
    loss = "" if step.stage == "reading" else f", loss {step.loss:.3f}"
    return f"{doing[step.stage]}: step {step.step} of at most {step.total}{loss}"


def kept_for(limits: Limits) -> str:
    """Return how long a shared server keeps a visitor's edits."""
    hours = limits.idle_seconds / 3600
    time = f"{hours:.0f} hours" if hours >= 1.5 else f"{limits.idle_seconds / 60:.0f} minutes"
    return f"Your edits are private to this browser; the server forgets them after {time} without use."


# ---- routers ----


def keys_text(step: KeysMade) -> str:
    """Return the words beside the bar while keys are made."""
    edits = "1 edit lacks" if step.total == 1 else f"{step.total} edits lack"
    return f"{edits} a key for the router “{step.router}”: {step.done} of {step.total} made"


def keys_first(step: KeysMade) -> str:
    """Return what is said instead of a comparison that would take a while."""
    return f"The router “{step.router}” has no keys yet for {step.total} edits; comparing makes them first."


def router_switched(name: str) -> str:
    """Return what is said when another router was chosen."""
    return f"The router “{name}” decides from the next question on; what is shown stays as it was decided."


# ---- answers ----


def who_answered(route: Route, numbers: Mapping[str, int]) -> str:
    """Return who answered, in a few words."""
    if route.deferred:
        return "No edit: the untouched model answered"
    if route.edit_id is None:
        return "Edits that share weights answered"
    return f"Edit {numbers.get(route.edit_id, 0)} answered"


def how_it_ended(answer: Answer | None) -> str:
    """Return the mark under an answer: nothing while it runs or when it came to its end."""
    if answer is None or answer.stopped == "end":
        return ""
    if answer.stopped == "limit":
        return f"Cut after {answer.tokens} tokens: the model had more to say."
    return "Stopped before its end."


def comparison(both: SideBySide) -> str:
    """Return what the two finished answers are to each other."""
    if both.base is None or both.edited is None:
        return ""
    if both.base_text == both.edited_text:
        return "Both answers are the same, letter by letter."
    return "The answers differ."
