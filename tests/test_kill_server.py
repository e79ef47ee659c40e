"""A server with a library is killed in the middle of its work; what it had acknowledged is there again, bit for bit."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from sola_core import load_editor
from tests.hostile import Caller
from tests.tiny import tiny_model, tiny_tokenizer
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
TARGETS = ("Oslo", "Lyon", "red green", "seven")

# app.py itself, but for the sentence encoder, which would have to be fetched
APP = """
import sys
import sola_core.studio
from tests.tiny_encoder import tiny_encoder
sola_core.studio.load_encoder = lambda on_progress: tiny_encoder()
import app
sys.exit(app.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a tiny model, as a user's own would."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tokenizer = tiny_tokenizer(chat=True)
    tiny_model("llama", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def served(model: Path, library: Path, log: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run app.py over a library until the block ends, and give its address."""
    around = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SOLA_UMAP": "0"}
    words = [sys.executable, "-u", "-c", APP, "--library", str(library), "--model", str(model), "--device", "cpu"]
    with log.open("w") as writer:
        process = subprocess.Popen(words, cwd=ROOT, env=around, stdout=writer, stderr=subprocess.STDOUT, text=True)
        try:
            found = None
            for _ in range(1200):
                found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
                if found or process.poll() is not None:
                    break
                time.sleep(0.1)
            assert found, log.read_text()
            yield f"{found.group()}/", process
        finally:
            process.kill()
            process.wait(30)


@dataclass
class Pupil:
    """Teaches, switches and deletes until the server is gone, and writes down what was acknowledged."""

    url: str
    number: int
    held: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> edit, as acknowledged last
    unsure: set[str] = field(default_factory=set)  # ids whose last change was not acknowledged
    deleted: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)  # prompts of edits that were begun

    def work(self) -> None:
        """Go on until the connection breaks."""
        with httpx.Client(timeout=60) as client:
            caller = Caller(self.url, secrets.token_hex(8), client)
            try:
                for round_ in range(10_000):
                    self._round(caller, round_)
            except (httpx.HTTPError, AssertionError):
                return

    def _round(self, caller: Caller, round_: int) -> None:
        prompt = f"What is number {self.number} of round {secrets.token_hex(4)}?"
        self.asked.add(prompt)
        edit = caller.named("edit", prompt, TARGETS[self.number], "", "")
        self.held[edit["id"]] = edit
        if round_ % 3 == 1:
            self._change(caller, edit["id"], "toggle", False)
        if round_ % 3 == 2:
            self._change(caller, edit["id"], "delete")

    def _change(self, caller: Caller, edit_id: str, name: str, *more: object) -> None:
        self.unsure.add(edit_id)
        now = {edit["id"]: edit for edit in caller.named(name, edit_id, *more)}
        self.unsure.discard(edit_id)
        if name == "delete":
            del self.held[edit_id]
            self.deleted.add(edit_id)
        else:
            self.held[edit_id] = now[edit_id]


def tensors(model: Path, library: Path) -> tuple[dict[str, dict[str, torch.Tensor]], str]:
    """Return what a library holds, and its digest, read without a server."""
    with load_editor(model=str(model), device="cpu", library=library, encoder=tiny_encoder()) as editor:
        return {edit.id: editor.tensors(edit.id) for edit in editor.edits}, editor.state_digest


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])  # each a little later than the last
def test_every_edit_that_a_killed_server_acknowledged_is_there_bit_for_bit(
    model: Path, tmp_path: Path, kills: int
) -> None:
    library = tmp_path / "facts.db"
    held: dict[str, dict[str, Any]] = {}
    deleted: set[str] = set()
    unsure: set[str] = set()
    asked: set[str] = set()
    before: dict[str, dict[str, torch.Tensor]] = {}
    digest = ""
    for turn in range(kills):
        with served(model, library, tmp_path / f"log{turn}") as (url, process), httpx.Client(timeout=60) as client:
            reader = Caller(url, "reader", client)
            now = {edit["id"]: edit for edit in reader.named("edits")}
            assert {i: now[i] for i in held if i not in unsure} == {i: e for i, e in held.items() if i not in unsure}
            assert not deleted & now.keys()
            assert {edit["prompt"] for edit in now.values()} <= asked
            assert digest in ("", reader.named("digest"))
            pupils = [Pupil(url=url, number=number) for number in range(len(TARGETS))]
            threads = [threading.Thread(target=pupil.work) for pupil in pupils]
            for thread in threads:
                thread.start()
            wanted = 5 + 3 * turn
            for _ in range(600):
                gone = deleted or any(pupil.deleted for pupil in pupils)
                if gone and sum(len(pupil.held) + len(pupil.deleted) for pupil in pupils) >= wanted:
                    break
                time.sleep(0.05)
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30)
            for thread in threads:
                thread.join(90)
        for pupil in pupils:
            held |= pupil.held
            deleted |= pupil.deleted
            unsure |= pupil.unsure
            asked |= pupil.asked
        after, digest = tensors(model, library)
        assert set(held) - unsure <= after.keys()  # nothing acknowledged is lost
        assert not deleted & after.keys()
        for edit_id, stored in before.items():  # and what was there before is what it was, to the last bit
            if edit_id in after:
                assert all(torch.equal(stored[name], after[edit_id][name]) for name in stored)
        before = after
    assert len(held) >= 3 * kills and deleted
    with served(model, library, tmp_path / "log") as (url, _), httpx.Client(timeout=60) as client:
        reader = Caller(url, "reader", client)
        edits = reader.named("edits")
        first = reader.named("digest")
        assert first == digest
        kept = next(edit for edit in edits if edit["enabled"] and edit["id"] in held)
        assert reader.named("ask", kept["prompt"])["answer"] == kept["target"]
        extra = reader.named("edit", "Where was the ship built?", "Turin", "", "")
        assert reader.named("digest") != first
        reader.named("delete", extra["id"])
        assert reader.named("digest") == first
