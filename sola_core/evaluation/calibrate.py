"""Makes the routers' shipped data from records: rarity table, projection, probability curve and thresholds.

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
from sola_core.evaluation.scope import ScopeCase, scope_benchmark, scope_figures
from sola_core.routing.encoders import EncodedText, TextEncoder
from sola_core.routing.hidden import HiddenScorer
from sola_core.routing.names import RARE_UNIT
from sola_core.routing.router import Router
from sola_core.routing.scope import ScopeCurve, ScopeScorer, ScopeTables
from sola_core.routing.scorer import Scorer
from sola_core.routing.sentence import SentenceScorer

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

KEY_DIM = 64
SAMPLE = 3_000  # texts whose token vectors make the projection
SATURATION, REST = 0.9, 0.4  # chosen by hand on the same files; the card says what else was tried
MIN_RECALL = 0.98  # of zsRE rephrasings, all distinct subjects stored
MAX_NQ_FIRES = 0.005  # of unrelated questions
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
    """Write `scope_tables.safetensors` and `routers.json` into `out` from the records in `data`; return the latter.

    Without a host the thresholds of `hidden` stay as they are in `out`. Takes some minutes on two cores.
    """
    sets = calibration_sets(data)
    encoder = _Remembering(encoder)
    logger.info("rarity table and projection")
    tables = make_tables(data, sets, encoder, seed)
    tables.save(out / "scope_tables.safetensors")
    logger.info("scope")
    draft = ScopeCurve(saturation=SATURATION, rest=REST, slope=1.0, bias=0.0)
    cases = _cases(lambda: ScopeScorer(encoder, tables, draft), sets)
    curve = fit_curve(draft, list(cases.values()))
    raw = choose_threshold(cases)
    written: dict[str, object] = {
        "scope": {
            "threshold": round(curve.probability(_logit(raw)), 6),
            "curve": {"saturation": SATURATION, "rest": REST, "slope": curve.slope, "bias": curve.bias},
            "measured": _measured(cases, raw),
        }
    }
    logger.info("sentence")
    cases = _cases(lambda: SentenceScorer(encoder), sets)
    cosine = choose_threshold(cases)
    written["sentence"] = {"threshold": round(cosine, 4), "measured": _measured(cases, cosine)}
    written["hidden"] = _hidden(out / "routers.json", host, sets)
    (out / "routers.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return written


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


def make_tables(data: Path, sets: Sequence[CalibrationSet], encoder: TextEncoder, seed: int) -> ScopeTables:
    """Return rarity weights from running text and questions, and the main directions of centred token vectors."""
    questions = [row.prompt for part in sets[:1] for row in (*part.rows, *part.questions)]
    running = (data / "wikitext2_raw_test.txt").read_text(encoding="utf-8").splitlines()
    counts = np.zeros(encoder.vocab_size, dtype=np.int64)
    for text in [*(line.strip() for line in running if line.strip()), *questions]:
        np.add.at(counts, encoder.content_ids(text), 1)
    rarity = np.clip(np.rint(RARE_UNIT * np.log((counts.sum() + 1) / (counts + 1))), 1, 255).astype(np.uint8)
    texts = sorted(
        {text for part in sets for row in part.rows for text in (row.prompt, *row.rephrases)} | set(questions)
    )
    chosen = np.random.default_rng(seed).choice(len(texts), min(SAMPLE, len(texts)), replace=False)
    encoded = [encoder.encode(texts[i]) for i in sorted(chosen.tolist())]
    vectors = np.concatenate([item.vectors for item in encoded if item is not None]).astype(np.float64)
    vectors /= np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    centre = vectors.mean(axis=0)
    directions = np.linalg.eigh((vectors - centre).T @ (vectors - centre))[1][:, ::-1][:, :KEY_DIM]
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    return ScopeTables(rarity, centre.astype(np.float32), np.ascontiguousarray(directions.astype(np.float32)))


def fit_curve(draft: ScopeCurve, sets: Sequence[Sequence[ScopeCase]]) -> ScopeCurve:
    """Fit the two numbers of the logistic by Newton's method; every set, and both sides of it, weigh the same.

    Positives are their own row's score, negatives the best score of any row, as the draft curve gave them.
    """
    raws, labels, weights = [], [], []
    for cases in sets:
        for positive in (True, False):
            scores = [c.own_score if positive else c.best_score for c in cases if c.positive == positive]
            known = [_logit(score) for score in scores if math.isfinite(score)]
            raws += known
            labels += [float(positive)] * len(known)
            weights += [1.0 / max(1, len(known))] * len(known)
    design = np.stack([np.array(raws), np.ones(len(raws))], axis=1)
    weight, label, beta = np.array(weights), np.array(labels), np.zeros(2)
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-design @ beta))
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design + RIDGE * np.eye(2)
        beta += np.linalg.solve(curvature, design.T @ (weight * (label - p)) - RIDGE * beta)
    return ScopeCurve(
        saturation=draft.saturation, rest=draft.rest, slope=round(float(beta[0]), 6), bias=round(float(beta[1]), 6)
    )


def choose_threshold(cases: dict[str, tuple[ScopeCase, ...]]) -> float:
    """Return the threshold with the largest sum of (recall - false fires) over the sets.

    Only thresholds that keep MIN_RECALL and MAX_NQ_FIRES on zsRE are looked at; when none does (the sentence router),
    the recall bound is lowered step by step.
    """
    scores = [c.best_score for part in cases.values() for c in part if math.isfinite(c.best_score)]
    steps = np.unique(np.quantile(scores, np.linspace(0, 1, 400)))
    at = [(float(t), {name: scope_figures(part, float(t)) for name, part in cases.items()}) for t in steps]
    for bound in np.arange(MIN_RECALL, -0.01, -0.01):
        allowed = [
            (sum(_recall(f) - f["false_fire"] for f in figures.values()), t)
            for t, figures in at
            if figures["zsre"]["recall"] >= bound and figures["zsre"]["false_fire"] <= MAX_NQ_FIRES
        ]
        if allowed:
            return max(allowed)[1]
    raise ArithmeticError("No threshold keeps unrelated questions out; the scores are of no use.")


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


def _cases(make_scorer: Callable[[], Scorer], sets: Sequence[CalibrationSet]) -> dict[str, tuple[ScopeCase, ...]]:
    """Store each set by itself, without its subjects, and route all its prompts."""
    found = {}
    for part in sets:
        result = scope_benchmark(
            Router(make_scorer(), threshold=2.0), part.rows, questions=part.questions, use_subject=False
        )
        found[part.name] = result.cases
        logger.info("%s: %d edits, %d prompts", part.name, result.edits, len(result.cases))
    return found


def _without_locality(row: Row) -> Row:
    """Return a zsRE row without its own unrelated question; the file of questions has enough of them."""
    return replace(row, locality=())


def _recall(figures: dict[str, float]) -> float:
    return figures.get("recall", figures.get("recall_alias", 0.0))


def _measured(cases: dict[str, tuple[ScopeCase, ...]], threshold: float) -> dict[str, dict[str, float]]:
    return {name: _rounded(scope_figures(part, threshold)) for name, part in cases.items()}


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))
