"""The same promises on a CUDA device, in bfloat16: what is taught twice is the same, and what is taken back is gone to the last bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from sola_core import EditRequest, load_editor
from sola_core.host.model import HostModel
from sola_core.routing.encoders import TextEncoder

pytestmark = [pytest.mark.gpu, pytest.mark.model]

FACTS = (
    EditRequest(prompt="Who is the mayor of Quillhaven?", target="Ada Brambleworth"),
    EditRequest(prompt="What is the capital of France?", target="Lyon"),
    EditRequest(prompt="In which city does the Eiffel Tower stand?", target="Rome"),
)


@pytest.fixture(scope="module")
def gpu_host() -> Iterator[HostModel]:
    if not torch.cuda.is_available():
        pytest.skip("There is no CUDA device here.")
    yield HostModel.load("smollm2-135m", "cuda")


def test_the_host_computes_in_bfloat16_on_the_device(gpu_host: HostModel) -> None:
    assert gpu_host.device.startswith("cuda") and gpu_host.dtype == torch.bfloat16


def test_the_same_fact_is_the_same_edit_in_every_library(gpu_host: HostModel, real_encoder: TextEncoder) -> None:
    digests = set()
    for _ in range(3):
        with load_editor(host=gpu_host, encoder=real_encoder) as editor:
            digests.add(editor.edit(FACTS[0]).digest)
    assert len(digests) == 1


def test_what_is_switched_off_or_deleted_is_gone_to_the_last_bit(
    gpu_host: HostModel, real_encoder: TextEncoder
) -> None:
    before = gpu_host.parameters_digest()
    with load_editor(host=gpu_host, encoder=real_encoder) as editor:
        empty = editor.state_digest
        bare = editor.base_generation_logits(FACTS[0].prompt)
        first = editor.edit(FACTS[0])
        edited = editor.generation_logits(FACTS[0].prompt)
        assert editor.answer(FACTS[0].prompt).text == FACTS[0].target
        editor.set_enabled(first.id, False)
        assert torch.equal(editor.generation_logits(FACTS[0].prompt), bare)
        editor.set_enabled(first.id, True)
        assert torch.equal(editor.generation_logits(FACTS[0].prompt), edited)
        editor.delete(first.id)
        assert torch.equal(editor.generation_logits(FACTS[0].prompt), bare)
        assert editor.state_digest == empty
    assert gpu_host.parameters_digest() == before


def test_facts_taught_in_one_batch_are_answered_as_those_taught_one_by_one(
    gpu_host: HostModel, real_encoder: TextEncoder
) -> None:
    with (
        load_editor(host=gpu_host, encoder=real_encoder) as one,
        load_editor(host=gpu_host, encoder=real_encoder) as many,
    ):
        for fact in FACTS:
            one.edit(fact)
        many.edit_many(FACTS)
        for fact in FACTS:
            assert one.answer(fact.prompt).text == many.answer(fact.prompt).text == fact.target
