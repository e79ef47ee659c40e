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
from sola_core.workspace import AskedQuestion

KINDS = {"on": "edit, on", "off": "edit, off", "question": "question"}
REACHED = {"sentence": "everyday sentence", "question": "question", "key": "another edit’s question"}
NAMED = 6  # edits that one sentence names
Rows = list[tuple[str, ...]]


def drawn_with(picture: MapPicture, own: bool) -> str:
    """Return the line under the map: how it was drawn and what is not on it."""
    method = "UMAP" if picture.method == "umap" else "PCA, until UMAP is warm"
    words = f"Drawn with {method}{', laid out anew around your edits' if own else ''}. "
    words += "The small dots are everyday sentences, for orientation."
    if picture.left_out:
        words += f" {picture.left_out} older edits are not drawn."
    return words


def laid_out(method: str) -> str:
    """Return what is said after a re-layout."""
    words = "Laid out anew around your edits, then turned and scaled to lie as near the old picture as it can."
    return (
        words if method == "umap" else f"{words} UMAP is still warming up: this is PCA, and the map will change once."
    )


def judging(step: Judged) -> str:
    """Return the words beside the bar while the router is asked about the texts on the map."""
    return f"The router has judged {step.done} of {step.total} texts on the map"


def reach_words(picture: MapPicture, numbers: Sequence[int], expected: int) -> str:
    """Return what was counted: how many texts on the map each edit that is on, by number, would answer."""
    texts = f"all {picture.judged}" if picture.judged >= expected else f"{picture.judged} of the {expected}"
    words = f"The router was asked about {texts} texts on this map. Apart from their own wordings, "
    counts = Counter(reach.number for reach in picture.reach)
    some = [number for number in numbers if counts[number]]
    if not numbers:
        words += "no edit can answer, because all are switched off."
    elif not some:
        words += "no edit would answer any of them: all go to the untouched model."
    else:
        named = [f"edit {number} would answer {counts[number]}" for number in some[:NAMED]]
        rest = len(some) - NAMED
        named += [f"{rest} more would answer some"] if rest > 0 else []
        quiet = len(numbers) - len(some)
        named += [("the other edit none" if quiet == 1 else f"the other {quiet} edits none")] if quiet else []
        words += "; ".join(named) + "."
    return words + " Only texts that the router judged are marked; how far they lie from an edit decides nothing."


def reach_stale() -> str:
    """Return what is said when the edits or the router changed after a count."""
    return "The edits or the router have changed since the count, so nothing of it is shown."


def map_rows(picture: MapPicture) -> Rows:
    """Return the rows of the map's table."""
    rows: Rows = [
        (
            point.label,
            KINDS[point.kind],
            one_line(point.text, 120),
            f"edit {point.answered_by}" if point.answered_by else "",
        )
        for point in picture.points
    ]
    rows += [
        ("○", REACHED[reach.what], one_line(reach.text, 120), f"edit {reach.number} would") for reach in picture.reach
    ]
    return rows


def asked_words(question: AskedQuestion, number: int, now: float) -> str:
    """Return what is known of a question on the map; `number` is that of the edit that answered, 0 for none."""
    if number:
        who = f"edit {number} answered it"
    elif question.edit_id:
        who = "an edit answered it that is deleted since"
    else:
        who = "no edit did, so the untouched model answered it"
    return f"Question ?{question.number}, asked {ago(now - question.at)}: {who}. It is in the question box again."


def ago(seconds: float) -> str:
    """Return how long ago something was, roughly."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return "a moment ago"
    if minutes < 60:
        return "1 minute ago" if minutes == 1 else f"{minutes} minutes ago"
    hours = minutes // 60
    return "1 hour ago" if hours == 1 else f"{hours} hours ago"


def space_step(step: SpaceStep) -> str:
    """Return the words beside the bar while the spaces are filled."""
    what = {
        "references": f"Space “{step.space}”: reading everyday sentences, once for this server",
        "texts": f"Space “{step.space}”: reading your edits and questions",
        "keys": f"Router “{step.space}”: making keys for edits that lack one",
        "questions": "Asking every router about your questions",
    }[step.doing]
    return f"{what}, {step.done} of {step.total}"


def space_words(name: str, found: Closeness, numbers: Mapping[str, int], threshold: float) -> str:
    """Return what the cosines of a space say, and nothing that they do not."""
    parts = []
    if found.between is not None and found.closest is not None:
        cosine, first, second = found.closest
        one, other = sorted((numbers.get(first, 0), numbers.get(second, 0)))
        pair = f"the closest two, edits {one} and {other}: {cosine:.2f}"
        parts.append(f"Cosine between two different facts: {found.between:.2f} on average; {pair}.")
    if found.own is not None:
        parts.append(f"Between a question in other words and the edit that answered it: {found.own:.2f} on average.")
    if found.own is not None and found.closest is not None:
        if found.closest[0] >= found.own:
            parts.append("Some different facts lie closer together here than a question and its own edit.")
        else:
            parts.append("Here a question lies closer to its own edit than any two different facts to one another.")
    if not parts:
        parts.append("Two facts, or a question in other words that an edit answered, are needed for a comparison.")
    if name == "scope":
        parts.append("This router compares token by token, not by this cosine; the picture is an approximation.")
    else:
        parts.append(f"This router lets an edit answer from {threshold:.2f} on.")
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
            "no cosine" if name == "scope" else f"{thresholds[name]:.3f}",
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
        return "untouched model" if best is None else f"untouched model (best {best:.2f})"
    who = f"edit {numbers.get(route.edit_id, 0)}"
    return who if score is None else f"{who} ({score:.2f})"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
