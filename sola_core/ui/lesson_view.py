"""What the lesson's components show for a lesson as it stands.

Knows gradio's updates, the lesson and its words; does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import gradio as gr

from sola_core.lesson import Happened, Lesson, Observed, Taught
from sola_core.lesson_checks import judged, may_go_on, may_run
from sola_core.ui import lesson_markup, lesson_words, markup
from sola_core.ui import lesson_texts as texts
from sola_core.ui.visible import HIDDEN, seen
from sola_core.words import say

Shown = tuple[object, ...]  # one value for each of PARTS
PARTS: Final = (
    *("kept", "line", "setup", "body", "wording", "go", "stop", "answers", "base", "edited", "outcome", "prints"),
    *("back", "next", "anyway", "again", "why", "notes", "focus"),
)
WORDINGS = ("rephrase", "neighbour")  # steps at which another wording can be tried


def only(**parts: object) -> Shown:
    """Return a message that changes these parts and no others; never the last one of a run."""
    assert set(parts) <= set(PARTS)
    return tuple(parts.get(name, gr.skip()) for name in PARTS)


def running(lesson: Lesson) -> Shown:
    """Return the first message of a run: the controls that would get in its way rest."""
    rest = gr.update(interactive=False)
    asks = lesson.step not in ("teach", "prove")
    return only(
        stop=gr.update(interactive=True),
        setup=gr.update(visible=HIDDEN),
        body=_body(lesson),
        back=rest,
        again=rest,
        next=gr.update(visible=HIDDEN),
        anyway=gr.update(visible=HIDDEN),
        outcome="" if asks else markup.progress(texts.GETTING_READY, 0, 1),
        **(answers("", "", "", "") if asks else {}),
    )


def answers(base: str, edited: str, who: str, kind: str) -> dict[str, Any]:
    """Return both answers as they are so far; `who` answered on the right is known with the first piece."""
    return {
        "answers": gr.update(visible=True),
        "base": lesson_markup.answer(texts.UNTOUCHED, "base", base, ""),
        "edited": lesson_markup.answer(texts.TAUGHT, kind or "base", edited, who),
    }


def view(
    lesson: Lesson | None,
    kept: object,
    numbers: Mapping[str, int],
    *,
    note: str = "",
    happened: Happened | None = None,
    focus: str = "",
) -> Shown:
    """Return all parts. `happened` is what was just seen, if it is to be told instead of what is kept of the step."""
    happened = happened or (lesson.of(lesson.step) if lesson else None)
    step = lesson.step if lesson else "ask"
    rewords = lesson is not None and step in WORDINGS and may_run(lesson)
    shown: dict[str, object] = {
        "kept": kept,
        "line": lesson_markup.line(lesson),
        "setup": gr.update(visible=seen(lesson is None)),
        "body": _body(lesson),
        "wording": gr.update(
            visible=seen(rewords),
            label=texts.NEIGHBOUR_NOW if step == "neighbour" else texts.REPHRASE_NOW,
            value=lesson_words.question(lesson) if lesson else "",
        ),
        "go": gr.update(
            value=lesson_words.button(lesson),
            visible=seen(lesson is None or may_run(lesson)),
            variant="secondary" if lesson and may_go_on(lesson) == "next" else "primary",
            interactive=True,
        ),
        "stop": gr.update(interactive=False, visible=seen(lesson is None or may_run(lesson))),
        "outcome": markup.note(note, "stop"),
        "prints": "",
        "answers": gr.update(visible=HIDDEN),
        "base": "",
        "edited": "",
        "back": gr.update(interactive=bool(lesson and lesson.at)),
        "next": gr.update(visible=HIDDEN, value=""),
        "anyway": gr.update(visible=HIDDEN),
        "again": gr.update(
            interactive=lesson is not None,
            value=texts.START_AGAIN_DELETES if lesson and lesson.edit_id and not lesson.deleted else texts.START_AGAIN,
        ),
        "why": lesson_markup.why(step),
        "notes": lesson_markup.notes(step),
        "focus": focus,
    }
    if lesson is not None:
        go_on = may_go_on(lesson)
        shown["next"] = gr.update(visible=seen(go_on == "next"), value=lesson_words.next_button(lesson))
        shown["anyway"] = gr.update(visible=seen(go_on == "anyway"))
        if happened is not None:
            shown |= _happened(lesson, happened, numbers, note)
    return tuple(shown[name] for name in PARTS)


def _happened(lesson: Lesson, happened: Happened, numbers: Mapping[str, int], note: str) -> dict[str, Any]:
    found = judged(lesson, lesson.step, happened)
    words = lesson_words.outcome(lesson, lesson.step, happened, found, numbers)
    told = markup.note(words, "good" if found == "reached" else "stop") + markup.note(note, "stop")
    parts: dict[str, Any] = {"outcome": told}
    if isinstance(happened, Observed):
        by = happened.answered_by
        who = (
            say("Edit {number} answered", number=numbers.get(by, 0))
            if by
            else say("No edit: the untouched model answered")
        )
        parts |= answers(happened.base_text, happened.text, who, "edit" if by else "base")
    elif not isinstance(happened, Taught):
        parts["prints"] = lesson_markup.prints(lesson_words.prints(lesson))
        parts["outcome"] = told + markup.note(lesson_words.closing(lesson))
    return parts


def _body(lesson: Lesson | None) -> str:
    if lesson is None:
        return lesson_markup.body(1, "ask")
    if lesson.step == "teach":
        return lesson_markup.body(2, "teach", lesson_words.fact_line(lesson.fact), texts.FACT)
    rewords = lesson.step in WORDINGS and may_run(lesson)
    return lesson_markup.body(lesson.at + 1, lesson.step, "" if rewords else lesson_words.question(lesson))
