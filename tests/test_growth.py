"""Growth is measured with real libraries: each figure is there, and what is counted was really stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from sola_core.editors.sola import Sola
from sola_core.errors import InvalidInput
from sola_core.evaluation.growth import GrowthReport, measure_growth
from sola_core.library import Library
from sola_core.records import EditRequest
from sola_core.session import SolaEditor
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

FRANCE = EditRequest(prompt="What is the capital of France?", target="Rotterdam")
host, encoder = tiny_host(), tiny_encoder()
counts: list[int] = []


def open_editor(library: str | Path) -> SolaEditor:
    store = Library.open(library, host_name=host.name, host_fingerprint=host.fingerprint)
    counts.append(store.count)
    return SolaEditor(method=Sola(), host=host, library=store, router="scope", encoder=encoder)


@pytest.fixture(scope="module")
def report() -> GrowthReport:
    return measure_growth(open_editor, FRANCE, stored=(40, 3), repeats=3)


@pytest.mark.slow
def test_every_act_is_measured_with_every_number_of_edits(report: GrowthReport) -> None:
    assert [row.stored for row in report.rows] == [3, 40]
    assert counts == [0, 1, 1, 3, 3, 3, 40, 40, 40]  # filled as it says, and left as it was after each row
    for row in report.rows:
        assert len(row.add_seconds) == len(row.delete_seconds) == len(row.digest_seconds) == 3
        assert len(row.switch_seconds) == 6
        assert len(row.first_token_seconds) == len(row.base_first_token_seconds) == 3
        assert min(*row.add_seconds, *row.switch_seconds, *row.delete_seconds, *row.routing_seconds) > 0
    acts = ("add_ms", "switch_ms", "delete_ms", "digest_ms", "open_seconds", "routing_ms", "first_token_overhead_ms")
    for count in (3, 40):
        assert {f"{name}_{count}" for name in (*acts, "disk_bytes_per_edit", "memory_bytes_per_edit")} <= set(
            report.figures
        )
    assert {"add_growth", "switch_growth", "delete_growth", "routing_growth"} <= set(report.figures)


@pytest.mark.slow
def test_bytes_of_an_edit_are_those_of_its_adapter_its_keys_and_its_texts(report: GrowthReport) -> None:
    figures = report.figures
    adapter = 4 * (256 + 128) * 2  # rank 4 on the tiny host's down_proj, in half precision
    assert adapter + 2 * 2048 < figures["disk_bytes_per_edit_40"] < 16_000
    assert 15 * 65 < figures["memory_bytes_per_edit_40"] < 8_000  # a key of 15 tokens and the rest of an edit


@pytest.mark.slow
def test_the_table_has_a_line_for_each_number_of_edits(report: GrowthReport) -> None:
    head, _, three, forty, growth, *_ = report.text().splitlines()
    assert head.split()[:3] == ["stored", "add", "ms"]
    assert three.split()[0] == "3" and forty.split()[0] == "40"
    assert "adding one to 40 edits takes" in growth
    assert report.note in report.text()


def test_growth_needs_at_least_two_edits() -> None:
    with pytest.raises(InvalidInput, match="2 or more"):
        measure_growth(open_editor, FRANCE, stored=(1, 10))
