"""Experts for batches of facts: their equation, the keys that find them, the plan of batches, and what can go."""

from __future__ import annotations

import pytest
import torch

from sola_core import EditRequest, NotReversible
from sola_core.editors.anchors import anchor, least_squares_key, planned_order, whitening
from sola_core.editors.lemoe import Experts, Lemoe, LemoeSettings, expert_function
from sola_core.host.model import HostModel
from sola_core.joint_session import JointEditor
from tests.tiny import tiny_host

FACTS = (
    EditRequest(prompt="What is the capital of France?", target="Oslo"),
    EditRequest(prompt="Who wrote the book?", target="Lyon"),
    EditRequest(prompt="Where was the ship built?", target="Turin"),
)
ELSEWHERE = "the seven blue and twelve green, Prague; Vienna"
PROMPTS = (*(fact.prompt for fact in FACTS), ELSEWHERE)


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host("llama")


def editor_of(host: HostModel, **settings: object) -> JointEditor:
    return JointEditor(method=Lemoe(LemoeSettings(**settings)), host=host)  # type: ignore[arg-type]


def experts_of(editor: JointEditor) -> Experts:
    state = editor._now[0]
    assert isinstance(state, Experts)
    return state


def same_answers(ours: JointEditor, theirs: JointEditor) -> bool:
    return all(torch.equal(ours.generation_logits(p, 4), theirs.generation_logits(p, 4)) for p in PROMPTS)


def test_an_expert_adds_its_feed_forward_network_at_every_position() -> None:
    generator = torch.Generator().manual_seed(0)
    w_gate, w_in, w_out = (torch.randn(*shape, generator=generator) for shape in ((3, 5), (3, 5), (5, 3)))
    inputs, output = torch.randn(1, 4, 5, generator=generator), torch.randn(1, 4, 5, generator=generator)
    made = expert_function(w_gate, w_in, w_out)(inputs, output, torch.arange(4), "prefill")
    assert made is not None
    for place in range(4):
        gate = w_gate @ inputs[0, place]
        wanted = output[0, place] + w_out @ (gate * torch.sigmoid(gate) * (w_in @ inputs[0, place]))
        assert torch.allclose(made[0, place], wanted, atol=1e-5)


def test_an_anchor_is_the_mean_embedding_of_the_words_alone(host: HostModel) -> None:
    text = FACTS[0].prompt
    ids = host.format.tokenizer(text, add_special_tokens=False)["input_ids"]
    table = host._model.get_input_embeddings().weight  # type: ignore[no-untyped-call]
    assert torch.allclose(anchor(host, text), table[ids].detach().mean(0), atol=1e-6)


def test_the_projection_starts_as_a_linear_map_that_whitens(host: HostModel) -> None:
    made = whitening(host)
    vectors = torch.stack([anchor(host, prompt) for prompt in PROMPTS])
    linear = (vectors - made.centre) @ made.down[: made.down.shape[1]].mT
    assert torch.allclose(made.project(vectors), torch.nn.functional.normalize(linear, dim=-1), atol=1e-5)


def test_a_key_scores_one_for_its_own_and_nothing_for_neutral_questions() -> None:
    generator = torch.Generator().manual_seed(1)
    own, neutral = (torch.nn.functional.normalize(torch.randn(5, 40, generator=generator), dim=-1) for _ in range(2))
    key = least_squares_key(own, neutral, 1e-6)
    assert torch.allclose(own @ key, torch.ones(5), atol=1e-3)
    assert torch.allclose(neutral @ key, torch.zeros(5), atol=1e-3)


def test_similar_requests_are_planned_into_one_batch() -> None:
    generator = torch.Generator().manual_seed(2)
    middles = torch.nn.functional.normalize(torch.randn(3, 20, generator=generator), dim=-1)
    kinds = [0, 1, 2, 2, 1, 0, 1, 0, 2, 0, 1, 2]
    vectors = torch.nn.functional.normalize(middles[kinds] + 0.05 * torch.randn(12, 20, generator=generator), dim=-1)
    batches = planned_order(vectors, 4)
    assert [[kinds[place] for place in batch] for batch in batches] == [[0] * 4, [1] * 4, [2] * 4]
    assert batches == planned_order(vectors, 4)
    for most in (1, 5, 7, 12):
        batches = planned_order(vectors, most)
        assert sorted(place for batch in batches for place in batch) == list(range(12))
        assert all(0 < len(batch) <= most for batch in batches)
    assert planned_order(vectors[:1].repeat(4, 1), 2) == [[0, 1], [2, 3]]  # equal vectors still fill both


def test_facts_handed_over_together_share_experts_and_the_route_names_them(host: HostModel) -> None:
    editor = editor_of(host, expert_facts=2)
    edits = editor.edit_many(FACTS)
    state = experts_of(editor)
    assert sorted(len(expert.fact_ids) for expert in state.experts) == [1, 2]
    for edit in edits:
        route = editor.route(edit.prompt)
        assert route.edit_ids == state.of(edit.id).fact_ids
        assert route.kind == ("edit" if len(route.edit_ids) == 1 else "shared")
        assert edit.training.held


def test_earlier_experts_and_what_their_keys_meet_are_frozen(host: HostModel) -> None:
    editor = editor_of(host)
    editor.edit(FACTS[0])
    before, score = editor.state_tensors(), editor.scores(FACTS[0].prompt)[0].score
    editor.edit(FACTS[1])
    after = editor.state_tensors()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert editor.scores(FACTS[0].prompt)[0].score == score

    moving = editor_of(host, frozen_projection=False)
    moving.edit(FACTS[0])
    before = moving.state_tensors()
    moving.edit(FACTS[1])
    after = moving.state_tensors()
    assert torch.equal(before["expert.0.w_out"], after["expert.0.w_out"])
    assert not torch.equal(before["projection.down"], after["projection.down"])
    assert moving.capabilities.delete == "none"
    with pytest.raises(NotReversible, match="earlier facts"):
        moving.delete(moving.edits[0].id)


def test_what_no_expert_is_about_is_the_base_models_unless_there_is_no_null_key(host: HostModel) -> None:
    editor = editor_of(host)
    editor.edit(FACTS[0])
    route = editor.route(ELSEWHERE)
    assert route.deferred and route.reason == "below" and route.threshold == LemoeSettings().null_key
    assert torch.equal(editor.generation_logits(ELSEWHERE, 4), editor.base_generation_logits(ELSEWHERE, 4))
    always = editor_of(host, null_key=None)
    always.edit(FACTS[0])
    assert always.route(ELSEWHERE).edit_ids == (always.edits[0].id,)


def test_a_fact_in_company_stays_and_one_by_itself_goes_without_a_trace(host: HostModel) -> None:
    editor = editor_of(host)
    together = editor.edit_many(FACTS[:2])
    alone = editor.edit(FACTS[2])
    digest = editor.state_digest
    with pytest.raises(NotReversible, match="together with 1 more"):
        editor.delete(together[0].id)
    with pytest.raises(NotReversible, match="together with 1 more"):
        editor.set_enabled(together[1].id, False)
    assert editor.state_digest == digest and len(editor.edits) == 3 and all(edit.enabled for edit in editor.edits)
    editor.delete(alone.id)
    never = editor_of(host)
    never.edit_many(FACTS[:2])
    assert editor.state_digest == never.state_digest and same_answers(editor, never)


def test_an_expert_is_the_same_whatever_was_taught_before(host: HostModel) -> None:
    first, later = editor_of(host), editor_of(host)
    first.edit(FACTS[2])
    for fact in FACTS:
        later.edit(fact)
    ours, theirs = experts_of(first).experts[0], experts_of(later).experts[2]
    assert torch.equal(ours.key, theirs.key) and torch.equal(ours.w_out, theirs.w_out)


def test_a_switched_off_expert_leaves_its_question_to_the_others(host: HostModel) -> None:
    editor = editor_of(host)
    old = editor.edit(FACTS[0])
    new = editor.edit(EditRequest(prompt=FACTS[0].prompt, target="Prague"))
    assert editor.answer(FACTS[0].prompt).text == "Prague"  # the newest of equals
    editor.set_enabled(new.id, False)
    assert editor.answer(FACTS[0].prompt).text == "Oslo" and editor.route(FACTS[0].prompt).edit_id == old.id
    assert [one.enabled for one in editor.scores(FACTS[0].prompt) if one.edit_id == new.id] == [False]
    editor.set_enabled(old.id, False)
    assert editor.route(FACTS[0].prompt).deferred
