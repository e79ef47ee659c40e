"""Says why a question was answered as it was: rows for the chart and its table, and one sentence.

Pure functions over routes; knows neither gradio nor plotly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sola_core.records import Edit, Route


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """One bar of the routing chart and one line of its table."""

    number: int
    prompt: str
    score: float
    enabled: bool
    answers: bool
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Why:
    """A route made ready to be shown: it stays as it was decided, whatever happens to the edits later."""

    question: str
    sentence: str
    rows: tuple[ScoreRow, ...]
    threshold: float
    score_name: str
    router: str


def why(question: str, route: Route, edits: Sequence[Edit], numbers: Mapping[str, int]) -> Why:
    """Return a route ready to be shown, with the texts of the edits as they are now."""
    by_id = {edit.id: edit for edit in edits}
    rows = tuple(
        ScoreRow(
            number=numbers.get(found.edit_id, 0),
            prompt=by_id[found.edit_id].prompt,
            score=found.score,
            enabled=found.enabled,
            answers=found.edit_id in route.edit_ids,
            verdict=_verdict(found.edit_id, found.score, found.enabled, route),
        )
        for found in route.candidates
        if found.edit_id in by_id
    )
    name = "cosine similarity" if route.score_kind == "cosine" else "probability"
    sentence = _why_sentence(route, rows, name, len(edits))
    return Why(
        question=question,
        sentence=sentence,
        rows=rows,
        threshold=route.threshold,
        score_name=name,
        router=route.router,
    )


def _verdict(edit_id: str, score: float, enabled: bool, route: Route) -> str:
    if edit_id in route.edit_ids:
        return "answers: the same question" if route.reason == "equal" else "answers"
    if not enabled:
        return "switched off, skipped"
    return "close enough, but another comes first" if score >= route.threshold else "not close enough"


def _why_sentence(route: Route, rows: Sequence[ScoreRow], name: str, stored: int) -> str:
    chosen = next((row for row in rows if row.answers), None)
    best = next((row for row in rows if row.enabled), None)
    if route.reason == "equal" and chosen is not None:
        words = (
            f"Edit {chosen.number} answers, because your question is one of its own wordings. No score is needed then."
        )
    elif route.reason == "equal":
        words = "An edit answers, because your question is one of its own wordings."
    elif route.reason == "score" and chosen is not None:
        words = f"Edit {chosen.number} answers: its {name} of {chosen.score:.2f} reaches the threshold of {route.threshold:.2f}."
    elif route.reason == "unrepresentable":
        words = (
            "The encoder cannot read this question (signs it does not know, or too long), so only an edit with exactly "
            "this wording could answer, and there is none. The untouched model answered."
        )
    elif route.reason == "no-edits":
        words = (
            "No edit is switched on, so the untouched model answered."
            if stored
            else "Nothing is taught yet, so the untouched model answered."
        )
    elif best is None:
        words = "None of the edits that are switched on is close enough, so the untouched model answered."
    else:
        words = (
            f"No edit is close enough: the best is edit {best.number} with a {name} of {best.score:.2f}, "
            f"under the threshold of {route.threshold:.2f}. The untouched model answered."
        )
    skipped = next((row for row in rows if not row.enabled and row.score >= route.threshold), None)
    if skipped is not None:
        words += f" Edit {skipped.number} would be close enough ({skipped.score:.2f}), but it is switched off."
    if route.not_scored:
        one = route.not_scored == 1
        words += f" {route.not_scored} stored {'edit has' if one else 'edits have'} no score for this question."
    return words
