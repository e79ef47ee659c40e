"""What edits cost is measured where it arises: bytes in the library's tables and pages, seconds of single answers, memory."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sola_core import load_editor
from sola_core.evaluation import cost
from sola_core.evaluation.bench import bench
from sola_core.evaluation.cost import COST_LINES, Cost, Timing, cost_text, peak_memory_mb, sample_of
from sola_core.evaluation.rows import Row
from sola_core.library import Library
from sola_core.library.codec import encode_tensors
from sola_core.library.sizes import LibrarySizes
from tests.made_edits import HOST, keys_for, trained
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

ROWS = [
    Row(id=str(i), subject=None, prompt=prompt, target_new=target, target_true=None)
    for i, (prompt, target) in enumerate([("What is the capital of France?", "Oslo"), ("Who wrote the book?", "red")])
]


@pytest.mark.parametrize("place", [":memory:", "facts.db"])
def test_the_bytes_of_edits_are_those_in_the_library(place: str, tmp_path: Path) -> None:
    edits = [trained(f"Who wrote book {i}?", "Ibsen", rephrases=("Whose book?",), seed=i, size=900) for i in range(12)]
    with Library.open(place if place == ":memory:" else tmp_path / place, **HOST) as library:
        assert library.sizes == LibrarySizes(edits=0, adapters=0, keys=0, pages=0)
        ids = [library.add(edit, keys=keys_for(edit)).id for edit in edits]
        sizes = library.sizes
        assert sizes.edits == 12
        assert sizes.adapters == sum(len(encode_tensors(edit.tensors)) for edit in edits)
        assert sizes.keys == sum(len(k) for e in edits for keys in keys_for(e).values() for k in keys if k is not None)
        assert sizes.pages > sizes.adapters + sizes.keys and sizes.pages % 2048 == 0
        for edit_id in ids[2:]:
            library.delete(edit_id)
        assert library.sizes.edits == 2
        assert library.sizes.pages < sizes.pages / 3  # what a delete freed counts no more


def test_figures_are_medians_of_the_timings_and_bytes_for_one_edit() -> None:
    timings = tuple(
        Timing(prompt="p", seconds=s, tokens=t, base_seconds=2 * s, base_tokens=48, routing_seconds=s / 100)
        for s, t in ((1.0, 3), (2.0, 4), (9.0, 5))
    )
    sizes = LibrarySizes(edits=4, adapters=400, keys=80, pages=8192)
    assert Cost(timings=timings, sizes=sizes, peak_memory_mb=None).figures == {
        "answer_seconds_median": 2.0,
        "answer_tokens_median": 4,
        "base_answer_seconds_median": 4.0,
        "base_answer_tokens_median": 48,
        "routing_ms": 20.0,
        "adapter_bytes_per_edit": 100.0,
        "key_bytes_per_edit": 20.0,
        "file_bytes_per_edit": 2048.0,
    }
    nothing = LibrarySizes(edits=0, adapters=0, keys=0, pages=0)
    assert Cost(timings=(), sizes=nothing, peak_memory_mb=7.0).figures == {"peak_memory_mb": 7.0}


def test_a_benchmark_says_what_its_edits_cost() -> None:
    with load_editor(host=tiny_host(), encoder=tiny_encoder(), router="hidden") as editor:
        report = bench(editor, ROWS, tokens=6)
        sizes = editor.sizes
        assert [t.tokens for t in report.cost.timings] == [editor.answer(row.prompt, 6).tokens for row in ROWS]
    assert [t.prompt for t in report.cost.timings] == [row.prompt for row in ROWS]
    assert report.cost.sizes == sizes and sizes.edits == 2
    assert COST_LINES.keys() <= report.figures.keys()
    assert all(report.figures[name] > 0 for name in COST_LINES)
    assert all(line in report.text() for line in COST_LINES.values())


def test_the_sample_is_spread_over_the_stream_and_short_streams_are_taken_whole() -> None:
    texts = [str(i) for i in range(80)]
    assert sample_of(texts) == ["0", "10", "20", "30", "40", "50", "60", "70"]
    assert sample_of(texts[:3]) == ["0", "1", "2"] and sample_of([]) == []


def test_memory_is_of_this_process_and_left_out_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    full = peak_memory_mb()
    assert full is not None and 50 < full < 100_000
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2_000_000))
    for system, megabytes in (("linux", 2048.0), ("darwin", 2.0)):  # kB, bytes
        monkeypatch.setattr(sys, "platform", system)
        assert peak_memory_mb() == megabytes
    monkeypatch.setattr(cost, "find_spec", lambda name: None)
    assert peak_memory_mb() is None


def test_lines_without_a_figure_are_left_out_and_large_numbers_are_readable() -> None:
    text = cost_text({"file_bytes_per_edit": 32768.0, "routing_ms": 0.1234})
    assert "32,768" in text and "0.123" in text and "MB" not in text
