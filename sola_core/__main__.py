"""The command line: `python -m sola_core COMMAND`. Reads flags, runs one command, turns a SolaError into one line.

Knows the names of the commands and their flags; what they do is in `commands` and `measure`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from sola_core.errors import SolaError

Run = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 (a check failed), 2 (an error that is explained), 130 (Ctrl-C)."""
    args = parser().parse_args(arguments)
    try:
        run: Run = getattr(import_module(args.module), args.function)
        return run(args)
    except SolaError as error:
        print(f"sola: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sola: stopped.", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="python -m sola_core", description="Teach a language model facts, and take them back."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_library_commands(commands)
    _add_measurements(commands)
    return top


def _count(text: str, least: int = 1) -> int:
    """Read a whole number of at least `least`; argparse turns the error into a message."""
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"it must be {least} or more, not {value}")
    return value


def _any_count(text: str) -> int:
    return _count(text, 0)


def _page(text: str) -> str:
    """Read where a page is to be written; a page that cannot be made is refused before the work, not after it."""
    if find_spec("plotly") is None:
        raise argparse.ArgumentTypeError('a page is drawn with plotly; install it: pip install "sola-studio[ui]"')
    if Path(text).is_dir() or not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no place for a file")
    return text


Commands = argparse._SubParsersAction  # the type has no public name


def _add_library_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    edit = _command(commands, "edit", "teach one fact and store it", library=True)
    edit.add_argument("prompt", help="the question or the beginning of a sentence")
    edit.add_argument("target", help="the new answer")
    edit.add_argument("--subject", help="what the fact is about")
    edit.add_argument(
        "--rephrase", action="append", default=[], metavar="TEXT", help="another wording; may be repeated"
    )
    edit.add_argument("--replace", action="append", default=[], metavar="ID", help="delete this edit in the same step")
    ask = _command(commands, "ask", "answer with the edits and with the untouched model", library=True)
    ask.add_argument("question")
    ask.add_argument("--tokens", type=_count, default=128, help="the longest answer (default 128)")
    _command(commands, "edits", "list the stored edits", library=True)
    toggle = _command(commands, "toggle", "switch an edit on or off", library=True)
    toggle.add_argument("edit_id", metavar="ID")
    toggle.add_argument("state", nargs="?", choices=("on", "off"), help="without it, the other of the two")
    delete = _command(commands, "delete", "delete edits for ever", library=True)
    delete.add_argument("edit_id", metavar="ID", nargs="+")
    teach = _command(commands, "teach", "teach a list of facts: CSV with a heading, or JSON lines")
    teach.add_argument("file", metavar="FILE", help="columns or fields: prompt, target, subject, rephrases")
    teach.add_argument(
        "--library", default=":memory:", metavar="FILE", help="the library file; made if it is not there"
    )
    teach.set_defaults(module="sola_core.teach_command")
    teach.add_argument("--check", action="store_true", help="only say what is wrong with the list")
    _add_batches(teach)
    _add_present(teach, "fact whose question")
    export = _command(commands, "export", "write edits into one file", library=True)
    export.add_argument("out", metavar="FILE", help="where to write them (safetensors)")
    export.add_argument("--edit", dest="edit_id", action="append", metavar="ID", help="only this one; may be repeated")
    export.add_argument(
        "--peft",
        action="store_true",
        help="write a folder instead, with a PEFT adapter for each edit and a routing table",
    )
    take = _command(commands, "import", "take in the edits of a file that export wrote", library=True)
    take.set_defaults(function="import_")
    take.add_argument("file", metavar="FILE")
    _add_present(take, "question that")
    serve = commands.add_parser("serve", help="open the page", description="Open the page.")
    serve.set_defaults(module="sola_core.commands", function="serve")
    serve.add_argument("--library", metavar="FILE", help="keep the edits in this file, for you alone on this computer")
    serve.add_argument("--host", help="address to serve on (default: 127.0.0.1, this computer only)")
    serve.add_argument("--port", type=int, help="port to serve on (default: the first free one from 7860)")
    serve.add_argument("--language", help="of the page, such as de (default: SOLA_LANGUAGE, or en)")
    _add_host_flags(serve)


def _add_batches(teach: argparse.ArgumentParser) -> None:
    teach.add_argument(
        "--one-by-one",
        action="store_true",
        help="train each fact alone instead of in batches: slower, the same answers, and the same bits in every run",
    )
    teach.add_argument("--batch-rows", type=_count, default=16, metavar="N", help="facts trained together (default 16)")
    teach.add_argument(
        "--batch-tokens",
        type=_count,
        default=2048,
        metavar="N",
        help="the most of facts times tokens of the longest in a batch; memory grows with it (default 2048)",
    )
    teach.add_argument(
        "--engine", choices=("here", "ray"), default="here", help="where batches are trained: here, or on a Ray cluster"
    )
    teach.add_argument(
        "--address",
        metavar="ADDRESS",
        help="with --engine ray: the cluster (default: Ray's own choice, else this machine)",
    )
    teach.add_argument(
        "--worker-cpus", type=_count, default=1, metavar="N", help="with --engine ray: cores of each worker (default 1)"
    )


def _add_present(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "--present",
        choices=("skip", "replace", "both"),
        default="skip",
        help=f"what to do with a {what} is taught here already (default: skip)",
    )


def _add_measurements(commands: Commands[argparse.ArgumentParser]) -> None:
    prove = _measurement(commands, "prove", "prove that edits can be taken back, bit by bit")
    prove.set_defaults(module="sola_core.proving")
    prove.add_argument("--edits", type=_count, default=20, metavar="N", help="facts to teach (default 20)")
    prove.add_argument(
        "--sample", type=_any_count, default=20, metavar="N", help="edits whose training is repeated (default 20)"
    )
    prove.add_argument("--library", metavar="FILE", help="take back the edits of this library, in a copy, instead")
    prove.add_argument("--save", metavar="FILE", help="with --library: write a certificate")
    prove.add_argument(
        "--certificate", metavar="FILE", help="run again what this certificate says of --library, and compare"
    )
    bench = _measurement(commands, "bench", "teach N facts, then score all of them by free-running answers", data=True)
    bench.add_argument("--edits", type=_count, metavar="N", help="facts to teach (default: all)")
    bench.add_argument("--distinct-subjects", action="store_true", help="take the first N with distinct subjects")
    bench.add_argument("--bulk", action="store_true", help="teach in batches instead of one by one")
    bench.add_argument(
        "--one-by-one", action="store_true", help="ask one by one instead of in batches: slower, the same answers"
    )
    bench.add_argument("--tokens", type=_count, default=48, help="the longest answer (default 48)")
    bench.add_argument(
        "--teacher-forced",
        action="store_true",
        help="add what papers report: token accuracies and CounterFact's scores",
    )
    bench.add_argument(
        "--bounds",
        action="store_true",
        help="add the scores with the right edit forced, and those of the untouched model",
    )
    bench.add_argument(
        "--curve",
        action="store_true",
        help="ask the first 100 facts again after 1, 10, 100, 1000 ... facts and at the end",
    )
    bench.add_argument(
        "--resume",
        metavar="FILE",
        help="keep what is finished in this file, edits beside it, and go on there after an interruption",
    )
    bench.add_argument(
        "--library",
        metavar="FILE",
        help="teach nothing: the facts of --data are this library's edits (with another --router, say)",
    )
    bench.add_argument(
        "--seeds",
        type=_any_count,
        nargs="+",
        metavar="S",
        help="run once for each, with the facts in another order (0: the file's), and add means and deviations",
    )
    scope = _measurement(
        commands, "scope", "measure the router alone: every fact's key stored, every probe routed", data=True
    )
    scope.add_argument("--edits", type=_count, metavar="N", help="facts to store (default: all)")
    scope.add_argument("--distinct-subjects", action="store_true", help="take the first N with distinct subjects")
    scope.add_argument(
        "--routers", nargs="+", metavar="R", help="several routers in one run, the first one's figures first"
    )
    scope.add_argument(
        "--sizes", type=_count, nargs="+", metavar="N", help="measure with the first N facts stored, each N"
    )
    scope.add_argument(
        "--fill", metavar="FILE", help="further facts, stored behind those of --data and not asked about"
    )
    scope.add_argument(
        "--probes", type=_count, metavar="N", help="ask about the first N facts only (default: all; with --sizes 100)"
    )
    scope.add_argument(
        "--no-subject", action="store_true", help="make the keys without the subject that the data gives"
    )
    general = _measurement(
        commands, "general", "teach N facts, then compare text and answers elsewhere with the base model"
    )
    general.add_argument("--library", metavar="FILE", help="take the edits of this library instead of teaching --data")
    general.add_argument("--edits", type=_count, metavar="N", help="facts to teach (default: all)")
    general.add_argument("--text", metavar="FILE", help="running text (plain text, UTF-8), read in windows")
    general.add_argument("--windows", type=_count, default=40, metavar="N", help="how many windows (default 40)")
    general.add_argument("--tokens", type=_count, default=48, help="the longest answer (default 48)")
    for command, asked in ((bench, 300), (scope, 300), (general, 100)):
        command.add_argument("--unrelated", metavar="FILE", help="questions that no edit should answer (JSON lines)")
        command.add_argument(
            "--unrelated-count", type=_count, default=asked, metavar="N", help=f"how many of them (default {asked})"
        )
        command.add_argument(
            "--html", type=_page, metavar="FILE", help="write the results as one page that opens anywhere"
        )
    report = commands.add_parser("report", help="make the page of a result", description="Make the page of a result.")
    report.set_defaults(module="sola_core.measure", function="report")
    report.add_argument("result", metavar="RESULT", help="what bench, scope or general wrote with --json")
    report.add_argument("--html", type=_page, required=True, metavar="FILE", help="where to write the page")
    train = _measurement(commands, "train-scope", "train the scope router's weights on a folder of records", data=True)
    train.set_defaults(function="train_scope")
    train.add_argument("--out", default="assets", metavar="FOLDER", help="where to write them (default: assets)")
    train.add_argument("--steps", type=_count, default=1500, metavar="N", help="batches to train on (default 1500)")
    calibrate = _measurement(commands, "calibrate", "make the routers' thresholds from a folder of records", data=True)
    calibrate.add_argument("--out", default="assets", metavar="FOLDER", help="where to write them (default: assets)")
    calibrate.add_argument("--no-host", action="store_true", help="leave the thresholds of `hidden` as they are")
    speed = _measurement(commands, "speed", "time teaching, answering, many at once and growth, against plain ways")
    speed.set_defaults(module="sola_core.speed_command")
    speed.add_argument("--parts", nargs="+", choices=("teaching", "bulk", "together", "growth"), help="only these")
    speed.add_argument("--edits", type=_count, default=16, metavar="N", help="facts to time one by one (default 16)")
    speed.add_argument("--bulk", type=_count, default=24, metavar="N", help="facts to teach in bulk (default 24)")
    speed.add_argument("--loop", type=_count, default=4, metavar="N", help="facts for the paper's loop (default 4)")
    speed.add_argument("--pairs", type=_count, default=7, metavar="N", help="pairs of answers to time (default 7)")
    speed.add_argument("--stored", type=_count, nargs="+", default=[1, 1000], metavar="N", help="edits stored (1 1000)")
    speed.add_argument(
        "--grown", type=_count, nargs="+", default=[10, 1000, 10_000], metavar="N", help="sizes (10 1000 10000)"
    )


def _command(
    commands: Commands[argparse.ArgumentParser], name: str, text: str, *, library: bool = False
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    command.set_defaults(module="sola_core.commands", function=name)
    if library:
        command.add_argument(
            "--library", required=True, metavar="FILE", help="the library file; made if it is not there"
        )
    _add_host_flags(command)
    command.add_argument("--router", default="scope", help="scope (default), sentence or hidden")
    command.add_argument(
        "--method",
        default="sola",
        help="the editing method (sola); bench and prove take others, several with commas, or all",
    )
    command.add_argument("--json", nargs="?", const="-", metavar="OUT", help="write JSON to OUT, or to standard output")
    command.add_argument("--progress", action="store_true", help="show progress even when stderr is no terminal")
    return command


def _add_host_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", default="smollm2-135m", help="a known name, a hub id or a folder (smollm2-135m)")
    command.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    command.add_argument("--seed", type=int, default=0)


def _measurement(
    commands: Commands[argparse.ArgumentParser], name: str, text: str, *, data: bool = False
) -> argparse.ArgumentParser:
    command = _command(commands, name, text)
    command.set_defaults(module="sola_core.measure")
    shipped = "facts as JSON or JSON lines" + ("" if data else " (default: the demo facts)")
    command.add_argument("--data", required=data, metavar="FILE", help=shipped)
    return command


if __name__ == "__main__":
    sys.exit(main())
