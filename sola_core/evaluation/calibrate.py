"""Makes the routers' shipped numbers from records that the scorer was not trained on: probability curve and thresholds.

Knows encoders and routers; reads the host, if at all, as a callable from a text to its state. Fixed seeds throughout.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sola_core.evaluation.datasets import Row, distinct_subjects, read_rows
from sola_core.evaluation.scope import ScopeCase, row_ids, scope_benchmark, scope_figures
from sola_core.evaluation.scope_data import SLOT, part_of, row_part
from sola_core.evaluation.scope_relations import may_agree
from sola_core.routing.encoders import EncodedText, TextEncoder
from sola_core.routing.hidden import HiddenScorer
from sola_core.routing.router import Router
from sola_core.routing.scope import ScopeCurve, ScopeScorer, ScopeWeights
from sola_core.routing.scorer import Scorer
from sola_core.routing.sentence import SentenceScorer

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

AIMS = {  # recall that is wanted, and false fires that are borne
    "counterfact": (0.95, 0.01),
    "zsre": (0.98, 0.002),
    "zsre_knowedit": (0.94, 0.01),
    "wiki_aliases": (0.80, 0.03),
}
Figures = dict[str, dict[str, float]]  # by set, as `scope_figures` names them
FIRE_COST = 3.0  # a false fire counts as so many missed
RIDGE = 1e-3  # keeps the curve finite where the sets separate perfectly
HIDDEN_EDITS, HIDDEN_QUESTIONS, HIDDEN_FIRES = 100, 300, 0.01


@dataclass(frozen=True, kw_only=True)
class CalibrationSet:
    """One set of records that is stored as a whole, and unrelated questions to try on it."""

    name: str
    rows: tuple[Row, ...]
    questions: tuple[Row, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HostState:
    """A host to calibrate the paper's router for."""

    name: str
    fingerprint: str
    read_state: Callable[[str], torch.Tensor]


def calibrate(
    data: Path, out: Path, *, encoder: TextEncoder, host: HostState | None = None, seed: int = 0
) -> dict[str, object]:
    """Write `routers.json` into `out` from the records in `data` and the scorer's weights in `out`; return it.

    Curve and thresholds are chosen on the part of the records called "calibration", figures are those of the part "test".
    Without a host the thresholds of `hidden` stay as they are in `out`. Takes some minutes on two cores.
    """
    sets = calibration_sets(data)
    logger.info("scope")
    weights = ScopeWeights.load(out / "scope.safetensors")
    draft = ScopeCurve(slope=1.0, bias=0.0)
    scorer = ScopeScorer(encoder, weights, draft)
    known = _Remembering(scorer.encoder)
    cases = _cases(lambda: ScopeScorer(known, replace(weights, encoder=""), draft), sets)
    chosen = _to_choose_on(cases)
    curve = fit_curve(list(chosen.values()))
    at = choose_threshold(chosen, shortfall)
    written: dict[str, object] = {
        "scope": {
            "threshold": round(curve.probability(_logit(at)), 6),
            "curve": {"slope": curve.slope, "bias": curve.bias},
            "measured": _measured(cases, at),
        }
    }
    logger.info("sentence")
    remembering = _Remembering(encoder)
    cases = _cases(lambda: SentenceScorer(remembering), sets)
    cosine = choose_threshold(_to_choose_on(cases), errors)
    written["sentence"] = {"threshold": round(cosine, 4), "measured": _measured(cases, cosine)}
    written["hidden"] = _hidden(out / "routers.json", host, sets)
    (out / "routers.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return written


@dataclass(frozen=True)
class PartedCase:
    """A case of the benchmark, with the part of the records that its prompt belongs to."""

    part: str
    case: ScopeCase
    subject_given: bool
    doubtful: bool = False  # a negative that, by its words, asks what a stored prompt asks


def calibration_sets(data: Path) -> tuple[CalibrationSet, ...]:
    """Return the four sets that thresholds are chosen on, each stored as a whole."""
    zsre = tuple(_without_locality(row) for row in distinct_subjects(read_rows(data / "zsre_dev.jsonl")))
    wiki = chain(read_rows(data / "wiki_counterfact_dev.jsonl"), read_rows(data / "wiki_recent_dev.jsonl"))
    return (
        CalibrationSet(name="zsre", rows=zsre, questions=read_rows(data / "nq_questions.jsonl")),
        CalibrationSet(name="counterfact", rows=read_rows(data / "counterfact_dev.jsonl")),
        CalibrationSet(name="zsre_knowedit", rows=read_rows(data / "zsre_knowedit_dev.jsonl")),
        CalibrationSet(name="wiki_aliases", rows=tuple(wiki)),
    )


def fit_curve(sets: Sequence[Sequence[ScopeCase]]) -> ScopeCurve:
    """Fit the two numbers of the logistic by Newton's method; every set, and both sides of it, weigh the same.

    Positives are their own row's score, negatives the best score of any row, as a curve of slope 1 and bias 0 gave them.
    """
    logits, labels, weights = [], [], []
    for cases in sets:
        for positive in (True, False):
            scores = [c.own_score if positive else c.best_score for c in cases if c.positive == positive]
            known = [_logit(score) for score in scores if math.isfinite(score)]
            logits += known
            labels += [float(positive)] * len(known)
            weights += [1.0 / max(1, len(known))] * len(known)
    design = np.stack([np.array(logits), np.ones(len(logits))], axis=1)
    weight, label, beta = np.array(weights), np.array(labels), np.zeros(2)
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-design @ beta))
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design + RIDGE * np.eye(2)
        beta += np.linalg.solve(curvature, design.T @ (weight * (label - p)) - RIDGE * beta)
    return ScopeCurve(slope=round(float(beta[0]), 6), bias=round(float(beta[1]), 6))


def choose_threshold(cases: dict[str, list[ScopeCase]], loss: Callable[[Figures], float]) -> float:
    """Return the threshold with the least loss of the sets' figures; of several, the one that lets the fewest fire."""
    scores = [c.best_score for part in cases.values() for c in part if math.isfinite(c.best_score)]
    steps = np.unique(np.quantile(scores, np.linspace(0, 1, 800)))
    losses = np.array([loss({n: scope_figures(p, float(t)) for n, p in cases.items()}) for t in steps])
    return float(steps[np.flatnonzero(losses <= losses.min() + 1e-12)[-1]])


def shortfall(figures: Figures) -> float:
    """Return by how much figures fall short of AIMS, summed over the sets."""
    total = 0.0
    for name, found in figures.items():
        recall, fires = AIMS[name]
        total += max(0.0, recall - _recall(found)) + FIRE_COST * max(0.0, found.get("false_fire", 0.0) - fires)
    return total


def errors(figures: Figures) -> float:
    """Return the shares of missed and of false fires, summed over the sets: for a router far from AIMS."""
    return sum(1.0 - _recall(found) + found.get("false_fire", 0.0) for found in figures.values())


def hidden_threshold(host: HostState, part: CalibrationSet) -> tuple[float, dict[str, float]]:
    """Return the cosine that lets HIDDEN_FIRES of unrelated questions through, and the figures there."""
    router = Router(HiddenScorer(host.read_state, host.fingerprint), threshold=2.0)
    result = scope_benchmark(router, part.rows[:HIDDEN_EDITS], questions=part.questions[:HIDDEN_QUESTIONS])
    fires = sorted((case.best_score for case in result.cases if not case.positive), reverse=True)
    threshold = round(fires[int(HIDDEN_FIRES * len(fires))] + 5e-5, 4)  # just above: that many pass
    return threshold, scope_figures(result.cases, threshold)


class _Remembering(TextEncoder):
    """An encoder that encodes each text once: every router asks for the same texts (some hundred MB of vectors)."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.__dict__.update(encoder.__dict__)
        self._known: dict[str, EncodedText | None] = {}

    def encode(self, text: str) -> EncodedText | None:
        if text not in self._known:
            self._known[text] = super().encode(text)
        return self._known[text]


def _hidden(before: Path, host: HostState | None, sets: Sequence[CalibrationSet]) -> object:
    stored = json.loads(before.read_text(encoding="utf-8"))["hidden"] if before.is_file() else None
    if host is None:
        return stored or {"default_threshold": 0.9, "hosts": {}}
    threshold, figures = hidden_threshold(host, sets[0])
    hosts = dict(stored["hosts"]) if stored else {}
    hosts[host.fingerprint] = {"name": host.name, "threshold": threshold, "measured": _rounded(figures)}
    return {"default_threshold": threshold, "hosts": hosts}


def _cases(make_scorer: Callable[[], Scorer], sets: Sequence[CalibrationSet]) -> dict[str, tuple[PartedCase, ...]]:
    """Store each set as a whole, with its subjects and without, and route its prompts that were not trained on."""
    found = {}
    for part in sets:
        parts = dict(zip(row_ids(part.rows), map(row_part, part.rows), strict=True))
        held = [unasked(row) if parts[name] == "train" else row for name, row in zip(parts, part.rows, strict=True)]
        asked = dict(zip(parts, part.rows, strict=True))
        questions = [row for row in part.questions if part_of(row.prompt) != "train"]
        parts |= {row.id: part_of(row.prompt) for row in questions}
        cases = []
        for given in (True, False):
            router = Router(make_scorer(), threshold=0.0)  # every route says its best edit
            result = scope_benchmark(router, held, questions=questions, use_subject=given)
            cases += [PartedCase(parts[c.row_id], c, given, is_doubtful(c, asked.get(c.row_id))) for c in result.cases]
        found[part.name] = tuple(cases)
        logger.info("%s: %d edits, %d prompts", part.name, len(held), len(cases))
    return found


def is_doubtful(case: ScopeCase, row: Row | None) -> bool:
    """Return whether a negative is likely mislabelled: it is a stored prompt, or asks of its row's subject, by its words,
    what the row asks."""
    if case.positive or row is None or not row.subject:
        return False
    first, second = (text.replace(row.subject, SLOT) for text in (row.prompt, case.prompt))
    return case.reason == "equal" or (SLOT in second and may_agree(first, second))


def _to_choose_on(cases: dict[str, tuple[PartedCase, ...]]) -> dict[str, list[ScopeCase]]:
    return {name: [c.case for c in part if c.part == "calibration" and not c.doubtful] for name, part in cases.items()}


def unasked(row: Row) -> Row:
    """Return a row that is stored and never asked about."""
    return replace(row, rephrases=(), locality=(), portability=())


def _without_locality(row: Row) -> Row:
    """Return a zsRE row without its own unrelated question; the file of questions has enough of them."""
    return replace(row, locality=())


def _recall(figures: dict[str, float]) -> float:
    return figures.get("recall", figures.get("recall_alias", 0.0))


def _measured(cases: dict[str, tuple[PartedCase, ...]], threshold: float) -> dict[str, dict[str, float]]:
    """Return the figures of the part "test", with the subject given as the records give it, and without."""
    return {
        f"{name}{'' if given else ' without subject'}": _rounded(
            scope_figures([c.case for c in part if c.part == "test" and c.subject_given == given], threshold)
        )
        for name, part in cases.items()
        for given in (True, False)
    }


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))
