"""Turns what taking a fact back did into sentences, table rows and signs, as plain text.

Pure functions; knows neither gradio nor plotly nor markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from sola_core.arena_records import Foreseeing, Foresight, TakenBack, TakingBack
from sola_core.ui import compare_texts as texts
from sola_core.ui.compare_words import Line, clock, joined, listed, name, part_of, seconds, time_left
from sola_core.ui.present import one_line, quoted
from sola_core.words import here, say

LONG = 160  # characters of an answer in a table


def numbered(prompts: Sequence[str]) -> list[tuple[str, int]]:
    """Return the facts that can be chosen, each with its number."""
    return [(f"{number}: {one_line(prompt, 60)}", number) for number, prompt in enumerate(prompts, 1)]


def taking_back(at: TakingBack) -> str:
    """Return what taking back is doing."""
    doing = texts.UNDO_STAGES[at.stage]
    return f"{name(at.method)}: {doing}{time_left(at.left)}"


def taken_back(number: int, prompt: str, found: Sequence[TakenBack]) -> str:
    """Return what became of a fact in one or two sentences."""
    gone = [name(one.method) for one in found if one.done]
    kept = [name(one.method) for one in found if not one.done]
    parts = ([say("taken back by {methods}", methods=joined(gone))] if gone else []) + (
        [say("not by {methods}", methods=joined(kept))] if kept else []
    )
    return say("Fact {number}, {prompt}: {parts}.", number=number, prompt=quoted(prompt), parts=", ".join(parts))


def undo_rows(found: Sequence[TakenBack]) -> list[Line]:
    """Return one row for each method."""
    return [
        (
            name(one.method),
            f"{texts.YES}, {texts.UNDOES_SHORT[one.capabilities.delete]}" if one.done else texts.NO,
            seconds(one.seconds) if one.done else _start_over(one),
            _now(one),
            _base(one),
            _others(one),
            _anew(one),
        )
        for one in found
    ]


def undo_signs(one: TakenBack) -> tuple[str, str, str, str]:
    """Return what taking back did as four signs, see `UNDO_LEGEND`; a share stands where some are as before."""
    if not one.done:
        return "✕", "✕" if one.said_after != one.said_base else "≈", "–", "–"
    taken = "✓" if one.capabilities.delete == "exact" else "≈"
    base = "✓" if one.base_bits else "≈" if one.base_again else "✕"
    others = _sign(one.others, one.others_same, one.others_bits)
    anew = "–" if one.anew is None else _sign(one.anew.asked, one.anew.bits, one.anew.bits)
    return taken, base, others, anew


def foreseeing(at: Foreseeing) -> str:
    """Return what looking ahead is doing."""
    return say("{who}: works out what will happen", who=name(at.method))


def foreseen_rows(found: Sequence[Foresight], prompts: Sequence[str]) -> list[Line]:
    """Return one row for each method and each other fact."""
    return [
        (
            name(one.method),
            f"{other.number}. {one_line(prompts[other.number - 1], 60)}",
            _fit(other.now),
            _fit(other.then),
            one_line(other.answer_now, LONG) or texts.NOTHING_SAID,
            say("the same")
            if other.answer_then == other.answer_now
            else one_line(other.answer_then, LONG) or texts.NOTHING_SAID,
        )
        for one in found
        for other in one.others
    ]


def foreseen(found: Sequence[Foresight]) -> str:
    """Return what will happen in one sentence."""
    others = sum(len(one.others) for one in found)
    changed = sum(other.answer_now != other.answer_then for one in found for other in one.others)
    if not others:
        return texts.FORESEEN_NONE
    return say("Other facts: {others}. Answered otherwise afterwards: {changed}.", others=others, changed=changed)


def _fit(misfit: float) -> str:
    return say("{share:.0f} %", share=100 * max(0.0, 1 - misfit))


def undo_whys(found: Sequence[TakenBack]) -> list[tuple[str, Line]]:
    """Return why methods did not take the fact back."""
    return [(name(one.method), (here(one.reason),)) for one in found if not one.done]


def _start_over(one: TakenBack) -> str:
    return say("starting over without it: about {time}", time=clock(one.start_over)) if one.others else "–"


def _now(one: TakenBack) -> str:
    said = one_line(one.said_after, LONG) or texts.NOTHING_SAID
    return said + say(" (by fact {numbers})", numbers=listed(one.answered_by)) if one.done and one.answered_by else said


def _base(one: TakenBack) -> str:
    if not one.done:
        return texts.NO if one.said_after != one.said_base else say("the same words, though it was not taken back")
    if one.base_bits:
        return say("yes, bit for bit")
    if one.base_again:
        return say("yes, in words; the numbers differ")
    return say("no; it was: {answer}", answer=one_line(one.said_base, LONG) or texts.NOTHING_SAID)


def _others(one: TakenBack) -> str:
    if not one.done:
        return say("nothing was touched")
    if not one.others:
        return say("there are none")
    if one.others_bits == one.others:
        return say("{share}, bit for bit", share=part_of(one.others_bits, one.others))
    return say(
        "{share} in words, {number} bit for bit", share=part_of(one.others_same, one.others), number=one.others_bits
    )


def _anew(one: TakenBack) -> str:
    if one.anew is None:
        return say("not promised") if one.done else "–"
    share = part_of(one.anew.bits, one.anew.asked)
    if one.anew.state:
        return say("{share} answers bit-equal, and so is what is stored", share=share)
    return say("{share} answers bit-equal, but not what is stored", share=share)


def _sign(total: int, same: int, bits: int) -> str:
    if not total:
        return "–"
    return "✓" if bits == total else "≈" if same == total else f"{same}/{total}"
