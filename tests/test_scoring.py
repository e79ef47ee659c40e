"""Teacher-forced scores: the numbers are the model's, the route is an answer's, and nothing is left behind."""

from __future__ import annotations

import pytest
import torch

from sola_core import EditRequest, InvalidInput, UnknownEdit, load_editor
from sola_core.host.intervention import Intervention, count_hooks
from sola_core.host.model import HostModel
from sola_core.host.scoring import TargetScore, score_targets
from tests.tiny import FAMILIES, Family, tiny_host
from tests.tiny_encoder import tiny_encoder

PROMPT = "What is the capital of France?"
TARGETS = ("seven blue Oslo", "red")


@pytest.fixture(scope="module", params=FAMILIES)
def host(request: pytest.FixtureRequest) -> HostModel:
    family: Family = request.param
    return tiny_host(family)


def shifted(host: HostModel) -> Intervention:
    return Intervention(modules={host.module_name(2): lambda i, o, p, phase: o + 2 * o.sin()})


def test_scores_are_those_of_one_uncached_pass_over_prompt_and_answer(host: HostModel) -> None:
    prompt = host.prompt_ids(PROMPT).ids.tolist()
    for score, target in zip(score_targets(host, PROMPT, TARGETS), TARGETS, strict=True):
        answer = host.target_ids(target)[:-1]
        with torch.no_grad():
            logits = host._model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
        wanted = logits.log_softmax(-1)[range(len(answer)), answer]
        assert score.ids == tuple(answer)
        assert score.log_probabilities == pytest.approx(wanted.tolist(), abs=1e-3)
        assert score.mean_log_probability == pytest.approx(float(wanted.mean()), abs=1e-3)
        assert score.best == tuple(logits.argmax(-1).tolist())


def test_the_first_token_is_scored_from_the_very_logits_of_an_answer(host: HostModel) -> None:
    for plan in (None, shifted(host)):
        score, _ = score_targets(host, PROMPT, TARGETS, plan)
        logits = host.next_token_logits(PROMPT, plan)
        assert score.log_probabilities[0] == float(logits.log_softmax(-1)[score.ids[0]])


def test_an_intervention_holds_for_the_answers_tokens_too(host: HostModel) -> None:
    phases: list[tuple[str, list[int]]] = []

    def watch(i: torch.Tensor, o: torch.Tensor, positions: torch.Tensor, phase: str) -> None:
        phases.append((phase, positions.tolist()))

    (score, _) = score_targets(host, PROMPT, TARGETS, Intervention(modules={host.module_name(2): watch}))
    length = len(host.prompt_ids(PROMPT).ids)
    assert phases[:2] == [
        ("prefill", list(range(length))),
        ("decode", list(range(length, length + len(score.ids) - 1))),
    ]
    assert score_targets(host, PROMPT, TARGETS, shifted(host))[0].log_probabilities[-1] != score.log_probabilities[-1]


def test_an_answer_scores_the_same_alone_and_among_others(host: HostModel) -> None:
    together = score_targets(host, PROMPT, (*TARGETS, TARGETS[0]), shifted(host))
    alone = [score_targets(host, PROMPT, [target], shifted(host))[0] for target in TARGETS]
    assert together == (*alone, alone[0])


def test_the_decision_is_taken_once_from_the_state_that_an_answer_decides_by(host: HostModel) -> None:
    module = host.module_name(1)
    seen: list[torch.Tensor] = []

    def decide(row: int, activation: torch.Tensor) -> Intervention:
        seen.append(activation)
        return shifted(host)

    scores = score_targets(host, PROMPT, TARGETS, Intervention(decides_in=module, decide=decide))
    assert len(seen) == 1
    assert torch.equal(seen[0], host.module_input(PROMPT, module))
    assert scores == score_targets(host, PROMPT, TARGETS, shifted(host))


def test_an_exception_while_scoring_leaves_no_hook_and_no_lock(host: HostModel) -> None:
    def explode(i: torch.Tensor, o: torch.Tensor, positions: torch.Tensor, phase: str) -> None:
        if phase == "decode":
            raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        score_targets(host, PROMPT, TARGETS, Intervention(modules={host.module_name(0): explode}))
    assert count_hooks(host._model) == 0
    assert not host.lock.locked()


def test_answers_that_cannot_be_scored_are_refused(host: HostModel) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        score_targets(host, PROMPT, [" "])
    with pytest.raises(InvalidInput, match="room for"):
        score_targets(host, PROMPT, ["blue " * 600])


def test_accuracy_and_agreement_are_shares_of_tokens() -> None:
    one = TargetScore(ids=(1, 2, 3, 4), best=(1, 2, 9, 9), log_probabilities=(-1.0, -1.0, -2.0, -4.0))
    other = TargetScore(ids=(1, 2, 3, 4), best=(1, 7, 9, 9), log_probabilities=(0.0,) * 4)
    assert (one.accuracy, one.mean_log_probability, one.agreement(other)) == (0.5, -2.0, 0.75)
    with pytest.raises(ValueError, match="same answer"):
        one.agreement(TargetScore(ids=(1,), best=(1,), log_probabilities=(0.0,)))


@pytest.mark.parametrize("router", ["hidden", "scope"])
def test_an_editor_scores_with_the_edit_that_it_would_answer_with(host: HostModel, router: str) -> None:
    asked, other = "What is the capital of France?", "Who wrote the book?"
    with load_editor(host=host, encoder=tiny_encoder(), router=router) as editor:
        edit = editor.edit(EditRequest(prompt=asked, target="seven blue"))
        (edited,) = editor.target_scores(asked, ["seven blue"])
        (base,) = editor.base_target_scores(asked, ["seven blue"])
        assert edited.accuracy == 1.0 and edited.mean_log_probability > base.mean_log_probability
        assert editor.forced_answer(edit.id, asked).text == editor.answer(asked).text == "seven blue"
        editor.set_enabled(edit.id, False)
        assert editor.target_scores(asked, TARGETS) == editor.base_target_scores(asked, TARGETS)
        assert editor.forced_answer(edit.id, asked).text == "seven blue"  # whatever the router would do
        assert editor.forced_answer(edit.id, other).ids != editor.host.generate(other).ids
        with pytest.raises(UnknownEdit):
            editor.forced_answer("nothere", asked)
    assert count_hooks(host._model) == 0
