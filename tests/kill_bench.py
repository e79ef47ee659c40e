"""A child for test_resume: runs one command and is killed by SIGKILL while it writes a line of its work file.

Knows nothing of what must be left afterwards. `python -m tests.kill_bench NUMBER WORDS...` dies as it has written half of the
NUMBER-th finished unit's line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping

from sola_core.__main__ import main
from sola_core.evaluation.resume import WorkFile


def die_at(number: int) -> None:
    """Let this process die in the middle of a line."""
    write, seen = WorkFile._write, 0

    def counted(file: WorkFile, line: Mapping[str, object]) -> None:
        nonlocal seen
        seen += "unit" in line
        if seen < number:
            write(file, line)
            return
        text = json.dumps(line).encode()
        file._out.write(text[: len(text) // 2])
        file._out.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    WorkFile._write = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    die_at(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
