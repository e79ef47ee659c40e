"""Runs a benchmark several times, each with the stream in another order, and says how far the figures spread.

Knows orders, means and deviations. What one run does and what its figures mean is known elsewhere.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sola_core.evaluation.bench_report import BenchReport
from sola_core.evaluation.output import table
from sola_core.evaluation.rows import Row

FILE_ORDER = 0  # the seed that leaves the stream as the file has it
OF_THE_PROCESS = "peak_memory_mb"  # never falls from run to run: the largest says it, and it has no deviation

RunOnce = Callable[[int, Sequence[Row]], BenchReport]
"""(seed, the facts of this run in their order) -> what it found."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of several."""

    seed: int
    figures: dict[str, float]
    report: BenchReport


@dataclass(frozen=True, kw_only=True)
class Runs:
    """All runs of one measurement."""

    runs: tuple[Run, ...]

    @property
    def figures(self) -> dict[str, float]:
        """Each figure's mean over the runs that have it, and `<name>_std`, the sample standard deviation, of two or more."""
        found: dict[str, float] = {}
        for name in dict.fromkeys(name for run in self.runs for name in run.figures):
            values = [run.figures[name] for run in self.runs if name in run.figures]
            if name == OF_THE_PROCESS:
                found[name] = max(values)
                continue
            found[name] = statistics.fmean(values)
            if len(values) > 1:
                found[f"{name}_std"] = statistics.stdev(values)
        return found

    def text(self) -> str:
        """Return one table with a line for each figure: its mean, its deviation, and each run; of one run, its own text."""
        if len(self.runs) == 1:
            return self.runs[0].report.text()
        figures = self.figures
        rows = []
        for name in (name for name in figures if not name.endswith("_std")):
            spread = figures.get(f"{name}_std")
            each = [_number(run.figures.get(name)) for run in self.runs]
            rows.append((name, _number(figures[name]), _number(spread), *each))
        headers = ["figure", "mean", "std", *(f"seed {run.seed}" for run in self.runs)]
        return "\n\n".join(
            [table(headers, rows), *(f"seed {run.seed}: {run.report.last_lines()}" for run in self.runs)]
        )


def run_seeds(
    pool: Sequence[Row], run_once: RunOnce, *, seeds: Sequence[int] = (FILE_ORDER,), edits: int | None = None
) -> Runs:
    """Run once for each seed over at most `edits` facts of the pool; a seed given twice runs once."""
    runs = []
    for seed in dict.fromkeys(seeds):
        report = run_once(seed, stream_of(pool, seed, edits))
        runs.append(Run(seed=seed, figures=report.figures, report=report))
    return Runs(runs=tuple(runs))


def stream_of(pool: Sequence[Row], seed: int, edits: int | None = None) -> tuple[Row, ...]:
    """Return the first `edits` facts of the pool in a seed's order: which facts are taken depends on the seed as well.

    FILE_ORDER keeps the order of the file.
    """
    order = list(pool)
    if seed != FILE_ORDER:
        random.Random(seed).shuffle(order)
    return tuple(order[:edits])


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
