"""The router benchmark: its figures are what they are called, and the records are read as they are."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sola_core.errors import InvalidInput
from sola_core.evaluation.calibrate import (
    AIMS,
    CalibrationSet,
    Figures,
    HostState,
    calibrate,
    choose_threshold,
    errors,
    fit_curve,
    hidden_threshold,
    is_doubtful,
    shortfall,
)
from sola_core.evaluation.datasets import Probe, Row, distinct_subjects, read_rows
from sola_core.evaluation.scope import ScopeCase, scope_benchmark, scope_figures
from sola_core.records import KeyText, ScoreKind
from sola_core.resources import asset
from sola_core.routing.router import Router, RouterSettings
from sola_core.routing.scope import ScopeCurve, ScopeWeights
from tests.tiny_encoder import tiny_encoder


class WordScorer:
    """Score by the share of a key's words that the prompt has: a router whose decisions can be counted by hand."""

    name = "words"
    encoder_id = "words"
    score_kind: ScoreKind = "probability"
    reads = "text"

    def __init__(self) -> None:
        self.keys: dict[str, set[str]] = {}

    def encode(self, texts: Sequence[KeyText]) -> list[bytes | None]:
        return [item.text.lower().encode() for item in texts]

    def add(self, edit_id: str, keys: Sequence[bytes | None]) -> None:
        self.keys[edit_id] = {word for key in keys if key for word in key.decode().split()}

    def remove(self, edit_id: str) -> None:
        del self.keys[edit_id]

    def scores(
        self,
        prompt: str,
        activation: torch.Tensor | None = None,
        *,
        enough: int | None = None,
        threshold: float = 0.0,
    ) -> dict[str, float]:
        words = set(prompt.lower().split())
        return {edit_id: len(key & words) / len(key) for edit_id, key in self.keys.items()}

    def embed(self, text: str) -> np.ndarray:
        return np.zeros(2, dtype=np.float32)


ROWS = (
    Row(
        id="r1",
        subject="Peru",
        prompt="capital of Peru",
        target_new="x",
        target_true=None,
        rephrases=("Peru has the capital of", "nothing alike"),
        locality=(
            Probe(prompt="capital of Kenya", answer=None, kind="neighborhood"),  # another stored subject: dropped
            Probe(prompt="capital of Spain", answer=None, kind="neighborhood"),
            Probe(prompt="flag of Peru", answer=None, kind="Relation_Specificity"),
            Probe(prompt="capital of Peru really", answer=None, kind="Forgetfulness"),
        ),
        portability=(
            Probe(prompt="capital of Peruland", answer=None, kind="Subject_Aliasing"),
            Probe(prompt="capital of the land beside", answer=None, kind="Reasoning"),
        ),
    ),
    Row(
        id="r2",
        subject="Kenya",
        prompt="river in Kenya",
        target_new="y",
        target_true=None,
        rephrases=("Peru capital of",),
        locality=(Probe(prompt="river in Kenya", answer=None, kind="Relation_Specificity"),),
    ),
)


def run(threshold: float = 0.9, questions: Sequence[Row] = ()) -> dict[str, float]:
    return dict(scope_benchmark(Router(WordScorer(), threshold), ROWS, questions=questions).figures)


def test_each_figure_is_the_share_it_is_named_after() -> None:
    figures = run()
    assert figures.pop("auc") == pytest.approx(3.5 / 12)  # own scores 1, 0, 2/3, 0 against best scores 2/3, 2/3, 1
    assert figures == {
        "recall": 1 / 3,
        "recall_alias": 0.0,
        "wrong_edit": 1 / 4,
        "false_fire": 1 / 3,
        "false_fire_neighborhood": 0.0,
        "false_fire_Relation_Specificity": 1 / 2,
    }


def test_a_neighbour_about_another_stored_subject_is_dropped_and_counted() -> None:
    result = scope_benchmark(Router(WordScorer(), 0.9), ROWS)
    assert result.dropped == 1 and result.counts["neighborhood"] == 1
    assert "capital of Kenya" not in {case.prompt for case in result.cases}


@pytest.mark.parametrize(
    ("prompt", "dropped"), [("the KENYA river", 1), ("Kenyatta was born in", 0), ("capital of Peru", 0)]
)
def test_a_subject_counts_as_whole_words_and_only_another_rows(prompt: str, dropped: int) -> None:
    neighbour = Probe(prompt=prompt, answer=None, kind="neighborhood")
    rows = (Row(id="a", subject="Peru", prompt="p", target_new=None, target_true=None, locality=(neighbour,)), ROWS[1])
    assert scope_benchmark(Router(WordScorer(), 0.9), rows).dropped == dropped


def test_prompts_that_mention_the_old_fact_are_reported_apart() -> None:
    result = scope_benchmark(Router(WordScorer(), 0.9), ROWS)
    assert result.apart == 1.0 and "false_fire_Forgetfulness" not in result.figures


def test_questions_are_negatives_and_absent_figures_are_left_out() -> None:
    question = Row(id="q", subject=None, prompt="river in Kenya now", target_new=None, target_true=None)
    assert run(questions=[question])["false_fire_nq"] == 1.0
    bare = (Row(id="a", subject=None, prompt="p", target_new=None, target_true=None),)
    assert scope_benchmark(Router(WordScorer(), 0.9), bare).figures == {}


def test_figures_at_another_threshold_are_those_of_a_run_at_it() -> None:
    cases = scope_benchmark(Router(WordScorer(), 2.0), ROWS).cases
    for threshold in (0.0, 0.5, 0.7, 1.0, 1.5):
        assert scope_figures(cases, threshold) == run(threshold)


def test_rows_with_the_same_id_stay_two_rows() -> None:
    result = scope_benchmark(Router(WordScorer(), 0.9), (ROWS[1], ROWS[1]))
    assert result.edits == 2 and {case.row_id for case in result.cases} == {"r2", "r2#1"}


def test_progress_is_told_for_every_prompt() -> None:
    told: list[tuple[int, int]] = []
    result = scope_benchmark(
        Router(WordScorer(), 0.9), ROWS, on_progress=lambda done, total: told.append((done, total))
    )
    assert told == [(i, len(result.cases)) for i in range(1, len(result.cases) + 1)]


# ---- records -----------------------------------------------------------------------------------------------------

RECORD = {
    "id": "z-1",
    "subject": "Peru",
    "prompt": "The capital of Peru is",
    "target_new": "Lyon",
    "target_true": None,
    "rephrases": ["Peru's capital is"],
    "locality": [{"prompt": "The capital of Spain is", "answer": "Madrid", "kind": "neighborhood"}],
    "portability": [{"prompt": "The land of the Incas has the capital", "answer": "Lyon", "kind": "Subject_Aliasing"}],
    "relation_id": "P36",
}
STREAM = {
    "case_id": 7,
    "subject": "Peru",
    "prompt": "The capital of Peru is",
    "target_new": "Lyon",
    "ground_truth": "Lima",
    "locality_prompt": "The capital of Spain is",
    "locality_ground_truth": "Madrid",
}


def write(path: Path, *records: object) -> Path:
    path.write_text("\n\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def test_a_record_of_the_common_schema_is_read_whole(tmp_path: Path) -> None:
    (row,) = read_rows(write(tmp_path / "a.jsonl", RECORD))
    assert (row.id, row.subject, row.target_new, row.target_true) == ("z-1", "Peru", "Lyon", None)
    assert row.rephrases == ("Peru's capital is",)
    assert row.locality == (Probe(prompt="The capital of Spain is", answer="Madrid", kind="neighborhood"),)
    assert row.portability[0].kind == "Subject_Aliasing"
    assert row.request.target == "Lyon" and row.request.rephrases == ()


def test_stream_cases_and_questions_are_read(tmp_path: Path) -> None:
    case, question = read_rows(
        write(tmp_path / "a.jsonl", STREAM, {"id": "nq-1", "prompt": "who?", "target_true": "A"})
    )
    assert (case.id, case.target_true, case.locality[0].kind) == ("7", "Lima", "neighborhood")
    assert (question.prompt, question.target_true, question.subject) == ("who?", "A", None)
    with pytest.raises(InvalidInput, match="nq-1"):
        _ = question.request


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"id": "a"}', '{"prompt": 5}', '{"prompt": "x", "rephrases": [1]}'])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(RECORD) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"bad\.jsonl, line 2"):
        read_rows(path)
    assert len(read_rows(path, limit=1)) == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.jsonl"):
        read_rows(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xe9"}')
    with pytest.raises(InvalidInput, match=r"latin\.jsonl"):
        read_rows(tmp_path / "latin.jsonl")


def test_only_the_first_row_of_a_subject_is_kept() -> None:
    twice = Row(id="r3", subject="PERU", prompt="flag of Peru", target_new="z", target_true=None)
    assert distinct_subjects((*ROWS, twice)) == ROWS


# ---- calibration -------------------------------------------------------------------------------------------------


def case(positive: bool, score: float, kind: str = "rephrase") -> ScopeCase:
    return ScopeCase(
        row_id="a",
        prompt="p",
        kind=kind if positive else "nq",
        positive=positive,
        routed=None,
        reason="below",
        best="a",
        best_score=score,
        own_score=score if positive else -math.inf,
    )


@pytest.mark.parametrize("loss", [shortfall, errors])
def test_the_chosen_threshold_separates_what_can_be_separated(loss: Callable[[Figures], float]) -> None:
    cases = [case(True, 0.8 + i / 1000) for i in range(100)] + [case(False, i / 250) for i in range(100)]
    figures = scope_figures(cases, choose_threshold({"zsre": cases}, loss))
    assert figures["recall"] >= AIMS["zsre"][0] and figures["false_fire"] == 0.0


def test_a_negative_that_asks_what_is_stored_is_doubtful() -> None:
    row = Row(id="a", subject="Peru", prompt="Which university did Peru go to?", target_new="x", target_true=None)

    def negative(prompt: str, reason: str = "below") -> ScopeCase:
        return replace(case(False, 0.5), prompt=prompt, reason=reason)

    assert is_doubtful(negative("Peru educated at"), row) and is_doubtful(negative("any", "equal"), row)
    assert not is_doubtful(negative("The mother of Peru is"), row) and not is_doubtful(
        negative("Peru educated at"), None
    )
    assert not is_doubtful(negative("Spain educated at"), row)
    assert not is_doubtful(replace(case(True, 0.5), prompt="Peru educated at"), row)


def test_errors_are_weighed_alike_where_the_aims_are_out_of_reach() -> None:
    near = [case(True, 0.5 + i / 1000) for i in range(100)] + [case(False, 0.41 + i / 1000) for i in range(100)]
    chosen = choose_threshold({"wiki_aliases": near}, errors)
    assert 0.49 < chosen < 0.52  # amid what cannot be separated
    assert choose_threshold({"wiki_aliases": near}, shortfall) > 0.505  # few false fires first


def test_the_fitted_curve_gives_one_half_midway() -> None:
    rng = np.random.default_rng(0)
    draft = ScopeCurve(slope=1.0, bias=0.0)
    logits = [(True, 1.2), (False, 0.6)]
    cases = [case(p, draft.probability(at + rng.normal() * 0.2)) for p, at in logits for _ in range(400)]
    curve = fit_curve([cases])
    assert curve.slope > 5 and curve.probability(0.9) == pytest.approx(0.5, abs=0.15)
    assert curve.logit(curve.probability(0.7)) == pytest.approx(0.7)
    assert curve.logit(1.0) == math.inf and curve.logit(0.0) == -math.inf


def test_the_hidden_threshold_lets_one_question_in_a_hundred_through() -> None:
    def state(text: str) -> torch.Tensor:
        return torch.randn(6, generator=torch.Generator().manual_seed(sum(map(ord, text)) * 7919 + len(text)))

    rows = tuple(Row(id=f"{i}", subject=None, prompt=f"fact {i}", target_new="x", target_true=None) for i in range(20))
    asked = tuple(
        Row(id=f"q{i}", subject=None, prompt=f"why {i} {i * i}?", target_new=None, target_true=None) for i in range(200)
    )
    host = HostState(name="tiny", fingerprint="a" * 64, read_state=state)
    threshold, figures = hidden_threshold(host, CalibrationSet(name="zsre", rows=rows, questions=asked))
    assert -1 < threshold < 1 and figures["false_fire_nq"] <= 0.01


@pytest.mark.slow
def test_calibration_writes_files_that_the_routers_read_and_the_same_twice(
    tmp_path: Path,
) -> None:
    data = small_data(tmp_path / "data")
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        ScopeWeights.load(asset("scope.safetensors")).save(tmp_path / name / "scope.safetensors")
        calibrate(data, tmp_path / name, encoder=tiny_encoder())
        written.append((tmp_path / name / "routers.json").read_bytes())
    assert written[0] == written[1]
    settings = RouterSettings.load(tmp_path / "one" / "routers.json")
    assert 0 < settings.scope <= 1 and -1 <= settings.sentence <= 1 and settings.curve.slope > 0


def small_data(folder: Path) -> Path:
    """Write a dozen records of each kind that the calibration reads, in the tiny encoder's words."""
    folder.mkdir()
    names = ["France", "Spain", "Peru", "Kenya", "Zephyr", "Quartz", "Danielle", "Darrieux", "Unifirst"]
    records = [
        {
            **RECORD,
            "id": name,
            "subject": name,
            "prompt": f"What is the capital of {name}?",
            "rephrases": [f"what is {name} the capital of"],
            "locality": [{"prompt": f"who wrote by {other}", "answer": "", "kind": "neighborhood"}],
            "portability": [{"prompt": f"What is the capital of {name} a?", "answer": "", "kind": "Subject_Aliasing"}],
        }
        for name, other in zip(names, names[1:] + names[:1], strict=True)
    ]
    for name in ("zsre_dev", "counterfact_dev", "zsre_knowedit_dev", "wiki_counterfact_dev", "wiki_recent_dev"):
        kept = [dict(r, locality=[{**r["locality"][0], "kind": "Relation_Specificity"}]) for r in records]  # type: ignore[index]
        write(folder / f"{name}.jsonl", *kept)
    asked = [{"id": f"q{i}", "prompt": f"where was {'abcdefgh'[i]} born", "target_true": ""} for i in range(8)]
    write(folder / "nq_questions.jsonl", *asked)
    (folder / "wikitext2_raw_test.txt").write_text("\n the river is in the city \n\n a company \n", encoding="utf-8")
    return folder
