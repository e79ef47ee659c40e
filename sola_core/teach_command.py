"""What the command `teach` does: a list of facts into a library, in batches, row by row, or on a cluster.

Knows the session, lists and how to print. Flags are read elsewhere; errors are turned into messages elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sola_core.commands import open_editor, put
from sola_core.errors import InvalidInput
from sola_core.fact_lists import ListedFact, read_facts_list
from sola_core.progress import ProgressLine
from sola_core.steps import finish

if TYPE_CHECKING:
    from sola_core.session import SolaEditor
    from sola_core.teaching_lists import ListedOutcome, ListProgress
    from sola_core.worker.batches import Engine

Steps = Generator["ListProgress", None, tuple["ListedOutcome", ...]]


def teach(args: argparse.Namespace) -> int:
    """Teach a list of facts; 1 when a row of it could not be taught. Given again, it goes on where it stopped."""
    from sola_core.library.pack import read_bytes

    facts = read_facts_list(read_bytes(Path(args.file)))
    if args.check:
        return _check(args, facts)
    if args.one_by_one and args.engine != "here":
        raise InvalidInput("One by one, facts are taught here: leave out --one-by-one or --engine.")
    shown = _Shown(ProgressLine(always=args.progress))
    try:
        with open_editor(args, args.library) as editor, _engine(args, editor) as engine:
            outcomes = finish(_steps(args, editor, facts, engine), shown)
    except KeyboardInterrupt:
        print(f"sola: {shown.taught:,} taught and stored; given again, the list goes on from there.", file=sys.stderr)
        raise
    finally:
        shown.line.clear()
    return _told(args, outcomes)


class _Shown:
    """Follows a list on the terminal; rows that were not taught now do not count for the rate."""

    def __init__(self, line: ProgressLine) -> None:
        self.line = line
        self.taught = self._passed = 0

    def __call__(self, at: ListProgress) -> None:
        if at.last is not None:
            self.taught += at.last.outcome == "taught"
            self._passed += at.last.outcome not in ("taught", "failed")
        self.line("teaching", at.done, at.total, passed=self._passed)


def _check(args: argparse.Namespace, facts: Sequence[ListedFact]) -> int:
    unusable = [f"line {fact.line}: {fact.error}" for fact in facts if fact.request is None]
    text = "\n".join([*unusable, f"{len(facts) - len(unusable):,} of {len(facts):,} rows can be taught."])
    put(args, text, [{"line": fact.line, "error": fact.error} for fact in facts])
    return 1 if unusable else 0


@contextmanager
def _engine(args: argparse.Namespace, editor: SolaEditor) -> Iterator[Engine | None]:
    """Return what trains the batches; None for this process."""
    if args.engine == "here":
        yield None
        return
    from sola_core.worker.cluster import RayEngine

    engine = RayEngine(editor.host, args.model, address=args.address, cpus=args.worker_cpus)
    try:
        yield engine
    finally:
        engine.close()


def _steps(args: argparse.Namespace, editor: SolaEditor, facts: Sequence[ListedFact], engine: Engine | None) -> Steps:
    from sola_core.teaching_batches import teach_batches_steps
    from sola_core.teaching_lists import teach_list_steps
    from sola_core.worker.batches import BatchLimits

    if args.one_by_one:
        return teach_list_steps(editor, facts, args.present)
    limits = BatchLimits(rows=args.batch_rows, tokens=args.batch_tokens)
    return teach_batches_steps(editor, facts, args.present, limits=limits, engine=engine)


def _told(args: argparse.Namespace, outcomes: Sequence[ListedOutcome]) -> int:
    from sola_core.ui.wire import edit_json

    counts = {kind: sum(o.outcome == kind for o in outcomes) for kind in ("taught", "present")}
    wrong = [o for o in outcomes if o.outcome not in counts]
    lines = [f"line {o.line}: {o.outcome}: {o.reason}" for o in wrong]
    lines.append(f"{counts['taught']:,} taught, {counts['present']:,} were there already, {len(wrong):,} not taught.")
    value = [
        {"line": o.line, "outcome": o.outcome, "reason": o.reason, "edit": edit_json(o.edit) if o.edit else None}
        for o in outcomes
    ]
    put(args, "\n".join(lines), value)
    return 1 if wrong else 0
