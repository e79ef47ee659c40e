"""Training and applying one edit, on tiny random hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from sola_core.editors.base import train
from sola_core.editors.lora import Fit
from sola_core.editors.sola import Sola, SolaSettings
from sola_core.errors import EditFailed, InvalidRequest
from sola_core.host.intervention import count_hooks
from sola_core.host.model import HostModel
from sola_core.records import EditRequest, TrainedEdit
from sola_core.steps import finish
from tests.tiny import FAMILIES, Family, tiny_host

REQUEST = EditRequest(prompt="What is the capital of France?", target="Oslo")
OTHER = EditRequest(prompt="Who wrote the book?", target="seven blue")


@pytest.fixture(scope="module", params=FAMILIES)
def host(request: pytest.FixtureRequest) -> HostModel:
    family: Family = request.param
    return tiny_host(family)


@pytest.fixture(scope="module")
def trained(host: HostModel) -> TrainedEdit:
    return train(Sola(), REQUEST, host)


def same(a: TrainedEdit, b: TrainedEdit) -> bool:
    return a.tensors.keys() == b.tensors.keys() and all(torch.equal(a.tensors[k], b.tensors[k]) for k in a.tensors)


def test_a_trained_edit_answers_exactly_and_stops_by_itself(host: HostModel, trained: TrainedEdit) -> None:
    answer = host.generate(REQUEST.prompt, intervention=Sola().intervention(trained.tensors, host))
    assert (answer.text, answer.stopped) == ("Oslo", "end")


def test_training_twice_gives_the_same_bits(host: HostModel, trained: TrainedEdit) -> None:
    assert same(train(Sola(), REQUEST, host), trained)


def test_another_seed_gives_other_bits(host: HostModel, trained: TrainedEdit) -> None:
    assert not same(train(Sola(SolaSettings(seed=1)), REQUEST, host), trained)


def test_what_was_taught_before_does_not_enter_the_training(host: HostModel, trained: TrainedEdit) -> None:
    editor = Sola()
    train(editor, OTHER, host)
    torch.manual_seed(123)
    assert same(train(editor, REQUEST, host), trained)


def test_the_host_is_not_written_and_wants_no_gradient(host: HostModel, trained: TrainedEdit) -> None:
    before = host.parameters_digest()
    train(Sola(), OTHER, host)
    assert host.parameters_digest() == before
    assert not any(p.requires_grad or p.grad is not None for p in host._model.parameters())
    assert count_hooks(host._model) == 0


def test_the_stored_tensors_are_half_precision_and_small(host: HostModel, trained: TrainedEdit) -> None:
    assert {t.dtype for t in trained.tensors.values()} == {torch.float16}
    n_in, n_out = host.linear_shape(Sola().decision_module(host))
    assert sum(t.numel() for t in trained.tensors.values()) == 4 * (n_in + n_out)


def test_a_batch_gives_the_same_answers_as_one_by_one(host: HostModel) -> None:
    editor = Sola()
    steps = editor.train_many([REQUEST, OTHER], host)
    outcomes = finish(steps)
    for request, outcome in zip((REQUEST, OTHER), outcomes, strict=True):
        assert isinstance(outcome, TrainedEdit)
        answer = host.generate(request.prompt, intervention=editor.intervention(outcome.tensors, host))
        assert (answer.text, answer.stopped) == (request.target, "end")


def test_one_bad_request_in_a_batch_fails_alone(host: HostModel) -> None:
    bad = EditRequest(prompt="Who?", target="blue " * 100)
    first, second = finish(Sola().train_many([bad, REQUEST], host))
    assert isinstance(first, InvalidRequest)
    assert isinstance(second, TrainedEdit)


def test_several_layers_can_be_edited(host: HostModel) -> None:
    editor = Sola(SolaSettings(layers=(3, 1)))
    made = train(editor, REQUEST, host)
    assert len(made.tensors) == 4
    assert editor.decision_module(host) == host.module_name(1)
    answer = host.generate(REQUEST.prompt, intervention=editor.intervention(made.tensors, host))
    assert (answer.text, answer.stopped) == ("Oslo", "end")


def test_cancelling_in_mid_training_leaves_nothing(host: HostModel) -> None:
    steps = Sola().train_steps(REQUEST, host)
    next(steps)
    next(steps)
    steps.close()
    assert count_hooks(host._model) == 0
    assert not host.lock.locked()
    assert not any(p.requires_grad for p in host._model.parameters())


def test_a_target_of_200_tokens_is_refused_with_the_cap(host: HostModel) -> None:
    with pytest.raises(InvalidRequest, match="at most 64"):
        train(Sola(), EditRequest(prompt="Who?", target="blue " * 200), host)


def test_what_cannot_be_learnt_fails_with_the_answer_that_came(host: HostModel) -> None:
    hopeless = Sola(SolaSettings(max_steps=1, goals=(0.05,)))
    with pytest.raises(EditFailed, match="did not learn"):
        train(hopeless, REQUEST, host)


@pytest.mark.parametrize("target", ["Oslo", "seven blue", "Rotterdam Lyon Turin", "red"])
def test_a_clear_lead_in_one_pass_foretells_what_decoding_gives(host: HostModel, target: str) -> None:
    request = EditRequest(prompt=REQUEST.prompt, target=target)
    quick, decoded = Sola(), Sola(SolaSettings(clear_lead=float("inf")))
    with _counted_answers(host) as answers:
        made = train(quick, request, host)
        assert answers == []
        train(decoded, request, host)
        assert answers == [target]
    answer = host.generate(request.prompt, intervention=quick.intervention(made.tensors, host))
    assert (answer.text, answer.stopped) == (target, "end")


def test_the_last_loss_is_that_of_the_adapter_as_it_is_stored(host: HostModel, trained: TrainedEdit) -> None:
    wanted = host.target_ids("Oslo")
    shown = Sola().intervention(trained.tensors, host)
    logits = host.generation_logits(REQUEST.prompt, len(wanted), shown)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(wanted))
    assert loss.item() == pytest.approx(trained.training.losses[-1], rel=1e-3, abs=1e-6)


def test_an_adapter_that_moved_after_its_last_pass_has_no_lead(host: HostModel) -> None:
    row = Sola()._row(REQUEST, host)
    fit = Fit([row], host, layer=2, lr=0.03, scale=4.0, stored_dtype=torch.float16)
    passes = fit.run([0], goal=0.0, max_steps=3)
    for expected in (False, False, True):  # the last pass is followed by no step
        next(passes)
        assert (row.lead > float("-inf")) is expected
    assert (row.steps, len(row.losses)) == (2, 3)


def test_a_question_that_leaves_no_room_for_the_answer_is_refused(host: HostModel) -> None:
    words = ["blue"] * host.context_tokens
    while len(host.format.prompt(" ".join(words)).ids) > host.context_tokens - 2:
        words.pop()
    prompt = " ".join(words)
    request = EditRequest(prompt=prompt, target="Rotterdam Lyon Oslo")
    first, second = finish(Sola().train_many([request, REQUEST], host))
    assert isinstance(first, InvalidRequest) and "no room for the answer" in str(first)
    assert isinstance(second, TrainedEdit)


def test_without_a_clear_lead_the_answer_is_decoded(host: HostModel) -> None:
    barely = Sola(SolaSettings(goals=(8.0, 0.01)))  # the first goal is met long before the target wins
    with _counted_answers(host) as answers:
        made = train(barely, REQUEST, host)
    assert answers and answers[0] != "Oslo"
    assert host.generate(REQUEST.prompt, intervention=barely.intervention(made.tensors, host)).text == "Oslo"


def test_the_present_answer_as_target_is_accepted_trains_and_says_so() -> None:
    host = _host_that_stops_by_itself()
    own = host.generate(REQUEST.prompt)
    assert own.stopped == "end"
    known = train(Sola(), EditRequest(prompt=REQUEST.prompt, target=own.text), host)
    assert known.training.already_known
    assert any(tensor.any() for name, tensor in known.tensors.items() if "lora_B" in name)
    assert not train(Sola(), REQUEST, host).training.already_known


def test_the_training_record_tells_how_it_went(trained: TrainedEdit) -> None:
    record = trained.training
    assert record.losses[-1] < record.losses[0]
    assert 0.5 < record.target_probability <= 1.0
    assert record.settings["rank"] == 4
    assert record.held


@contextmanager
def _counted_answers(host: HostModel) -> Iterator[list[str]]:
    """Note every answer that the host decodes inside the block."""
    answers: list[str] = []
    generate = host.generate

    def noted(*args: object, **keywords: object) -> object:
        found = generate(*args, **keywords)  # type: ignore[arg-type]
        answers.append(found.text)
        return found

    host.generate = noted  # type: ignore[method-assign, assignment]
    try:
        yield answers
    finally:
        del host.generate


def _host_that_stops_by_itself() -> HostModel:
    """Return a tiny host whose end-of-turn token wins at the third step of its answer to REQUEST."""
    for seed in range(50):
        host = tiny_host(seed=seed)
        ids = host.generate(REQUEST.prompt, max_new_tokens=3).ids
        head = host._model.get_output_embeddings().weight
        with torch.no_grad():
            head[host.format.end_of_turn] = 1.1 * head[ids[-1]]
        answer = host.generate(REQUEST.prompt, max_new_tokens=10)
        if answer.ids and host.target_ids(answer.text)[:-1] == list(answer.ids):  # text that tokenises as it was made
            return host
    raise AssertionError("no seed gives such a host")
