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
from sola_core.words import say, say_many

if TYPE_CHECKING:
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
    return say("“{text}”", text=f"\u2068{one_line(text, limit)}\u2069")


def seconds(value: float) -> str:
    """Return a duration in words."""
    return say("{value:.1f} s", value=value)


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
    time = seconds(edit.seconds)
    words = say_many("learnt in {time}, {count} step", "learnt in {time}, {count} steps", record.steps, time=time)
    if edit.rephrases:
        words += say_many(", {count} more wording", ", {count} more wordings", len(edit.rephrases))
    return words + (say(", the model already answered so") if record.already_known else "")


def _notes(
    edit: Edit, numbers: Mapping[str, int], covers: Mapping[str, Sequence[str]], uncovered: Mapping[str, str]
) -> tuple[str, ...]:
    notes = []
    if edit.enabled and edit.id in uncovered:
        older = numbers.get(uncovered[edit.id], 0)
        notes.append(
            say(
                "Stands before edit {older}: without this one, edit {older} answers, not the untouched model.",
                older=older,
            )
        )
    if edit.enabled and covers.get(edit.id):
        newer = numbers.get(covers[edit.id][-1], 0)
        notes.append(say("Edit {newer} was taught later for the same question and answers in its place.", newer=newer))
    return tuple(notes)


def edits_summary(rows: Sequence[EditRow]) -> str:
    """Return the line over the list of edits."""
    if not rows:
        return texts.NO_EDITS
    on = sum(row.enabled for row in rows)
    if len(rows) > 1:
        return say("{count} stored, {on} switched on", count=len(rows), on=on)
    return say("1 stored, on") if on else say("1 stored, switched off")


def delete_question(row: EditRow) -> str:
    """Return what is asked before an edit goes."""
    back = next((note for note in row.notes if note.startswith(say("Stands before"))), "")
    words = say("Delete edit {number} for good? It cannot be brought back, only taught again.", number=row.number)
    return f"{words} {back}".rstrip()


def conflict(edit: Edit, number: int, route: Route) -> str:
    """Return what is said when an edit already answers the prompt that is to be taught."""
    how = say("this very question") if route.reason == "equal" else say("a question like this")
    after = (
        say("If you keep both, the new one answers, and without it the old one does again.")
        if route.reason == "equal"
        else say("If you keep both, the new one answers this wording, and the closer of the two answers others.")
    )
    return say(
        "Edit {number} already answers {how}: {prompt} gives {target}. {after}",
        number=number,
        how=how,
        prompt=quoted(edit.prompt),
        target=quoted(edit.target),
        after=after,
    )


def taught(edit: Edit, number: int, replaced: Sequence[int] = ()) -> str:
    """Return what is said when a fact was stored."""
    record = edit.training
    words = say(
        "Learnt as edit {number} in {time}: {prompt} now gives {target}",
        number=number,
        time=seconds(edit.seconds),
        prompt=quoted(edit.prompt),
        target=quoted(edit.target),
    )
    words += say(" (probability {probability:.0%}).", probability=record.target_probability)
    if record.already_known:
        words += say(" The model already answered so before.")
    if replaced:
        words += say(" Edit {number} was replaced.", number=replaced[0])
    return words


def deleted(number: int, erased: bool, again: Moment | None) -> str:
    """Return what is said after a delete."""
    words = say("Edit {number} is deleted.", number=number)
    if not erased:
        words = say(
            "Edit {number} is deleted; its text is still being erased from the disk, because another program reads the "
            "file.",
            number=number,
        )
    return words + _again(again)


def switched(number: int, enabled: bool, again: Moment | None) -> str:
    """Return what is said after a switch was moved."""
    words = (
        say("Edit {number} is switched on.", number=number)
        if enabled
        else say("Edit {number} is switched off.", number=number)
    )
    return words + _again(again)


def _again(moment: Moment | None) -> str:
    if moment is None:
        return ""
    when = {
        "start": say("at the start"),
        "taught": say("after edit {number} was taught", number=moment.number),
        "on": say("after edit {number} was switched on", number=moment.number),
        "off": say("after edit {number} was switched off", number=moment.number),
        "deleted": say("after edit {number} was deleted", number=moment.number),
        "routed": say("after the router was changed"),
    }[moment.after]
    return say(
        " The state is exactly the one {when} (digest {digest}…).", when=when, digest=moment.digest[:DIGEST_CHARS]
    )


def progress_text(step: TrainingStep) -> str:
    """Return the words beside the progress bar."""
    if step.stage == "reading":
        return say("Reading: step {step} of at most {total}", step=step.step, total=step.total)
    doing = {"training": say("Learning"), "trying": say("Trying it out"), "storing": say("Storing it")}[step.stage]
    return say(
        "{doing}: step {step} of at most {total}, loss {loss:.3f}",
        doing=doing,
        step=step.step,
        total=step.total,
        loss=step.loss,
    )


def kept_for(limits: Limits) -> str:
    """Return how long a shared server keeps a visitor's edits."""
    hours = limits.idle_seconds / 3600
    time = (
        say("{hours:.0f} hours", hours=hours)
        if hours >= 1.5
        else say("{minutes:.0f} minutes", minutes=limits.idle_seconds / 60)
    )
    return say("Your edits are private to this browser; the server forgets them after {time} without use.", time=time)


# ---- routers ----


def keys_text(step: KeysMade) -> str:
    """Return the words beside the bar while keys are made."""
    return say_many(
        "{count} edit lacks a key for the router “{router}”: {done} of {count} made",
        "{count} edits lack a key for the router “{router}”: {done} of {count} made",
        step.total,
        router=step.router,
        done=step.done,
    )


def keys_first(step: KeysMade) -> str:
    """Return what is said instead of a comparison that would take a while."""
    return say(
        "The router “{router}” has no keys yet for {total} edits; comparing makes them first.",
        router=step.router,
        total=step.total,
    )


def router_switched(name: str) -> str:
    """Return what is said when another router was chosen."""
    return say(
        "The router “{name}” decides from the next question on; what is shown stays as it was decided.", name=name
    )


# ---- answers ----


def who_answered(route: Route, numbers: Mapping[str, int]) -> str:
    """Return who answered, in a few words."""
    if route.deferred:
        return say("No edit: the untouched model answered")
    if route.edit_id is None:
        return say("Edits that share weights answered")
    return say("Edit {number} answered", number=numbers.get(route.edit_id, 0))


def how_it_ended(answer: Answer | None) -> str:
    """Return the mark under an answer: nothing while it runs or when it came to its end."""
    if answer is None or answer.stopped == "end":
        return ""
    if answer.stopped == "limit":
        return say("Cut after {tokens} tokens: the model had more to say.", tokens=answer.tokens)
    return say("Stopped before its end.")


def comparison(both: SideBySide) -> str:
    """Return what the two finished answers are to each other."""
    if both.base is None or both.edited is None:
        return ""
    if both.base_text == both.edited_text:
        return say("Both answers are the same, letter by letter.")
    return say("The answers differ.")
