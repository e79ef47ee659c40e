"""What follows from a fact is asked after the stream and scored apart: an exact answer, any of its spellings, a natural stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sola_core import load_editor
from sola_core.evaluation.asking import Asked
from sola_core.evaluation.bench import bench
from sola_core.evaluation.bench_report import BenchReport
from sola_core.evaluation.datasets import read_rows
from sola_core.evaluation.portability import portability_figures, portability_text
from sola_core.evaluation.questions import Question, questions_of
from sola_core.evaluation.rows import Probe, Row
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

ROW = Row(
    id="a",
    subject="France",
    prompt="What is the capital of France?",
    target_new="Oslo",
    target_true="Paris",
    portability=(
        Probe(prompt="What is the capital of France? ", answer="Oslo", kind="Subject_Aliasing"),
        Probe(prompt="The river of the capital is", answer="blue", kind="Reasoning", aliases=("the blue", "azure")),
        Probe(prompt="no answer is known", answer=None, kind="Reasoning"),
    ),
)
OTHER = Row(id="b", subject="book", prompt="Who wrote the book?", target_new="red", target_true=None)


def asked(kind: str, outcome: str, *, good: bool = False, contains: bool = False) -> Asked:
    return Asked(
        row_id="a",
        kind=kind,
        prompt="p",
        text="t",
        stopped="end",
        good=good,
        outcome=outcome,  # type: ignore[arg-type]
        wanted="w",
        contains=contains,
    )


def run(*rows: Row, bounds: bool = False) -> BenchReport:
    with load_editor(host=tiny_host(), encoder=tiny_encoder(), router="hidden") as editor:
        return bench(editor, rows, tokens=8, bounds=bounds)


@pytest.mark.parametrize(
    ("text", "stopped", "good", "contains"),
    [
        ("Blue.", "end", True, True),
        ("azure", "end", True, True),
        ("azure", "limit", False, True),
        ("It is the Blue, I think", "end", False, True),
        ("bluebell", "end", False, False),
        ("Oslo", "end", False, False),
        ("", "end", False, False),
    ],
)
def test_any_spelling_counts_whole_with_a_natural_stop_and_softer_anywhere_in_the_text(
    text: str, stopped: str, good: bool, contains: bool
) -> None:
    (question,) = (q for q in questions_of([ROW], [])[0] if q.kind == "portability_Reasoning")
    assert (question.target, question.targets) == ("blue", ("blue", "the blue", "azure"))
    assert question.answered(text, stopped) is good
    assert question.contained(text) is contains
    stays = Question(row=ROW, kind="nq", prompt="p", expected="blue")
    assert not stays.answered(text, stopped) and not stays.contained(text)


@pytest.mark.slow
def test_probes_are_asked_of_the_edited_model_and_kept_out_of_the_other_scores() -> None:
    with_probes, without = run(ROW, OTHER), run(Row(**{**vars(ROW), "portability": ()}), OTHER)
    kinds = [a.kind for a in with_probes.asked]
    assert kinds == ["reliability", "reliability", "portability_Subject_Aliasing", "portability_Reasoning"]
    figures = with_probes.figures
    assert figures["portability_Subject_Aliasing"] == figures["router_alias_right"] == 1.0
    assert figures["portability_Reasoning"] == figures["router_fired_Reasoning"] == 0.0
    assert figures["portability"] == figures["portability_contains"] == 0.5
    same = {name: value for name, value in figures.items() if "portability" not in name and name in without.figures}
    assert {"reliability", "router_right"} <= same.keys() and "locality" not in figures
    assert all(without.figures[n] == v for n, v in same.items() if n.startswith(("rel", "gen", "loc", "router")))
    assert not any("portability" in name or "alias" in name for name in without.figures)
    assert "what follows" in with_probes.text() and "what follows" not in without.text()


def test_only_an_alias_is_a_positive_for_the_router() -> None:
    made = [
        asked("portability_Subject_Aliasing", "right", good=True, contains=True),
        asked("portability_Subject_Aliasing", "missed"),
        asked("portability_Subject_Aliasing", "wrong"),
        asked("portability_Subject_Aliasing", "missed", contains=True),
        asked("portability_one_hop", "wrong"),
        asked("portability_one_hop", "missed", good=True, contains=True),
        asked("reliability", "right", good=True, contains=True),
    ]
    assert portability_figures(made) == {
        "portability": pytest.approx(2 / 6),
        "portability_contains": pytest.approx(3 / 6),
        "portability_Subject_Aliasing": 0.25,
        "portability_contains_Subject_Aliasing": 0.5,
        "router_alias_right": 0.25,
        "router_alias_wrong": 0.25,
        "router_alias_missed": 0.5,
        "portability_one_hop": 0.5,
        "portability_contains_one_hop": 0.5,
        "router_fired_one_hop": 0.5,
    }
    assert portability_figures(made[-1:]) == {} and portability_text(made[-1:]) == ""


@pytest.mark.slow
def test_bounds_say_what_the_untouched_model_knew_of_the_consequences_anyway() -> None:
    figures = run(ROW, OTHER, bounds=True).figures
    assert figures["oracle_portability_Subject_Aliasing"] == 1.0
    assert figures["no_edit_portability_Subject_Aliasing"] == figures["no_edit_portability_Reasoning"] == 0.0


def test_spellings_are_read_from_our_own_schema(tmp_path: Path) -> None:
    probe = {"prompt": "The river is", "answer": "blue", "kind": "Reasoning", "aliases": ["blue", "azure"]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "p", "target_new": "t", "portability": [probe]}), encoding="utf-8")
    (row,) = read_rows(path)
    (question,) = (q for q in questions_of([row], [])[0] if q.kind.startswith("portability"))
    assert question.targets == ("blue", "azure")
