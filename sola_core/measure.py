"""What each measuring command does: prove, bench, speed, scope, calibrate.

Knows the measurements and how to print; what they mean is in `evaluation`.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sola_core.commands import editor_factory, load_encoder, load_host, put
from sola_core.progress import ProgressLine

if TYPE_CHECKING:
    from torch import Tensor

    from sola_core.evaluation.scope import ScopeResult
    from sola_core.host.model import HostModel
    from sola_core.routing.router import Router


def prove(args: argparse.Namespace) -> int:
    """Run the reversibility protocol; 1 when a promise was broken."""
    from sola_core.evaluation.facts import probes, read_facts
    from sola_core.evaluation.reversibility import prove as run

    rows = read_facts(_data(args), limit=args.edits)
    line = ProgressLine(always=args.progress)
    report = run(
        editor_factory(args),
        [row.request for row in rows],
        probes=probes(rows),
        seed=args.seed,
        sample=args.sample,
        on_stage=line,
    )
    line.clear()
    put(args, report.text(), {"figures": report.figures, "report": report})
    if args.json == "-":
        print(report.text(), file=sys.stderr)
    return 1 if report.breaches else 0


def bench(args: argparse.Namespace) -> int:
    """Teach a stream of facts, then score all of it."""
    from sola_core.evaluation.bench import bench as run
    from sola_core.evaluation.datasets import read_rows
    from sola_core.evaluation.facts import read_facts

    rows = read_facts(_data(args), limit=args.edits, distinct=args.distinct_subjects)
    unrelated = read_rows(Path(args.unrelated), limit=args.unrelated_count) if args.unrelated else ()
    line = ProgressLine(always=args.progress)
    with editor_factory(args)(":memory:") as editor:
        report = run(
            editor,
            rows,
            unrelated=unrelated,
            bulk=args.bulk,
            one_by_one=args.one_by_one,
            tokens=args.tokens,
            teacher_forced=args.teacher_forced,
            bounds=args.bounds,
            on_stage=line,
        )
    line.clear()
    put(args, report.text(), {"figures": report.figures, "seed": args.seed, "report": report})
    return 0


def speed(args: argparse.Namespace) -> int:
    """Time edits and answers as ratios."""
    from sola_core.evaluation.facts import read_facts
    from sola_core.evaluation.peft_loop import load_reference
    from sola_core.evaluation.speed import measure_speed

    requests = [row.request for row in read_facts(_data(args), limit=args.edits + 1)]
    open_editor = editor_factory(args)
    with open_editor(":memory:") as editor:
        reference = load_reference(args.model, editor.host)
    line = ProgressLine(always=args.progress)
    report = measure_speed(
        open_editor, reference, requests, stored=args.stored, pairs=args.pairs, seed=args.seed, on_stage=line
    )
    line.clear()
    put(args, report.text(), {"figures": report.figures, "report": report})
    return 0


def scope(args: argparse.Namespace) -> int:
    """Measure the router alone: every fact's key stored, every probe routed."""
    from sola_core.evaluation.datasets import read_rows
    from sola_core.evaluation.facts import read_facts
    from sola_core.evaluation.scope import scope_benchmark

    rows = read_facts(_data(args), limit=args.edits, distinct=args.distinct_subjects)
    questions = read_rows(Path(args.unrelated), limit=args.unrelated_count) if args.unrelated else ()
    router = _empty_router(args)
    line = ProgressLine(always=args.progress)
    result = scope_benchmark(
        router,
        rows,
        questions=questions,
        use_subject=not args.no_subject,
        on_progress=lambda done, total: line("routing", done, total),
    )
    line.clear()
    put(args, _scope_text(result), {"figures": result.figures, "seed": args.seed, "report": result})
    return 0


def calibrate(args: argparse.Namespace) -> int:
    """Make the routers' shipped tables and thresholds from a folder of records."""
    from sola_core.evaluation.calibrate import HostState
    from sola_core.evaluation.calibrate import calibrate as run

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    host = None
    if not args.no_host:
        model, read_state = _host_state(args)
        host = HostState(name=model.name, fingerprint=model.fingerprint, read_state=read_state)
    written = run(Path(args.data), Path(args.out), encoder=load_encoder(args), host=host, seed=args.seed)
    put(args, f"Tables and thresholds written to {args.out}.", written)
    return 0


def _empty_router(args: argparse.Namespace) -> Router:
    """Return the router that the flags name; only `hidden` needs the host."""
    from sola_core.routing.router import make_router

    if args.router == "hidden":
        model, read_state = _host_state(args)
        return make_router("hidden", encoder=None, read_state=read_state, host_fingerprint=model.fingerprint)
    return make_router(args.router, encoder=load_encoder(args), read_state=None, host_fingerprint="")


def _host_state(args: argparse.Namespace) -> tuple[HostModel, Callable[[str], Tensor]]:
    """Return the host, and what reads the state that the paper routes by."""
    from sola_core.editors.sola import Sola

    host = load_host(args)
    module = Sola().decision_module(host)
    return host, lambda text: host.module_input(text, module)


def _scope_text(result: ScopeResult) -> str:
    from sola_core.evaluation.output import table

    lines = [table(["figure", "value"], [(name, f"{value:.4f}") for name, value in result.figures.items()])]
    lines.append(f"{result.edits} edits, router {result.router}, threshold {result.threshold:.4f}")
    lines.append("prompts: " + ", ".join(f"{count} {kind}" for kind, count in sorted(result.counts.items())))
    if result.dropped:
        lines.append(f"{result.dropped} neighbours were dropped: they contain another stored subject")
    if result.unrepresentable:
        lines.append(f"{result.unrepresentable} facts have no key: they are found by their own words only")
    if result.apart is not None:
        lines.append(f"Forgetfulness, not counted: {result.apart:.4f} routed anywhere")
    return "\n".join(lines)


def _data(args: argparse.Namespace) -> Path | None:
    return Path(args.data) if args.data else None
