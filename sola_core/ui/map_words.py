"""Sentences about the map and the spaces, and the rows of their tables, made from records.

Pure functions; knows no gradio and draws nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sola_core.reach import Judged
from sola_core.records import Edit, Route
from sola_core.spaces import Closeness, Space, SpaceStep
from sola_core.ui.places import MapPicture
from sola_core.ui.present import one_line, quoted
from sola_core.words import Sentence, here, say, say_many, written
from sola_core.workspace import AskedQuestion

KINDS = {"on": Sentence("edit, on"), "off": Sentence("edit, off"), "question": Sentence("question")}
REACHED = {
    "sentence": Sentence("everyday sentence"),
    "question": Sentence("question"),
    "key": Sentence("another edit’s question"),
}
NAMED = 6  # edits that one sentence names
Rows = list[tuple[str, ...]]


def drawn_with(picture: MapPicture, own: bool) -> str:
    """Return the line under the map: how it was drawn and what is not on it."""
    method = "UMAP" if picture.method == "umap" else say("PCA, until UMAP is warm")
    words = (
        say("Drawn with {method}, laid out anew around your edits. ", method=method)
        if own
        else say("Drawn with {method}. ", method=method)
    )
    words += say("The small dots are everyday sentences, for orientation.")
    if picture.left_out:
        words += say(" {count} older edits are not drawn.", count=picture.left_out)
    return words


def laid_out(method: str) -> str:
    """Return what is said after a re-layout."""
    words = say("Laid out anew around your edits, then turned and scaled to lie as near the old picture as it can.")
    return (
        words
        if method == "umap"
        else say("{words} UMAP is still warming up: this is PCA, and the map will change once.", words=words)
    )


def judging(step: Judged) -> str:
    """Return the words beside the bar while the router is asked about the texts on the map."""
    return say("The router has judged {done} of {total} texts on the map", done=step.done, total=step.total)


def reach_words(picture: MapPicture, numbers: Sequence[int], expected: int) -> str:
    """Return what was counted: how many texts on the map each edit that is on, by number, would answer."""
    words = (
        say("The router was asked about all {judged} texts on this map. ", judged=picture.judged)
        if picture.judged >= expected
        else say(
            "The router was asked about {judged} of the {expected} texts on this map. ",
            judged=picture.judged,
            expected=expected,
        )
    ) + say("Apart from their own wordings, ")
    counts = Counter(reach.number for reach in picture.reach)
    some = [number for number in numbers if counts[number]]
    if not numbers:
        words += say("no edit can answer, because all are switched off.")
    elif not some:
        words += say("no edit would answer any of them: all go to the untouched model.")
    else:
        named = [
            say("edit {number} would answer {count}", number=number, count=counts[number]) for number in some[:NAMED]
        ]
        rest = len(some) - NAMED
        named += [say("{rest} more would answer some", rest=rest)] if rest > 0 else []
        quiet = len(numbers) - len(some)
        named += [say_many("the other edit none", "the other {count} edits none", quiet)] if quiet else []
        words += "; ".join(named) + "."
    return words + say(" Only texts that the router judged are marked; how far they lie from an edit decides nothing.")


def reach_stale() -> str:
    """Return what is said when the edits or the router changed after a count."""
    return say("The edits or the router have changed since the count, so nothing of it is shown.")


def map_rows(picture: MapPicture) -> Rows:
    """Return the rows of the map's table."""
    rows: Rows = [
        (
            point.label,
            here(KINDS[point.kind]),
            one_line(point.text, 120),
            say("edit {number}", number=point.answered_by) if point.answered_by else "",
        )
        for point in picture.points
    ]
    rows += [
        ("○", here(REACHED[reach.what]), one_line(reach.text, 120), say("edit {number} would", number=reach.number))
        for reach in picture.reach
    ]
    return rows


def asked_words(question: AskedQuestion, number: int, now: float) -> str:
    """Return what is known of a question on the map; `number` is that of the edit that answered, 0 for none."""
    if number:
        who = say("edit {number} answered it", number=number)
    elif question.edit_id:
        who = say("an edit answered it that is deleted since")
    else:
        who = say("no edit did, so the untouched model answered it")
    return say(
        "Question ?{number}, asked {ago}: {who}. It is in the question box again.",
        number=question.number,
        ago=ago(now - question.at),
        who=who,
    )


def ago(seconds: float) -> str:
    """Return how long ago something was, roughly."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return say("a moment ago")
    if minutes < 60:
        return say_many("{count} minute ago", "{count} minutes ago", minutes)
    return say_many("{count} hour ago", "{count} hours ago", minutes // 60)


def space_step(step: SpaceStep) -> str:
    """Return the words beside the bar while the spaces are filled."""
    what = {
        "references": say("Space “{space}”: reading everyday sentences, once for this server", space=step.space),
        "texts": say("Space “{space}”: reading your edits and questions", space=step.space),
        "keys": say("Router “{space}”: making keys for edits that lack one", space=step.space),
        "questions": say("Asking every router about your questions"),
    }[step.doing]
    return say("{what}, {done} of {total}", what=what, done=step.done, total=step.total)


def space_words(name: str, found: Closeness, numbers: Mapping[str, int], threshold: float) -> str:
    """Return what the cosines of a space say, and nothing that they do not."""
    parts = []
    if found.between is not None and found.closest is not None:
        cosine, first, second = found.closest
        one, other = sorted((numbers.get(first, 0), numbers.get(second, 0)))
        parts.append(
            say(
                "Cosine between two different facts: {average:.2f} on average; the closest two, edits {one} and {other}: "
                "{cosine:.2f}.",
                average=found.between,
                one=one,
                other=other,
                cosine=cosine,
            )
        )
    if found.own is not None:
        parts.append(
            say(
                "Between a question in other words and the edit that answered it: {average:.2f} on average.",
                average=found.own,
            )
        )
    if found.own is not None and found.closest is not None:
        if found.closest[0] >= found.own:
            parts.append(say("Some different facts lie closer together here than a question and its own edit."))
        else:
            parts.append(
                say("Here a question lies closer to its own edit than any two different facts to one another.")
            )
    if not parts:
        parts.append(say("Two facts, or a question in other words that an edit answered, are needed for a comparison."))
    if name == "scope":
        parts.append(say("This router compares token by token, not by this cosine; the picture is an approximation."))
    else:
        parts.append(say("This router lets an edit answer from {threshold:.2f} on.", threshold=threshold))
    return " ".join(parts)


def space_rows(spaces: Mapping[str, Space], questions: Sequence[AskedQuestion], numbers: Mapping[str, int]) -> Rows:
    """Return what each router would do with each question, one row per question."""
    return [
        (
            f"?{question.number}",
            one_line(question.text, 80),
            *(_decision(space.routes[index], numbers) for space in spaces.values()),
        )
        for index, question in enumerate(questions)
    ]


def cosine_rows(found: Mapping[str, Closeness], thresholds: Mapping[str, float]) -> Rows:
    """Return the figures behind the sentences, one row per space."""
    return [
        (
            name,
            _number(close.between),
            _number(close.closest[0] if close.closest else None),
            _number(close.own),
            say("no cosine") if name == "scope" else written(thresholds[name], ".3f"),
        )
        for name, close in found.items()
    ]


def gist(edit: Edit) -> str:
    """Return an edit in a few words."""
    return f"{quoted(edit.prompt)} → {one_line(edit.target)}"


def _decision(route: Route, numbers: Mapping[str, int]) -> str:
    score = next((found.score for found in route.candidates if found.edit_id == route.edit_id), None)
    if route.edit_id is None:
        best = max((found.score for found in route.candidates), default=None)
        return say("untouched model") if best is None else say("untouched model (best {best:.2f})", best=best)
    who = say("edit {number}", number=numbers.get(route.edit_id, 0))
    return who if score is None else f"{who} ({written(score, '.2f')})"


def _number(value: float | None) -> str:
    return say("none") if value is None else written(value, ".3f")
