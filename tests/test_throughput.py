"""Throughput is measured on the same questions in both ways, answer by answer; what is fast is not asserted here."""

from __future__ import annotations

from functools import partial

import pytest

from sola_core import EditRequest, InvalidInput, load_editor
from sola_core.evaluation.throughput import Pair, Served, ThroughputReport, measure_throughput
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

FACTS = [
    EditRequest(prompt="What is the capital of France?", target="Oslo"),
    EditRequest(prompt="Who wrote the book?", target="seven blue"),
    EditRequest(prompt="The mother tongue of the painter is", target="red"),
]


def test_figures_are_ratios_within_a_pair_and_shares_of_all_answers() -> None:
    slow = Served(ids=((1, 2), (3, 4)), first_seconds=(0.5, 0.5), seconds=(2.0, 4.0))
    quick = Served(ids=((1, 2), (3, 5)), first_seconds=(0.1, 0.3), seconds=(0.5, 1.0))
    report = ThroughputReport(
        at_once=2, edits=1, pairs=(Pair(together=quick, one_by_one=slow),), note="", surroundings={}
    )
    assert report.figures == {
        "requests_at_once": 2,
        "together_tokens_per_second": 4.0,
        "one_by_one_tokens_per_second": 1.0,
        "throughput_ratio": 4.0,
        "same_tokens": 0.5,
        "ends_spread": 0.5,
        "together_first_token_ms": 200.0,
    }
    assert "4.00" in report.text() and "50.0%" in report.text()


@pytest.mark.slow
def test_a_run_counts_every_answer_in_both_ways() -> None:
    stages: list[tuple[str, int, int]] = []
    opened = partial(load_editor, "sola", host=tiny_host(), encoder=tiny_encoder())
    report = measure_throughput(
        lambda library: opened(library=library),
        FACTS,
        at_once=4,
        pairs=2,
        tokens=6,
        on_stage=lambda *told: stages.append(told),
    )
    assert report.edits == 2 and len(report.pairs) == 2
    for pair in report.pairs:
        assert pair.same == 4
        for served in (pair.together, pair.one_by_one):
            assert [len(ids) for ids in served.ids] == [6] * 4
            assert all(0 < first < end for first, end in zip(served.first_seconds, served.seconds, strict=True))
        ends = pair.one_by_one.seconds
        assert list(ends) == sorted(ends)  # one after another
    assert report.figures["same_tokens"] == 1.0
    assert stages[-1][1] == stages[-1][2] == 2


def test_nothing_to_ask_is_said() -> None:
    with pytest.raises(InvalidInput, match="Try other facts"):
        measure_throughput(lambda library: load_editor("sola", host=tiny_host(), encoder=tiny_encoder()), [])
