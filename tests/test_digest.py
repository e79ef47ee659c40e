"""Digests: what changes them, what does not, and that a deleted edit leaves nothing in them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from sola_core.library import Library, edit_digest, state_digest
from sola_core.records import Edit, EditRequest
from tests.made_edits import DTYPES, HOST, RECORD, keys_for, trained

REQUEST = EditRequest(prompt="Where is Ada?", target="Lyon", subject="Ada", rephrases=("Ada is where?", "Ada's place"))
TENSORS = {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "b": torch.zeros(2)}


def made(edit_id: str, prompt: str, *rephrases: str, target: str = "Oslo", enabled: bool = True) -> Edit:
    request = EditRequest(prompt=prompt, target=target, rephrases=rephrases)
    digest = edit_digest(request, {"a": torch.ones(2)})
    return Edit(id=edit_id, request=request, enabled=enabled, created=0.0, training=RECORD, digest=digest)


def test_an_edits_digest_does_not_depend_on_the_order_or_layout_of_its_tensors() -> None:
    other = {"b": TENSORS["b"].clone(), "a": TENSORS["a"].t().contiguous().t()}
    assert edit_digest(REQUEST, other) == edit_digest(REQUEST, TENSORS)


def test_every_part_of_an_edit_changes_its_digest() -> None:
    a, b = TENSORS["a"], TENSORS["b"]
    requests = [
        replace(REQUEST, prompt="Where is Ada? "),
        replace(REQUEST, target="Lyons"),
        replace(REQUEST, subject=None),
        replace(REQUEST, subject=""),
        replace(REQUEST, rephrases=REQUEST.rephrases[::-1]),
        replace(REQUEST, rephrases=("Ada is where?Ada's place",)),
        replace(REQUEST, rephrases=()),
        replace(REQUEST, subject=None, rephrases=("Ada", *REQUEST.rephrases)),
        EditRequest(prompt="Where is Ada?Lyon", target="", subject="Ada", rephrases=REQUEST.rephrases),
    ]
    tensors = [
        {"a": a},
        {"a": a, "c": b},
        {"a": b, "b": a},
        {"a": a.reshape(3, 2), "b": b},
        {"a": a.double(), "b": b},
        {"a": a, "b": -b},
        {"a": a, "b": torch.zeros(2, dtype=torch.int32)},
        {"a": a, "b": torch.zeros(())},
    ]
    digests = [edit_digest(r, TENSORS) for r in (REQUEST, *requests)] + [edit_digest(REQUEST, t) for t in tensors]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_changed_bit_of_a_tensor_changes_the_digest(dtype: torch.dtype) -> None:
    before = torch.ones(4, dtype=dtype)
    after = before.clone()
    after.view(torch.uint8)[-2] ^= 1
    assert edit_digest(REQUEST, {"a": before}) != edit_digest(REQUEST, {"a": after})


def test_a_state_knows_no_ids_times_or_order_of_different_keys() -> None:
    state = [made("1", "p"), made("2", "q", "r"), made("3", "s")]
    other = [replace(edit, id=edit.id * 2, created=9.0) for edit in reversed(state)]
    assert state_digest(state, "enc") == state_digest(other, "enc")


def test_the_switch_the_encoder_and_every_edit_belong_to_the_state() -> None:
    state = [made("1", "p"), made("2", "q")]
    others = [[], state[:1], [*state, state[0]], [replace(state[0], enabled=False), state[1]], [*state, made("3", "z")]]
    digests = {state_digest(edits, "enc") for edits in [state, *others]} | {state_digest(state, "enc2")}
    assert len(digests) == 7


def test_among_equal_keys_the_order_of_teaching_belongs_to_the_state() -> None:
    oslo, lyon = made("1", "Where  is\tAda?", target="Oslo"), made("2", "Where is Ada? ", target="Lyon")
    assert state_digest([oslo, lyon], "enc") != state_digest([lyon, oslo], "enc")


def test_equal_keys_are_found_among_rephrasings_and_keep_their_case() -> None:
    one, by_rephrase, by_case = made("1", "p"), made("2", "q", "p"), made("3", "P")
    assert state_digest([one, by_rephrase], "enc") != state_digest([by_rephrase, one], "enc")
    assert state_digest([one, by_case], "enc") == state_digest([by_case, one], "enc")


def test_canonically_equal_keys_are_equal_however_their_letters_are_composed() -> None:
    composed, decomposed = made("1", "caf\u00e9"), made("2", "cafe\u0301", target="Lyon")
    assert state_digest([composed, decomposed], "enc") != state_digest([decomposed, composed], "enc")


@pytest.mark.parametrize("seed", range(20))
def test_after_deletes_and_switches_the_state_is_that_of_a_library_that_never_had_them(seed: int) -> None:
    rng = random.Random(seed)
    texts = [f"question {i}" for i in range(6)]  # few, so that many keys are equal
    made_up = [
        trained(rng.choice(texts), str(rng.random()), rephrases=tuple(rng.sample(texts, rng.randrange(3))), seed=i)
        for i in range(14)
    ]
    with Library.open(":memory:", **HOST) as lived, Library.open(":memory:", **HOST) as pure:
        alive: dict[str, int] = {}
        for i, edit in enumerate(made_up):
            alive[lived.add(edit, keys=keys_for(edit), enabled=i % 5 != 0).id] = i
            if rng.random() < 0.4:
                gone = rng.choice(list(alive))
                lived.delete(gone)
                del alive[gone]
            if alive and rng.random() < 0.4:
                edit_id = rng.choice(list(alive))
                on, before = lived.get(edit_id).enabled, lived.state_digest("enc")
                lived.set_enabled(edit_id, not on)
                assert lived.state_digest("enc") != before
                lived.set_enabled(edit_id, on)
        for i in alive.values():
            pure.add(made_up[i], keys=keys_for(made_up[i]), enabled=i % 5 != 0)
        assert lived.state_digest("enc") == pure.state_digest("enc") == state_digest(pure.edits(), "enc")


def test_the_librarys_digest_follows_every_change_and_comes_back() -> None:
    with Library.open(":memory:", **HOST) as library:
        empty = library.state_digest("enc")
        edit = library.add(trained("p"), keys={})
        taught = library.state_digest("enc")
        library.set_enabled(edit.id, False)
        off = library.state_digest("enc")
        library.set_enabled(edit.id, True)
        assert library.state_digest("enc") == taught
        library.delete(edit.id)
        assert library.state_digest("enc") == empty
        assert len({empty, taught, off}) == 3
