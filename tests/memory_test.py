"""Weighs the server before and after visitors came and went.

Knows the page as programs use it: a session with a heartbeat, as a browser holds one. `python -m tests.memory_test`
lets 20 visitors come first, so that what is loaded once is loaded, and then 200; it prints the memory in megabytes.
"""

from __future__ import annotations

import argparse
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from tests.hostile import Caller
from tests.serve_tiny import Child, child

IDLE = 4.0  # seconds after which a workspace, and a page that is closed, may go
AT_ONCE = 4


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """The server's memory in megabytes, and how it grew."""

    before: float
    after: float
    visitors: int
    workspaces_left: int
    pages_left: int

    @property
    def growth(self) -> float:
        """As a share of what it was."""
        return self.after / self.before - 1


@contextmanager
def heartbeat(url: str, session: str) -> Iterator[None]:
    """Hold the connection by which gradio knows that a page is open."""
    done = threading.Event()

    def listen() -> None:
        with httpx.Client(timeout=60) as client, client.stream("GET", f"{url}gradio_api/heartbeat/{session}") as beats:
            for _ in beats.iter_lines():
                done.wait()
                return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(30)


def visit(url: str, numbers: dict[str, int], rows: int, number: int) -> None:
    """Come, teach, ask, look at the map and the list, save, switch, sometimes delete, and leave."""
    with httpx.Client(timeout=300) as client:
        caller = Caller(url, secrets.token_hex(8), client, numbers)
        client.get(url)
        assert caller.run(numbers["arrive"], [None]).ok
        token = ""  # so that page and endpoints mean the same workspace
        with heartbeat(url, caller.session):
            edit = caller.named("edit", f"What is number {number}?", "Oslo", "", "Which one is it?")
            calls: list[tuple[int, list[object]]] = [
                (numbers["after"], [None, token]),
                (numbers["apply"], [None] * rows),
                (numbers["ask_1"], [f"What is number {number}?", token]),
                (numbers["compare_soon"], [None, token]),
            ]
            for call in calls:
                assert caller.queue([call])[0].ok
            for name, data in (("draw", [None, token]), ("save", [token]), ("improve", [None, None, token])):
                assert caller.run(numbers[name], list(data)).ok, name
            caller.named("toggle", edit["id"], False)
            if number % 2:
                caller.named("delete", edit["id"])


def visitors(url: str, numbers: dict[str, int], rows: int, count: int) -> None:
    """Let visitors come, some of them side by side; what draws the list of edits takes `rows` inputs."""
    waiting = iter(range(count))
    failed: list[BaseException] = []
    lock = threading.Lock()

    def come() -> None:
        while not failed:
            with lock:
                number = next(waiting, None)
            if number is None:
                return
            try:
                visit(url, numbers, rows, number)
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=come) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def rested(server: Child, client: httpx.Client) -> float:
    """Wait until what is idle has gone, and return the memory then."""
    time.sleep(IDLE + 4)
    for _ in range(2):  # the first request sweeps, the second sees what it left
        Caller(server.url, "weighing", client).named("edits")
        time.sleep(IDLE / 2)
    return server.tidied()


def weigh(folder: Path, count: int, warm: int = 20) -> Weighed:
    """Serve the tiny page, let visitors come and go, and weigh it before and after."""
    limits = {"idle_seconds": IDLE, "page_seconds": IDLE}
    with child(folder, **limits) as server, httpx.Client(timeout=60) as client:
        config = client.get(f"{server.url}config").json()
        numbers = {d["api_name"]: int(d["id"]) for d in config["dependencies"]}
        rows = next(len(d["inputs"]) for d in config["dependencies"] if d["api_name"] == "apply")
        visitors(server.url, numbers, rows, warm)
        before = rested(server, client)
        visitors(server.url, numbers, rows, count)
        after = rested(server, client)
        left = server.counts()
    return Weighed(
        before=before, after=after, visitors=count, workspaces_left=left["workspaces"], pages_left=left["pages"]
    )


def main() -> int:
    """Print the figures; return 0 when the memory is back within a tenth."""
    parser = argparse.ArgumentParser(description="The server's memory before and after visitors.")
    parser.add_argument("--visitors", type=int, default=200)
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = weigh(Path(folder) / "served", chosen.visitors)
    print(json.dumps({**found.__dict__, "growth": round(found.growth, 4)}, indent=2))
    return 0 if found.growth <= 0.1 else 1


if __name__ == "__main__":
    raise SystemExit(main())
