"""The scope scorer's training: what its pairs are made of, that it learns, and that it does so the same way twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from sola_core.evaluation.scope_batches import Batch, BatchSource
from sola_core.evaluation.scope_data import (
    SLOT,
    Alias,
    Relation,
    TrainingData,
    held_out_relation,
    own_relations,
    part_of,
    wording,
)
from sola_core.evaluation.scope_relations import may_agree, relation_named, surely_agree, surely_differ
from sola_core.evaluation.scope_training import ScopeTraining, fit
from sola_core.evaluation.scope_wordings import WORDINGS
from sola_core.records import KeyText
from sola_core.routing.encoders import TextEncoder
from sola_core.routing.router import Router
from sola_core.routing.scope import ScopeCurve, ScopeScorer, ScopeWeights
from tests.tiny_encoder import tiny_encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("France", "Spain", "Peru", "Kenya", "Zephyr", "Quartz", "Danielle", "Darrieux", "Unifirst")


def relation(number: int, source: str, *wordings: str) -> Relation:
    linked = frozenset((a, b) for a in wordings for b in wordings if a != b)
    return Relation(source=source, number=number, wordings=wordings, linked=linked, subjects=NAMES)


DATA = TrainingData(
    relations=(
        relation(0, "cloze", "the capital of {} is", "{} the capital city"),
        relation(1, "cloze", "the river of {} is", "in {} the river is"),
        relation(2, "questions", "Who was the mother of {}?", "what mother was born {}"),
        relation(3, "questions", "Who made the product by {}?", "by who was {} made"),
        relation(4, "plain", "The company of {} is", "{} company"),
        relation(5, "facts", "{} was born in the city", "the city where {} was born"),
        relation(6, "own", "Who was the mother of {}?", "{}'s mother is"),
    ),
    aliases=(Alias(wording="The company of {} is", subject="Peru", other="the Peru river"),),
    names=tuple((name, f"{name} city") for name in NAMES),
    questions=("a river", "what is a city", "who is in the company", "which product", "1984", "to the river"),
    sentences=(
        "the company was in the city.",
        "which river is the 7 .",
    ),
)


def letters(text: str) -> NDArray[np.float32]:
    counts = np.array([1.0, *(text.count(chr(97 + i)) for i in range(26))], dtype=np.float32)
    return counts / np.linalg.norm(counts)


def batches(seed: int, count: int) -> list[Batch]:
    source = BatchSource(DATA, letters, seed)
    return [source.batch() for _ in range(count)]


def test_batches_follow_from_the_seed() -> None:
    assert [b.prompts for b in batches(1, 3)] == [b.prompts for b in batches(1, 3)]
    assert batches(1, 1)[0].prompts != batches(2, 1)[0].prompts


def test_pairs_are_the_same_only_with_one_entity_and_one_relation() -> None:
    seen = set()
    for batch in batches(3, 12):
        for i, first in enumerate(batch.prompts):
            for j, second in enumerate(batch.prompts):
                label = int(batch.labels[i, j])
                seen.add(label)
                assert label == int(batch.labels[j, i])
                if i == j:
                    assert label == -1
                elif label == 1:
                    agree = surely_agree(first.wording, second.wording)
                    assert first.entity == second.entity and (first.relation == second.relation or agree)
                elif first.entity == second.entity and first.wording == second.wording and first.relation is not None:
                    pytest.fail("one thing asked twice was called two")
    assert seen == {-1, 0, 1}


def test_names_that_nothing_tells_apart_are_not_trained_on() -> None:
    data = replace(DATA, aliases=(*DATA.aliases, Alias(wording="{} company", subject="Peru", other="Zephyr")))
    source = BatchSource(data, lambda text: letters("" if text == "Zephyr" else f"{text}xxxxxxxxxxxxxxx"), 0)
    texts = [p.text.casefold() for _ in range(20) for p in source.batch().prompts if p.entity == "peru"]
    assert texts and not any("zephyr" in text for text in texts)


def test_another_subject_counts_more_than_another_relation_and_another_name_less_than_other_words() -> None:
    for batch in batches(5, 6):
        for i, first in enumerate(batch.prompts):
            for j, second in enumerate(batch.prompts):
                if batch.labels[i, j] == 1:
                    assert batch.weights[i, j] == (1.5 if first.name.lower() == second.name.lower() else 0.75)
                elif batch.labels[i, j] == 0:
                    assert batch.weights[i, j] == (1.5 if first.entity == second.entity else 6.0)


def test_every_batch_asks_other_things_of_the_same_entity() -> None:
    for batch in batches(4, 6):
        same_entity = np.array([[a.entity == b.entity for b in batch.prompts] for a in batch.prompts])
        assert ((batch.labels == 0) & same_entity).sum() > 10


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        ("Who was the mother of {}?", "{} father", True),
        ("{} follows", "{} is followed by", True),
        ("The given name of {} is", "The family name of {} is", True),
        ("When was {} born?", "Where was {} born?", True),
        ("What is the mother tongue of {}?", "Who is {}'s mother?", True),
        ("Which country is {} from?", "The nationality of {} is", False),
        ("Who directed {}?", "{} is", False),
    ],
)
def test_words_tell_relations_apart_that_sound_alike(first: str, second: str, differ: bool) -> None:
    assert surely_differ(first, second) is surely_differ(second, first) is differ
    assert not (may_agree(first, second) and differ)
    assert relation_named("{} is") is None


def test_our_own_wordings_of_one_thing_do_not_differ_by_their_words_and_ask_for_nothing_held_out() -> None:
    for group in (group for groups in WORDINGS.values() for group in groups):
        assert len(set(group)) == len(group) >= 3
        for text in group:
            assert text.count(SLOT) == 1 and not held_out_relation(text, None)
            assert [other for other in group if surely_differ(text, other)] == []


def test_our_own_relations_take_the_records_wordings_that_surely_ask_the_same() -> None:
    (mother,) = (r for r in own_relations(DATA.relations) if "Who gave birth to {}?" in r.wordings)
    assert "what mother was born {}" in mother.wordings and "The company of {} is" not in mother.wordings
    assert ("Who gave birth to {}?", "what mother was born {}") in mother.linked and mother.subjects == NAMES
    assert not [r for r in own_relations(()) if not r.subjects]  # nobody to ask about: no relation


def test_only_a_name_without_a_second_reading_makes_wordings_agree() -> None:
    assert surely_agree("Who is the mother of {}?", "{}'s mother is") and not surely_agree("{} is", "{} is")
    assert not surely_agree("Which country is {} from?", "The nationality of {} is")


def test_a_subject_stays_in_its_part_and_held_out_relations_are_known_by_their_words() -> None:
    parts = [part_of(f"subject {n}") for n in range(2000)]
    assert parts == [part_of(f"SUBJECT {n}") for n in range(2000)]
    assert 0.15 < parts.count("test") / 2000 < 0.25 and 0.05 < parts.count("calibration") / 2000 < 0.15
    assert held_out_relation("The religion of Peru is", "Peru") and not held_out_relation("Author's river", "Author")
    assert wording("Peru and Peru", "Peru") is None and wording("the river of Peru", "Peru") == "the river of {}"


@pytest.fixture(scope="module")
def trained() -> tuple[TextEncoder, ScopeWeights, ScopeWeights, list[float]]:
    losses: list[float] = []
    encoder, settings = tiny_encoder(), ScopeTraining(steps=60, rate=3e-3, half=False)
    with torch.random.fork_rng():
        first = fit(DATA, encoder, settings, lambda step, steps, loss: losses.append(loss)).learned("x")
        second = fit(DATA, encoder, ScopeTraining(steps=2, half=False)).learned("x")
        third = fit(DATA, encoder, ScopeTraining(steps=2, half=False)).learned("x")
    assert second.fingerprint == third.fingerprint != first.fingerprint
    return encoder, first, second, losses


@pytest.mark.slow
def test_training_lowers_the_loss_and_leaves_the_encoder_as_it_was(
    trained: tuple[TextEncoder, ScopeWeights, ScopeWeights, list[float]],
) -> None:
    encoder, _, _, losses = trained
    assert losses[-1] < 0.6 * losses[0]
    fresh, used = tiny_encoder().encode("the river of Peru"), encoder.encode("the river of Peru")
    assert fresh is not None and used is not None and np.array_equal(fresh.vectors, used.vectors)


def test_what_was_trained_routes_by_it(
    trained: tuple[TextEncoder, ScopeWeights, ScopeWeights, list[float]], tmp_path: Path
) -> None:
    encoder, weights, _, _ = trained
    weights = replace(weights, encoder=encoder.fingerprint)
    weights.save(tmp_path / "scope.safetensors")
    read = ScopeWeights.load(tmp_path / "scope.safetensors")
    router = Router(ScopeScorer(encoder, read, ScopeCurve(slope=1.0, bias=0.0)), threshold=0.5)
    for name in ("France", "Spain", "Peru"):
        text = f"the capital of {name} is"
        router.add(name, (text,), router.encode([KeyText(text=text, subject=name)]))
    for name in ("France", "Spain", "Peru"):
        asked, other = router.scores(f"{name} the capital city"), router.scores(f"the river of {name} is")
        assert asked[0].edit_id == name and asked[0].score > other[0].score
