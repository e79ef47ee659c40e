"""The settings record: defaults, bounds, the environment, and that README tells the truth about it."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sola_core.atlas import Layout
from sola_core.errors import InvalidInput, InvalidRequest, LibraryFull
from sola_core.records import EditRequest
from sola_core.settings import Limits, Settings, described, settings_from, variable
from sola_core.steps import finish
from sola_core.text import MAX_PROMPT_CHARS, MAX_REPHRASES, MAX_TARGET_CHARS
from sola_core.workspace import Workspace

ROOT = Path(__file__).parent.parent
PROMPT, TARGET = "What is the capital of France?", "Oslo"


def test_an_empty_environment_gives_the_defaults() -> None:
    assert settings_from({}) == settings_from({"SOLA_EDITS": " ", "SOLA_WORKER": ""}) == Settings()
    assert settings_from({}).limits == Limits()


def test_every_limit_is_read_from_its_variable() -> None:
    for one in dataclasses.fields(Limits):
        low = one.metadata["low"]
        read = settings_from({variable(one.name): str(low)}).limits
        assert getattr(read, one.name) == low and type(getattr(read, one.name)) is type(one.default)
        assert dataclasses.replace(read, **{one.name: one.default}) == Limits()


@pytest.mark.parametrize("text", ["many", "1.5", "-1", "0x10", "1e999", "nan", "9" * 400])
def test_a_value_that_cannot_be_is_refused_with_name_value_and_what_is_allowed(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        settings_from({"SOLA_EDITS": text})
    assert "SOLA_EDITS" in str(refused.value) and text[:30] in str(refused.value)
    assert "a whole number from 1 to 100,000" in str(refused.value) and len(str(refused.value)) < 250


@pytest.mark.parametrize("text", ["nan", "inf", "0"])
def test_a_duration_must_be_a_number_within_its_bounds(text: str) -> None:
    with pytest.raises(InvalidInput, match="SOLA_IDLE_SECONDS"):
        settings_from({"SOLA_IDLE_SECONDS": text})


@pytest.mark.parametrize(("name", "text"), [("SOLA_WORKER", "moon"), ("SOLA_MCP", "yes"), ("SOLA_UMAP", "no")])
def test_choices_and_switches_are_checked_too(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is '{text}'; it must be"):
        settings_from({name: text})


def test_no_variable_raises_the_bounds_of_the_design() -> None:
    for name, most in (
        ("SOLA_PROMPT_CHARS", MAX_PROMPT_CHARS),
        ("SOLA_TARGET_CHARS", MAX_TARGET_CHARS),
        ("SOLA_REPHRASES", MAX_REPHRASES),
        ("SOLA_TARGET_TOKENS", 64),
    ):
        settings_from({name: str(most)})
        with pytest.raises(InvalidInput, match=name):
            settings_from({name: str(most + 1)})


def test_zero_gpu_chooses_its_worker_and_the_variable_has_the_last_word() -> None:
    assert settings_from({"SPACES_ZERO_GPU": "true"}).worker == "zerogpu"
    assert settings_from({"SPACES_ZERO_GPU": "true", "SOLA_WORKER": "here"}).worker == "here"
    assert settings_from({"SPACES_ZERO_GPU": "0"}).worker == "here"


def test_readme_lists_every_variable_with_its_default_and_its_bounds() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines() if "`SOLA_" in line
    ]
    listed = [(name.strip("`"), *rest) for name, *rest in rows if re.fullmatch("`SOLA_[A-Z_]+`", name)]
    assert listed == list(described())


@pytest.mark.slow
def test_a_bad_variable_ends_the_start_with_one_sentence_and_status_1() -> None:
    around = {**os.environ, "SOLA_QUEUE": "plenty"}
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert "SOLA_QUEUE is 'plenty'" in line and "1 to 10,000" in line


# ---- what the caps do ----


@pytest.fixture
def small() -> Workspace:
    from sola_core.session import load_editor
    from tests.tiny import tiny_host
    from tests.tiny_encoder import tiny_encoder

    limits = Limits(prompt_chars=40, target_chars=30, target_tokens=2, rephrases=1, answer_tokens=2)
    editor = load_editor(host=tiny_host(), encoder=tiny_encoder())
    return Workspace(editor, Layout.__new__(Layout), limits, max_edits=4)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (EditRequest(prompt="x" * 41, target=TARGET), "prompt has 41 characters; at most 40"),
        (EditRequest(prompt=PROMPT, target="y" * 31), "new answer has 31 characters; at most 30"),
        (EditRequest(prompt=PROMPT, target="Oslo Oslo Oslo Oslo"), "at most 2 are allowed"),
        (EditRequest(prompt=PROMPT, target=TARGET, rephrases=("one", "two")), "2 rephrasings; at most 1"),
        (EditRequest(prompt=PROMPT, target=TARGET, rephrases=("x" * 41,)), "rephrasing has 41 characters"),
    ],
)
def test_a_fact_that_is_larger_than_this_server_takes_is_refused(
    small: Workspace, request_: EditRequest, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        small.edit(request_)
    assert small.edits == ()


def test_a_question_that_is_longer_than_this_server_takes_is_refused(small: Workspace) -> None:
    for act in (small.ask, small.compare_routers):
        with pytest.raises(InvalidInput, match="41 characters; at most 40"):
            finish(act("x" * 41))  # type: ignore[operator]


def test_a_workspace_that_has_its_bytes_takes_no_more(small: Workspace) -> None:
    small.edit(EditRequest(prompt=PROMPT, target=TARGET))
    taken = small.editor.sizes.pages
    small.limits = dataclasses.replace(small.limits, workspace_bytes=taken)
    for more in (
        lambda: small.edit(EditRequest(prompt="Who?", target=TARGET)),
        lambda: finish(small.take_in(b"x", "skip")),
    ):
        with pytest.raises(LibraryFull, match="Delete some"):
            more()
    small.delete(small.edits[0].id)
    small.edit(EditRequest(prompt="Who?", target=TARGET))
