"""Deleting in stages, for every method on a tiny host: what each says of itself is what is seen, and a lie is found."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from sola_core import EditRequest, load_editor
from sola_core.__main__ import main
from sola_core.editors.methods import METHODS
from sola_core.evaluation.methods import compare_methods
from sola_core.evaluation.rows import Row
from sola_core.evaluation.taking_back import take_back
from sola_core.host.model import HostModel
from sola_core.session import AnyEditor
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

PROMPTS = ("What is the capital of France?", "Who wrote the book?", "Where was the ship built?", "Name the river.")
TARGETS = ("Oslo", "Lyon", "Turin", "Prague")


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host("llama")


def opened(host: HostModel, method: str) -> AnyEditor:
    return load_editor(method=method, host=host, encoder=tiny_encoder())


def taught(host: HostModel, method: str) -> AnyEditor:
    editor = opened(host, method)
    for prompt, target in zip(PROMPTS, TARGETS, strict=True):
        editor.edit(EditRequest(prompt=prompt, target=target))
    return editor


EACH = ("sola", "lora", "rls")  # one of each kind every time, all of them in `make long`


@pytest.mark.parametrize(
    "method", [name if name in EACH else pytest.param(name, marks=pytest.mark.long) for name in METHODS]
)
def test_what_a_method_says_of_deleting_is_what_is_seen(host: HostModel, method: str) -> None:
    with taught(host, method) as editor:
        found = take_back(editor, partial(opened, host, method))
        assert found.method == method and found.capability == editor.capabilities.delete
        assert found.breaches == 0, found.text()
        if found.capability == "none":
            assert found.refused == editor.capabilities.why and len(editor.edits) == len(PROMPTS)
        if found.capability == "exact":
            assert [stage.left for stage in found.stages] == [3, 2, 0]
            assert found.stages[-1].revoked_bits == 1.0
            assert [stage.like_never for stage in found.stages] == [None, True, True]
            assert found.stages[1].retrained_seconds > 0
        assert found.capability in found.text()


def test_a_method_that_says_exact_and_is_not_is_found_out(host: HostModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with taught(host, "lora") as editor:
        kind = type(editor.method)
        says = editor.capabilities.__class__(delete="exact", switch="none", shares_weights=True, why="It says so.")
        monkeypatch.setattr(editor, "capabilities", says)

        def keeps(self, state, fact, left, host):  # type: ignore[no-untyped-def]  # a method that forgets to forget
            yield from ()
            return state

        monkeypatch.setattr(kind, "removed_steps", keeps)
        found = take_back(editor, partial(opened, host, "lora"))
    assert found.breaches >= 2, found.text()
    assert found.stages[-1].revoked_bits == 0.0


def test_the_same_stream_is_scored_and_taken_back_for_several_methods(host: HostModel) -> None:
    rows = [
        Row(id=str(i), prompt=prompt, subject="", target_new=target, target_true=None)
        for i, (prompt, target) in enumerate(zip(PROMPTS, TARGETS, strict=True))
    ]
    report = compare_methods(partial(opened, host), ("sola", "lora"), rows, tokens=8, curve=True)
    assert [result.method for result in report.results] == ["sola", "lora"]
    figures = report.figures
    assert figures["sola_reliability"] == 1.0 and figures["sola_breaches"] == 0
    assert figures["sola_revoked_half"] >= 0.5  # the tiny encoder may find another edit for a deleted one's question
    assert figures["lora_reliability"] <= 1.0 and "lora_revoked_half" not in figures
    assert report.breaches == 0
    assert "refused" in report.text() and "like never taught" in report.text()


def test_the_command_line_refuses_what_other_methods_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = tmp_path / "facts.jsonl"
    facts.write_text(json.dumps({"id": "1", "prompt": PROMPTS[0], "target_new": "Oslo"}))
    for flag in ("--bounds", "--one-by-one", "--teacher-forced"):
        assert main(["bench", "--data", str(facts), "--method", "lora", flag]) != 0
        assert "sola alone" in capsys.readouterr().err
