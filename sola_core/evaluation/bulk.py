"""Teaching in bulk as ratios measured in one run: in batches and one by one, against the plain loop with the paper's recipe.

Knows the session from outside and the loop; says nothing about answers being right beyond what teaching itself tried.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from sola_core.errors import EditFailed, InvalidInput
from sola_core.evaluation.output import surroundings, table
from sola_core.evaluation.peft_loop import PaperLoop
from sola_core.evaluation.reversibility import OnStage, OpenEditor
from sola_core.records import EditRequest
from sola_core.session import SolaEditor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MUSTS = {"one_by_one_ratio": 8.0, "bulk_ratio": 12.0}  # edits per second against the loop's, in float32
NOTE = (
    "the same facts in one run, the loop on a few of them, half before and half after; ours counts trying, keys and storing, "
    "the loop its training alone; facts that could not be taught count as time, not as edits"
)


@dataclass(frozen=True, kw_only=True)
class BulkReport:
    """All timings of one run."""

    taught: int  # in batches
    failed: int
    bulk_seconds: float  # for all of them
    single_seconds: tuple[float, ...]  # one by one, for each fact
    single_failed: int
    loop_seconds: tuple[float, ...]  # the paper's recipe, for each fact
    loop_epochs: int
    note: str
    surroundings: Mapping[str, str | int]

    @property
    def figures(self) -> dict[str, float]:
        """Edits per second of the three ways, and how many times the loop's they are."""
        loop = 1 / fmean(self.loop_seconds)
        single = (len(self.single_seconds) - self.single_failed) / sum(self.single_seconds)
        bulk = self.taught / self.bulk_seconds
        return {
            "bulk_edits": self.taught,
            "bulk_failed": self.failed,
            "loop_edits_per_second": loop,
            "one_by_one_edits_per_second": single,
            "bulk_edits_per_second": bulk,
            "one_by_one_ratio": single / loop,
            "bulk_ratio": bulk / loop,
            "bulk_to_one_by_one": bulk / single,
        }

    def text(self) -> str:
        """Return one table: each way of teaching, its rate, how many times the loop's that is, and what it must be."""
        f = self.figures
        ways = (
            (f"in bulk, {self.taught + self.failed} facts", "bulk"),
            (f"one by one, {len(self.single_seconds)} facts", "one_by_one"),
            (f"PEFT loop, {self.loop_epochs} epochs of SGD, {len(self.loop_seconds)} facts", "loop"),
        )
        rows = [
            (
                name,
                f"{f[f'{way}_edits_per_second']:.3f}",
                f"{1 / f[f'{way}_edits_per_second']:.2f}" if f[f"{way}_edits_per_second"] else "-",
                f"{f[f'{way}_ratio']:.1f}" if f"{way}_ratio" in f else "1",
                f"{MUSTS[f'{way}_ratio']:.0f}" if f"{way}_ratio" in MUSTS else "-",
            )
            for name, way in ways
        ]
        return table(["teaching", "edits/s", "s per edit", "times the loop", "at least"], rows) + f"\n{self.note}"


def measure_bulk(
    open_editor: OpenEditor,
    reference: PreTrainedModel,
    requests: Sequence[EditRequest],
    *,
    one_by_one: int = 16,
    loop: int = 4,
    on_stage: OnStage | None = None,
) -> BulkReport:
    """Time the three ways of teaching; the first fact warms each of them up and is not counted.

    `one_by_one` and `loop` say how many of the facts those two are timed on. `reference` is a copy of the host's model for the
    loop to train on. Raises InvalidInput with fewer than two facts, or when the first cannot be taught.
    """
    if len(requests) < 2 or one_by_one < 1 or loop < 1:
        raise InvalidInput("At least two facts are needed to time teaching: the first only warms up.")
    show = on_stage or (lambda stage, done, total: None)
    first, *facts = requests
    with open_editor(":memory:") as editor:
        plain = PaperLoop(reference, editor.host, editor.edit(first).training.settings)
        plain.edit(first.prompt, first.target)
        around = surroundings(editor.host)
        before = _looped(plain, facts[:loop][::2], show)
        singles, single_failed = _singly(editor, facts[:one_by_one], show)
    with open_editor(":memory:") as editor:
        editor.edit_many([first])
        taught, seconds = _in_bulk(editor, facts, show)
    after = _looped(plain, facts[:loop][1::2], show)
    return BulkReport(
        taught=taught,
        failed=len(facts) - taught,
        bulk_seconds=seconds,
        single_seconds=singles,
        single_failed=single_failed,
        loop_seconds=before + after,
        loop_epochs=plain.epochs,
        note=NOTE,
        surroundings=around,
    )


def _looped(plain: PaperLoop, facts: Sequence[EditRequest], show: OnStage) -> tuple[float, ...]:
    found = []
    for done, request in enumerate(facts):
        show("the plain loop", done, len(facts))
        found.append(plain.edit(request.prompt, request.target).seconds)
    show("the plain loop", len(facts), len(facts))
    return tuple(found)


def _singly(editor: SolaEditor, facts: Sequence[EditRequest], show: OnStage) -> tuple[tuple[float, ...], int]:
    seconds, failed = [], 0
    for done, request in enumerate(facts):
        show("one by one", done, len(facts))
        began = time.perf_counter()
        try:
            editor.edit(request)
        except EditFailed:
            failed += 1
        seconds.append(time.perf_counter() - began)
    show("one by one", len(facts), len(facts))
    return tuple(seconds), failed


def _in_bulk(editor: SolaEditor, facts: Sequence[EditRequest], show: OnStage) -> tuple[int, float]:
    failed: list[int] = []
    show("in bulk", 0, len(facts))
    began = time.perf_counter()
    edits = editor.edit_many(facts, on_failure=lambda index, error: failed.append(index))
    seconds = time.perf_counter() - began
    show("in bulk", len(facts), len(facts))
    return len(edits), seconds
