"""The pieces of HTML of the lesson; every value passes through `escaped`.

Knows HTML and the lesson's records, and nothing of gradio.
"""

from __future__ import annotations

from collections.abc import Sequence

from sola_core.lesson import STEPS, Lesson, Step
from sola_core.lesson_checks import standing
from sola_core.ui import lesson_texts as texts
from sola_core.ui.markup import badge, escaped
from sola_core.words import say

SIGNS = {"done": "✓", "missed": "■", "now": "▸", "to-come": ""}


def line(lesson: Lesson | None) -> str:
    """Return the steps as an ordered list: which is shown, and where each stands, by sign and word beside the colour."""
    items = "".join(_item(lesson, number, step) for number, step in enumerate(STEPS))
    return f'<ol class="sola-steps" aria-label="{escaped(texts.LINE)}">{items}</ol>'


def _item(lesson: Lesson | None, number: int, step: Step) -> str:
    state = standing(lesson, number)
    current = ' aria-current="step"' if number == (lesson.at if lesson else 0) else ""
    return (
        f'<li class="sola-step sola-{state}"{current}>'
        f'<span class="sola-step-mark" aria-hidden="true">{SIGNS[state] or number + 1}</span>'
        f'<span class="sola-step-name">{escaped(texts.STEPS[step].name)}</span>'
        f'<span class="sola-step-state">{escaped(texts.STANDING[state])}</span></li>'
    )


def body(number: int, step: Step, quote: str = "", label: str | None = None) -> str:
    """Return the heading of a step, what will happen, and what is asked or taught, if that is to stand there."""
    words = texts.STEPS[step]
    quoted = (
        f'<p class="sola-asked"><span>{escaped(label or texts.QUESTION)}</span> <bdi>{escaped(quote)}</bdi></p>'
        if quote
        else ""
    )
    return (
        f'<h3 class="sola-lesson-title">{number:d}. {escaped(words.title)}</h3>'
        f'<p class="sola-lesson-what">{escaped(words.what)}</p>{quoted}'
    )


def answer(label: str, kind: str, text: str, who: str) -> str:
    """Return one answer; `kind` is base or edit."""
    said = f"<bdi>{escaped(text)}</bdi>" if text else f'<span class="sola-faint">{escaped(texts.WAITING)}</span>'
    return (
        f'<section class="sola-said sola-said-{escaped(kind)}" aria-label="{escaped(label)}">'
        f"<h4>{escaped(label)}</h4><p>{said}</p>{badge(who, kind) if who else ''}</section>"
    )


def prints(rows: Sequence[Sequence[str]]) -> str:
    """Return the table of fingerprints; on a narrow screen each row stands by itself, with the heads inside it.

    The roles stay when a style sheet takes the shape of a table away.
    """
    if not rows:
        return ""
    head = "".join(f'<th role="columnheader" scope="col">{escaped(name)}</th>' for name in texts.PRINTS_HEAD)
    lines = "".join(
        '<tr role="row">'
        + "".join(
            f'<td role="cell" data-head="{escaped(name)}">{escaped(cell)}</td>'
            for name, cell in zip(texts.PRINTS_HEAD, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="sola-table sola-prints"><table role="table"><caption>{escaped(texts.PRINTS)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead><tbody role="rowgroup">{lines}</tbody></table></div>'
    )


def why(step: Step) -> str:
    """Return why a step is there, for students."""
    return "".join(f"<p>{escaped(words)}</p>" for words in texts.STEPS[step].why)


def notes(step: Step) -> str:
    """Return what the teacher may say and ask."""
    words = texts.STEPS[step]
    asked = "".join(f"<li>{escaped(one)}</li>" for one in words.ask)
    return (
        f"<p><b>{escaped(say('Say:'))}</b> {escaped(words.say)}</p><p><b>{escaped(say('Ask the class:'))}</b></p><ul>{asked}</ul>"
        f"<p><b>{escaped(say('Time:'))}</b> {escaped(say('about {minutes:d} minutes.', minutes=words.minutes))}</p>"
    )
