"""README is true: its Python runs, its commands do what it says, and the tree it draws is there."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sola_core.__main__ import main, parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE_NOTE = "<!-- run with a page on 127.0.0.1:7860 -->"


def blocks(language: str) -> list[tuple[str, bool]]:
    """Return the code blocks of a language, each with whether it needs a page."""
    found: list[tuple[str, bool]] = []
    inside: list[str] | None = None
    before = opened = ""
    for line in README.splitlines():
        if not line.startswith("```"):
            if inside is not None:
                inside.append(line)
            before = line
        elif inside is None:
            inside, opened, noted = [], line[3:], before == PAGE_NOTE
        else:
            if opened == language:
                found.append(("\n".join(inside) + "\n", noted))
            inside = None
    return found


def commands() -> list[list[str]]:
    """Return the words of every `python -m sola_core ...` line."""
    lines = [line.partition("  #")[0] for text, _ in blocks("bash") for line in text.splitlines()]
    return [shlex.split(line)[3:] for line in lines if line.startswith("python -m sola_core")]


def run(*words: str, folder: Path) -> str:
    """Run Python in a folder and return what it prints."""
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def page() -> Iterator[int]:
    """Run app.py on a free port of this machine until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "app.py", "--port", str(port)]
    around = {**os.environ, "SOLA_UMAP": "0"}  # fitted beside the answers on a small machine, it only delays them
    process = subprocess.Popen(command, cwd=ROOT, env=around, stdout=subprocess.DEVNULL)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "app.py ended"
                time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def test_every_command_in_the_readme_is_one() -> None:
    assert len(commands()) >= 4
    for words in commands():
        parser().parse_args(words)


def test_every_file_in_the_tree_is_there() -> None:
    tree = next(text for text, _ in blocks("") if "sola_core/" in text)
    inside = ""
    for line in tree.strip().splitlines():
        name = line.split()[0]
        inside = "" if not line.startswith(" ") else inside
        assert (ROOT / inside / name).exists(), name
        inside = name if name.endswith("/") and not line.startswith(" ") else inside
    for target in re.findall(r"\]\((assets/[^)]+|tests/[^)]+)\)", README):
        assert (ROOT / target).is_file(), target


@pytest.mark.model
def test_the_python_in_the_readme_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for code, needs_page in blocks("python"):
        if needs_page:
            continue
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
        printed = capsys.readouterr().out
        for promised in re.findall(r"print\(.*\)  # (.+)", code):
            assert promised in printed
            ran += 1
    assert ran > 0


@pytest.mark.model
def test_the_page_of_the_readme_answers_the_client_of_the_readme(tmp_path: Path) -> None:
    (code,) = [text for text, needs_page in blocks("python") if needs_page]
    with page() as port:
        assert "Ada Brambleworth" in run("-c", code.replace("7860", str(port)), folder=tmp_path)


@pytest.mark.model
def test_the_first_commands_teach_and_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = [words for words in commands() if words[0] in {"edit", "ask", "edits"}]
    printed = [run("-m", "sola_core", *first, folder=tmp_path)]
    monkeypatch.chdir(tmp_path)
    for words in others:  # another process would only import it all again
        assert main(words) == 0
        printed.append(capsys.readouterr().out)
    assert "stored" in printed[0]
    assert printed[1].startswith("Ada Brambleworth")
    assert "Who is the mayor of Quillhaven?" in printed[2]
