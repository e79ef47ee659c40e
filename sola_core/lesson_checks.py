"""What each step of the lesson checks, and when one may go on.

Pure functions over what really happened: a step is reached only when its check holds for that, and never because somebody
pressed a button. Knows nothing of the page, of visitors or of models.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from sola_core.lesson import STEPS, Fact, Happened, Lesson, Observed, Proved, Step, Taught
from sola_core.records import Edit
from sola_core.text import canonical, normalised_answer

NEEDED: Final = 2  # the first two steps: without them there is nothing to go on with
REPEATED: Final[frozenset[Step]] = frozenset({"again", "rephrase", "neighbour"})  # may be tried as often as one likes

Finding = Literal[
    "reached",
    "answered",  # an edit answered before anything was taught
    "not-held",  # what is stored is not what was to be taught
    "same-words",  # the very wording that was taught, so nothing was shown by it
    "unreadable",  # the router's encoder cannot read the question
    "switched-off",  # the lesson's edit is off
    "below",  # not close enough to any edit
    "other-edit",  # another edit answered
    "other-text",  # the lesson's edit answered, with another text or without coming to an end
    "fired",  # the lesson's edit answered a question that it should have left alone
    "differs",  # the untouched model answered, and yet with another text
    "stored",  # the edit is still there
    "state",  # the edits are not those that the lesson began with
    "numbers",  # the model's own numbers are not those that the lesson began with
]
Standing = Literal["done", "missed", "now", "to-come"]


def finding(lesson: Lesson, step: Step) -> Finding | None:
    """Return what a step's check finds in what happened; None when nothing has happened in it yet."""
    happened = lesson.of(step)
    return None if happened is None else judged(lesson, step, happened)


def reached(lesson: Lesson) -> int:
    """Return how many steps were reached."""
    return sum(finding(lesson, step) == "reached" for step in STEPS)


def judged(lesson: Lesson, step: Step, happened: Happened) -> Finding:
    """Return what a step's check finds in something that happened."""
    if isinstance(happened, Taught):
        fact = lesson.fact
        same = happened.prompt == fact.prompt and happened.target == fact.target
        return "reached" if same and happened.held else "not-held"
    if isinstance(happened, Proved):
        return _proof(lesson, happened)
    checks = {"ask": _before, "rephrase": _in_other_words, "neighbour": _left_alone, "off": _as_before}
    return checks.get(step, _answers)(lesson, happened)


def _before(lesson: Lesson, seen: Observed) -> Finding:
    if seen.answered_by:
        return "answered"
    return "reached" if seen.text == seen.base_text else "differs"


def _in_other_words(lesson: Lesson, seen: Observed) -> Finding:
    same = canonical(seen.question) == canonical(lesson.fact.prompt)
    return "same-words" if same else _answers(lesson, seen)


def _answers(lesson: Lesson, seen: Observed) -> Finding:
    if seen.answered_by == lesson.edit_id:
        return "reached" if _gives_target(seen, lesson.fact) else "other-text"
    return "other-edit" if seen.answered_by else _why_not(seen)


def _gives_target(seen: Observed, fact: Fact) -> bool:
    return seen.ended and normalised_answer(seen.text) == normalised_answer(fact.target)


def _why_not(seen: Observed) -> Finding:
    if not seen.on:
        return "switched-off"
    return "unreadable" if seen.reason == "unrepresentable" else "below"


def _left_alone(lesson: Lesson, seen: Observed) -> Finding:
    if seen.answered_by:
        return "fired" if seen.answered_by == lesson.edit_id else "other-edit"
    return "reached" if seen.text == seen.base_text else "differs"


def _as_before(lesson: Lesson, seen: Observed) -> Finding:
    first = lesson.of("ask")
    if seen.answered_by:
        return "fired" if seen.answered_by == lesson.edit_id else "other-edit"
    return "reached" if isinstance(first, Observed) and seen.text == first.text else "differs"


def _proof(lesson: Lesson, found: Proved) -> Finding:
    first = lesson.of("ask")
    start = first.snapshot if isinstance(first, Observed) else None
    now = found.snapshot
    if found.stored:
        return "stored"
    if found.answered_by:
        return "other-edit"
    if start is None or (now.base, now.answered, now.parameters) != (start.base, start.base, start.parameters):
        return "numbers"
    return "reached" if now.state == start.state else "state"


# ---- going through it ----


def standing(lesson: Lesson | None, number: int) -> Standing:
    """Return where a step stands: done, gone past without being reached, being done, or to come."""
    if lesson is None:
        return "to-come" if number else "now"
    if finding(lesson, STEPS[number]) == "reached":
        return "done"
    if number < lesson.opened:
        return "missed"
    return "now" if number == lesson.opened else "to-come"


def added(lesson: Lesson, happened: Happened) -> Lesson:
    """Return the lesson after something happened in the step that is shown; what was reached stays reached."""
    step = lesson.step
    if finding(lesson, step) == "reached" and judged(lesson, step, happened) != "reached":
        return lesson
    all_of_them = (*lesson.happened[: lesson.at], happened, *lesson.happened[lesson.at + 1 :])
    return replace(lesson, happened=all_of_them)


def may_run(lesson: Lesson) -> bool:
    """Say whether what the shown step does may be done now: not yet reached, or a question that may be tried again."""
    taken_back = lesson.deleted or lesson.of("off") is not None
    if lesson.step in REPEATED:
        return not taken_back
    if lesson.at < NEEDED:
        return finding(lesson, lesson.step) is None
    return finding(lesson, lesson.step) != "reached" and (lesson.step == "prove" or not lesson.deleted)


def may_go_on(lesson: Lesson) -> Literal["next", "anyway", "no"]:
    """Say whether one may go on to the next step: because this one is reached, or without that."""
    if lesson.at == len(STEPS) - 1:
        return "no"
    if lesson.at < lesson.opened or finding(lesson, lesson.step) == "reached":
        return "next"
    return "anyway" if lesson.at >= NEEDED and finding(lesson, lesson.step) is not None else "no"


def gone_on(lesson: Lesson) -> Lesson:
    """Return the lesson at its next step, or as it is when one may not go on."""
    if may_go_on(lesson) == "no":
        return lesson
    return replace(lesson, at=lesson.at + 1, opened=max(lesson.opened, lesson.at + 1))


def gone_back(lesson: Lesson) -> Lesson:
    """Return the lesson at the step before, to look at it again."""
    return replace(lesson, at=max(0, lesson.at - 1))


def fits(lesson: Lesson, edits: tuple[Edit, ...]) -> bool:
    """Say whether a lesson can go on where these edits are stored: its own is among them until it was deleted."""
    if not lesson.edit_id:
        return True
    own = next((edit for edit in edits if edit.id == lesson.edit_id), None)
    if lesson.deleted:
        return own is None
    return own is not None and (own.prompt, own.target) == (lesson.fact.prompt, lesson.fact.target)
