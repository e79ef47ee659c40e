"""Says why a question was answered as it was: rows for the chart and its table, and one sentence.

Pure functions over routes; knows neither gradio nor plotly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sola_core.records import Edit, Route
from sola_core.ui.texts import SCORE_NAMES


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
class RouterRow:
    """What one router would have done: one bar of the comparison and one line of its table."""

    router: str
    number: int  # of its best edit among those switched on; 0: it has none
    prompt: str
    score: float | None  # None: its best edit has none, or there is none
    score_name: str
    threshold: float
    decision: str
    answers: bool
    used: bool  # it decided this question


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
    name = _score_name(route)
    sentence = _why_sentence(route, rows, name, len(edits))
    return Why(
        question=question,
        sentence=sentence,
        rows=rows,
        threshold=route.threshold,
        score_name=name,
        router=route.router,
    )


def router_rows(
    routes: Sequence[Route], used: str, edits: Sequence[Edit], numbers: Mapping[str, int]
) -> list[RouterRow]:
    """Return one row for each route, in their order; `used` names the router that decided the question."""
    prompts = {edit.id: edit.prompt for edit in edits}
    rows = []
    for route in routes:
        scores = {found.edit_id: found.score for found in route.candidates}
        best = route.edit_id or next((found.edit_id for found in route.candidates if found.enabled), "")
        number = numbers.get(best, 0)
        rows.append(
            RouterRow(
                router=route.router,
                number=number,
                prompt=prompts.get(best, ""),
                score=scores.get(best),
                score_name=_score_name(route),
                threshold=route.threshold,
                decision=_decision(route, number),
                answers=not route.deferred,
                used=route.router == used,
            )
        )
    return rows


def agreement(rows: Sequence[RouterRow], changed: bool) -> str:
    """Return the comparison in a sentence; `changed`: the edits are no longer those that the question met."""
    decided = [row.number if row.answers else None for row in rows]
    if len(set(decided)) > 1:
        words = "The routers disagree."
    elif decided[0] is None:
        words = "All routers leave it to the untouched model."
    else:
        words = f"All routers choose edit {decided[0]}."
    if changed:
        words += " Edits were changed since it was answered: the routers that were not used are shown as of now."
    return words


def _score_name(route: Route) -> str:
    return SCORE_NAMES[route.score_kind]


def _decision(route: Route, number: int) -> str:
    if not route.deferred:
        return f"edit {number} answers" + (": the same wording" if route.reason == "equal" else "")
    why = {"unrepresentable": ": cannot read the question", "no-edits": ": no edit is on"}.get(route.reason, "")
    return "untouched model answers" + why


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
