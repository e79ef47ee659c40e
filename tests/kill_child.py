"""A child for test_library: changes libraries and is killed by SIGKILL in the middle, again and again.

Knows nothing of what must be left afterwards. For each statement that SQLite runs during an action, a fresh copy of
the library is changed by a process of its own that dies as that statement begins; where the action was acknowledged
before, a file `*.acknowledged` says so. `python -m tests.kill_child FOLDER` makes FOLDER/ACTION/NUMBER/facts.db.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sola_core.library import Library
from tests.made_edits import HOST, keys_for, trained

FIRST = trained("Who wrote the first book?", "Ibsen", seed=1)
SECOND = trained("Where is the SECOND-PROMPT ship?", "SECOND-TARGET", rephrases=("SECOND-REPHRASE?",), seed=2, size=900)


def main(folder: Path) -> None:
    """Kill a process at each statement of each action, and eight that add edits at random times."""
    base = folder / "base.db"
    with Library.open(base, **HOST) as library:
        library.add(FIRST, keys=keys_for(FIRST), edit_id="first")
    for action in ("create", "add", "replace"):
        _kill_at_each_statement(folder / action, None if action == "create" else base, ACTIONS[action])
    for number in range(8):
        seconds = random.Random(number).uniform(0.02, 0.12)
        _kill_after(seconds, _copied(base, folder / "adding" / str(number)))
    with Library.open(base, **HOST) as library:
        library.add(SECOND, keys=keys_for(SECOND), edit_id="second")
    _kill_at_each_statement(folder / "delete", base, ACTIONS["delete"])


def _kill_at_each_statement(folder: Path, base: Path | None, action: Callable[[Path], None]) -> None:
    statement, killed = 0, True
    while killed:
        statement += 1
        killed = _killed_at(statement, _copied(base, folder / f"{statement:03d}"), action)


def _copied(base: Path | None, folder: Path) -> Path:
    folder.mkdir(parents=True)
    if base is not None:
        shutil.copy(base, folder / "facts.db")
    return folder / "facts.db"


def _create(path: Path) -> None:
    Library.open(path, **HOST)


def _add(path: Path) -> None:
    Library.open(path, **HOST).add(SECOND, keys=keys_for(SECOND), edit_id="second")


def _replace(path: Path) -> None:
    Library.open(path, **HOST).add(SECOND, keys=keys_for(SECOND), edit_id="second", replace=["first"])


def _delete(path: Path) -> None:
    assert Library.open(path, **HOST).delete("second") == "erased"


ACTIONS: dict[str, Callable[[Path], None]] = {"create": _create, "add": _add, "replace": _replace, "delete": _delete}


def _killed_at(statement: int, path: Path, action: Callable[[Path], None]) -> bool:
    child = os.fork()
    if child == 0:
        _die_at(statement)
        action(path)
        path.with_suffix(".acknowledged").touch()
        if statement % 2:  # half of them: at once after the acknowledgment
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return not path.with_suffix(".acknowledged").exists() and os.WIFSIGNALED(status)


def _die_at(statement: int) -> None:
    real, seen = sqlite3.connect, 0

    def count(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    def connect(*args: object, **kwargs: object) -> sqlite3.Connection:
        db = real(*args, **kwargs)
        db.execute("PRAGMA cache_size = 4")  # so that a transaction writes to the log before it ends
        db.set_trace_callback(count)
        return db

    sqlite3.connect = connect


def _kill_after(seconds: float, path: Path) -> None:
    child = os.fork()
    if child == 0:
        library = Library.open(path, **HOST)
        with path.with_suffix(".acknowledged").open("w", buffering=1) as log:
            for _ in range(10_000):
                log.write(library.add(SECOND, keys=keys_for(SECOND)).id + "\n")
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
