"""The same stream of facts for every method: how its answers score, and what it can take back.

Knows the benchmark and the deletion protocol. Knows no method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sola_core.evaluation.bench import bench
from sola_core.evaluation.bench_report import BenchReport
from sola_core.evaluation.output import table
from sola_core.evaluation.reversibility import OnStage
from sola_core.evaluation.rows import Row
from sola_core.evaluation.taking_back import TakenBack, take_back, taking_back_text
from sola_core.session import AnyEditor

OpenMethod = Callable[[str], AnyEditor]
SHOWN = (  # figure, its column, how it is written
    ("reliability", "reliability", "{:.3f}"),
    ("generality", "generality", "{:.3f}"),
    ("locality", "locality", "{:.3f}"),
    ("edit_seconds_median", "s per edit", "{:.2f}"),
    ("answer_seconds_median", "s per answer", "{:.2f}"),
    ("adapter_bytes_per_edit", "bytes per edit", "{:,.0f}"),
    ("not_taught", "not taught", "{:.0f}"),
)


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """One method on the stream."""

    method: str
    report: BenchReport
    taken_back: TakenBack | None  # None: not asked for


@dataclass(frozen=True, kw_only=True)
class MethodsReport:
    """All methods on the same stream."""

    results: tuple[MethodResult, ...]

    @property
    def figures(self) -> dict[str, float]:
        """The flat figures of each method, its name in front."""
        found: dict[str, float] = {}
        for result in self.results:
            figures = {**result.report.figures, **(result.taken_back.figures if result.taken_back else {})}
            found.update({f"{result.method}_{name}": value for name, value in figures.items()})
        return found

    @property
    def breaches(self) -> int:
        """How often a method that says `exact` was not."""
        return sum(result.taken_back.breaches for result in self.results if result.taken_back)

    def text(self) -> str:
        """Return a line for each method: its scores, then what it can take back, then the stages of each."""
        rows = []
        for result in self.results:
            figures = result.report.figures
            cells = [words.format(figures[name]) if name in figures else "-" for name, _, words in SHOWN]
            rows.append((result.method, *cells))
        blocks = [table(["method", *(column for _, column, _ in SHOWN)], rows)]
        back = [result.taken_back for result in self.results if result.taken_back]
        if back:
            blocks += [taking_back_text(back), *(one.text() for one in back)]
        return "\n\n".join(blocks)


def compare_methods(
    open_method: OpenMethod,
    methods: Sequence[str],
    rows: Sequence[Row],
    *,
    unrelated: Sequence[Row] = (),
    tokens: int = 48,
    curve: bool = False,
    bulk: bool = False,
    seed: int = 0,
    taking_back: bool = True,
    retrain: bool = True,
    on_stage: OnStage | None = None,
) -> MethodsReport:
    """Teach every method the same facts in the same order, score all, then take the facts back in stages.

    `bulk` hands all facts over at once, so that a method learns them in its own batches; `retrain` teaches what is left
    anew for the digest. Figures are read as `bench` and `take_back` define them.
    """
    show = on_stage or (lambda stage, done, total: None)
    results = []
    for method in dict.fromkeys(methods):

        def told(stage: str, done: int, total: int, method: str = method) -> None:
            show(f"{method}: {stage}", done, total)

        with open_method(method) as editor:
            report = bench(editor, rows, unrelated=unrelated, tokens=tokens, curve=curve, bulk=bulk, on_stage=told)
            back = None
            if taking_back:
                back = take_back(editor, partial(open_method, method), seed=seed, retrain=retrain, on_stage=told)
            results.append(MethodResult(method=method, report=report, taken_back=back))
    return MethodsReport(results=tuple(results))
