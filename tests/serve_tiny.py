"""Serves the tiny page as a program of its own, for tests that read its log, weigh its memory or kill it.

Knows nothing of what is asked of it. `python -m tests.serve_tiny '{"workspaces": 40}'` takes limits as JSON, prints the
address in one line, and serves until its standard input ends. For every line that it reads it gives unused memory back
and prints what it still keeps.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Child:
    """A page that another process serves."""

    url: str
    pid: int
    folder: Path  # its working directory
    uploads: Path  # where it keeps what is uploaded and what is to be downloaded
    log: Path  # all that it wrote to its standard error
    _process: subprocess.Popen[str]

    @property
    def megabytes(self) -> float:
        """The memory that it holds now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def counts(self) -> dict[str, int]:
        """Let it give back what it does not use, and return what it keeps: workspaces, pages."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, int] = json.loads(self._process.stdout.readline())
        return found

    def tidied(self) -> float:
        """Return the memory after it gave back what it does not use."""
        self.counts()
        return self.megabytes


@contextmanager
def child(folder: Path, **limits: float) -> Iterator[Child]:
    """Serve the tiny page in a process of its own, with its files below `folder`, until the block ends."""
    places = {name: folder / name for name in ("home", "uploads", "tmp")}
    for place in places.values():
        place.mkdir(parents=True)
    log = folder / "log"
    around = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "GRADIO_TEMP_DIR": str(places["uploads"]),
        "TMPDIR": str(places["tmp"]),
    }
    with log.open("w") as writer:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.serve_tiny", json.dumps(limits)],
            cwd=places["home"],
            env=around,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=writer,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, log.read_text(encoding="utf-8")
            yield Child(
                url=url,
                pid=process.pid,
                folder=places["home"],
                uploads=places["uploads"],
                log=log,
                _process=process,
            )
        finally:
            process.kill()
            process.wait(30)


def main() -> None:
    """Serve until the other side is gone."""
    from sola_core.workspace import Limits
    from tests.serving import served

    limits = {"answer_tokens": 8, **json.loads(sys.argv[1])}
    with served(limits=Limits(**limits)) as found:
        print(found.url, flush=True)
        for _ in sys.stdin:
            gc.collect()
            with suppress(OSError, AttributeError):  # where glibc has it
                ctypes.CDLL("libc.so.6").malloc_trim(0)
            kept = {"workspaces": len(found.studio.registry), "pages": len(found.page.state_holder.session_data)}
            print(json.dumps(kept), flush=True)


if __name__ == "__main__":
    main()
