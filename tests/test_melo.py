"""MELO: how its clusters move, what its blocks hold, what deleting leaves behind; and its frozen variant, where nothing moves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from sola_core import EditRequest
from sola_core.editors import melo as module
from sola_core.editors.clusters import Clusters, Point, found, inserted
from sola_core.editors.joint import Fact
from sola_core.editors.melo import Melo, MeloFrozen, MeloSettings
from sola_core.host.model import HostModel
from sola_core.joint_session import JointEditor
from sola_core.steps import finish
from tests.tiny import tiny_host

SHIP = EditRequest(prompt="Where was the ship built?", target="Turin")
SHIP_AGAIN = EditRequest(prompt="In what city was the ship built?", target="Turin")
SHIP_OTHER = EditRequest(prompt="Where was the ship built?", target="Prague Vienna")
BOOK = EditRequest(prompt="Who wrote the book?", target="Lyon")
WIDE = MeloSettings(radius=2.0)  # every ball meets every other


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host()


def at(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)


def grown(facts: Sequence[tuple[str, Tensor, int]], radius: float = 1.0) -> Clusters:
    clusters: Clusters = ()
    for name, key, answer in facts:
        clusters = inserted(clusters, Point(key=key, fact_id=name), (answer,), radius)
    return clusters


def names(clusters: Clusters) -> list[tuple[str, ...]]:
    return [tuple(point.fact_id for point in cluster.points) for cluster in clusters]


def test_a_point_that_joins_moves_the_centre_to_the_mean_and_the_radius_to_the_farthest() -> None:
    (cluster,) = grown([("a", at(0, 0), 1), ("b", at(2, 0), 1), ("c", at(1, 1.5), 1)], radius=1.0)
    assert torch.allclose(cluster.centre, at(1, 0.5)) and cluster.radius == pytest.approx(1.25**0.5)
    (small,) = grown([("a", at(0, 0), 1), ("b", at(0.2, 0), 1)], radius=1.0)
    assert small.radius == 1.0  # never below that of a new one
    assert names(grown([("a", at(0, 0), 1), ("b", at(2.1, 0), 1)])) == [("a",), ("b",)]  # too far to join


def test_another_answer_cuts_the_cluster_and_what_is_left_outside_is_forgotten() -> None:
    crowd = [("a", at(0, 0), 1), ("b", at(2, 0), 1)]  # centre (1, 0), radius 1
    cut, new = grown([*crowd, ("c", at(1, 1.5), 2)])
    assert cut.radius == pytest.approx(0.75 - 1e-5) and new.radius == pytest.approx(0.75 + 1e-5)
    assert cut.points == () and cut.forgotten == ("a", "b") and names((new,)) == [("c",)]
    kept, _ = grown([("a", at(1, 0), 1), ("b", at(1, 0.1), 1), ("d", at(1, 1.9), 1), ("c", at(3, 0.66), 2)])
    assert names((kept,)) == [("a", "b")] and kept.forgotten == ("d",)


def test_a_question_meets_the_nearest_point_of_the_nearest_cluster() -> None:
    clusters = grown([("a", at(0, 0), 1), ("b", at(2, 0), 1), ("c", at(9, 0), 2)])
    near, point = found(clusters, at(1.4, 0), off=())
    assert near is not None and near.index == 0 and near.distance == pytest.approx(0.4)
    assert point is not None and point.fact_id == "b"
    _, point = found(clusters, at(1.4, 0), off={"b"})
    assert point is not None and point.fact_id == "a"
    near, point = found(clusters, at(1.4, 0), off={"a", "b"})
    assert near is not None and near.index == 1 and point is not None and point.fact_id == "c"
    assert found((), at(1.4, 0), off=()) == (None, None)


def test_a_cluster_that_was_emptied_still_stands_in_the_way() -> None:
    clusters = grown([("a", at(0, 0), 1), ("b", at(2, 0), 1), ("c", at(1, 1.5), 2)])
    near, point = found(clusters, at(1, 0.2), off=())
    assert near is not None and near.index == 0 and point is None


def test_facts_taught_together_share_one_block_and_later_batches_leave_it_as_it_is(host: HostModel) -> None:
    editor = JointEditor(method=Melo(), host=host)
    first = editor.edit_many([SHIP_OTHER, BOOK])
    assert all(edit.training.held for edit in first)
    before = editor.state_tensors()
    assert set(editor.route(BOOK.prompt).edit_ids) == {edit.id for edit in first}
    assert editor.route(BOOK.prompt).edit_ids[0] == first[1].id  # the nearest first
    later = editor.edit(EditRequest(prompt="What is the capital of France?", target="Oslo"))
    after = editor.state_tensors()
    blocks = [name for name in before if name.startswith("block.")]
    assert len(blocks) == 2 * len(editor.method._adapted_layers(host))
    assert all(torch.equal(before[name], after[name]) for name in blocks)
    assert editor.route("What is the capital of France?").edit_id == later.id
    assert after["points.block"].tolist() == [0, 0, 1]


def test_the_batches_are_as_large_as_the_settings_say(host: HostModel) -> None:
    editor = JointEditor(method=MeloFrozen(MeloSettings(batch_facts=2, max_steps=2)), host=host)
    editor.edit_many([SHIP, BOOK, SHIP_AGAIN])
    assert editor.state_tensors()["points.block"].tolist() == [0, 0, 1]


def test_a_block_is_a_lora_on_the_layers_above_the_routing_one(host: HostModel) -> None:
    method = MeloFrozen(MeloSettings(depth=0.25, max_steps=4))
    state = finish(method.learn_steps(method.empty(host), [Fact(id="a", request=SHIP)], host)).state
    modules = [host.module_name(layer) for layer in (2, 3)]
    assert [*state.blocks[0].pairs] == modules
    ours = host.next_token_logits(SHIP.prompt, method.plan(state, SHIP.prompt, host).intervention)
    handles = []
    for name in modules:
        a, b = state.blocks[0].pairs[name]

        def add(_: nn.Module, args: tuple[Tensor, ...], output: Tensor, a: Tensor = a, b: Tensor = b) -> Tensor:
            return output + method.settings.scale * (args[0] @ a.T) @ b.T

        handles.append(host._model.get_submodule(name).register_forward_hook(add))
    with torch.no_grad():
        theirs = host._model(input_ids=host.prompt_ids(SHIP.prompt).ids[None]).logits[0, -1]
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(ours, host.next_token_logits(SHIP.prompt), atol=1e-2)


def test_the_decision_is_taken_once_an_answer(host: HostModel, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = JointEditor(method=Melo(), host=host)
    editor.edit(SHIP_OTHER)
    asked: list[Tensor] = []
    real = module.found
    monkeypatch.setattr(module, "found", lambda clusters, query, off: asked.append(query) or real(clusters, query, off))
    answer = editor.answer(SHIP.prompt, 16)
    assert answer.text == "Prague Vienna" and answer.tokens > 1 and len(asked) == 1


def test_only_the_frozen_one_leaves_earlier_balls_where_they_were(host: HostModel) -> None:
    moved, shrunk = {}, {}
    for method in (Melo(WIDE), MeloFrozen(WIDE)):
        editor = JointEditor(method=method, host=host)
        editor.edit(SHIP)
        before = method.entries(editor._now[0])[0]
        editor.edit(SHIP_AGAIN)  # the same answer
        moved[method.name] = bool((method.entries(editor._now[0])[0].centre != before.centre).any())
        editor.edit(BOOK)  # another one
        shrunk[method.name] = method.entries(editor._now[0])[0].radius < before.radius
    assert moved == shrunk == {"melo": True, "melo-frozen": False}


def test_a_forgotten_fact_is_counted_but_never_found(host: HostModel) -> None:
    method = Melo(WIDE)
    editor = JointEditor(method=method, host=host)
    ship, book = editor.edit(SHIP), editor.edit(SHIP_OTHER)  # the same key: its ball is closed
    route = editor.route(SHIP.prompt)
    assert route.edit_ids == (book.id,) and route.not_scored == 1
    assert [candidate.edit_id for candidate in editor.scores(SHIP.prompt)] == [book.id]
    editor.delete(book.id)
    assert editor.route(SHIP.prompt).deferred and len(editor.edits) == 1
    editor.delete(ship.id)
    assert editor.state_tensors() == {}


def test_a_deleted_fact_leaves_the_block_to_its_mates_and_the_regions_as_they_were(host: HostModel) -> None:
    editor = JointEditor(method=Melo(WIDE), host=host)
    ship, book = editor.edit_many([SHIP, BOOK])
    before = editor.state_tensors()
    editor.delete(ship.id)
    after = editor.state_tensors()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("block."))
    assert torch.equal(after["radii"], before["radii"][1:]) and editor.route(BOOK.prompt).edit_id == book.id
    editor.delete(book.id)
    assert editor.state_tensors() == {}
