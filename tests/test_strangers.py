"""One stranger who asks as fast as it can, beside a class: who is refused, who waits, what is forgotten, and what is not."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest
from fastapi import HTTPException
from gradio.data_classes import PredictBodyInternal

from sola_core import EditRequest
from sola_core.atlas import Atlas, Layout
from sola_core.errors import WorkspacesFull
from sola_core.registry import Visitor, WorkspaceRegistry
from sola_core.session import load_editor
from sola_core.ui import texts
from sola_core.ui.fair_queue import FairQueue
from sola_core.ui.guarded import GuardedBlocks
from sola_core.ui.sessions import Sessions
from sola_core.workspace import Limits, Workspace
from tests.hostile import Caller
from tests.memory_test import weigh
from tests.serving import served
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

CLASS = 8


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# ---- workspaces ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def new_workspace() -> Callable[[], Workspace]:
    host, encoder = tiny_host(), tiny_encoder()
    atlas = Atlas(["the capital of Peru", "who made it", "the river"], use_umap=False)
    sheet = atlas.sheet("tiny", lambda text: encoder.encode(text).pooled)  # type: ignore[attr-defined,arg-type]
    return lambda: Workspace(load_editor(host=host, encoder=encoder), Layout(sheet), Limits(), max_edits=64)


def teach(registry: WorkspaceRegistry, visitor: Visitor, prompt: str) -> None:
    with registry.claim(visitor) as workspace:
        workspace.edit(EditRequest(prompt=prompt, target="Oslo"))


def prompts(registry: WorkspaceRegistry, visitor: Visitor) -> list[str]:
    with registry.visit(visitor) as workspace:
        return [edit.prompt for edit in workspace.edits]


@pytest.mark.slow
def test_a_stranger_who_asks_for_every_workspace_takes_none_from_a_class(
    new_workspace: Callable[[], Workspace], clock: Clock
) -> None:
    limits = Limits(workspaces=24, share=0.5, idle_seconds=100.0)
    registry = WorkspaceRegistry(new_workspace, limits=limits, clock=clock)
    pupils = [registry.visitor(f"pupil {n}", address="school") for n in range(CLASS)]
    for n, pupil in enumerate(pupils[: CLASS // 2]):
        teach(registry, pupil, f"What is {n}?")
    made = refused = 0
    for n in range(40):
        clock.now += 1
        try:
            teach(registry, registry.visitor(f"stranger {n}", address="elsewhere"), "Mine?")
            made += 1
        except WorkspacesFull as error:
            refused += 1
            assert "Nothing was stored" in str(error) and "Try again" in str(error)
    assert (made, refused) == (12, 28)  # half of the places, and not one more
    for n, pupil in enumerate(pupils[CLASS // 2 :], CLASS // 2):  # who comes later finds a place all the same
        teach(registry, pupil, f"What is {n}?")
    assert [prompts(registry, pupil) for pupil in pupils] == [[f"What is {n}?"] for n in range(CLASS)]
    registry.close()


@pytest.mark.slow
def test_a_class_behind_one_address_fits(new_workspace: Callable[[], Workspace]) -> None:
    assert Limits().of_one_address >= 100
    assert Limits(workspaces=1).of_one_address == 1
    registry = WorkspaceRegistry(new_workspace, limits=Limits(workspaces=40))
    for n in range(30):
        teach(registry, registry.visitor(f"pupil {n}", address="school"), "What?")
    assert len(registry) == 30
    registry.close()


def test_the_alias_of_a_visitor_does_not_tell_the_secret(new_workspace: Callable[[], Workspace]) -> None:
    one, other = WorkspaceRegistry(new_workspace), WorkspaceRegistry(new_workspace)
    visitor = one.visitor("secret-hash")
    assert one.alias(visitor) == one.alias(one.visitor("secret-hash")) != one.alias(one.visitor("other"))
    assert "secret" not in one.alias(visitor) and one.alias(visitor) != other.alias(visitor)
    one.close()
    other.close()


# ---- the queue -------------------------------------------------------------------------------------------------------


@pytest.fixture
def page() -> GuardedBlocks:
    with GuardedBlocks() as found:
        gr.Button("x").click(lambda: None, None, None, concurrency_id="model", concurrency_limit=4)
    found.fair_queue(Limits(queue=40, at_once=4))
    return found


def ask(page: GuardedBlocks, session: str, host: str) -> tuple[bool, Any, str]:
    """Let somebody ask for a place in the queue."""
    request = SimpleNamespace(client=SimpleNamespace(host=host))
    body = PredictBodyInternal(session_hash=session, data=[], fn_index=0)
    return asyncio.run(page._queue.push(body, request, None))  # type: ignore[arg-type]


def test_one_address_fills_half_of_the_queue_and_one_session_a_tenth(page: GuardedBlocks) -> None:
    taken = [ask(page, f"stranger {n}", "elsewhere") for n in range(60)]
    assert sum(ok for ok, _, _ in taken) == 20
    assert taken[-1] == (False, texts.QUEUE_FULL, "queue_full")
    assert all(ask(page, f"pupil {n}", "school")[0] for n in range(12))
    mine = [ask(page, "pupil", "school") for _ in range(6)]
    assert sum(ok for ok, _, _ in mine) == 4 and mine[-1][1] == texts.QUEUE_FULL_OF_YOURS


def running(page: GuardedBlocks) -> list[str]:
    """Start what can run now, and return whose it is."""
    started = []
    while (found := page._queue.get_events()) is not None:
        events, _, name = found
        page._queue.active_jobs[page._queue.active_jobs.index(None)] = events
        page._queue.event_queue_per_concurrency_id[name].current_concurrency += 1
        started += [event.session_hash for event in events]
    return started


def test_whoever_has_least_running_goes_first_and_one_address_never_has_all(page: GuardedBlocks) -> None:
    page._queue.active_jobs = [None] * 40
    for n in range(10):
        ask(page, f"stranger {n}", "elsewhere")
    assert running(page) == ["stranger 0", "stranger 1", "stranger 2"]  # one is left for others
    for n in range(4):
        ask(page, f"pupil {n}", "school")
    assert running(page) == ["pupil 0"]
    page._queue.active_jobs[0] = None  # one of the stranger's has ended
    page._queue.event_queue_per_concurrency_id["model"].current_concurrency -= 1
    assert running(page) == ["pupil 1"]  # though nine of the stranger's have waited for longer


def test_one_session_runs_no_more_than_half(page: GuardedBlocks) -> None:
    page._queue.active_jobs = [None] * 40
    for _ in range(4):
        ask(page, "one", "school")
    ask(page, "two", "school")
    assert running(page) == ["one", "two", "one"]


def test_a_handler_that_is_none_is_refused_by_the_queue(page: GuardedBlocks) -> None:
    body = PredictBodyInternal(session_hash="s", data=[], fn_index=99)
    request = SimpleNamespace(client=None)
    assert asyncio.run(page._queue.push(body, request, None)) == (False, texts.UNSUITABLE, "error")  # type: ignore[arg-type]


# ---- pages -----------------------------------------------------------------------------------------------------------


def test_pages_that_are_gone_are_forgotten_and_open_ones_are_not(page: GuardedBlocks, clock: Clock) -> None:
    sessions = Sessions(page, 10, 60.0, clock)
    queue = page._queue
    assert isinstance(queue, FairQueue)
    for name in ("open", "gone"):
        sessions.connected(name)
        assert sessions[name] is sessions[name]
        queue.pending_event_ids_session[name] = set()
    clock.now = 30.0
    sessions.disconnected("gone")
    clock.now = 80.0
    sessions.delete_all_expired_state()
    assert set(sessions.session_data) == {"open", "gone"}  # it may come back
    clock.now = 100.0
    sessions.delete_all_expired_state()
    assert set(sessions.session_data) == {"open"} == set(queue.pending_event_ids_session)


def test_made_up_sessions_drive_no_open_page_out(page: GuardedBlocks, clock: Clock) -> None:
    sessions = Sessions(page, 10, 3600.0, clock)
    pupils = [f"pupil {n}" for n in range(CLASS)]
    for name in pupils:
        sessions.connected(name)
        sessions[name].state_data[1] = name
    for n in range(200):
        clock.now += 0.01
        sessions[f"made up {n}"]
        assert len(sessions.session_data) <= 10
    assert [sessions[name].state_data[1] for name in pupils] == pupils
    for n in range(2):
        sessions.connected(f"held {n}")
        sessions[f"held {n}"]
    with pytest.raises(HTTPException) as refused:
        sessions["one more"]
    assert refused.value.status_code == 503 and refused.value.detail == texts.PAGES_FULL
    with pytest.raises(HTTPException):
        sessions["x" * 5000]


# ---- all of it, served -----------------------------------------------------------------------------------------------


@contextmanager
def flooding(url: str, address: str) -> Iterator[list[bool]]:
    """Teach from made-up sessions as fast as one can, until the block ends; each success or refusal is noted."""
    stop, came = threading.Event(), []

    def work() -> None:
        with httpx.Client(timeout=60, headers={"X-Forwarded-For": address}) as client:
            numbers: dict[str, int] = {}
            while not stop.is_set():
                caller = Caller(url, secrets.token_hex(8), client, numbers)
                try:
                    caller.named("edit", "What is the river of France?", "red", "", "")
                    came.append(True)
                except AssertionError:
                    came.append(False)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield came
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


@pytest.mark.slow
def test_a_served_class_loses_nothing_beside_a_stranger() -> None:
    limits = Limits(answer_tokens=2, workspaces=24, share=0.5)
    with served(limits=limits) as server, flooding(server.url, "203.0.113.9") as came:
        with httpx.Client(timeout=60, headers={"X-Forwarded-For": "198.51.100.7"}) as client:
            pupils = [Caller(server.url, f"pupil-{n}", client) for n in range(CLASS)]
            for n, pupil in enumerate(pupils):
                pupil.named("edit", f"What is number {n}?", "Oslo", "", "")
            deadline = time.monotonic() + 60
            while False not in came and time.monotonic() < deadline:
                time.sleep(0.1)
            for n, pupil in enumerate(pupils):
                assert [edit["prompt"] for edit in pupil.named("edits")] == [f"What is number {n}?"]
                assert pupil.named("ask", f"What is number {n}?")["answer"] == "Oslo"
        assert came.count(True) <= 12 and False in came


@pytest.mark.long
def test_the_memory_is_back_when_visitors_have_gone(tmp_path: Path) -> None:
    found = weigh(tmp_path / "served", 16, warm=12)
    assert found.workspaces_left == 0
    assert found.pages_left <= 2  # the one that weighs
    assert found.growth < 0.15
