"""GRACE: how its codebook grows, what a value does to the host, and what deleting leaves behind, with and without replay."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from sola_core import EditRequest
from sola_core.editors import grace as module
from sola_core.editors.grace import Grace, GraceSettings
from sola_core.editors.grace_book import GraceBook, GraceEntry, placed
from sola_core.editors.grace_replay import GraceReplay
from sola_core.editors.joint import Fact
from sola_core.host.model import HostModel
from sola_core.joint_session import JointEditor
from sola_core.steps import finish
from tests.tiny import tiny_host

SHIP = EditRequest(prompt="Where was the ship built?", target="Turin")
SHIP_AGAIN = EditRequest(prompt="In what city was the ship built?", target="Turin")
SHIP_OTHER = EditRequest(prompt="Where was the ship built?", target="Prague Vienna")
BOOK = EditRequest(prompt="Who wrote the book?", target="Lyon")
WIDE = GraceSettings(radius=2.0)  # every ball meets every other


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host()


def at(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)


def grown(facts: Sequence[tuple[str, Tensor, int]], radius: float = 1.0) -> GraceBook:
    """Place facts (id, key, answer) in a codebook without training."""
    book = GraceBook()
    for name, key, answer in facts:
        fresh = GraceEntry(key=key, radius=radius, value=at(0.0), target=(answer,), fact_ids=(name,))
        book, _ = placed(book, fresh)
    return book


def test_a_fact_far_from_all_balls_gets_its_own() -> None:
    book = grown([("a", at(0, 0), 1), ("b", at(2.1, 0), 2)])
    assert [entry.radius for entry in book.entries] == [1.0, 1.0] and book.splits == 0


def test_near_another_answer_both_balls_get_half_the_distance() -> None:
    book = grown([("a", at(0, 0), 1), ("b", at(1.5, 0), 2)])
    assert [entry.radius for entry in book.entries] == pytest.approx([0.75 - 1e-5, 0.75]) and book.splits == 1


def test_near_the_same_answer_the_ball_reaches_out_and_the_key_stays() -> None:
    book = grown([("a", at(0, 0), 1), ("b", at(1.5, 0), 1), ("c", at(0.5, 0), 1)])
    assert len(book.entries) == 1 and book.splits == 0
    assert book.entries[0].radius == 1.5 and book.entries[0].fact_ids == ("a", "b", "c")
    assert torch.equal(book.entries[0].key, at(0, 0))


def test_the_codebook_is_that_of_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(3)
    keys = (torch.rand(60, 2, generator=generator) * 6).tolist()
    answers = torch.randint(3, (60,), generator=generator).tolist()
    plain: list[list[float]] = []  # x, y, radius, answer
    for (x, y), answer in zip(keys, answers, strict=True):
        reach = [((x - other[0]) ** 2 + (y - other[1]) ** 2) ** 0.5 for other in plain]
        near = min(range(len(plain)), key=reach.__getitem__, default=None)
        if near is None or reach[near] > 1.0 + plain[near][2]:
            plain.append([x, y, 1.0, answer])
        elif plain[near][3] != answer:
            plain[near][2] = reach[near] / 2 - 1e-5
            plain.append([x, y, reach[near] / 2, answer])
        elif reach[near] > plain[near][2]:
            plain[near][2] = reach[near]
    book = grown([(str(i), at(*key), answer) for i, (key, answer) in enumerate(zip(keys, answers, strict=True))])
    assert 3 < book.splits < 40
    assert [entry.radius for entry in book.entries] == pytest.approx([ball[2] for ball in plain], rel=1e-5)
    assert [entry.target for entry in book.entries] == [(ball[3],) for ball in plain]


@pytest.mark.slow
def test_the_same_question_taught_again_answers_with_the_later_fact(host: HostModel) -> None:
    editor = JointEditor(method=Grace(), host=host)
    editor.edit(SHIP)
    later = editor.edit(SHIP_OTHER)
    assert editor.route(SHIP.prompt).edit_ids == (later.id,)
    assert editor.answer(SHIP.prompt, 16).text == "Prague Vienna"


@pytest.mark.parametrize("onward", [True, False])
def test_the_value_stands_where_it_should_in_generation_as_under_a_hook(host: HostModel, onward: bool) -> None:
    method = Grace(GraceSettings(onward=onward, max_steps=6))
    state = finish(method.learn_steps(method.empty(host), [Fact(id="a", request=SHIP_OTHER)], host)).state
    plan = method.plan(state, SHIP.prompt, host)
    ours = host.generation_logits(SHIP.prompt, 4, plan.intervention)
    prompt = host.prompt_ids(SHIP.prompt)
    ids, start = prompt.ids.tolist(), prompt.last_user

    def put(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output[:, slice(start, None) if onward else start] = state.entries[0].value
        return output

    handle = host._model.get_submodule(host.module_name(2)).register_forward_hook(put)
    try:
        for row in ours:  # without a cache, each step anew
            with torch.no_grad():
                theirs = host._model(input_ids=torch.tensor([ids])).logits[0, -1]
            torch.testing.assert_close(row, theirs, rtol=1e-3, atol=1e-3)
            ids.append(int(theirs.argmax()))
    finally:
        handle.remove()


@pytest.mark.slow
def test_a_value_is_trained_until_the_whole_answer_comes_by_itself(host: HostModel) -> None:
    editor = JointEditor(method=Grace(), host=host)
    edit = editor.edit(SHIP_OTHER)
    assert edit.training.held and edit.training.losses[-1] < 0.02 < edit.training.losses[0]
    assert edit.training.steps == len(edit.training.losses) - 1 < 100


def test_the_decision_is_taken_once_an_answer(host: HostModel, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = JointEditor(method=Grace(), host=host)
    editor.edit(SHIP_OTHER)
    asked: list[Tensor] = []
    real = module.nearest
    monkeypatch.setattr(module, "nearest", lambda query, *rest: asked.append(query) or real(query, *rest))
    answer = editor.answer(SHIP.prompt, 16)
    assert answer.tokens > 1 and len(asked) == 1
    assert torch.equal(asked[0], editor.method.key(SHIP.prompt, host))


def test_outside_of_every_ball_the_host_is_bare(host: HostModel) -> None:
    editor = JointEditor(method=Grace(GraceSettings(radius=1e-3)), host=host)
    editor.edit(SHIP)
    route = editor.route(BOOK.prompt)
    assert route.deferred and route.reason == "below" and route.candidates[0].score < route.threshold < 0
    assert torch.equal(editor.generation_logits(BOOK.prompt, 4), editor.base_generation_logits(BOOK.prompt, 4))


@pytest.mark.slow
def test_deleting_leaves_balls_cut_and_replay_does_not(host: HostModel) -> None:
    radii = {}
    for method in (Grace(WIDE), GraceReplay(WIDE)):
        editor = JointEditor(method=method, host=host)
        editor.edit(SHIP)
        before, digest = method.entries(editor._now[0])[0].radius, editor.state_digest
        book = editor.edit(BOOK)
        assert method.entries(editor._now[0])[0].radius < before
        editor.delete(book.id)
        radii[method.name] = method.entries(editor._now[0])[0].radius / before
        assert (editor.state_digest == digest) == (method.name == "grace-replay")
    assert radii["grace"] < 0.9 and radii["grace-replay"] == 1.0


@pytest.mark.slow
def test_facts_with_one_answer_share_an_entry_until_the_last_of_them_goes(host: HostModel) -> None:
    editor = JointEditor(method=Grace(WIDE), host=host)
    one, other = editor.edit(SHIP), editor.edit(SHIP_AGAIN)
    assert len(editor.state_tensors()["keys"]) == 1
    route = editor.route(SHIP.prompt)
    assert route.kind == "shared" and route.edit_ids == (one.id, other.id) and route.edit_id is None
    editor.delete(one.id)
    assert editor.route(SHIP_AGAIN.prompt).edit_id == other.id
    editor.set_enabled(other.id, False)
    assert editor.route(SHIP_AGAIN.prompt).deferred
    editor.delete(other.id)
    assert editor.state_tensors() == {}


@pytest.mark.slow
def test_a_fact_switched_off_is_passed_over_and_the_next_ball_may_answer(host: HostModel) -> None:
    editor = JointEditor(method=Grace(), host=host)
    editor.edit(SHIP)
    later = editor.edit(SHIP_OTHER)
    held = editor.state_digest
    editor.set_enabled(later.id, False)
    assert editor.route(SHIP.prompt).deferred  # its ball was closed by the later one, and stays so
    assert [candidate.enabled for candidate in editor.scores(SHIP.prompt)] == [True, False]
    editor.set_enabled(later.id, True)
    assert editor.state_digest == held


@pytest.mark.slow
def test_replay_trains_again_only_what_the_deleted_fact_had_a_part_in(host: HostModel) -> None:
    method = GraceReplay(WIDE)
    facts = [Fact(id=str(i), request=request) for i, request in enumerate((SHIP, SHIP_AGAIN, BOOK))]
    state = finish(method.learn_steps(method.empty(host), facts, host)).state
    assert [entry.fact_ids for entry in state.book.entries] == [("0", "1"), ("2",)]

    def without(gone: int) -> int:
        left = facts[:gone] + facts[gone + 1 :]
        seen: list[object] = []
        now = finish(method.removed_steps(state, facts[gone], left, host), seen.append)
        never = finish(method.learn_steps(method.empty(host), left, host)).state
        for name, tensor in method.tensors(never).items():
            assert torch.equal(method.tensors(now)[name], tensor), name
        known = {*now.keys, *(fact for chain in now.values for fact in chain)}
        assert facts[gone].id not in known and known == {fact.id for fact in left}
        return len(seen)

    assert without(2) == 0  # it had an entry of its own
    assert without(1) == 0  # what it found before it came is remembered
    assert without(0) > 0  # the fact that joined it starts anew


@pytest.mark.slow
def test_replay_off_is_as_never_taught_and_on_again_needs_no_training(host: HostModel) -> None:
    editor = JointEditor(method=GraceReplay(WIDE), host=host)
    editor.edit(SHIP)
    before = editor.state_tensors()
    book = editor.edit(BOOK)
    held = editor.state_digest
    editor.set_enabled(book.id, False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in editor.state_tensors().items())
    on = Fact(id=book.id, request=BOOK)
    facts = [Fact(id=edit.id, request=edit.request) for edit in editor.edits]
    assert [*editor.method.switched_steps(editor._now[0], on, facts, host)] == []
    editor.set_enabled(book.id, True)
    assert editor.state_digest == held
