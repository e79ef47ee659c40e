"""The floors under the speed figures: of this machine, and above nothing that was measured."""

from __future__ import annotations

from sola_core.evaluation.floors import ANSWER, PASSES, QUESTION, Floors, measure_floors
from tests.tiny import tiny_host


def test_the_floors_follow_from_what_the_machine_can_do() -> None:
    floors = Floors(bytes_per_second=1e9, flops=1e9, weight_bytes=2_000_000, below=1000, above=500, head=300)
    assert floors.token_seconds == 0.002
    tokens = QUESTION + ANSWER
    assert floors.edit_seconds == 2 * (tokens * 1000 + 2 * PASSES * (tokens * 500 + ANSWER * 300)) / 1e9


def test_a_host_is_measured_and_what_was_timed_stands_beside_its_floor() -> None:
    host = tiny_host()
    floors = measure_floors(host)
    parameters, size = host.size
    assert floors.weight_bytes == size and 0 < floors.below + floors.above < parameters and floors.head > 0
    assert all(value > 0 for value in floors.figures.values())
    text = floors.text({"edit_seconds_median": 10 * floors.edit_seconds, "base_tokens_per_second_1": 5.0})
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert lines["seconds for an edit, one by one"].endswith("10.0")
    assert lines["seconds for an edit, in bulk"].rstrip().endswith("-")
    assert "200" in lines["ms for a token, one answer"] and "GFLOP/s" in text
