"""The mixture of LoRAs: its equations, how facts are given LoRAs, what later facts may move, and who is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sola_core import EditRequest
from sola_core.editors.elder import Elder, ElderSettings
from sola_core.editors.guided import GuidedRouters
from sola_core.editors.mixture import Mixture, allocations, codes_of, mixed_modules
from sola_core.host.intervention import Intervention
from sola_core.host.model import HostModel
from sola_core.joint_session import JointEditor
from tests.tiny import tiny_host

pytestmark = pytest.mark.slow

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo")
BOOK = EditRequest(prompt="Who wrote the book?", target="Lyon")
SHIP = EditRequest(prompt="Where was the ship built?", target="Turin", rephrases=("In what city was the ship built?",))


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host("llama")


def editor_with(host: HostModel, *facts: EditRequest, **settings: object) -> JointEditor:
    made = JointEditor(method=Elder(ElderSettings(**settings)), host=host)  # type: ignore[arg-type]
    for fact in facts:
        made.edit(fact)
    return made


def mixture_of(editor: JointEditor) -> Mixture:
    state = editor._now[0]
    assert isinstance(state, Mixture)
    return state


def small_mixture(layers: int = 2, experts: int = 4) -> Mixture:
    generator = torch.Generator().manual_seed(3)
    return Mixture(
        router=tuple(torch.randn(experts, 6, generator=generator) for _ in range(layers)),
        centre=torch.zeros(6),
    )


def test_a_module_gets_the_weighted_sum_of_its_chosen_loras() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(3 * 2, 5, generator=generator), torch.randn(3 * 2, 4, generator=generator)
    gates = torch.tensor([[[0.5, 0.0, 0.3]], [[0.0, 0.9, 0.0]]])  # (batch, layer, LoRA)
    inputs, output = torch.randn(2, 7, 5, generator=generator), torch.randn(2, 7, 4, generator=generator)
    function = mixed_modules(["here"], [a], [b], gates, 2, 8.0, torch.float32)["here"]
    wanted = output.clone()
    for row in range(2):
        for lora in range(3):
            own = slice(2 * lora, 2 * lora + 2)
            wanted[row] += 8.0 * gates[row, 0, lora] * (b[own].mT @ a[own] @ inputs[row].mT).mT
    made = function(inputs, output, torch.arange(7), "prefill")
    assert made is not None and torch.allclose(made, wanted, atol=1e-4)


def test_the_chosen_weights_are_the_routers_softmax_and_are_not_scaled_up() -> None:
    state, query = small_mixture(), torch.randn(3, 6)
    codes, gates = codes_of(state, query, 2)
    for layer, weight in enumerate(state.router):
        scores = torch.softmax(query @ weight.mT, -1)
        assert torch.allclose(gates[:, layer].sum(-1), scores.topk(2).values.sum(-1))
        assert torch.equal(gates[:, layer] > 0, codes[:, layer])
    assert torch.equal(codes.sum(-1), torch.full((3, 2), 2))


def test_the_guided_loss_is_minus_the_log_of_the_assigned_scores_and_leads_there() -> None:
    state, query = small_mixture(), torch.nn.functional.normalize(torch.randn(2, 6), dim=-1)
    assigned = torch.zeros(2, 2, 4, dtype=torch.bool)
    assigned[0, :, :2], assigned[1, :, 2:] = True, True
    guided = GuidedRouters(state, query, assigned, guard=False, device="cpu")
    by_hand = torch.zeros(2)
    for weight in state.router:
        scores = torch.softmax(query @ weight.mT, -1)
        by_hand -= torch.stack([scores[0, :2].log().sum(), scores[1, 2:].log().sum()])
    assert torch.allclose(guided.scores()[1], by_hand, atol=1e-5)
    guided.lead(0.1, 100, 0.9)
    assert bool((guided.scores()[0].sum(-1) > 0.9 - 1e-6).all())
    codes, _ = codes_of(replace(state, router=guided.routers), query, 2)
    assert torch.equal(codes, assigned)


def test_every_fact_gets_loras_of_its_own_the_least_used_first() -> None:
    state = replace(small_mixture(), owners=("x",), allocations=allocations(small_mixture(), 1, 2, 0))
    further = allocations(state, 5, 2, 0)
    dealt = torch.cat([state.allocations, further])  # type: ignore[list-item]
    assert torch.equal(dealt.sum(-1), torch.full((6, 2), 2))
    assert len({tuple(one.flatten().tolist()) for one in dealt}) == 6
    assert not bool((dealt[0] & dealt[1]).any())  # four LoRAs: the second fact gets the other two
    assert torch.equal(further, allocations(state, 5, 2, 0))


def test_a_fact_is_found_by_its_code_and_its_rephrasing_too(host: HostModel) -> None:
    editor = editor_with(host, FRANCE, BOOK, SHIP)
    for edit in editor.edits:
        route = editor.route(edit.prompt)
        assert route.edit_ids[0] == edit.id and route.candidates[0].score == 1.0
        assert editor.scores(edit.prompt)[0].edit_id == edit.id
    assert editor.answer(SHIP.rephrases[0]).text == "Turin"
    state = mixture_of(editor)
    assert state.codes is not None and len(state.codes) == 4  # one for every text


def test_earlier_facts_keep_their_scores_unless_the_guard_is_off(host: HostModel) -> None:
    def drift(**settings: object) -> float:
        editor = editor_with(host, FRANCE, **settings)
        method, module = editor.method, host.module_name(2)
        before = mixture_of(editor)
        query = before.query(host.module_input(FRANCE.prompt, module))[None]
        weights = [torch.softmax(query @ w.mT, -1) for w in before.router]
        for fact in (BOOK, SHIP):
            editor.edit(fact)
        after = [torch.softmax(query @ w.mT, -1) for w in mixture_of(editor).router]
        assert method._modules(host)[0] == module  # type: ignore[attr-defined]
        return max(float((one - other).abs().max()) for one, other in zip(weights, after, strict=True))

    assert drift() < 1e-4
    assert drift(guard=False) > 1e-2


def test_a_fact_writes_into_no_lora_but_its_own(host: HostModel) -> None:
    editor = editor_with(host, FRANCE)
    before = mixture_of(editor)
    editor.edit(BOOK)
    after = mixture_of(editor)
    assert after.allocations is not None
    rank = ElderSettings().rank
    for layer, (old, new) in enumerate(zip(before.b, after.b, strict=True)):
        moved = (old != new).any(1).reshape(-1, rank).any(1)
        assert torch.equal(moved, after.allocations[1, layer])


def test_the_route_of_the_prompt_holds_for_the_whole_answer(host: HostModel) -> None:
    editor = editor_with(host, FRANCE, BOOK)
    state, method = mixture_of(editor), editor.method
    settings, modules = ElderSettings(), method._modules(host)  # type: ignore[attr-defined]
    query = state.query(host.module_input(FRANCE.prompt, modules[0]))[None]
    gates = codes_of(state, query, settings.chosen)[1]
    held = mixed_modules(modules, state.a, state.b, gates, settings.rank, settings.scale, torch.float32)
    wanted = host.generation_logits(FRANCE.prompt, 6, Intervention(modules=held))
    assert torch.equal(editor.generation_logits(FRANCE.prompt, 6), wanted)


def test_a_question_with_a_far_code_is_the_base_models_and_without_deferral_it_is_not(host: HostModel) -> None:
    for defer in (True, False):
        editor = editor_with(host, FRANCE, defer=defer)
        state, question = mixture_of(editor), FRANCE.prompt
        assert editor.method.name == ("elder" if defer else "elder-no-deferral")
        assert editor.route(question).edit_ids == (editor.edits[0].id,) and state.codes is not None
        editor._now = (replace(state, codes=~state.codes), editor.edits)  # a code as far from the question's as can be
        route = editor.route(question)
        ours, base = editor.generation_logits(question, 4), editor.base_generation_logits(question, 4)
        if defer:
            assert route.deferred and route.reason == "below" and route.threshold == 0.75
            assert [one.score for one in route.candidates] == [0.0]
            assert torch.equal(ours, base)
        else:
            assert route.kind == "shared" and route.edit_ids == (editor.edits[0].id,)
            assert not torch.equal(ours, base)


def test_the_reach_is_a_share_of_the_largest_hamming_distance() -> None:
    state = small_mixture(layers=6)
    stored = torch.zeros(1, 6, 4, dtype=torch.bool)
    stored[0, :, :2] = True
    state = replace(state, codes=stored, owners=("fact",))
    method = Elder()
    code = stored[0].clone()
    for layer in range(3):  # 6 of 12 slots left: the distance is 12 of 24, no longer under it
        assert not method._route(state, code).deferred
        code[layer] = ~code[layer]
    route = method._route(state, code)
    assert int((code ^ stored[0]).sum()) == 12
    assert route.deferred and route.threshold == pytest.approx(7 / 12)


def test_a_prompt_taught_again_keeps_its_code_and_is_answered_anew(host: HostModel) -> None:
    editor = editor_with(host, FRANCE, BOOK)
    before = mixture_of(editor).seen
    editor.edit(replace(FRANCE, target="Prague"))
    state = mixture_of(editor)
    assert editor.answer(FRANCE.prompt).text == "Prague" and editor.answer(BOOK.prompt).text == "Lyon"
    assert state.codes is not None and torch.equal(state.codes[0], state.codes[2])
    assert state.seen is not None and before is not None and torch.equal(state.seen, before)
