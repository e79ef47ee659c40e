"""What `speed` does: everything that is timed, one part after another, and the floors under it.

Knows the measurements and how to print; what they mean is in `evaluation`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from sola_core.commands import editor_factory, put
from sola_core.progress import ProgressLine

PARTS: Final = ("teaching", "bulk", "together", "growth")


def speed(args: argparse.Namespace) -> int:
    """Time teaching, answering, many visitors at once and a growing library, as ratios in one run or as growth."""
    from sola_core.evaluation.bulk import measure_bulk
    from sola_core.evaluation.facts import read_facts
    from sola_core.evaluation.floors import measure_floors
    from sola_core.evaluation.growth import measure_growth
    from sola_core.evaluation.peft_loop import load_reference
    from sola_core.evaluation.speed import measure_speed
    from sola_core.evaluation.throughput import measure_throughput

    data = Path(args.data) if args.data else None
    requests = [row.request for row in read_facts(data, limit=max(args.edits, args.bulk) + 1)]
    open_editor, line = editor_factory(args), ProgressLine(always=args.progress)
    parts = dict.fromkeys(args.parts or PARTS)
    with open_editor(":memory:") as editor:
        host = editor.host
        floors = measure_floors(host)
    reports: dict[str, Any] = {}
    for part in parts:
        if part == "teaching":
            reports[part] = measure_speed(
                open_editor,
                load_reference(args.model, host),
                requests[: args.edits + 1],
                stored=args.stored,
                pairs=args.pairs,
                seed=args.seed,
                on_stage=line,
            )
        elif part == "bulk":
            reference = load_reference(args.model, host)  # a loop leaves its adapter in its copy
            reports[part] = measure_bulk(
                open_editor, reference, requests[: args.bulk + 1], one_by_one=args.edits, loop=args.loop, on_stage=line
            )
        elif part == "together":
            reports[part] = measure_throughput(open_editor, requests, pairs=max(1, args.pairs // 2), on_stage=line)
        else:
            reports[part] = measure_growth(open_editor, requests[0], stored=args.grown, on_stage=line)
    line.clear()
    figures: dict[str, float] = dict(floors.figures)
    for report in reports.values():
        figures |= report.figures
    if "bulk_edits_per_second" in figures:
        figures["bulk_edit_seconds"] = 1 / figures["bulk_edits_per_second"]
    texts = [*(report.text() for report in reports.values()), floors.text(figures)]
    put(args, "\n\n".join(texts), {"figures": figures, "floors": floors, **reports})
    return 0
