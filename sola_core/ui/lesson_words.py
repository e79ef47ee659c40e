"""Turns what happened in the lesson into sentences and table rows, as plain text.

Pure functions; knows neither gradio nor markup. Says as plainly what was not reached as what was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sola_core.lesson import STEPS, Fact, Happened, Lesson, Observed, Proved, Snapshot, Step, Taught
from sola_core.lesson_checks import REPEATED, Finding, finding, may_go_on, may_run, reached
from sola_core.text import normalised_answer
from sola_core.ui import lesson_texts as texts
from sola_core.ui.present import quoted, seconds
from sola_core.words import say, say_many

LONG = 300  # characters of a text in a sentence here
PRINT_CHARS = 10


def outcome(lesson: Lesson, step: Step, happened: Happened, found: Finding, numbers: Mapping[str, int]) -> str:
    """Return what happened in a step, in one to three sentences; `numbers` names the edits by id."""
    if isinstance(happened, Taught):
        return _taught(happened, found, numbers)
    if isinstance(happened, Proved):
        return _proved(found) + ("" if happened.erased else texts.ERASING)
    return _asked(lesson, step, happened, found, numbers)


def _taught(made: Taught, found: Finding, numbers: Mapping[str, int]) -> str:
    if found != "reached":
        return say("What is stored is not what the lesson wanted to teach. Start again.")
    words = say_many(
        "Learnt in {time}, {count} step, and stored as edit {number}. It was tried before it was stored, and gave {target}.",
        "Learnt in {time}, {count} steps, and stored as edit {number}. It was tried before it was stored, and gave {target}.",
        made.steps,
        time=seconds(made.seconds),
        number=numbers.get(made.edit_id, 0),
        target=quoted(made.target, LONG),
    )
    return words + (say(" The model had given this answer before, too.") if made.known else "")


def _asked(lesson: Lesson, step: Step, seen: Observed, found: Finding, numbers: Mapping[str, int]) -> str:
    if found == "reached":
        return _reached(lesson, step, seen) + ("" if seen.ended else texts.CUT)
    own, other = numbers.get(lesson.edit_id, 0), numbers.get(seen.answered_by, 0)
    return {
        "answered": answered_already(numbers.get(seen.answered_by, 0)),
        "same-words": say(
            "These are the very words that were taught, so they show nothing new. Ask for the same in other words."
        ),
        "unreadable": (
            say(
                "The router cannot read this question: it has signs that it does not know, or is too long. So the "
                "untouched model answered. Try a wording in plain English."
            )
        ),
        "switched-off": (
            say(
                "The untouched model answered, because edit {own} is switched off. Switch it on in the tab Studio, then "
                "ask again.",
                own=own,
            )
        ),
        "below": (
            say(
                "The router did not find the edit, so the untouched model answered. {score} That happens when a "
                "wording is far from the one that was taught: the router would rather miss a question than answer a "
                "wrong one. Try words that are closer.",
                score=_score(seen),
            )
        ),
        "other-edit": say(
            "Not the edit of this lesson, but edit {other} answered: it is stored here, too, and came first.",
            other=other,
        ),
        "other-text": (
            say("The edit was found and answered, but not with {target}", target=quoted(lesson.fact.target, LONG))
            + (say(" to the letter.") if seen.ended else say(": the answer was cut before its end."))
            + say(" An edit is trained on one wording; another can lead it astray. Try another one.")
        ),
        "fired": _fired(step, seen),
        "differs": (
            say("No edit took part, and yet the two answers differ. That must not happen: please report it.")
            if step != "off"
            else say(
                "No edit took part, and yet this is not the answer of step 1. That must not happen: please report it."
            )
        ),
    }.get(found, "")


def answered_already(number: int) -> str:
    """Return what is said when an edit answers the lesson's question before it has begun."""
    return say(
        "Edit {number} already answers this question, so nobody could see a before and an after. Choose "
        "another fact, or delete that edit in the tab Studio. The lesson leaves it as it is.",
        number=number,
    )


def _reached(lesson: Lesson, step: Step, seen: Observed) -> str:
    if step == "ask":
        words = say("No edit took part: this is the model as it was trained.")
        if normalised_answer(seen.text) == normalised_answer(lesson.fact.target):
            words += say(" It gives the new answer already! Choose another fact if you want to see a change.")
        return words
    if step == "again":
        first = lesson.of("ask")
        same = isinstance(first, Observed) and first.base_text == seen.base_text
        words = say("The edit answered, with {target}.", target=quoted(lesson.fact.target, LONG))
        return words + (say(" The untouched model still says what it said in step 1.") if same else "")
    if step == "rephrase":
        return say(
            "The router found the edit in other words, and the answer is {target}. {score}",
            target=quoted(lesson.fact.target, LONG),
            score=_score(seen),
        )
    if step == "neighbour":
        return say("No edit took part, and both answers are the same, letter by letter. {score}", score=_score(seen))
    return say("This is the answer of step 1 again, letter by letter.")


def _fired(step: Step, seen: Observed) -> str:
    if step == "off":
        return say("The edit answered although it is switched off. That must not happen: please report it.")
    return say(
        "The edit answered a question that it should have left alone. {score} The router took the two "
        "questions for the same: that is its harmful mistake, and it happens when they are very much alike. "
        "Try another question.",
        score=_score(seen),
    )


def _score(seen: Observed) -> str:
    if seen.score is None:
        return ""
    digits = 2 if f"{seen.score:.2f}" != f"{seen.threshold:.2f}" else 4
    return say(
        "Its score is {score:.{digits}f}; an edit answers from {threshold:.{digits}f} on.",
        score=seen.score,
        digits=digits,
        threshold=seen.threshold,
    )


def _proved(found: Finding) -> str:
    return {
        "reached": say(
            "Proved: the edit is gone, and every number compared is what it was before the lesson, to the last bit."
        ),
        "stored": say("The edit is still stored, so there is nothing to compare yet."),
        "other-edit": (
            say(
                "The edit is gone, but another one that was taught meanwhile answers this question. Delete that one "
                "in the tab Studio, then compare again."
            )
        ),
        "state": (
            say(
                "The edit is gone and the model’s numbers are what they were. The list of edits is not: others were "
                "taught, switched or deleted during the lesson. Take that back in the tab Studio, then compare again."
            )
        ),
        "numbers": say(
            "Not proved: the model’s numbers are not those of step 1. That must not happen: please report it."
        ),
    }.get(found, "")


def closing(lesson: Lesson) -> str:
    """Return the last words, once the last step was reached."""
    if finding(lesson, "prove") != "reached":
        return ""
    many, steps = reached(lesson), len(STEPS)
    if many == steps:
        return say("That was the lesson. All {steps} steps were reached.", steps=steps)
    missed = [texts.STEPS[step].name for step in STEPS if finding(lesson, step) != "reached"]
    return say(
        "That was the lesson. {many} of {steps} steps were reached; not reached: {missed}.",
        many=many,
        steps=steps,
        missed=", ".join(missed),
    )


def question(lesson: Lesson) -> str:
    """Return the question that the shown step asks, or asked last."""
    happened, fact = lesson.of(lesson.step), lesson.fact
    if isinstance(happened, Observed):
        return happened.question
    return {"rephrase": fact.rephrase, "neighbour": fact.neighbour}.get(lesson.step, fact.prompt)


def button(lesson: Lesson | None) -> str:
    """Return what the main button says it will do."""
    if lesson is None:
        return texts.STEPS["ask"].button
    step = lesson.step
    if lesson.of(step) is None and not (step == "prove" and lesson.deleted):
        return texts.STEPS[step].button
    if step in REPEATED:
        return {"rephrase": texts.TRY_AGAIN, "neighbour": texts.ASK_ANOTHER}.get(step, texts.ONCE_MORE)
    return texts.COMPARE_AGAIN if step == "prove" else texts.STEPS[step].button


def next_button(lesson: Lesson) -> str:
    """Return what the button that goes on says."""
    if may_go_on(lesson) == "no":
        return ""
    following = texts.STEPS[STEPS[lesson.at + 1]]
    return texts.NEXT.format(name=following.title[0].lower() + following.title[1:])


def focus(lesson: Lesson, *, missed: bool = False) -> str:
    """Return which control one needs next; `missed`: what was just tried did not reach what the step is about."""
    if may_run(lesson) and (missed or finding(lesson, lesson.step) != "reached"):
        return "wording" if missed and lesson.step in ("rephrase", "neighbour") else "go"
    return {"next": "next", "anyway": "anyway", "no": "again"}[may_go_on(lesson)]


def fact_line(fact: Fact) -> str:
    """Return what the lesson teaches, on one line."""
    return f"{quoted(fact.prompt, LONG)} → {quoted(fact.target, LONG)}"


def prints(lesson: Lesson) -> Sequence[tuple[str, ...]]:
    """Return the rows of the table of fingerprints; none before the last step was tried."""
    proved, first, with_edit = lesson.of("prove"), lesson.of("ask"), lesson.of("again")
    if not isinstance(proved, Proved) or not isinstance(first, Observed) or first.snapshot is None:
        return ()
    between = with_edit.snapshot if isinstance(with_edit, Observed) else None
    return [
        (name, _print(first.snapshot, part), _print(between, part), _print(proved.snapshot, part),
         texts.SAME if getattr(first.snapshot, part) == getattr(proved.snapshot, part) else texts.NOT_SAME)
        for part, name in texts.PRINT_NAMES.items()
    ]  # fmt: skip


def _print(snapshot: Snapshot | None, part: str) -> str:
    return texts.NOT_TAKEN if snapshot is None else str(getattr(snapshot, part))[:PRINT_CHARS] + "…"
