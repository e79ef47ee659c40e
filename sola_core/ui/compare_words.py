"""Turns what happened in a contest of methods into sentences and table rows, as plain text.

Pure functions; knows neither gradio nor plotly nor markup. No method is known by name: `compare_texts` may have words for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sola_core.arena_records import Contender, MethodOutcome, Reply, RunProgress
from sola_core.ui import compare_texts as texts
from sola_core.ui.present import one_line
from sola_core.words import here, say, say_many, written

Line = tuple[str, ...]


def name(method: str) -> str:
    """Return what a method is called on the page."""
    return texts.NAMES.get(method, method)


def choice(one: Contender) -> str:
    """Return a method in one line: what it is, and what it says of taking back."""
    known = texts.WHAT.get(one.name)
    what = known or (texts.SHARED if one.capabilities.shares_weights else texts.APART)
    return say("{name}: {what}. {undoes}", name=name(one.name), what=what, undoes=texts.UNDOES[one.capabilities.delete])


def whys(contenders: Sequence[Contender]) -> list[tuple[str, Line]]:
    """Return why each method can take a fact back, or cannot."""
    return [
        (f"{name(one.name)}. {texts.UNDOES[one.capabilities.delete]}", (here(one.capabilities.why),))
        for one in contenders
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
        doing = say("{who}: learning fact {number}", who=who, number=at.number)
    else:
        doing = (
            say("{who}: asked fact {number} again", who=who, number=at.number)
            if at.number
            else say("{who}: asked something else", who=who)
        )
    return f"{doing}{time_left(at.left)}"


def finished(outcomes: Sequence[MethodOutcome], took: float) -> str:
    """Return the end of a run in one sentence."""
    facts = len(outcomes[0].facts)
    return say_many(
        "{count} fact taught to {methods} methods in {time}.",
        "{count} facts taught to {methods} methods in {time}.",
        facts,
        methods=len(outcomes),
        time=clock(took),
    )


def results(outcomes: Sequence[MethodOutcome]) -> list[Line]:
    """Return one row for each method."""
    return [
        (
            name(one.method),
            _held(one),
            part_of(one.points[-1].right, one.points[-1].asked) if one.points else texts.WAITING,
            part_of(one.elsewhere_same, one.elsewhere),
            seconds(one.seconds / _done(one)) if _done(one) else texts.WAITING,
            texts.UNDOES_SHORT[one.capabilities.delete],
        )
        for one in outcomes
    ]


def curve_rows(outcomes: Sequence[MethodOutcome]) -> tuple[Line, list[Line]]:
    """Return the head and the rows of the table of retention points."""
    longest = max((one.points for one in outcomes), key=len)
    head = (texts.METHOD, *(say("After {number}", number=point.taught) for point in longest))
    rows = []
    for one in outcomes:
        cells = [part_of(point.right, point.asked) for point in one.points]
        rows.append((name(one.method), *cells, *[texts.WAITING] * (len(longest) - len(cells))))
    return head, rows


def fact_rows(prompts: Sequence[str], outcomes: Sequence[MethodOutcome]) -> tuple[Line, list[Line]]:
    """Return the head and the rows of the table of facts: whether each method answers it rightly."""
    head = (texts.FACT, *(name(one.method) for one in outcomes))
    rows = [
        (f"{number}. {one_line(prompt)}", *(_fact(one, number) for one in outcomes))
        for number, prompt in enumerate(prompts, 1)
    ]
    return head, rows


def placed(outcomes: Sequence[MethodOutcome]) -> tuple[MethodOutcome, ...]:
    """Return the methods whose places can be drawn; none unless a place of theirs has a radius."""
    found = tuple(one for one in outcomes if one.tracks)
    circles = any(point.radius is not None for one in found for track in one.tracks for point in track.points)
    return found if circles else ()


def place_rows(outcomes: Sequence[MethodOutcome]) -> list[Line]:
    """Return one row for each place of each method."""
    return [
        (
            name(one.method),
            str(track.number),
            written(track.moved, ".2f"),
            _radius(track.points[0].radius),
            _radius(track.points[-1].radius),
        )
        for one in placed(outcomes)
        for track in one.tracks
    ]


def _radius(radius: float | None) -> str:
    return "–" if radius is None else written(radius, ".2f")


def _fact(one: MethodOutcome, number: int) -> str:
    fact = one.facts[number - 1]
    if fact.outcome == "failed":
        return f"{texts.NOT_TAUGHT}: {here(fact.reason)}"
    if fact.right is None:
        return texts.WAITING
    return (texts.YES if fact.exact else texts.IN_A_SENTENCE) if fact.right else texts.NO


def _held(one: MethodOutcome) -> str:
    failed = sum(fact.outcome == "failed" for fact in one.facts)
    words = part_of(one.right, one.asked) if one.asked else say("{number} taught", number=one.taught)
    if one.exact < one.right:
        words += say(", {number} word for word", number=one.exact)
    return say("{words}; {number} could not be taught", words=words, number=failed) if failed else words


def _done(one: MethodOutcome) -> int:
    return sum(fact.outcome != "waiting" for fact in one.facts)


# ---- answers ----


def who_answered(reply: Reply) -> str:
    """Return which fact answered, and how near the nearest was."""
    if reply.method == "":
        return say("As it was trained")
    near = ""
    if reply.nearest is not None:
        number, score = reply.nearest
        limit = reply.route.threshold
        need = (
            say("{score:.2f}, needed: {threshold:.2f}", score=score, threshold=limit)
            if limit >= 0  # below zero the scores are distances with their sign turned round
            else say("distance {distance:.2f}, at most {most:.2f}", distance=-score, most=-limit)
        )
        near = (
            f" ({need})"
            if reply.numbers == (number,)
            else say(" (nearest: fact {number} with {need})", number=number, need=need)
        )
    if reply.route.deferred:
        return say("No fact: the untouched model answered") + near
    if reply.route.kind == "edit" and reply.numbers:
        return say("Fact {number} answered", number=reply.numbers[0]) + near
    return (
        say("Shared by facts {numbers}", numbers=listed(reply.numbers))
        if reply.numbers
        else say("Shared weights answered")
    )


def how_it_ended(reply: Reply) -> str:
    """Return the mark under an answer that did not come to its end."""
    if reply.answer is None or reply.answer.stopped == "end":
        return ""
    return (
        say("Cut after {tokens} tokens.", tokens=reply.answer.tokens)
        if reply.answer.stopped == "limit"
        else texts.ANSWER_STOPPED
    )


# ---- small words ----


def part_of(part: int, whole: int) -> str:
    """Return how many of how many."""
    return say("{part} of {whole}", part=part, whole=whole) if whole else texts.WAITING


def listed(numbers: Sequence[int]) -> str:
    """Return numbers as words, a run of them by its ends."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return say("{first} to {last}", first=numbers[0], last=numbers[-1])
    return joined([str(number) for number in numbers])


def joined(words: Sequence[str]) -> str:
    """Return words with commas and an "and"."""
    return say(" and ").join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def time_left(left: float | None) -> str:
    """Return how long it will take, to be put behind what is done; empty when not known."""
    return "" if left is None or left < 1 else say(", about {time} left", time=clock(left))


def seconds(took: float) -> str:
    """Return a short time."""
    return say("{time:.1f} s", time=took) if took >= 0.1 else say("under {time:.1f} s", time=0.1)


def clock(took: float) -> str:
    """Return a time that may be long."""
    if took < 1:
        return say("a second")
    whole = round(took)
    return (
        say("{time} s", time=whole)
        if whole < 90
        else say("{minutes} min {seconds} s", minutes=whole // 60, seconds=whole % 60)
    )
