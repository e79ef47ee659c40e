"""An interrupted benchmark goes on where it stopped and gives the same report; under other conditions it refuses."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sola_core import load_editor
from sola_core.__main__ import main
from sola_core.errors import InvalidInput
from sola_core.evaluation import curve
from sola_core.evaluation.bench import bench
from sola_core.evaluation.output import plain
from sola_core.evaluation.resume import Kept, WorkFile
from sola_core.evaluation.rows import Probe, Row
from sola_core.library import Library
from tests.tiny import tiny_host, tiny_model, tiny_tokenizer
from tests.tiny_encoder import tiny_encoder

ROOT = Path(__file__).parent.parent
ROWS = (
    Row(
        id="a",
        subject="France",
        prompt="What is the capital of France?",
        target_new="Oslo",
        target_true="Paris",
        rephrases=("The capital of France is",),
        portability=(Probe(prompt="Where is Paris?", answer="red", kind="Reasoning"),),
        locality=(Probe(prompt="Is the ship green?", answer="no", kind="nq"),),
    ),
    Row(id="b", subject=None, prompt="Too long?", target_new="red " * 200, target_true=None),
    Row(id="c", subject="book", prompt="Who wrote the book?", target_new="red", target_true=None),
    Row(id="d", subject="ship", prompt="Where was the ship built?", target_new="Turin", target_true=None),
)
CONDITIONS = {"tokens": 4, "seeds": [0, 1], "edits": None, "data": "f" * 64}


class KilledError(BaseException):
    """Stands for a kill."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A record of some unit."""

    number: int
    text: str = ""


def alike(report: object) -> Any:
    """Return a report without what no two runs share: ids (numbered instead), times and memory."""
    stored: Any = report if isinstance(report, dict) else plain(report)
    text = json.dumps(_timeless(stored))
    ids = [t["edit_id"] for t in stored["taught"] if t["edit_id"]]
    for number, edit_id in enumerate(ids):
        text = text.replace(edit_id, f"edit {number}")
    return json.loads(text)


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        dropped = ("seconds", "peak_memory", "pages")
        return {name: _timeless(item) for name, item in value.items() if not any(word in name for word in dropped)}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.parametrize("bulk", [False, True])
def test_killed_again_and_again_it_ends_with_the_report_of_a_run_left_alone(
    bulk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "POINTS", (1, 3))
    host, encoder = tiny_host(), tiny_encoder()
    wanted = {"bulk": bulk, "tokens": 4, "teacher_forced": True, "bounds": True, "curve": True}
    with load_editor(host=host, encoder=encoder, router="hidden") as editor:
        whole = bench(editor, ROWS, **wanted)  # type: ignore[arg-type]

    add, trained = WorkFile.add, [0]
    train_many = type(editor.method).train_many

    def counted(*words: Any) -> Any:
        trained[0] += 1
        return train_many(*words)

    def one_more(file: WorkFile, *words: Any) -> None:
        if next(left) == 0:
            file._out.write(b'{"run": "seed-0", "unit": "ask')
            raise KilledError
        add(file, *words)

    monkeypatch.setattr(type(editor.method), "train_many", counted)
    monkeypatch.setattr(WorkFile, "add", one_more)
    for finished in itertools.count():
        left = iter(range(finished, -1, -1))  # one unit more in each life; the first dies with an edit stored
        try:
            with WorkFile.open(tmp_path / "work", CONDITIONS) as work:
                library = work.library("seed-0")
                with load_editor(host=host, encoder=encoder, router="hidden", library=library) as editor:
                    report = bench(editor, ROWS, kept=work.run("seed-0"), **wanted)  # type: ignore[arg-type]
                    break
        except KilledError:
            continue
    assert finished >= 6
    assert trained[0] <= 2 * len(ROWS)  # an edit whose line was cut is made again, others are not
    assert alike(report) == alike(whole)
    assert report.taught != whole.taught
    with Library.open(library, host_name=host.name, host_fingerprint=host.fingerprint) as stored:
        assert [edit.id for edit in stored.edits()] == [t.edit_id for t in report.taught if t.edit_id]
    with WorkFile.open(tmp_path / "work", CONDITIONS) as work:
        with load_editor(host=host, encoder=encoder, router="hidden", library=library) as editor:
            left = iter((0,))  # nothing is left to do
            again = bench(editor, ROWS, kept=work.run("seed-0"), **wanted)  # type: ignore[arg-type]
        assert [t.edit_id for t in again.taught] == [t.edit_id for t in report.taught]
        assert again.seconds > 0 and again.cost.timings == report.cost.timings


@pytest.mark.slow
# the second fact is stored, its line is cut; in the second run
@pytest.mark.parametrize("kills", [(3,), pytest.param((3, 12), marks=pytest.mark.long)])
def test_a_killed_process_leaves_a_file_that_the_next_one_goes_on_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kills: tuple[int, ...]
) -> None:
    model, data, work = tmp_path / "tiny", tmp_path / "facts.jsonl", tmp_path / "work.jsonl"
    tokenizer = tiny_tokenizer(chat=True)
    tiny_model("llama", len(tokenizer)).save_pretrained(model)
    tokenizer.save_pretrained(model)
    rows = [{"id": row.id, "prompt": row.prompt, "target_new": row.target_new} for row in ROWS if row.id != "b"]
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = ["bench", "--data", data, "--tokens", 4, "--seeds", 0, 1, "--curve", "--json"]
    words += ["--model", model, "--router", "hidden", "--device", "cpu"]
    resumed = [*map(str, words), "--resume", str(work)]
    for number in kills:
        command = [sys.executable, "-m", "tests.kill_bench", str(number), *resumed]
        around = {**os.environ, "OMP_NUM_THREADS": "1"}  # as here: the threads are one of the conditions
        died = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr.decode()
        assert not work.read_bytes().endswith(b"\n")
    assert main(resumed) == 0
    found = json.loads(capsys.readouterr().out)
    assert main([str(word) for word in words]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert [run["seed"] for run in found["runs"]] == [0, 1]
    assert [alike(r["report"]) for r in found["runs"]] == [alike(r["report"]) for r in whole["runs"]]
    assert main([*resumed, "--tokens", "8"]) == 2
    assert "tokens was 4 and is 8" in capsys.readouterr().err


@pytest.mark.slow
def test_a_library_that_was_taught_before_is_asked_with_another_router(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host, encoder, library = tiny_host(), tiny_encoder(), tmp_path / "taught.db"
    rows = [row for row in ROWS if row.id != "b"]
    with load_editor(host=host, encoder=encoder, router="hidden", library=library) as editor:
        before = bench(editor, rows, tokens=4)
    with load_editor(host=host, encoder=encoder, router="sentence", library=library) as editor:
        stored = editor.edits
        after = bench(editor, rows, tokens=4, stored=True)
        assert editor.edits == stored
        assert after.taught == before.taught and after.settings["router"] == "sentence"
        assert [a.prompt for a in after.asked] == [a.prompt for a in before.asked]
        with pytest.raises(InvalidInput, match="not among the facts, 1 of them"):
            bench(editor, rows[1:], tokens=4, stored=True)
        missing = bench(editor, ROWS, tokens=4, stored=True)
        assert [t.failure for t in missing.taught if t.row_id == "b"] == ["it is not in the library"]
    data = tmp_path / "facts.jsonl"
    data.write_text(json.dumps({"prompt": "Who?", "target_new": "red"}), encoding="utf-8")
    assert main(["bench", "--data", str(data), "--library", str(library), "--curve"]) == 2
    assert "--curve teaches facts" in capsys.readouterr().err
    assert main(["bench", "--data", str(data), "--library", str(tmp_path / "no.db")]) == 2
    assert "There is no library" in capsys.readouterr().err


def filled(path: Path) -> bytes:
    """Make a work file of two units and return its bytes."""
    with WorkFile.open(path, CONDITIONS) as work:
        kept = work.run("seed-0")
        kept.unit("asking 0", Made, lambda: [Made(number=1, text='a "quote"\nand a line'), Made(number=2)])
        kept.unit("asking 1", Made, list)
    return path.read_bytes()


def nothing() -> list[Made]:
    raise AssertionError("this unit is kept")


def test_a_unit_is_made_once_and_read_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "work"
    stored = filled(path)
    with WorkFile.open(path, CONDITIONS) as work:
        kept, other = work.run("seed-0"), work.run("seed-1")
        assert kept.unit("asking 0", Made, nothing) == [Made(number=1, text='a "quote"\nand a line'), Made(number=2)]
        assert kept.unit("asking 1", Made, nothing) == []
        assert path.read_bytes() == stored
        assert other.unit("asking 0", Made, lambda: [Made(number=9)]) == [Made(number=9)]
    assert kept.known("asking", Made) == kept.unit("asking 0", Made, nothing)
    assert Kept().unit("asking 0", Made, lambda: [Made(number=3)]) == [Made(number=3)]


def test_a_last_line_cut_anywhere_is_dropped_and_made_again(tmp_path: Path) -> None:
    stored = filled(tmp_path / "whole")
    header, first = (stored.index(b"\n") + 1, stored.rindex(b"\n", 0, -1) + 1)
    for cut in range(len(stored)):
        path = tmp_path / "cut"
        path.write_bytes(stored[:cut])
        with WorkFile.open(path, CONDITIONS) as work:
            known = [unit for unit in ("asking 0", "asking 1") if unit in work.known("seed-0")]
        assert known == ["asking 0"][: cut >= first]
        assert path.read_bytes()[:header] == stored[:header] and path.read_bytes().endswith(b"\n")


def test_other_conditions_are_refused_and_named_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "work"
    stored = filled(path) + b'{"torn'
    path.write_bytes(stored)
    other = {**CONDITIONS, "seeds": [0, 2], "edits": 5, "data": "e" * 64, "threads": 2}
    with pytest.raises(InvalidInput) as refused:
        WorkFile.open(path, other)
    text = str(refused.value)
    assert "seeds was [0, 1] and is [0, 2]" in text
    assert "edits was not given and is 5" in text and "threads was not given and is 2" in text
    assert "data was ffffffffffff\u2026" in text and "tokens" not in text
    assert path.read_bytes() == stored


@pytest.mark.parametrize("content", [b"my shopping list", b"eggs\nmilk\n", b'{"a": 1}\n', b'{"sola', b"\0\0\0"])
def test_a_file_of_something_else_is_refused_and_stays(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    if b'{"sola_work_file"'.startswith(content):  # the beginning of a header: begun, and killed at once
        WorkFile.open(path, CONDITIONS).close()
        return
    with pytest.raises(InvalidInput):
        WorkFile.open(path, CONDITIONS)
    assert path.read_bytes() == content


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "work"
    header, first, second = filled(path).splitlines(keepends=True)
    path.write_bytes(header + first[:-9] + b"\n" + second)
    with pytest.raises(InvalidInput, match="line 2"):
        WorkFile.open(path, CONDITIONS)


def test_edits_that_no_work_file_knows_are_not_touched(tmp_path: Path) -> None:
    with WorkFile.open(tmp_path / "work", CONDITIONS) as work:
        library = work.library("seed-0")
        library.write_bytes(b"edits of another day")
        with pytest.raises(InvalidInput, match="no work file"):
            work.library("seed-0")
    assert library.read_bytes() == b"edits of another day"


def test_a_work_file_whose_edits_are_gone_is_refused(tmp_path: Path) -> None:
    host, encoder = tiny_host(), tiny_encoder()
    for number in range(2):
        with (
            WorkFile.open(tmp_path / "work", CONDITIONS) as work,
            load_editor(host=host, encoder=encoder, router="hidden") as editor,
            pytest.raises(InvalidInput, match="lacks edits") if number else nullcontext(),
        ):
            bench(editor, ROWS[2:3], tokens=4, kept=work.run("seed-0"))


def test_the_time_before_an_interruption_counts(tmp_path: Path) -> None:
    path = tmp_path / "work"
    filled(path)
    with WorkFile.open(path, CONDITIONS) as work:
        work.add("seed-0", "asking 2", [], 120.0)
    with WorkFile.open(path, CONDITIONS) as work:
        assert 120.0 <= work.run("seed-0").elapsed < 130.0
        assert work.run("seed-1").elapsed < 10.0
