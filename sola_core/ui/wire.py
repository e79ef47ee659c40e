"""The JSON that the endpoints take and give: documented, typed, stable.

Knows the records and nothing of the page.
"""

from __future__ import annotations

from typing import TypedDict

from sola_core.comparison import SideBySide
from sola_core.records import Edit, Route


class EditJson(TypedDict):
    """An edit as the endpoints give it."""

    id: str
    prompt: str
    target: str
    subject: str | None
    rephrases: list[str]
    enabled: bool
    created: float
    seconds: float
    steps: int
    target_probability: float
    already_known: bool
    digest: str


class CandidateJson(TypedDict):
    """A candidate as the endpoints give it."""

    edit_id: str
    score: float
    enabled: bool


class RouteJson(TypedDict):
    """A route as the endpoints give it."""

    kind: str
    edit_id: str | None
    edit_ids: list[str]
    deferred: bool
    reason: str
    router: str
    score_kind: str
    threshold: float
    candidates: list[CandidateJson]
    not_scored: int


class AskJson(TypedDict):
    """Both answers as the endpoints give them."""

    answer: str
    base_answer: str
    route: RouteJson
    stopped: str
    base_stopped: str


def edit_json(edit: Edit) -> EditJson:
    """Return an edit as the endpoints give it."""
    return EditJson(
        id=edit.id,
        prompt=edit.prompt,
        target=edit.target,
        subject=edit.subject,
        rephrases=list(edit.rephrases),
        enabled=edit.enabled,
        created=edit.created,
        seconds=edit.seconds,
        steps=edit.training.steps,
        target_probability=edit.training.target_probability,
        already_known=edit.training.already_known,
        digest=edit.digest,
    )


def route_json(route: Route) -> RouteJson:
    """Return a route as the endpoints give it."""
    return RouteJson(
        kind=route.kind,
        edit_id=route.edit_id,
        edit_ids=list(route.edit_ids),
        deferred=route.deferred,
        reason=route.reason,
        router=route.router,
        score_kind=route.score_kind,
        threshold=route.threshold,
        candidates=[CandidateJson(edit_id=c.edit_id, score=c.score, enabled=c.enabled) for c in route.candidates],
        not_scored=route.not_scored,
    )


def ask_json(both: SideBySide) -> AskJson:
    """Return both finished answers as the endpoints give them."""
    return AskJson(
        answer=both.edited_text,
        base_answer=both.base_text,
        route=route_json(both.route),
        stopped=both.edited.stopped if both.edited else "cancelled",
        base_stopped=both.base.stopped if both.base else "cancelled",
    )
