"""The contract of every method whose facts share a state, on tiny hosts: what all of them promise, each as it declares."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from sola_core import EditFailed, EditRequest, NotReversible, UnknownEdit, load_editor
from sola_core.editors.joint import Fact, HasEntries
from sola_core.editors.methods import JOINT, joint_method
from sola_core.errors import BatchFailed, InvalidInput, InvalidRequest
from sola_core.host.intervention import count_hooks
from sola_core.host.model import HostModel
from sola_core.joint_session import JointEditor
from sola_core.steps import finish
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

FACTS = (
    EditRequest(prompt="What is the capital of France?", target="Oslo"),
    EditRequest(prompt="Who wrote the book?", target="Lyon"),
    EditRequest(prompt="Where was the ship built?", target="Turin", rephrases=("In what city was the ship built?",)),
)
ELSEWHERE = "The mother tongue of the painter is Dutch."
PROMPTS = (*(fact.prompt for fact in FACTS), ELSEWHERE)
METHODS = tuple(JOINT)
WITH_ENTRIES = tuple(name for name in METHODS if isinstance(joint_method(name, 0, tiny_encoder()), HasEntries))


@pytest.fixture(scope="module", params=["llama", pytest.param("gpt2", marks=pytest.mark.long)])
def host(request: pytest.FixtureRequest) -> HostModel:
    return tiny_host(request.param)


@pytest.fixture(params=METHODS)
def editor(request: pytest.FixtureRequest, host: HostModel) -> Iterator[JointEditor]:
    """An editor of each method; afterwards the host is as it was, and carries no hook."""
    before = host.parameters_digest()
    made = load_editor(method=request.param, host=host, encoder=tiny_encoder())
    assert isinstance(made, JointEditor)
    with made:
        yield made
    assert host.parameters_digest() == before
    assert count_hooks(host._model) == 0
    assert not any(parameter.requires_grad for parameter in host._model.parameters())


def logits(editor: JointEditor) -> list[torch.Tensor]:
    return [editor.generation_logits(prompt, 4) for prompt in PROMPTS]


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_without_facts_every_answer_is_the_bare_hosts(editor: JointEditor) -> None:
    for prompt in PROMPTS:
        assert torch.equal(editor.generation_logits(prompt, 4), editor.base_generation_logits(prompt, 4))
        assert editor.route(prompt).deferred
    assert editor.state_tensors() == {} and editor.edits == ()


def test_a_fact_is_learnt_and_says_whether_it_holds(editor: JointEditor) -> None:
    steps: list[str] = []
    edit = editor.edit(FACTS[0], on_progress=lambda step: steps.append(step.stage))
    answer = editor.answer(FACTS[0].prompt, 24)
    assert edit.training.method == editor.method.name
    assert edit.training.held == (answer.text == "Oslo" and answer.stopped == "end")
    if edit.training.steps:  # one fact alone can be held by whatever trains; a random host reads no facts in its prompt
        assert edit.training.held, (edit.training.losses, answer)
    assert editor.edits == (edit,) and edit.id in editor.route(FACTS[0].prompt).edit_ids
    assert steps[-1] == "trying"
    assert not answer.route.deferred


def test_learning_the_same_in_the_same_order_gives_the_same_state(editor: JointEditor) -> None:
    other = JointEditor(method=editor.method, host=editor.host)
    for fact in FACTS:
        editor.edit(fact)
        other.edit(fact)
    assert editor.state_digest == other.state_digest
    assert same(logits(editor), logits(other))


def test_a_cancelled_or_failed_edit_leaves_no_trace(editor: JointEditor) -> None:
    editor.edit(FACTS[0])
    digest, before = editor.state_digest, logits(editor)
    running = editor.edit_steps(FACTS[1])
    next(running)
    running.close()
    with pytest.raises(InvalidRequest):
        editor.edit(EditRequest(prompt=" ", target="Oslo"))
    with pytest.raises(EditFailed):
        editor.edit(EditRequest(prompt="Who wrote the book?", target="Rotterdam " * 200))
    assert editor.state_digest == digest and same(logits(editor), before)
    assert len(editor.edits) == 1
    editor.edit(FACTS[1])  # nothing is held


def test_a_change_that_another_one_overtakes_is_worked_out_after_it(editor: JointEditor) -> None:
    slow = editor.edit_steps(FACTS[0])
    next(slow)
    editor.edit(FACTS[1])  # nothing is held while the other is looked at
    finish(slow)
    other = JointEditor(method=editor.method, host=editor.host)
    for fact in (FACTS[1], FACTS[0]):
        other.edit(fact)
    assert [edit.prompt for edit in editor.edits] == [FACTS[1].prompt, FACTS[0].prompt]
    assert editor.state_digest == other.state_digest
    assert [event.kind for event in editor.events()] == ["taught", "taught"]


def test_a_broken_method_stores_nothing(editor: JointEditor, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = editor.state_digest
    monkeypatch.setattr(type(editor.method), "tensors", lambda self, state: {"weight": torch.tensor([float("nan")])})
    with pytest.raises(EditFailed, match="out of range"):
        editor.edit(FACTS[0])
    monkeypatch.undo()
    assert editor.edits == () and editor.state_digest == digest


def test_many_facts_are_learnt_in_order_and_the_unusable_ones_told(editor: JointEditor) -> None:
    told: dict[int, str] = {}
    requests = [FACTS[0], EditRequest(prompt="", target="x"), FACTS[1]]
    edits = editor.edit_many(requests, on_failure=lambda index, error: told.update({index: str(error)}))
    assert [edit.prompt for edit in edits] == [FACTS[0].prompt, FACTS[1].prompt]
    assert list(told) == [1]
    with pytest.raises(BatchFailed):
        editor.edit_many([EditRequest(prompt="", target="x")])


def test_deleting_is_what_the_method_declares(editor: JointEditor) -> None:
    first, *_ = [editor.edit(fact) for fact in FACTS]
    held = editor.state_digest
    if editor.capabilities.delete == "none":
        with pytest.raises(NotReversible) as refused:
            editor.delete(first.id)
        assert str(refused.value) == editor.capabilities.why
        assert editor.state_digest == held and len(editor.edits) == len(FACTS)
        return
    editor.delete(first.id)
    assert first.id not in {edit.id for edit in editor.edits}
    assert all(first.id not in editor.route(prompt).edit_ids for prompt in PROMPTS)
    with pytest.raises(UnknownEdit):
        editor.delete(first.id)
    if editor.capabilities.delete == "batch":
        for edit in editor.edits:
            editor.delete(edit.id)
        batch = editor.edit_many(FACTS[:2])
        editor.edit(FACTS[2])
        held = editor.state_digest
        try:
            for edit in batch:
                editor.delete(edit.id)
        except NotReversible as refused:  # those that were learnt together go together, or not at all
            assert "together" in str(refused) and editor.state_digest == held and len(editor.edits) == len(FACTS)
            return
    if editor.capabilities.delete in ("exact", "batch"):
        never = JointEditor(method=editor.method, host=editor.host)
        for edit in editor.edits:
            never.edit(edit.request)
        assert editor.state_digest == never.state_digest
        assert same(logits(editor), logits(never))
        for edit in editor.edits:
            editor.delete(edit.id)
        assert editor.state_tensors() == {}
        assert all(torch.equal(editor.generation_logits(p, 4), editor.base_generation_logits(p, 4)) for p in PROMPTS)


def test_switching_is_what_the_method_declares(editor: JointEditor) -> None:
    first, *_ = [editor.edit(fact) for fact in FACTS]
    held, before = editor.state_digest, logits(editor)
    if editor.capabilities.switch == "none":
        with pytest.raises(NotReversible):
            editor.set_enabled(first.id, False)
        assert editor.state_digest == held
        return
    editor.set_enabled(first.id, False)
    assert not editor.edits[0].enabled and editor.state_digest != held
    assert first.id not in editor.route(FACTS[0].prompt).edit_ids
    if editor.capabilities.switch == "exact":
        never = JointEditor(method=editor.method, host=editor.host)
        for fact in FACTS[1:]:
            never.edit(fact)
        assert same(logits(editor), logits(never))
        editor.set_enabled(first.id, True)
        assert editor.state_digest == held and same(logits(editor), before)
    if editor.capabilities.switch == "batch":
        together = JointEditor(method=editor.method, host=editor.host)
        batch = together.edit_many(FACTS[:2])
        together.edit(FACTS[2])
        held, before = together.state_digest, logits(together)
        try:
            for edit in batch:
                together.set_enabled(edit.id, False)
        except NotReversible as refused:
            assert "together" in str(refused) and together.state_digest == held
            return
        never = JointEditor(method=editor.method, host=editor.host)
        never.edit(FACTS[2])
        assert same(logits(together), logits(never))
        for edit in batch:
            together.set_enabled(edit.id, True)
        assert together.state_digest == held and same(logits(together), before)


@pytest.mark.parametrize("editor", WITH_ENTRIES, indirect=True)
def test_entries_hold_every_fact_and_lie_where_questions_do(editor: JointEditor) -> None:
    method = editor.method
    assert isinstance(method, HasEntries)
    state = method.empty(editor.host)
    assert method.entries(state) == ()
    for number, fact in enumerate(FACTS):
        state = finish(method.learn_steps(state, [Fact(id=str(number), request=fact)], editor.host)).state
    entries = method.entries(state)
    assert sorted(fact for entry in entries for fact in entry.fact_ids) == ["0", "1", "2"]
    for number, fact in enumerate(FACTS):
        own = next(entry for entry in entries if str(number) in entry.fact_ids)
        query = method.query(fact.prompt, editor.host)
        assert query.dtype == own.centre.dtype == np.float32
        assert np.linalg.norm(query - own.centre) <= own.radius
    entries[0].centre[:] = 0  # a copy: the state stays as it is
    assert method.entries(state)[0].centre.any()


def test_the_route_is_decided_once_and_holds_beside_other_answers(editor: JointEditor) -> None:
    for fact in FACTS:
        editor.edit(fact)
    alone = [editor.answer(prompt, 12) for prompt in PROMPTS]
    streams = [editor.stream(prompt, 12) for prompt in PROMPTS] + [editor.base_stream(prompt, 12) for prompt in PROMPTS]
    texts = [""] * len(streams)
    running = list(range(len(streams)))
    while running:  # one token each in turn
        for i in list(running):
            piece = next(streams[i], None)
            if piece is None:
                running.remove(i)
            else:
                texts[i] += piece
        assert count_hooks(editor.host._model) == 0
    assert texts[: len(PROMPTS)] == [answer.text for answer in alone]
    assert texts[len(PROMPTS) :] == [editor.base_answer(prompt, 12).text for prompt in PROMPTS]
    assert [stream.route.kind for stream in streams[: len(PROMPTS)]] == [answer.route.kind for answer in alone]


def test_no_number_of_the_state_depends_on_ids_or_times(editor: JointEditor) -> None:
    method = joint_method(editor.method.name, 0, tiny_encoder())
    states = []
    for name in "ab":
        facts = [Fact(id=f"{name}{number}-{time.time()}", request=fact) for number, fact in enumerate(FACTS)]
        state = method.empty(editor.host)
        for fact in facts:
            state = finish(method.learn_steps(state, [fact], editor.host)).state
        states.append(method.tensors(state))
    assert states[0].keys() == states[1].keys() and states[0]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_shared_method_takes_no_file_and_says_so(host: HostModel) -> None:
    with pytest.raises(InvalidInput, match="in memory"):
        load_editor(method="lora", host=host, library="facts.db")
    with pytest.raises(InvalidInput, match="Available"):
        joint_method("magic")
