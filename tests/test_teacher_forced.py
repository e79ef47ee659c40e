"""The customary teacher-forced numbers are what the papers mean by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from sola_core import load_editor
from sola_core.evaluation.bench import bench
from sola_core.evaluation.bench_report import BenchReport
from sola_core.evaluation.cost import COST_LINES
from sola_core.evaluation.questions import Question, questions_of
from sola_core.evaluation.rows import Probe, Row
from sola_core.evaluation.teacher_forced import ForcedScore, Scorer, forced_figures, forced_score
from sola_core.host.intervention import count_hooks
from sola_core.host.scoring import TargetScore
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

ROW = Row(
    id="a",
    subject="France",
    prompt="What is the capital of France?",
    target_new="Oslo",
    target_true="Paris",
    rephrases=("The capital of France is",),
    locality=(
        Probe(prompt="What is the capital of Spain?", answer="Madrid", kind="neighborhood"),
        Probe(prompt="The river of France is", answer="Lyon seven", kind="Relation_Specificity"),
        Probe(prompt="no answer known", answer=None, kind="nq"),
    ),
)


def scorer(best: Sequence[int], likely: Mapping[str, float], asked: list[tuple[str, ...]] | None = None) -> Scorer:
    """Return a model that always chooses `best`, and finds each answer as likely as `likely` says; ids are 0, 1, 2 ..."""

    def score(prompt: str, answers: Sequence[str]) -> tuple[TargetScore, ...]:
        if asked is not None:
            asked.append(tuple(answers))
        ids = tuple(range(len(best)))
        return tuple(
            TargetScore(ids=ids, best=tuple(best), log_probabilities=(likely[text],) * len(ids)) for text in answers
        )

    return score


def nobody(prompt: str, answers: Sequence[str]) -> tuple[TargetScore, ...]:
    raise AssertionError("the base model was asked for nothing")


def test_the_new_answer_is_scored_and_compared_on_the_facts_own_prompts() -> None:
    likely = {"Oslo": -1.0, "Paris": -1.5}
    for kind in ("reliability", "generality"):
        question = Question(row=ROW, kind=kind, prompt="p")
        score = forced_score(question, scorer([0, 1, 9, 9], likely), nobody)
        assert score == ForcedScore(row_id="a", kind=kind, prompt="p", accuracy=0.5, new=-1.0, true=-1.5)
        assert score.new_wins and not score.true_wins


def test_where_it_must_stay_the_two_models_choices_are_compared_over_the_expected_answer() -> None:
    asked: list[tuple[str, ...]] = []
    question = Question(row=ROW, kind="neighborhood", prompt="p", expected="Madrid")
    edited = scorer([0, 7, 7, 3], {"Madrid": -3.0, "Oslo": -2.0, "Paris": -2.5}, asked)
    score = forced_score(question, edited, scorer([0, 7, 2, 3], {"Madrid": -1.0}))
    assert asked == [("Madrid", "Oslo", "Paris")]
    assert score is not None and score.accuracy == 0.75  # over choices that need not be right
    assert (score.new, score.true, score.new_wins, score.true_wins) == (-2.0, -2.5, True, False)


def test_only_neighbours_are_compared_and_only_when_the_truth_is_known() -> None:
    same = scorer([0], {"Lyon": -1.0, "Oslo": -1.0})
    other = forced_score(Question(row=ROW, kind="Relation_Specificity", prompt="p", expected="Lyon"), same, same)
    assert other is not None and (other.accuracy, other.new_wins, other.true_wins) == (1.0, None, None)
    bare = Row(id="b", subject=None, prompt="p", target_new="Oslo", target_true=None)
    own = forced_score(Question(row=bare, kind="reliability", prompt="p"), same, nobody)
    assert own is not None and (own.accuracy, own.new_wins) == (1.0, None)
    for expected in (None, "", "  "):
        assert forced_score(Question(row=ROW, kind="nq", prompt="p", expected=expected), same, same) is None


def scored(
    row: str, kind: str, accuracy: float | None, new: float | None = None, true: float | None = None
) -> ForcedScore:
    return ForcedScore(row_id=row, kind=kind, prompt="p", accuracy=accuracy, new=new, true=true)


def test_figures_are_means_over_rows_of_each_rows_mean() -> None:
    figures = forced_figures(
        [
            scored("a", "reliability", 1.0, -1, -2),
            scored("b", "reliability", 0.5, -2, -1),
            scored("a", "generality", 1.0, -1, -2),
            scored("a", "generality", 0.0, -2, -1),
            scored("b", "generality", 1.0, -1, -2),
            *[scored("a", "neighborhood", 1.0, -2, -1)] * 3,
            scored("b", "neighborhood", 0.0, -1, -2),
            scored("c", "Forgetfulness", 0.0),
            scored("a", "unrelated", 0.0),  # another record that has the same id
        ]
    )
    assert figures.pop("cf_score") == pytest.approx(3 / (1 / 0.5 + 1 / 0.75 + 1 / 0.5))
    assert figures == {
        "tf_reliability": 0.75,
        "tf_generality": 0.75,
        "tf_locality": pytest.approx(1 / 3),
        "tf_locality_neighborhood": 0.5,
        "tf_locality_Forgetfulness": 0.0,
        "tf_locality_unrelated": 0.0,
        "es": 0.5,
        "ps": 0.75,
        "ns": 0.5,
    }


def test_equal_likelihood_is_no_success_and_a_zero_makes_the_score_zero() -> None:
    even = [scored("a", kind, 1.0, -1, -1) for kind in ("reliability", "generality", "neighborhood")]
    figures = forced_figures(even)
    assert (figures["es"], figures["ps"], figures["ns"], figures["cf_score"]) == (0.0, 0.0, 0.0, 0.0)


def test_absent_figures_are_left_out() -> None:
    assert forced_figures([]) == {}
    figures = forced_figures([scored("a", "reliability", 1.0, -1, -2), scored("a", "neighborhood", 1.0, -1, -2)])
    assert "ps" not in figures and "cf_score" not in figures


def run(*, teacher_forced: bool, bounds: bool = False, router: str = "hidden") -> BenchReport:
    host = tiny_host()
    with load_editor(host=host, encoder=tiny_encoder(), router=router) as editor:
        report = bench(editor, [ROW], tokens=8, teacher_forced=teacher_forced, bounds=bounds)
    assert count_hooks(host._model) == 0
    return report


@pytest.mark.slow
@pytest.mark.parametrize("router", ["hidden", "scope"])
def test_a_taught_fact_is_reliable_both_ways_and_the_present_names_keep_their_meaning(router: str) -> None:
    plain, both = run(teacher_forced=False, router=router), run(teacher_forced=True, router=router)
    figures = {name: value for name, value in both.figures.items() if name not in COST_LINES}
    assert figures["tf_reliability"] == figures["es"] == 1.0
    assert {"tf_generality", "tf_locality", "ps", "ns", "cf_score"} <= figures.keys()
    before = {name: value for name, value in plain.figures.items() if name not in COST_LINES}
    assert before == {name: figures[name] for name in before}
    assert not {"tf_reliability", "es", "cf_score"} & before.keys() and plain.teacher_forced == ()
    assert "teacher-forced" in both.text() and "teacher-forced" not in plain.text()


@pytest.mark.slow
def test_with_bounds_too_the_untouched_model_gets_the_customary_numbers() -> None:
    report = run(teacher_forced=True, bounds=True)
    with load_editor(host=tiny_host(), encoder=tiny_encoder(), router="hidden") as editor:
        new, true = editor.base_target_scores(ROW.prompt, ["Oslo", "Paris"])
    assert report.figures["no_edit_tf_reliability"] == new.accuracy < report.figures["tf_reliability"]
    assert report.figures["no_edit_es"] == float(new.mean_log_probability > true.mean_log_probability)
    assert {"no_edit_tf_generality", "no_edit_ps", "no_edit_ns", "no_edit_cf_score"} <= report.figures.keys()
    assert not any(name.startswith("no_edit_tf_locality") for name in report.figures)  # 1 by definition
    assert "no_edit_es" in report.text()


def test_a_prompt_that_no_edit_answers_agrees_with_the_untouched_model_wholly() -> None:
    report = run(teacher_forced=True)
    untouched = {a.prompt for a in report.asked if a.outcome == "untouched"}
    agreed = {s.prompt: s.accuracy for s in report.teacher_forced}
    both = untouched & agreed.keys()
    assert both and all(agreed[prompt] == 1.0 for prompt in both)
    assert len(report.teacher_forced) == len(questions_of([ROW], [])[0]) - 1  # all but the one without an answer
