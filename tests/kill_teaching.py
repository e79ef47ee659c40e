"""A child for test_teaching_batches: runs one command and is killed by SIGKILL as it stores an edit.

Knows nothing of what must be left afterwards. `python -m tests.kill_teaching NUMBER WORDS...` dies inside the transaction of the
NUMBER-th edit, before it is committed.
"""

from __future__ import annotations

import os
import signal
import sys

from sola_core.__main__ import main
from sola_core.library import store


def die_at(number: int) -> None:
    """Let this process die in the middle of a transaction."""
    insert, seen = store.insert_edit, 0

    def counted(*given: object) -> None:
        nonlocal seen
        seen += 1
        insert(*given)  # type: ignore[arg-type]
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    store.insert_edit = counted  # type: ignore[assignment]


if __name__ == "__main__":
    die_at(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
