"""Several routers and sizes in one run: what is stored, what is asked, and the names of the figures."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sola_core.errors import InvalidInput
from sola_core.evaluation.datasets import Row
from sola_core.evaluation.scope import ScopeCase, scope_benchmark, scope_figures
from sola_core.evaluation.scope_sweep import ROC_POINTS, ScopeSweep, roc_points, scope_sweep
from sola_core.routing.router import Router
from tests.test_scope_bench import ROWS, WordScorer, case

FILL = tuple(
    Row(id=f"f{i}", subject=None, prompt=prompt, target_new="z", target_true=None, rephrases=("never asked",))
    for i, prompt in enumerate(("capital of  Peru", "the capital of Peruland", "flag of Spain", "flag of Spain"))
)  # the first is one of ROWS by its canonical text, the last one twice


class BlindScorer(WordScorer):
    """A router that finds nothing by its scores."""

    name = "blind"

    def scores(self, prompt: str, activation: object = None, **_: object) -> dict[str, float]:
        return dict.fromkeys(self.keys, 0.0)


def sweep(routers: Sequence[Router] = (), **options: object) -> ScopeSweep:
    return scope_sweep(routers or [Router(WordScorer(), 0.9)], ROWS, **options)  # type: ignore[arg-type]


def test_with_one_router_and_one_size_it_is_the_plain_benchmark() -> None:
    figures = sweep().figures
    assert figures.pop("routing_ms") > 0
    assert figures == dict(scope_benchmark(Router(WordScorer(), 0.9), ROWS).figures)


def test_further_keys_are_stored_once_and_only_the_first_rows_are_asked() -> None:
    result = sweep(fill=FILL, sizes=[4, 1])
    assert [(run.edits, run.probed) for run in result.runs] == [(1, 1), (4, 2)]
    assert result.full.edits == 4
    assert {c.row_id for c in result.full.cases} == {"r1", "r2"}
    with pytest.raises(InvalidInput, match="fewer than 5"):
        sweep(fill=FILL, sizes=[5])
    assert [run.probed for run in sweep(fill=FILL, probed=1).runs] == [1]


def test_a_further_key_can_take_a_prompt_away_from_its_row() -> None:
    figures = sweep(fill=FILL, sizes=[2, 3]).figures
    assert figures["recall_2"] == figures["recall"] == 1 / 3
    taken = Row(id="t", subject=None, prompt="Peru has the capital", target_new="z", target_true=None)
    assert sweep(fill=(taken,)).figures["wrong_edit"] > figures["wrong_edit_2"]


def test_every_size_has_the_same_negatives() -> None:
    kenya = Row(id="k", subject="Spain", prompt="flag of Spain", target_new="z", target_true=None)
    small, large = sweep(fill=(kenya,), sizes=[2, 3]).runs
    assert small.counts == large.counts and "neighborhood" not in small.counts
    assert sweep(sizes=[2]).runs[0].counts["neighborhood"] == 1


def test_figures_of_other_routers_and_smaller_sets_say_so_in_their_names() -> None:
    routers = [Router(WordScorer(), 0.9), Router(BlindScorer(), 0.9)]
    result = sweep(routers, sizes=[1, 2])
    assert {"recall", "recall_1", "blind_recall", "blind_recall_1"} <= set(result.figures)
    assert result.figures["recall"] == 1 / 3 and result.figures["blind_recall"] == 0.0
    assert (result.full.router, result.full.edits) == ("words", 2)
    first, *rest = [line.split()[:2] for line in result.text().splitlines()[2:6]]
    assert [first, *rest] == [["words", "1"], ["words", "2"], ["blind", "1"], ["blind", "2"]]


def test_the_curve_passes_through_the_figures_at_each_threshold() -> None:
    measured = scope_benchmark(Router(WordScorer(), 2.0), ROWS).cases
    cases = [*measured, case(True, 0.5), case(True, 0.8), case(False, 0.4)]
    points = roc_points(cases)
    assert len(points) == 5
    for point in points:
        figures = scope_figures(cases, point.threshold)
        assert (point.recall, point.false_fire) == pytest.approx((figures["recall"], figures["false_fire"]))
    assert points == tuple(sorted(points, key=lambda p: (p.false_fire, p.recall)))


def test_the_curve_is_short_however_many_prompts_there_are() -> None:
    cases: list[ScopeCase] = [case(i % 2 == 0, i / 5000) for i in range(5000)]
    points = roc_points(cases)
    assert len(points) == ROC_POINTS
    assert points[-1].recall == points[-1].false_fire == 1.0
    assert roc_points(cases[:1]) == ()


def test_progress_names_router_and_size() -> None:
    told: list[tuple[str, int, int]] = []
    sweep(sizes=[1, 2], on_stage=lambda *seen: told.append(seen))
    assert {stage for stage, _, _ in told} >= {"words, 1 edits: routing", "words, 2 edits: routing"}
    assert told[-1][1] == told[-1][2] > 0
