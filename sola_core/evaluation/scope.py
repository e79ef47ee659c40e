"""Measures a router alone: every row's key is stored, then every rephrasing and every negative is routed.

Knows routers and records, no adapters and no host; needs no trained edit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sola_core.evaluation.numbers import median
from sola_core.evaluation.questions import ALIAS, APART, StoredSubjects
from sola_core.evaluation.rows import Row
from sola_core.records import KeyText, Route
from sola_core.routing.router import Router

Progress = Callable[[int, int], None]  # prompts done, prompts in all
Prompt = tuple[str, str, str, bool]  # row id, prompt, kind, positive


@dataclass(frozen=True, kw_only=True)
class ScopeCase:
    """One prompt of the benchmark and what the router did with it."""

    row_id: str  # the row that the prompt belongs to
    prompt: str
    kind: str  # "rephrase", ALIAS, or the kind of a negative
    positive: bool  # should be routed to its own row
    routed: str | None  # id of the row whose edit answers
    reason: str  # Route.reason
    best: str | None  # id of the row with the highest score
    best_score: float  # -inf without a score
    own_score: float  # the score of its own row; -inf without one
    seconds: float = 0.0  # the decision, with the encoder's (or the host's) reading of the prompt

    def fires(self, threshold: float) -> str | None:
        """Return the row that answers at another threshold; an equal key answers at any."""
        if self.reason == "equal":
            return self.routed
        return self.best if self.best_score >= threshold else None


@dataclass(frozen=True, kw_only=True)
class ScopeResult:
    """The benchmark's figures and everything they were made of."""

    router: str
    encoder_id: str
    threshold: float
    edits: int
    figures: Mapping[str, float]  # name -> 0..1; an absent figure has no prompts
    counts: Mapping[str, int]  # prompts by kind
    dropped: int  # neighbours that contain another stored subject
    apart: float | None  # share of `Forgetfulness` prompts routed anywhere
    unrepresentable: int  # stored rows without a key, found by equality only
    routing_ms: float | None  # median over the prompts
    cases: tuple[ScopeCase, ...]


def scope_benchmark(
    router: Router,
    rows: Sequence[Row],
    *,
    questions: Iterable[Row] = (),
    use_subject: bool = True,
    on_progress: Progress | None = None,
) -> ScopeResult:
    """Store every row's key in an empty router and route every probe; `questions` are further negatives, kind `nq`.

    With `use_subject` the keys are made with the subject that the record gives, as an edit request would.
    """
    ids = row_ids(rows)
    missing = store(router, rows, ids, use_subject=use_subject)
    prompts, dropped = prompts_of(rows, ids, questions, stored=rows)
    return routed(router, prompts, edits=len(rows), dropped=dropped, unrepresentable=missing, on_progress=on_progress)


def routed(
    router: Router,
    prompts: Sequence[Prompt],
    *,
    edits: int,
    dropped: int,
    unrepresentable: int,
    on_progress: Progress | None = None,
) -> ScopeResult:
    """Route every prompt through a router that holds `edits` rows, and count."""
    cases = []
    for done, (row_id, prompt, kind, positive) in enumerate(prompts, start=1):
        cases.append(_case(router, row_id, prompt, kind, positive))
        if on_progress is not None:
            on_progress(done, len(prompts))
    apart = [case.routed is not None for case in cases if case.kind == APART]
    seconds = median([case.seconds for case in cases])
    return ScopeResult(
        router=router.name,
        encoder_id=router.encoder_id,
        threshold=router.threshold,
        edits=edits,
        figures=scope_figures(cases, router.threshold),
        counts=dict(Counter(case.kind for case in cases)),
        dropped=dropped,
        apart=float(np.mean(apart)) if apart else None,
        unrepresentable=unrepresentable,
        routing_ms=None if seconds is None else 1000 * seconds,
        cases=tuple(cases),
    )


def scope_figures(cases: Sequence[ScopeCase], threshold: float) -> dict[str, float]:
    """Return the figures at a threshold: recall, recall_alias, wrong_edit, false_fire, false_fire_<kind>, auc.

    `auc` is the chance that a positive's own row scores higher than a negative's best row (ties count half).
    """
    positives = [case for case in cases if case.positive]
    negatives = [case for case in cases if not case.positive and case.kind != APART]
    fired = {id(case): case.fires(threshold) for case in cases}
    shares = {
        "recall": [fired[id(c)] == c.row_id for c in positives if c.kind != ALIAS],
        "recall_alias": [fired[id(c)] == c.row_id for c in positives if c.kind == ALIAS],
        "wrong_edit": [fired[id(c)] not in (None, c.row_id) for c in positives],
        "false_fire": [fired[id(c)] is not None for c in negatives],
    }
    for kind in sorted({case.kind for case in negatives}):
        shares[f"false_fire_{kind}"] = [fired[id(c)] is not None for c in negatives if c.kind == kind]
    figures = {name: float(np.mean(hits)) for name, hits in shares.items() if hits}
    if positives and negatives:
        figures["auc"] = _area([c.own_score for c in positives], [c.best_score for c in negatives])
    return figures


def row_ids(rows: Sequence[Row]) -> list[str]:
    """Return a unique id per row: the record's own, with its number behind when it came before."""
    seen: set[str] = set()
    ids = []
    for number, row in enumerate(rows):
        name = row.id if row.id not in seen else f"{row.id}#{number}"
        seen.add(name)
        ids.append(name)
    return ids


def store(router: Router, rows: Sequence[Row], ids: Sequence[str], *, use_subject: bool = True) -> int:
    """Add every row's key to a router; return how many rows have none."""
    missing = 0
    for row, row_id in zip(rows, ids, strict=True):
        keys = router.encode([KeyText(text=row.prompt, subject=row.subject if use_subject else None)])
        router.add(row_id, (row.prompt,), keys)
        missing += keys[0] is None
    return missing


def prompts_of(
    rows: Sequence[Row], ids: Sequence[str], questions: Iterable[Row], *, stored: Sequence[Row]
) -> tuple[list[Prompt], int]:
    """Return every prompt that tests `rows`, and how many neighbours were dropped: they name a subject of `stored`."""
    subjects = StoredSubjects(stored)
    prompts: list[Prompt] = []
    dropped = 0
    for row, row_id in zip(rows, ids, strict=True):
        prompts += [(row_id, text, "rephrase", True) for text in row.rephrases]
        prompts += [(row_id, probe.prompt, ALIAS, True) for probe in row.portability if probe.kind == ALIAS]
        for probe in row.locality:
            if subjects.drop(probe, row):
                dropped += 1
            else:
                prompts.append((row_id, probe.prompt, probe.kind, False))
    prompts += [(question.id, question.prompt, "nq", False) for question in questions]
    return prompts, dropped


def _case(router: Router, row_id: str, prompt: str, kind: str, positive: bool) -> ScopeCase:
    began = time.perf_counter()
    route = router.route(prompt)
    seconds = time.perf_counter() - began
    best = route.candidates[0] if route.candidates else None
    return ScopeCase(
        row_id=row_id,
        prompt=prompt,
        kind=kind,
        positive=positive,
        routed=route.edit_id,
        reason=route.reason,
        best=best.edit_id if best else None,
        best_score=best.score if best else float("-inf"),
        own_score=_own_score(router, route, row_id, prompt) if positive else float("-inf"),
        seconds=seconds,
    )


def _own_score(router: Router, route: Route, row_id: str, prompt: str) -> float:
    for candidates in (route.candidates, router.scores(prompt) if row_id not in _ids(route) else ()):
        for candidate in candidates:
            if candidate.edit_id == row_id:
                return candidate.score
    return float("-inf")


def _ids(route: Route) -> set[str]:
    return {candidate.edit_id for candidate in route.candidates}


def _area(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """Return the area under the ROC curve by ranks."""
    low = np.sort(np.array(negatives))
    values = np.array(positives)
    below = np.searchsorted(low, values, side="left")
    equal = np.searchsorted(low, values, side="right") - below
    return float((below + 0.5 * equal).sum() / (len(values) * len(low)))
