"""What each command on a library does: edit, ask, edits, toggle, delete; and serve, which opens the page.

Knows the session and how to print. Flags are read elsewhere; errors are turned into messages elsewhere.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sola_core.errors import InvalidInput, SolaError
from sola_core.progress import ProgressLine
from sola_core.records import Answer, Edit, EditRequest, TrainingStep
from sola_core.steps import finish

if TYPE_CHECKING:
    from sola_core.host.model import HostModel
    from sola_core.routing.encoders import TextEncoder
    from sola_core.session import AnyEditor, SolaEditor
    from sola_core.settings import Settings


def edit(args: argparse.Namespace) -> int:
    """Teach one fact and print its id."""
    from sola_core.ui.wire import edit_json

    request = EditRequest(prompt=args.prompt, target=args.target, subject=args.subject, rephrases=tuple(args.rephrase))
    line = ProgressLine(always=args.progress)

    def show(step: TrainingStep) -> None:
        line(f"{step.stage}, loss {step.loss:.2f}", step.step, step.total)

    with open_editor(args, args.library) as editor:
        made = editor.edit(request, replace=args.replace, on_progress=show)
    line.clear()
    known = " The model already gave this answer." if made.training.already_known else ""
    put(args, f"Edit {made.id} stored after {made.seconds:.1f} s.{known}", edit_json(made))
    return 0


def ask(args: argparse.Namespace) -> int:
    """Print the answer with the edits, the untouched model's, and which edit answered."""
    from sola_core.comparison import answer_twice
    from sola_core.ui.wire import ask_json

    with open_editor(args, args.library) as editor:
        both = finish(answer_twice(editor, args.question, args.tokens))
    route = both.route
    by = f"edit {route.edit_id}" if route.edit_id else "no edit"
    lines = [f"{_text(both.edited)}", f"  answered by {by} ({route.reason}, router {route.router})"]
    lines.append(f"without edits: {_text(both.base)}")
    put(args, "\n".join(lines), ask_json(both))
    return 0


def edits(args: argparse.Namespace) -> int:
    """Print one line for each stored edit, in order of teaching."""
    with open_editor(args, args.library) as editor:
        put_edits(args, editor)
    return 0


def toggle(args: argparse.Namespace) -> int:
    """Switch an edit on or off and print all edits."""
    with open_editor(args, args.library) as editor:
        enabled = args.state == "on"
        if args.state is None:
            enabled = not next((e.enabled for e in editor.edits if e.id == args.edit_id), False)
        editor.set_enabled(args.edit_id, enabled)
        put_edits(args, editor)
    return 0


def delete(args: argparse.Namespace) -> int:
    """Delete edits and print those that are left; say so when a text is not yet gone from the disk."""
    with open_editor(args, args.library) as editor:
        for edit_id in args.edit_id:
            editor.delete(edit_id)
        put_edits(args, editor)
        if editor.erasing:
            note = "Deleted, but another program is reading the library: the text is erased once it has finished."
            print(f"sola: {note}", file=sys.stderr)
    return 0


def export(args: argparse.Namespace) -> int:
    """Write all edits, or those named, into one file; or each into a PEFT folder of its own."""
    if args.peft:
        return _export_peft(args)
    with open_editor(args, args.library) as editor:
        content = editor.export(args.edit_id or None)
        count = len(set(args.edit_id)) if args.edit_id else len(editor.edits)
    write_file(Path(args.out), content)
    put(args, f"{_counted(count)} written to {args.out}.", {"edits": count, "bytes": len(content)})
    return 0


def _export_peft(args: argparse.Namespace) -> int:
    from sola_core.library.peft_routes import ROUTES

    with open_editor(args, args.library) as editor:
        ids = list(dict.fromkeys(args.edit_id or (made.id for made in editor.edits)))
        for edit_id in ids:
            files = editor.peft_files(edit_id)
            folder = Path(args.out) / edit_id
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SolaError(f"Cannot make {folder}: {error.strerror}. Name another folder.") from error
            for name, content in files.items():
                write_file(folder / name, content)
        if ids:
            write_file(Path(args.out) / ROUTES, editor.peft_routes(ids).to_bytes())
    put(args, f"{_counted(len(ids))} written to {args.out}, a PEFT folder for each.", {"folders": ids})
    return 0


def import_(args: argparse.Namespace) -> int:
    """Take in the edits of a file; 1 when one of them does not hold here."""
    from sola_core.library.pack import read_bytes
    from sola_core.ui.wire import edit_json

    line = ProgressLine(always=args.progress)
    content = read_bytes(Path(args.file))
    with open_editor(args, args.library) as editor:
        steps = editor.import_steps(content, args.present)
        imported = finish(steps, lambda tried: line("trying", tried.done, tried.total))
    line.clear()
    lines = [f"{_counted(len(imported.edits))} stored."]
    if imported.skipped:
        lines.append(f"{len(imported.skipped):,} left out: their questions are taught here already (--present).")
    lines += [f"not stored: {request.prompt!r}: {why}" for request, why in imported.failures]
    value = {
        "edits": [edit_json(made) for made in imported.edits],
        "skipped": [request.prompt for request in imported.skipped],
        "failures": [{"prompt": request.prompt, "reason": why} for request, why in imported.failures],
    }
    put(args, "\n".join(lines), value)
    return 1 if imported.failures else 0


def serve(args: argparse.Namespace) -> int:
    """Serve the page until it is stopped."""
    if find_spec("gradio") is None or find_spec("plotly") is None:
        raise SolaError('The page needs more packages than the library. Install them: pip install "sola-studio[ui]"')
    from sola_core.studio import OnProgress, Studio, open_studio
    from sola_core.ui.serve import serve as serve_page

    def load(settings: Settings, on_progress: OnProgress) -> Studio:
        return open_studio(
            model=args.model,
            device=args.device,
            library=args.library,
            seed=args.seed,
            limits=settings.limits,
            worker=settings.worker,
            use_umap=settings.umap,
            on_progress=on_progress,
        )

    personal = args.library is not None
    serve_page(load, host=args.host, port=args.port, personal=personal, language=args.language)
    return 0


def open_editor(args: argparse.Namespace, library: str | Path) -> SolaEditor:
    """Open the session that the flags name."""
    return editor_factory(args)(library)


def editor_factory(args: argparse.Namespace) -> Callable[[str | Path], SolaEditor]:
    """Load what the flags name once, and return what opens a session of SoLA over it on a library."""
    open_any = any_factory(args)

    def open_library(library: str | Path) -> SolaEditor:
        from sola_core.session import SolaEditor

        editor = open_any(str(args.method), library)
        if not isinstance(editor, SolaEditor):
            raise InvalidInput(f"This command works with 'sola' alone, not with '{args.method}'.")
        return editor

    return open_library


def any_factory(args: argparse.Namespace) -> Callable[[str, str | Path], AnyEditor]:
    """Load what the flags name once, and return what opens a session of a method over it on a library."""
    from sola_core.session import load_editor

    host = load_host(args)
    encoder = None if args.router == "hidden" else load_encoder(args)

    def open_library(method: str, library: str | Path) -> AnyEditor:
        return load_editor(
            method=method, router=args.router, library=library, seed=args.seed, host=host, encoder=encoder
        )

    return open_library


def load_host(args: argparse.Namespace) -> HostModel:
    """Load the host that the flags name, fetched first if need be."""
    _quiet()
    from sola_core.host.model import HostModel

    line = ProgressLine(always=args.progress)
    host = HostModel.load(args.model, args.device, on_progress=line.message)
    line.clear()
    return host


def load_encoder(args: argparse.Namespace) -> TextEncoder:
    """Load the sentence encoder, fetched first if need be."""
    _quiet()
    from sola_core import routed

    line = ProgressLine(always=args.progress)
    encoder = routed.load_encoder(on_progress=line.message)
    line.clear()
    return encoder


def put(args: argparse.Namespace, text: str, value: object) -> None:
    """Print text, or JSON when it was asked for; with `--json OUT` both, the JSON into the file; with `--html` a page too."""
    from sola_core.evaluation.output import plain, to_json

    if getattr(args, "html", None):
        from sola_core.evaluation.report import write_report

        write_report(plain(value), Path(args.html))
    if args.json == "-":
        print(to_json(value))
        return
    print(text)
    if args.json is not None:
        try:
            Path(args.json).write_text(to_json(value) + "\n", encoding="utf-8")
        except OSError as error:
            raise SolaError(f"Cannot write {args.json}: {error.strerror}. Name another file.") from error


def put_edits(args: argparse.Namespace, editor: SolaEditor) -> None:
    """Print one line for each stored edit, in order of teaching."""
    from sola_core.ui.wire import edit_json

    lines = [_line(made) for made in editor.edits] or ["No edits are stored."]
    put(args, "\n".join(lines), [edit_json(made) for made in editor.edits])


def _quiet() -> None:
    """Keep other packages' progress bars and advice off the terminal."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    noise: Any = import_module("transformers.utils.logging")
    noise.set_verbosity_error()
    noise.disable_progress_bar()


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SolaError(f"Cannot write {path}: {error.strerror}. Name another file.") from error


def _counted(count: int) -> str:
    return f"{count:,} edit{'' if count == 1 else 's'}"


def _line(made: Edit) -> str:
    return f"{made.id}  {'on ' if made.enabled else 'off'}  {made.prompt} -> {made.target}"


def _text(answer: Answer | None) -> str:
    if answer is None:
        return ""
    return answer.text + (" [cut]" if answer.stopped == "limit" else "")
