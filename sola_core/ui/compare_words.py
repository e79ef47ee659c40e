"""Turns what happened in a contest of methods into sentences and table rows, as plain text.

Pure functions; knows neither gradio nor plotly nor markup. No method is known by name: `compare_texts` may have words for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sola_core.arena_records import Contender, MethodOutcome, Reply, RunProgress, TakenBack, TakingBack
from sola_core.ui import compare_texts as texts
from sola_core.ui.present import one_line, quoted

Line = tuple[str, ...]
LONG = 160  # characters of an answer in a table


def name(method: str) -> str:
    """Return what a method is called on the page."""
    return texts.NAMES.get(method, method)


def choice(one: Contender) -> str:
    """Return a method in one line: what it is, and what it says of taking back."""
    known = texts.WHAT.get(one.name)
    what = known or (texts.SHARED if one.capabilities.shares_weights else texts.APART)
    return f"{name(one.name)}: {what}. {texts.UNDOES[one.capabilities.delete]}"


def whys(contenders: Sequence[Contender]) -> list[tuple[str, Line]]:
    """Return why each method can take a fact back, or cannot."""
    return [
        (f"{name(one.name)}. {texts.UNDOES[one.capabilities.delete]}", (one.capabilities.why,)) for one in contenders
    ]


def fact_lines(facts: Sequence[tuple[str, str]]) -> str:
    """Return facts as they are written in the box."""
    return "\n".join(f"{prompt} | {target}" for prompt, target in facts)


# ---- a run ----


def running(at: RunProgress) -> str:
    """Return what a run is doing, and how long it will take."""
    who = name(at.method) if at.method else texts.UNTOUCHED
    if at.stage == "opening":
        doing = texts.OPENING
    elif at.stage == "teaching":
        doing = f"{who}: learning fact {at.number}"
    else:
        doing = f"{who}: asked fact {at.number} again" if at.number else f"{who}: asked something else"
    return f"{doing}{_left(at.left)}"


def finished(outcomes: Sequence[MethodOutcome], took: float) -> str:
    """Return the end of a run in one sentence."""
    facts = len(outcomes[0].facts)
    return f"{_count(facts, 'fact')} taught to {len(outcomes)} methods in {_clock(took)}."


def results(outcomes: Sequence[MethodOutcome]) -> list[Line]:
    """Return one row for each method."""
    return [
        (
            name(one.method),
            _held(one),
            _of(one.points[-1].right, one.points[-1].asked) if one.points else texts.WAITING,
            _of(one.elsewhere_same, one.elsewhere),
            _seconds(one.seconds / _done(one)) if _done(one) else texts.WAITING,
            texts.UNDOES_SHORT[one.capabilities.delete],
        )
        for one in outcomes
    ]


def curve_rows(outcomes: Sequence[MethodOutcome]) -> tuple[Line, list[Line]]:
    """Return the head and the rows of the table of retention points."""
    longest = max((one.points for one in outcomes), key=len)
    head = ("Method", *(f"After {point.taught}" for point in longest))
    rows = []
    for one in outcomes:
        cells = [_of(point.right, point.asked) for point in one.points]
        rows.append((name(one.method), *cells, *[texts.WAITING] * (len(longest) - len(cells))))
    return head, rows


def fact_rows(prompts: Sequence[str], outcomes: Sequence[MethodOutcome]) -> tuple[Line, list[Line]]:
    """Return the head and the rows of the table of facts: whether each method answers it rightly."""
    head = ("Fact", *(name(one.method) for one in outcomes))
    rows = [
        (f"{number}. {one_line(prompt)}", *(_fact(one, number) for one in outcomes))
        for number, prompt in enumerate(prompts, 1)
    ]
    return head, rows


def _fact(one: MethodOutcome, number: int) -> str:
    fact = one.facts[number - 1]
    if fact.outcome == "failed":
        return f"{texts.NOT_TAUGHT}: {fact.reason}"
    if fact.right is None:
        return texts.WAITING
    return (texts.YES if fact.exact else texts.IN_A_SENTENCE) if fact.right else texts.NO


def _held(one: MethodOutcome) -> str:
    failed = sum(fact.outcome == "failed" for fact in one.facts)
    words = _of(one.right, one.asked) if one.asked else f"{one.taught} taught"
    if one.exact < one.right:
        words += f", {one.exact} word for word"
    return f"{words}; {failed} {texts.NOT_TAUGHT}" if failed else words


def _done(one: MethodOutcome) -> int:
    return sum(fact.outcome != "waiting" for fact in one.facts)


# ---- answers ----


def who_answered(reply: Reply) -> str:
    """Return which fact answered, and how near the nearest was."""
    if reply.method == "":
        return "As it was trained"
    near = ""
    if reply.nearest is not None:
        number, score = reply.nearest
        need = f"{score:.2f}, needed: {reply.route.threshold:.2f}"
        near = f" ({need})" if reply.numbers == (number,) else f" (nearest: fact {number} with {need})"
    if reply.route.deferred:
        return f"No fact: the untouched model answered{near}"
    if reply.route.kind == "edit" and reply.numbers:
        return f"Fact {reply.numbers[0]} answered{near}"
    return f"All facts share what answered: {_list(reply.numbers)}" if reply.numbers else "Shared weights answered"


def how_it_ended(reply: Reply) -> str:
    """Return the mark under an answer that did not come to its end."""
    if reply.answer is None or reply.answer.stopped == "end":
        return ""
    return f"Cut after {reply.answer.tokens} tokens." if reply.answer.stopped == "limit" else texts.ANSWER_STOPPED


# ---- taking back ----


def numbered(prompts: Sequence[str]) -> list[tuple[str, int]]:
    """Return the facts that can be chosen, each with its number."""
    return [(f"{number}: {one_line(prompt, 60)}", number) for number, prompt in enumerate(prompts, 1)]


def taking_back(at: TakingBack) -> str:
    """Return what taking back is doing."""
    doing = {
        "before": "asked before",
        "taking back": "taking the fact back",
        "after": "asked again",
        "anew": "a new model learns the other facts only, to compare",
    }[at.stage]
    return f"{name(at.method)}: {doing}{_left(at.left)}"


def taken_back(number: int, prompt: str, found: Sequence[TakenBack]) -> str:
    """Return what became of a fact in one or two sentences."""
    words = f"Fact {number}, {quoted(prompt)}: "
    gone = [name(one.method) for one in found if one.done]
    kept = [name(one.method) for one in found if not one.done]
    parts = ([f"taken back by {_and(gone)}"] if gone else []) + ([f"not by {_and(kept)}"] if kept else [])
    return words + ", ".join(parts) + "."


def undo_rows(found: Sequence[TakenBack]) -> list[Line]:
    """Return one row for each method."""
    return [
        (
            name(one.method),
            f"{texts.YES}, {texts.UNDOES_SHORT[one.capabilities.delete]}" if one.done else texts.NO,
            _seconds(one.seconds) if one.done else _start_over(one),
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


def undo_whys(found: Sequence[TakenBack]) -> list[tuple[str, Line]]:
    """Return why methods did not take the fact back."""
    return [(name(one.method), (one.reason,)) for one in found if not one.done]


def _start_over(one: TakenBack) -> str:
    return f"starting over without it: about {_clock(one.start_over)}" if one.others else "–"


def _now(one: TakenBack) -> str:
    said = one_line(one.said_after, LONG) or texts.NOTHING_SAID
    return f"{said} (by fact {_list(one.answered_by)})" if one.done and one.answered_by else said


def _base(one: TakenBack) -> str:
    if not one.done:
        return texts.NO if one.said_after != one.said_base else "the same words, though it was not taken back"
    if one.base_bits:
        return "yes, bit for bit"
    if one.base_again:
        return "yes, in words; the numbers differ"
    return f"no; it was: {one_line(one.said_base, LONG) or texts.NOTHING_SAID}"


def _others(one: TakenBack) -> str:
    if not one.done:
        return "nothing was touched"
    if not one.others:
        return "there are none"
    if one.others_bits == one.others:
        return f"{_of(one.others_bits, one.others)}, bit for bit"
    return f"{_of(one.others_same, one.others)} in words, {one.others_bits} bit for bit"


def _anew(one: TakenBack) -> str:
    if one.anew is None:
        return "not promised" if one.done else "–"
    same = f"{_of(one.anew.bits, one.anew.asked)} answers bit-equal"
    return f"{same}, {'and so is' if one.anew.state else 'but not'} what is stored"


def _sign(total: int, same: int, bits: int) -> str:
    if not total:
        return "–"
    return "✓" if bits == total else "≈" if same == total else f"{same}/{total}"


# ---- small words ----


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole}" if whole else texts.WAITING


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"


def _list(numbers: Sequence[int]) -> str:
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return _and([str(number) for number in numbers])


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _left(left: float | None) -> str:
    return "" if left is None or left < 1 else f", about {_clock(left)} left"


def _seconds(took: float) -> str:
    return f"{took:.1f} s" if took >= 0.1 else "under 0.1 s"


def _clock(took: float) -> str:
    if took < 1:
        return "a second"
    whole = round(took)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60:02d} s"
