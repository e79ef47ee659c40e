"""Teaching is timed three ways over the same facts in one run; the arithmetic of the ratios is exact."""

from __future__ import annotations

import pytest
import torch

from sola_core import EditRequest, load_editor
from sola_core.errors import InvalidInput
from sola_core.evaluation.bulk import MUSTS, BulkReport, measure_bulk
from sola_core.evaluation.output import to_json
from sola_core.evaluation.peft_loop import PaperLoop
from sola_core.host.model import HostModel
from tests.tiny import tiny_model, tiny_tokenizer

CITIES = ("Oslo", "Lyon", "Turin", "Madrid", "Dublin")
REQUESTS = [EditRequest(prompt=f"Where was ship {n} built?", target=city) for n, city in enumerate(CITIES)]


@pytest.fixture(scope="module")
def host() -> HostModel:
    tokenizer = tiny_tokenizer(chat=True)
    return HostModel(tiny_model("llama", len(tokenizer)), tokenizer, name="tiny", fingerprint="f" * 64)


def test_three_ways_are_timed_and_told_in_one_table(host: HostModel) -> None:
    stages: list[tuple[str, int, int]] = []
    bad = EditRequest(prompt="Too long?", target="red " * 200)
    report = measure_bulk(
        lambda library: load_editor(host=host, router="hidden", library=library),
        tiny_model("llama", len(tiny_tokenizer(chat=True))),
        [*REQUESTS[:2], bad, *REQUESTS[2:]],
        one_by_one=3,
        loop=2,
        on_stage=lambda *stage: stages.append(stage),
    )
    assert (report.taught, report.failed) == (4, 1)
    assert (len(report.single_seconds), report.single_failed, len(report.loop_seconds)) == (3, 1, 2)
    assert {stage for stage, _, _ in stages} == {"the plain loop", "one by one", "in bulk"}
    assert report.figures.keys() > MUSTS.keys() and all(value > 0 for value in report.figures.values())
    text = report.text()
    assert all(word in text for word in ("in bulk, 5 facts", "one by one, 3 facts", "40 epochs", " 12", " 8"))
    assert '"bulk_seconds"' in to_json(report)


def test_ratios_are_edits_per_second_over_those_of_the_loop() -> None:
    report = BulkReport(
        taught=30,
        failed=2,
        bulk_seconds=15.0,
        single_seconds=(1.0, 0.5, 0.5),
        single_failed=1,
        loop_seconds=(5.0, 3.0),
        loop_epochs=40,
        note="",
        surroundings={},
    )
    figures = report.figures
    assert (figures["loop_edits_per_second"], figures["one_by_one_ratio"]) == (0.25, 4.0)
    assert (figures["bulk_ratio"], figures["bulk_to_one_by_one"]) == (8.0, 2.0)


def test_the_loop_does_all_of_its_epochs_and_begins_anew_with_each_fact(host: HostModel) -> None:
    settings = {"rank": 4, "layers": [2], "scale": 4.0, "lr": 0.03, "goals": [0.05], "max_steps": 60}
    loop = PaperLoop(tiny_model("llama", len(tiny_tokenizer(chat=True))), host, settings)
    torch.manual_seed(0)
    one = loop.edit(REQUESTS[0].prompt, "Oslo")
    torch.manual_seed(0)
    again = loop.edit(REQUESTS[0].prompt, "Oslo")
    assert one.steps == 40 and one.seconds > 0 and again.loss == one.loss  # nothing of the first is left


def test_one_fact_is_too_few(host: HostModel) -> None:
    with pytest.raises(InvalidInput, match="two facts"):
        measure_bulk(lambda library: load_editor(host=host, library=library), None, REQUESTS[:1])  # type: ignore[arg-type]
