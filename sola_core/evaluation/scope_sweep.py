"""Measures several routers with growing numbers of stored edits, and draws each one's ROC curve.

Knows routers and rows; how one router is measured with one set is in `scope`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from sola_core.errors import InvalidInput
from sola_core.evaluation.numbers import present
from sola_core.evaluation.output import table
from sola_core.evaluation.questions import ALIAS, APART
from sola_core.evaluation.reversibility import OnStage
from sola_core.evaluation.rows import Row
from sola_core.evaluation.scope import ScopeCase, ScopeResult, prompts_of, routed, row_ids, store
from sola_core.routing.router import Router
from sola_core.text import canonical

PROBED = 100  # rows whose prompts are asked at each of several sizes: what bounds the cost
ROC_POINTS = 300
COLUMNS = ("recall", "recall_alias", "wrong_edit", "false_fire", "auc", "routing_ms")


@dataclass(frozen=True, kw_only=True)
class RocPoint:
    """What a router would do at one threshold."""

    threshold: float
    false_fire: float  # share of negatives routed anywhere
    recall: float  # share of rephrasings routed to their own row


@dataclass(frozen=True, kw_only=True)
class ScopeRun:
    """One router with one number of stored edits."""

    router: str
    edits: int
    probed: int  # rows whose prompts were asked
    threshold: float
    figures: Mapping[str, float]  # as in `ScopeResult`, and `routing_ms`
    counts: Mapping[str, int]  # prompts by kind
    dropped: int
    roc: tuple[RocPoint, ...]  # by rising false fires


@dataclass(frozen=True, kw_only=True)
class ScopeSweep:
    """Every router with every size, the first router's largest set in full."""

    runs: tuple[ScopeRun, ...]
    full: ScopeResult

    @property
    def figures(self) -> dict[str, float]:
        """The flat figures: plain names for the first router and the largest set, else `<router>_<name>_<edits>`."""
        found = {}
        for run in self.runs:
            before = "" if run.router == self.full.router else f"{run.router}_"
            behind = "" if run.edits == self.full.edits else f"_{run.edits}"
            found.update({f"{before}{name}{behind}": value for name, value in run.figures.items()})
        return found

    def text(self) -> str:
        """Return one line for each router and size, then the first router's largest set by kind of prompt."""
        shown = [name for name in COLUMNS if any(name in run.figures for run in self.runs)]
        lines = [table(["router", "edits", "prompts", *shown], [_line(run, shown) for run in self.runs])]
        full = self.full
        kinds = {name: value for name, value in full.figures.items() if name not in COLUMNS}
        if kinds:
            lines += ["", f"router {full.router}, {full.edits} edits, threshold {full.threshold:.4f}:"]
            lines.append(table(["figure", "value"], [(name, f"{value:.4f}") for name, value in kinds.items()]))
        lines.append("prompts: " + ", ".join(f"{count} {kind}" for kind, count in sorted(full.counts.items())))
        if full.dropped:
            lines.append(f"{full.dropped} neighbours were dropped: they contain another stored subject")
        if full.unrepresentable:
            lines.append(f"{full.unrepresentable} facts have no key: they are found by their own words only")
        if full.apart is not None:
            lines.append(f"Forgetfulness, not counted: {full.apart:.4f} routed anywhere")
        return "\n".join(lines)


def scope_sweep(
    routers: Sequence[Router],
    rows: Sequence[Row],
    *,
    fill: Sequence[Row] = (),
    sizes: Sequence[int] = (),
    probed: int | None = None,
    questions: Sequence[Row] = (),
    use_subject: bool = True,
    on_stage: OnStage | None = None,
) -> ScopeSweep:
    """Store the first N of `rows` and `fill` in each empty router, for each N of `sizes`, and route the prompts.

    The prompts are those of the first `probed` rows (default: of all, with several sizes of PROBED) that are stored, and
    `questions`. A neighbour is dropped when it names a subject of the largest set, so that all sizes have the same negatives.
    Rows of `fill` whose prompt is there already are left out. Raises InvalidInput for a size that the rows do not reach.
    """
    stored = (*rows, *_further(rows, fill))
    wanted = sorted(set(sizes)) or [len(stored)]
    if wanted[-1] > len(stored):
        raise InvalidInput(
            f"There are {len(stored):,} distinct facts, fewer than {wanted[-1]:,}. Name more in --fill, or smaller --sizes."
        )
    most = min(len(rows), probed or (PROBED if sizes else len(rows)))
    ids, show = row_ids(stored), on_stage or (lambda stage, done, total: None)
    runs: list[ScopeRun] = []
    full: ScopeResult | None = None
    for router in routers:
        before = missing = 0
        for size in wanted:
            show(f"{router.name}: storing {size:,}", 0, 1)
            missing += store(router, stored[before:size], ids[before:size], use_subject=use_subject)
            before, asked = size, min(size, most)
            prompts, dropped = prompts_of(rows[:asked], ids[:asked], questions, stored=stored[: wanted[-1]])
            result = routed(
                router,
                prompts,
                edits=size,
                dropped=dropped,
                unrepresentable=missing,
                on_progress=partial(show, f"{router.name}, {size:,} edits: routing"),
            )
            runs.append(_run(result, asked))
            if router is routers[0]:
                full = result  # the last one is the largest
    assert full is not None
    return ScopeSweep(runs=tuple(runs), full=full)


def roc_points(cases: Sequence[ScopeCase]) -> tuple[RocPoint, ...]:
    """Return false fires and recall at every threshold that matters, at most ROC_POINTS; none without both kinds of prompt."""
    own = [_fires_from(c, c.row_id) for c in cases if c.positive and c.kind != ALIAS]
    others = [_fires_from(c, None) for c in cases if not c.positive and c.kind != APART]
    if not own or not others:
        return ()
    recalled, fired = np.sort(own), np.sort(others)
    points: list[RocPoint] = []
    for threshold in sorted({score for score in (*own, *others) if math.isfinite(score)}, reverse=True):
        recall = 1 - np.searchsorted(recalled, threshold) / len(own)
        false_fire = 1 - np.searchsorted(fired, threshold) / len(others)
        points.append(RocPoint(threshold=threshold, false_fire=float(false_fire), recall=float(recall)))
    kept = np.unique(np.linspace(0, len(points) - 1, min(ROC_POINTS, len(points))).astype(int))
    return tuple(points[i] for i in kept)


def _further(rows: Sequence[Row], fill: Sequence[Row]) -> list[Row]:
    seen = {canonical(row.prompt) for row in rows}
    found = {canonical(row.prompt): row for row in reversed(fill)}  # the first of equal prompts stays
    order = dict.fromkeys(canonical(row.prompt) for row in fill)
    return [found[prompt] for prompt in order if prompt not in seen]


def _run(result: ScopeResult, probed: int) -> ScopeRun:
    return ScopeRun(
        router=result.router,
        edits=result.edits,
        probed=probed,
        threshold=result.threshold,
        figures={**result.figures, **present({"routing_ms": result.routing_ms})},
        counts=result.counts,
        dropped=result.dropped,
        roc=roc_points(result.cases),
    )


def _fires_from(case: ScopeCase, wanted: str | None) -> float:
    """Return the threshold up to which a case is routed to a row, or anywhere: +inf at any, -inf at none."""
    if case.reason == "equal":
        return math.inf if wanted in (None, case.routed) else -math.inf
    return case.best_score if wanted in (None, case.best) else -math.inf


def _line(run: ScopeRun, shown: Sequence[str]) -> tuple[object, ...]:
    return (run.router, run.edits, sum(run.counts.values()), *(_number(run.figures.get(name)) for name in shown))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
