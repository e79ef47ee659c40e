"""Says why a question was answered as it was: rows for the chart and its table, and one sentence.

Pure functions over routes; knows neither gradio nor plotly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sola_core.records import Edit, Route
from sola_core.ui.texts import SCORE_NAMES
from sola_core.words import say, say_many


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
        words = say("The routers disagree.")
    elif decided[0] is None:
        words = say("All routers leave it to the untouched model.")
    else:
        words = say("All routers choose edit {number}.", number=decided[0])
    if changed:
        words += say(" Edits were changed since it was answered: the routers that were not used are shown as of now.")
    return words


def _score_name(route: Route) -> str:
    return SCORE_NAMES[route.score_kind]


def _decision(route: Route, number: int) -> str:
    if not route.deferred:
        words = say("edit {number} answers", number=number)
        return words + (say(": the same wording") if route.reason == "equal" else "")
    why = {"unrepresentable": say(": cannot read the question"), "no-edits": say(": no edit is on")}
    return say("untouched model answers") + why.get(route.reason, "")


def _verdict(edit_id: str, score: float, enabled: bool, route: Route) -> str:
    if edit_id in route.edit_ids:
        return say("answers: the same question") if route.reason == "equal" else say("answers")
    if not enabled:
        return say("switched off, skipped")
    return say("close enough, but another comes first") if score >= route.threshold else say("not close enough")


def _why_sentence(route: Route, rows: Sequence[ScoreRow], name: str, stored: int) -> str:
    chosen = next((row for row in rows if row.answers), None)
    best = next((row for row in rows if row.enabled), None)
    if route.reason == "equal" and chosen is not None:
        words = say(
            "Edit {number} answers, because your question is one of its own wordings. No score is needed then.",
            number=chosen.number,
        )
    elif route.reason == "equal":
        words = say("An edit answers, because your question is one of its own wordings.")
    elif route.reason == "score" and chosen is not None:
        words = say(
            "Edit {number} answers: its {name} of {score:.2f} reaches the threshold of {threshold:.2f}.",
            number=chosen.number,
            name=name,
            score=chosen.score,
            threshold=route.threshold,
        )
    elif route.reason == "unrepresentable":
        words = say(
            "The encoder cannot read this question (signs it does not know, or too long), so only an edit with "
            "exactly this wording could answer, and there is none. The untouched model answered."
        )
    elif route.reason == "no-edits":
        words = (
            say("No edit is switched on, so the untouched model answered.")
            if stored
            else say("Nothing is taught yet, so the untouched model answered.")
        )
    elif best is None:
        words = say("None of the edits that are switched on is close enough, so the untouched model answered.")
    else:
        words = say(
            "No edit is close enough: the best is edit {number} with a {name} of {score:.2f}, under the "
            "threshold of {threshold:.2f}. The untouched model answered.",
            number=best.number,
            name=name,
            score=best.score,
            threshold=route.threshold,
        )
    skipped = next((row for row in rows if not row.enabled and row.score >= route.threshold), None)
    if skipped is not None:
        words += say(
            " Edit {number} would be close enough ({score:.2f}), but it is switched off.",
            number=skipped.number,
            score=skipped.score,
        )
    if route.not_scored:
        words += say_many(
            " {count} stored edit has no score for this question.",
            " {count} stored edits have no score for this question.",
            route.not_scored,
        )
    return words
