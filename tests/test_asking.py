"""What a benchmark asks: in batches it scores as one by one, and every distinct prompt is generated once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from sola_core import SolaEditor, load_editor
from sola_core.evaluation.asking import Answers, Asked, ask_all
from sola_core.evaluation.bench import bench
from sola_core.evaluation.bench_report import BenchReport
from sola_core.evaluation.bounds import bounds_of
from sola_core.evaluation.questions import questions_of
from sola_core.evaluation.rows import Probe, Row
from sola_core.host.model import HostModel
from tests.tiny import FAMILIES, tiny_host
from tests.tiny_encoder import tiny_encoder

BOOK = Row(id="b", subject="book", prompt="Who wrote the book?", target_new="red", target_true=None)
FRANCE = Row(
    id="a",
    subject="France",
    prompt="What is the capital of France?",
    target_new="Oslo",
    target_true="Paris",
    rephrases=("The capital of France is", "What is the capital of France? "),
    locality=(
        Probe(prompt="The river of Spain is", answer="red", kind="nq"),
        Probe(prompt=BOOK.prompt, answer="blue", kind="nq"),  # routed to the other fact: a false fire
        Probe(prompt="The river of Spain is", answer="red", kind="nq"),
    ),
)
UNTAUGHT = Row(id="c", subject=None, prompt="Too long?", target_new="red " * 200, target_true=None)
UNRELATED = Row(id="u", subject=None, prompt="seven twelve", target_new=None, target_true=None)
ROWS = (FRANCE, BOOK, UNTAUGHT)


@pytest.fixture(scope="module", params=FAMILIES)
def host(request: pytest.FixtureRequest) -> HostModel:
    return tiny_host(request.param)


def run(host: HostModel, *, one_by_one: bool) -> BenchReport:
    with load_editor(host=host, encoder=tiny_encoder(), router="hidden") as editor:
        return bench(editor, ROWS, unrelated=[UNRELATED], tokens=8, bounds=True, one_by_one=one_by_one)


@pytest.mark.slow
def test_in_batches_everything_is_scored_as_one_by_one(host: HostModel) -> None:
    batched, single = run(host, one_by_one=False), run(host, one_by_one=True)
    assert batched.asked == single.asked
    assert batched.bounds == single.bounds
    measured = {"edit_seconds_median", *batched.cost.figures}
    assert {k: v for k, v in batched.figures.items() if k not in measured} == {
        k: v for k, v in single.figures.items() if k not in measured
    }
    assert (batched.settings["one_by_one"], single.settings["one_by_one"]) == (False, True)
    assert {a.outcome for a in batched.asked} == {"right", "missed", "untouched", "false fire"}


@pytest.mark.slow
def test_a_false_fire_is_compared_with_the_untouched_model(host: HostModel) -> None:
    report = run(host, one_by_one=False)
    (fired,) = (a for a in report.asked if a.outcome == "false fire")
    with load_editor(host=host, encoder=tiny_encoder(), router="hidden") as untaught:
        base = untaught.base_answer(BOOK.prompt, 8).text
    assert (fired.text, fired.wanted, fired.good) == ("red", base, False)
    assert report.figures["locality_nq"] == pytest.approx(2 / 3)


class Counting:
    """An editor that notes which prompts each call is asked to generate."""

    def __init__(self, editor: SolaEditor, *, harm: bool = False) -> None:
        self._editor, self._harm, self.asked = editor, harm, list[tuple[str, tuple[str, ...]]]()

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        def call(*args: object) -> object:
            prompts = args[1] if name.startswith("forced") else args[0]
            self.asked.append((name, (prompts,) if isinstance(prompts, str) else tuple(prompts)))  # type: ignore[arg-type]
            made = getattr(self._editor, name)(*args)
            return dataclasses.replace(made, text="harmed") if self._harm and name == "answer" else made

        return call


@pytest.fixture
def editor(host: HostModel) -> Iterator[SolaEditor]:
    with load_editor(host=host, encoder=tiny_encoder(), router="hidden") as made:
        made.edit(FRANCE.request)
        made.edit(BOOK.request)
        yield made


def asked_by(editor: Counting, editor_edits: SolaEditor, *, one_by_one: bool, bounds: bool) -> list[Asked]:
    questions, _ = questions_of(ROWS, [UNRELATED])
    answers = Answers(editor, 4, one_by_one=one_by_one)  # type: ignore[arg-type]
    france, book = (edit.id for edit in editor_edits.edits)
    asked = ask_all(answers, questions, {france: FRANCE, book: BOOK})
    if bounds:
        own = [question for question in questions if question.target]
        bounds_of(answers, own, {FRANCE: france, BOOK: book, UNTAUGHT: None})
    return asked


def test_every_distinct_prompt_is_generated_once_and_a_deferred_one_never_again(editor: SolaEditor) -> None:
    counting = Counting(editor)
    asked = asked_by(counting, editor, one_by_one=False, bounds=True)
    (_, routed), (_, base), (_, own), (_, forced) = counting.asked
    assert [name for name, _ in counting.asked] == [
        "answer_many",
        "base_answer_many",
        "base_answer_many",
        "forced_answer_many",
    ]
    assert sorted(routed) == sorted({a.prompt for a in asked})
    assert base == (BOOK.prompt,)
    fired = {a.prompt for a in asked if a.outcome in ("right", "wrong", "false fire")}
    assert set(own) == fired - {BOOK.prompt}
    assert forced == (FRANCE.prompt, *FRANCE.rephrases, BOOK.prompt)


def test_one_by_one_both_sides_are_generated_for_every_question(editor: SolaEditor) -> None:
    counting = Counting(editor)
    asked = asked_by(counting, editor, one_by_one=True, bounds=False)
    staying = [a for a in asked if a.outcome in ("untouched", "false fire")]
    calls = [name for name, _ in counting.asked]
    assert (calls.count("answer"), calls.count("base_answer")) == (len(asked), len(staying))
    assert len(calls) == len(asked) + len(staying)


def test_one_by_one_would_see_harm_to_a_prompt_that_no_edit_answers(editor: SolaEditor) -> None:
    harmed = asked_by(Counting(editor, harm=True), editor, one_by_one=True, bounds=False)
    assert not any(a.good for a in harmed if a.outcome == "untouched")
