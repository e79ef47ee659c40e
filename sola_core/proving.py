"""What `prove` does: the reversibility protocol on facts of its own, or on a library's edits, with a certificate.

Knows the protocols and how to print; what they mean is in `evaluation`.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from sola_core.commands import any_factory, editor_factory, put, write_file
from sola_core.errors import EditFailed, HostError, InvalidInput
from sola_core.progress import ProgressLine
from sola_core.steps import finish


def prove(args: argparse.Namespace) -> int:
    """Run the reversibility protocol; 1 when a promise was broken."""
    if args.library or args.certificate or args.save:
        return _certify(args)
    if args.method != "sola":
        return _prove_methods(args)
    from sola_core.evaluation.facts import probes, read_facts
    from sola_core.evaluation.reversibility import prove as run

    rows = read_facts(Path(args.data) if args.data else None, limit=args.edits)
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


def _prove_methods(args: argparse.Namespace) -> int:
    """Take facts back with another method, or with all of them; 1 when one that says `exact` was not."""
    from sola_core.editors.methods import METHODS
    from sola_core.evaluation.facts import read_facts
    from sola_core.evaluation.taking_back import take_back, taking_back_text

    rows = read_facts(Path(args.data) if args.data else None, limit=args.edits)
    open_any = any_factory(args)
    line = ProgressLine(always=args.progress)
    found = []
    for method in METHODS if args.method == "all" else args.method.split(","):
        with open_any(method, ":memory:") as editor:
            host = editor.host.parameters_digest()
            for number, row in enumerate(rows):
                line(f"{method}: teaching", number, len(rows))
                with suppress(EditFailed):  # what is not there need not be taken back
                    editor.edit(row.request)
            found.append(take_back(editor, partial(open_any, method, ":memory:"), seed=args.seed, on_stage=line))
            if editor.host.parameters_digest() != host:
                raise HostError(f"'{method}' has changed the model itself. Please report this.")
    line.clear()
    breaches = sum(one.breaches for one in found)
    text = "\n\n".join([taking_back_text(found), *(one.text() for one in found)])
    put(args, text, {"figures": {"breaches": breaches}, "methods": found})
    return 1 if breaches else 0


def _certify(args: argparse.Namespace) -> int:
    """Run the protocol on a library's edits, and compare with a certificate if one is named; 1 when something differs."""
    from sola_core.evaluation.certificate import certify_steps, compared, read_certificate

    theirs = read_certificate(Path(args.certificate)) if args.certificate else None
    if args.library is None:
        if theirs is None:
            raise InvalidInput("Name the --library whose edits are to be taken back.")
        text = (
            f"{theirs.text()}\nThe file is well formed. Whether it is true, only the library can show: name --library."
        )
        put(args, text, {"figures": {"breaches": theirs.breaches}, "certificate": theirs, "compared": False})
        return 1 if theirs.breaches else 0
    if not Path(args.library).is_file():
        raise InvalidInput(f"There is no library {args.library}. Name another file.")
    line = ProgressLine(always=args.progress)
    with editor_factory(args)(args.library) as editor:
        ours = finish(certify_steps(editor), lambda at: line(at.stage, at.done, at.total))
    line.clear()
    if args.save:
        write_file(Path(args.save), ours.to_json().encode())
    differences = compared(theirs, ours) if theirs else []
    lines = [ours.text(), *(f"! {difference}" for difference in differences)]
    if theirs and not differences:
        same = dict(theirs.surroundings) == dict(ours.surroundings)
        lines.append(
            f"The certificate holds{'' if same else ', as far as other versions or another machine can tell'}."
        )
    value = {"figures": {"breaches": ours.breaches, "differences": len(differences)}, "certificate": ours}
    put(args, "\n".join(lines), {**value, "compared": theirs is not None, "differences": differences})
    return 1 if ours.breaches or differences else 0
