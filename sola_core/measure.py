"""What each measuring command does: bench, scope, general, report, train-scope, calibrate.

Knows the measurements and how to print; what they mean is in `evaluation`.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sola_core.commands import any_factory, editor_factory, load_encoder, load_host, put
from sola_core.errors import InvalidInput
from sola_core.progress import ProgressLine

if TYPE_CHECKING:
    from torch import Tensor

    from sola_core.evaluation.bench_report import BenchReport
    from sola_core.evaluation.resume import WorkFile
    from sola_core.evaluation.reversibility import OpenEditor
    from sola_core.evaluation.rows import Row
    from sola_core.host.model import HostModel
    from sola_core.routing.router import Router


def bench(args: argparse.Namespace) -> int:
    """Teach a stream of facts, then score all of it; once, or for each seed."""
    from sola_core.evaluation.bench import bench as run
    from sola_core.evaluation.datasets import read_rows
    from sola_core.evaluation.facts import read_facts
    from sola_core.evaluation.runs import FILE_ORDER, run_seeds

    pool = read_facts(_data(args), distinct=args.distinct_subjects)
    unrelated = read_rows(Path(args.unrelated), limit=args.unrelated_count) if args.unrelated else ()
    if args.method != "sola":
        return _bench_methods(args, pool, unrelated)
    if args.library:
        taken = [flag for flag in ("bulk", "curve", "resume", "seeds") if getattr(args, flag) not in (None, False)]
        if taken:
            raise InvalidInput(
                f"--{taken[0]} teaches facts; --library asks about those of a library. Choose one of them."
            )
        if not Path(args.library).is_file():
            raise InvalidInput(
                f"There is no library {args.library}. Name another file, or leave --library out to teach."
            )
    open_editor = editor_factory(args)
    line = ProgressLine(always=args.progress)

    def run_once(seed: int, rows: Sequence[Row]) -> BenchReport:
        name = f"seed-{seed}"
        with open_editor(args.library or (work.library(name) if work else ":memory:")) as editor:
            return run(
                editor,
                rows,
                unrelated=unrelated,
                bulk=args.bulk,
                one_by_one=args.one_by_one,
                tokens=args.tokens,
                teacher_forced=args.teacher_forced,
                bounds=args.bounds,
                curve=args.curve,
                stored=bool(args.library),
                on_stage=_of_seed(line, seed) if args.seeds else line,
                kept=work.run(name) if work else None,
            )

    with _work(args, open_editor, pool, unrelated) as work:
        runs = run_seeds(pool, run_once, seeds=args.seeds or [FILE_ORDER], edits=args.edits)
    line.clear()
    if args.seeds:
        put(args, runs.text(), {"figures": runs.figures, "seed": args.seed, "runs": runs.runs})
    else:
        put(args, runs.text(), {"figures": runs.figures, "seed": args.seed, "report": runs.runs[0].report})
    return 0


def _bench_methods(args: argparse.Namespace, pool: Sequence[Row], unrelated: Sequence[Row]) -> int:
    """Do the same with another method, or with all of them, and then take the facts back."""
    from sola_core.editors.methods import METHODS
    from sola_core.evaluation.methods import compare_methods
    from sola_core.evaluation.runs import FILE_ORDER, stream_of

    alone = ("library", "resume", "seeds", "bounds", "teacher_forced", "one_by_one")
    taken = [flag for flag in alone if getattr(args, flag) not in (None, False)]
    if taken:
        raise InvalidInput(f"--{taken[0].replace('_', '-')} works with --method sola alone. Leave one of them out.")
    methods = METHODS if args.method == "all" else tuple(args.method.split(","))
    open_any = any_factory(args)
    line = ProgressLine(always=args.progress)
    report = compare_methods(
        lambda method: open_any(method, ":memory:"),
        methods,
        stream_of(pool, args.seed or FILE_ORDER, args.edits),
        unrelated=unrelated,
        tokens=args.tokens,
        curve=args.curve,
        bulk=args.bulk,
        seed=args.seed,
        on_stage=line,
    )
    line.clear()
    figures = report.figures
    if len(report.results) == 1:  # the names that every `bench` has
        figures = {name.removeprefix(f"{methods[0]}_"): value for name, value in figures.items()}
    put(args, report.text(), {"figures": figures, "seed": args.seed, "methods": report.results})
    return 0


def scope(args: argparse.Namespace) -> int:
    """Measure the router alone: every fact's key stored, every probe routed."""
    from sola_core.evaluation.datasets import distinct_subjects, read_rows
    from sola_core.evaluation.facts import read_facts
    from sola_core.evaluation.scope_sweep import scope_sweep

    rows = read_facts(_data(args), limit=args.edits, distinct=args.distinct_subjects)
    fill = read_facts(Path(args.fill)) if args.fill else ()
    if args.distinct_subjects:
        fill = distinct_subjects((*rows, *fill))[len(rows) :]
    questions = read_rows(Path(args.unrelated), limit=args.unrelated_count) if args.unrelated else ()
    line = ProgressLine(always=args.progress)
    sweep = scope_sweep(
        [_empty_router(args, name) for name in dict.fromkeys(args.routers or [args.router])],
        rows,
        fill=fill,
        sizes=args.sizes or (),
        probed=args.probes,
        questions=questions,
        use_subject=not args.no_subject,
        on_stage=line,
    )
    line.clear()
    value = {"figures": sweep.figures, "seed": args.seed, "report": sweep.full, "runs": sweep.runs}
    put(args, sweep.text(), value)
    return 0


def general(args: argparse.Namespace) -> int:
    """Teach facts, or open a library that holds some, and see what the host still does elsewhere."""
    from sola_core.evaluation.datasets import read_rows
    from sola_core.evaluation.facts import read_facts
    from sola_core.evaluation.general import general as run
    from sola_core.evaluation.general import read_windows

    if args.library and args.data:
        raise InvalidInput("Name either --library, to take its edits, or --data, to teach facts; not both.")
    if args.library and not Path(args.library).is_file():
        raise InvalidInput(f"There is no library {args.library}. Name another file, or teach facts with --data.")
    rows = () if args.library else read_facts(_data(args), limit=args.edits)
    windows = read_windows(Path(args.text), args.windows) if args.text else ()
    unrelated = read_rows(Path(args.unrelated), limit=args.unrelated_count) if args.unrelated else ()
    line = ProgressLine(always=args.progress)
    with editor_factory(args)(args.library or ":memory:") as editor:
        report = run(
            editor,
            [row.request for row in rows],
            windows=windows,
            unrelated=unrelated,
            tokens=args.tokens,
            on_stage=line,
        )
    line.clear()
    put(args, report.text(), {"figures": report.figures, "seed": args.seed, "report": report})
    return 0


def report(args: argparse.Namespace) -> int:
    """Make the page of a result that was written before."""
    from sola_core.evaluation.report import read_result, write_report

    write_report(read_result(Path(args.result)), Path(args.html))
    print(f"Report written to {args.html}.")
    return 0


def calibrate(args: argparse.Namespace) -> int:
    """Make the routers' shipped thresholds from a folder of records."""
    from sola_core.evaluation.calibrate import HostState
    from sola_core.evaluation.calibrate import calibrate as run

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    host = None
    if not args.no_host:
        model, read_state = _host_state(args)
        host = HostState(name=model.name, fingerprint=model.fingerprint, read_state=read_state)
    written = run(Path(args.data), Path(args.out), encoder=load_encoder(args), host=host, seed=args.seed)
    put(args, f"Thresholds written to {args.out}.", written)
    return 0


def train_scope(args: argparse.Namespace) -> int:
    """Train the scope scorer's weights from a folder of records."""
    from sola_core.evaluation.scope_training import ScopeTraining
    from sola_core.evaluation.scope_training import train_scope as run

    settings = ScopeTraining(steps=args.steps, seed=args.seed)
    line = ProgressLine(always=args.progress)

    losses: list[float] = []

    def show(step: int, steps: int, loss: float) -> None:
        losses.append(loss)
        line("training", step, steps)

    model = run(Path(args.data), Path(args.out), load_encoder(args), settings, on_step=show)
    line.clear()
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    text = f"{count:,} numbers learned in {args.steps} steps, loss {losses[-1]:.3f}, written to {args.out}. Calibrate next."
    put(args, text, {"figures": {"parameters": count, "steps": args.steps, "loss": losses[-1]}, "losses": losses})
    return 0


def _empty_router(args: argparse.Namespace, name: str) -> Router:
    """Return a router by name; only `hidden` needs the host."""
    from sola_core.routing.router import make_router

    if name == "hidden":
        model, read_state = _host_state(args)
        return make_router(name, encoder=None, read_state=read_state, host_fingerprint=model.fingerprint)
    return make_router(name, encoder=load_encoder(args), read_state=None, host_fingerprint="")


def _host_state(args: argparse.Namespace) -> tuple[HostModel, Callable[[str], Tensor]]:
    """Return the host, and what reads the state that the paper routes by."""
    from sola_core.editors.sola import Sola

    host = load_host(args)
    module = Sola().decision_module(host)
    return host, lambda text: host.module_input(text, module)


def _work(
    args: argparse.Namespace, open_editor: OpenEditor, pool: Sequence[Row], unrelated: Sequence[Row]
) -> AbstractContextManager[WorkFile | None]:
    """Open the work file that `--resume` names, under all that the report depends on; nothing without the flag."""
    from sola_core.evaluation.output import surroundings
    from sola_core.evaluation.resume import WorkFile

    if args.resume is None:
        return nullcontext()
    with open_editor(":memory:") as editor:
        around = surroundings(editor.host)
    flags = (
        "method",
        "router",
        "seed",
        "seeds",
        "edits",
        "bulk",
        "one_by_one",
        "tokens",
        "teacher_forced",
        "bounds",
        "curve",
    )
    conditions = {flag: getattr(args, flag) for flag in flags}
    for name, rows in (("data", pool), ("unrelated", unrelated)):
        conditions[name] = hashlib.sha256(repr(tuple(rows)).encode()).hexdigest()
    return WorkFile.open(Path(args.resume), {**conditions, **around})


def _of_seed(line: ProgressLine, seed: int) -> Callable[[str, int, int], None]:
    return lambda stage, done, total: line(f"seed {seed}, {stage}", done, total)


def _data(args: argparse.Namespace) -> Path | None:
    return Path(args.data) if args.data else None
