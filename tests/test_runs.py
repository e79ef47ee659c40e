"""Several runs of a benchmark: other orders, the file's own for seed 0, means with the sample deviation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from sola_core import load_editor
from sola_core.evaluation.bench import bench
from sola_core.evaluation.bench_report import BenchReport
from sola_core.evaluation.rows import Row
from sola_core.evaluation.runs import Run, Runs, run_seeds, stream_of
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

POOL = tuple(Row(id=str(i), subject=None, prompt=f"p{i}", target_new="t", target_true=None) for i in range(40))


def made(seed: int, **figures: float) -> Run:
    report = SimpleNamespace(figures=figures, text=lambda: "its own text", last_lines=lambda: f"end of {seed}")
    return Run(seed=seed, figures=figures, report=report)  # type: ignore[arg-type]


def test_seed_0_keeps_the_files_order_and_others_take_other_facts_in_another_order() -> None:
    assert stream_of(POOL, 0) == POOL and stream_of(POOL, 0, 10) == POOL[:10]
    one, two = stream_of(POOL, 1, 10), stream_of(POOL, 2, 10)
    assert len(one) == len(two) == 10
    assert set(one) != set(two) and set(one) != set(POOL[:10])
    assert (
        one == stream_of(POOL, 1, 10) == stream_of(POOL, 1)[:10]
    )  # the same again, and a longer stream goes on from it
    assert sorted(stream_of(POOL, 3), key=lambda row: int(row.id)) == list(POOL) != list(stream_of(POOL, 3))


def test_figures_are_means_with_the_sample_deviation_where_two_runs_have_them() -> None:
    runs = Runs(
        runs=(
            made(0, reliability=1.0, peak_memory_mb=500.0),
            made(1, reliability=0.5, locality_nq=0.25, peak_memory_mb=700.0),
            made(2, reliability=0.6, peak_memory_mb=700.0),
        )
    )
    assert runs.figures == {
        "reliability": pytest.approx(0.7),
        "reliability_std": pytest.approx(statistics.stdev([1.0, 0.5, 0.6])),
        "locality_nq": 0.25,
        "peak_memory_mb": 700.0,
    }
    text = runs.text()
    assert all(word in text for word in ("mean", "std", "seed 1", "0.25", "end of 2"))


def test_one_run_has_its_own_figures_and_text_and_no_deviation() -> None:
    runs = Runs(runs=(made(5, reliability=0.5, edits=3),))
    assert runs.figures == {"reliability": 0.5, "edits": 3}
    assert runs.text() == "its own text"


def test_each_seed_runs_once_on_a_library_of_its_own() -> None:
    host, encoder = tiny_host(), tiny_encoder()
    rows = [
        Row(id="a", subject=None, prompt="What is the capital of France?", target_new="Oslo", target_true=None),
        Row(id="b", subject=None, prompt="Who wrote the book?", target_new="red", target_true=None),
    ]

    def run_once(seed: int, stream: Sequence[Row]) -> BenchReport:
        with load_editor(host=host, encoder=encoder, router="hidden") as editor:
            return bench(editor, stream, tokens=4)

    runs = run_seeds(rows, run_once, seeds=(0, 2, 0), edits=1)
    assert [run.seed for run in runs.runs] == [0, 2]
    assert [[t.row_id for t in run.report.taught] for run in runs.runs] == [["a"], ["b"]]
    assert runs.figures["reliability"] == 1.0 and runs.figures["reliability_std"] == 0.0
    assert runs.figures["edits"] == 1 and "reliability" in runs.text()
