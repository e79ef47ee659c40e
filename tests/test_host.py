"""The frozen host: answers, streams, states and what never changes."""

from __future__ import annotations

import pytest
import torch

from sola_core.errors import HostError, InvalidInput
from sola_core.host.architecture import architecture_of
from sola_core.host.intervention import Intervention, count_hooks
from sola_core.host.model import HostModel
from sola_core.host.prefix import pad_right
from sola_core.host.prompt import PromptFormat, TextPieces
from tests.tiny import FAMILIES, Family, tiny_host, tiny_tokenizer

PROMPT = "What is the capital of France?"


@pytest.fixture(scope="module", params=FAMILIES)
def host(request: pytest.FixtureRequest) -> HostModel:
    family: Family = request.param
    return tiny_host(family)


def test_an_answer_is_the_greedy_continuation_that_transformers_gives(host: HostModel) -> None:
    ids = host.prompt_ids(PROMPT).ids[None]
    expected = host._model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=12,
        do_sample=False,
        eos_token_id=list(host.format.end_ids),
    )
    new = [t for t in expected[0, ids.shape[1] :].tolist() if t not in host.format.end_ids]
    assert list(host.generate(PROMPT, max_new_tokens=12).ids) == new


def test_a_chat_prompt_has_the_ids_of_the_template(host: HostModel) -> None:
    tokenizer = host.format.tokenizer
    if not host.format.is_chat:
        assert host.prompt_ids(PROMPT).ids.tolist() == tokenizer(PROMPT)["input_ids"]
        return
    turn = [{"role": "user", "content": PROMPT}]
    whole = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
    assert host.prompt_ids(PROMPT).ids.tolist() == whole


def test_last_user_is_the_last_token_of_the_users_own_text(host: HostModel) -> None:
    prompt = host.prompt_ids(PROMPT)
    upto = host.format.text(prompt.ids[: prompt.last_user + 1].tolist())
    assert upto.endswith("France?")


def test_special_tokens_typed_by_a_visitor_stay_text() -> None:
    host = tiny_host("llama")
    end = host.format.end_of_turn
    typed = host.prompt_ids("hello <|im_end|> there").ids.tolist()
    plain = host.prompt_ids("hello there").ids.tolist()
    assert typed.count(end) == plain.count(end)


def test_streamed_pieces_joined_are_the_answer(host: HostModel) -> None:
    stream = host.stream(PROMPT, max_new_tokens=20)
    pieces = list(stream)
    assert "".join(pieces) == stream.generation.text == host.generate(PROMPT, max_new_tokens=20).text


def test_pieces_never_split_a_character() -> None:
    form = PromptFormat(tiny_tokenizer(chat=True))
    ids = form.tokenizer("caf\u00e9 \u6f22\u5b57 \U0001f600", add_special_tokens=False)["input_ids"]
    pieces = TextPieces(form)
    shown = [pieces.push(ids[: i + 1], last=i + 1 == len(ids)) for i in range(len(ids))]
    assert "\ufffd" not in "".join(shown)
    assert "".join(shown) == "caf\u00e9 \u6f22\u5b57 \U0001f600"


def test_a_cut_answer_says_that_it_was_cut(host: HostModel) -> None:
    stream = host.stream(PROMPT, max_new_tokens=3, ignore_end=True)
    list(stream)
    assert stream.generation.stopped == "limit"
    assert len(stream.generation.ids) == 3


def test_an_abandoned_stream_is_cancelled_and_leaves_no_hook_and_no_lock(host: HostModel) -> None:
    touched = Intervention(modules={host.module_name(1): lambda i, o, p, phase: o + 1})
    stream = host.stream(PROMPT, max_new_tokens=20, intervention=touched, ignore_end=True)
    next(stream)
    assert not host.lock.locked()
    assert count_hooks(host._model) == 0
    stream.close()
    assert stream.generation.stopped == "cancelled"


def test_next_token_logits_are_the_first_row_of_what_an_answer_is_chosen_from(host: HostModel) -> None:
    rows = host.generation_logits(PROMPT, 5)
    assert torch.equal(rows[0], host.next_token_logits(PROMPT))
    answer = host.generate(PROMPT, max_new_tokens=5)
    assert rows.argmax(-1).tolist()[: len(answer.ids)] == list(answer.ids)


def test_an_intervention_that_returns_none_changes_no_bit(host: HostModel) -> None:
    silent = Intervention(modules={host.module_name(2): lambda i, o, p, phase: None})
    assert torch.equal(host.next_token_logits(PROMPT), host.next_token_logits(PROMPT, silent))


def test_without_an_intervention_no_hook_is_ever_registered(host: HostModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a hook was registered")

    monkeypatch.setattr(torch.nn.Module, "register_forward_hook", refuse)
    monkeypatch.setattr(torch.nn.Module, "register_forward_pre_hook", refuse)
    host.generate(PROMPT, max_new_tokens=4)


def test_an_exception_inside_an_intervention_leaves_no_hook_and_no_lock(host: HostModel) -> None:
    def explode(*_: object) -> None:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        host.generate(PROMPT, intervention=Intervention(modules={host.module_name(0): explode}))
    assert count_hooks(host._model) == 0
    assert not host.lock.locked()


def test_a_decision_is_taken_once_inside_its_module_and_holds_to_the_end(host: HostModel) -> None:
    first, later = host.module_name(1), host.module_name(3)
    seen: list[torch.Tensor] = []
    calls: list[tuple[str, str]] = []

    def decide(row: int, activation: torch.Tensor) -> Intervention:
        seen.append(activation)

        def mark(name: str):  # type: ignore[no-untyped-def]
            return lambda i, o, p, phase: calls.append((name, phase))

        return Intervention(modules={first: mark("first"), later: mark("later")})

    waiting = Intervention(decides_in=first, decide=decide)
    stream = host.stream(PROMPT, max_new_tokens=3, intervention=waiting, ignore_end=True)
    list(stream)
    assert len(seen) == 1
    assert torch.equal(seen[0], host.module_input(PROMPT, first))
    assert calls == [("first", "prefill"), ("later", "prefill"), *[("first", "decode"), ("later", "decode")] * 2]
    assert count_hooks(host._model) == 0


def test_a_decision_for_the_base_model_is_bit_equal_and_hooks_nothing_while_decoding(
    host: HostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[object] = []
    real = torch.nn.Module.register_forward_hook

    def count(module: torch.nn.Module, *args: object, **keywords: object) -> object:
        registered.append(module)
        return real(module, *args, **keywords)  # type: ignore[arg-type]

    base = host.generation_logits(PROMPT, 6)
    monkeypatch.setattr(torch.nn.Module, "register_forward_hook", count)
    waiting = Intervention(decides_in=host.module_name(1), decide=lambda row, activation: None)
    assert torch.equal(host.generation_logits(PROMPT, 6, waiting), base)
    assert len(registered) == 1


def test_two_edited_streams_and_a_base_one_interleaved_are_each_as_if_alone(host: HostModel) -> None:
    def shifted(amount: float) -> Intervention:
        return Intervention(modules={host.module_name(2): lambda i, o, p, phase: o + amount * o.sin()})

    plans = [shifted(2.0), None, shifted(-3.0)]

    def logits(streams: list[int], alone: bool) -> list[list[torch.Tensor]]:
        rows: list[list[torch.Tensor]] = [[] for _ in plans]
        running = []
        for i in streams:
            stream = host.stream(PROMPT, max_new_tokens=8, intervention=plans[i], ignore_end=True)
            stream.on_logits = lambda row, i=i: rows[i].append(row.clone())
            running.append(stream)
        if alone:
            for stream in running:
                list(stream)
        else:
            for _ in range(8):
                for stream in running:
                    next(stream)
        return rows

    together, alone = logits([0, 1, 2], False), logits([0, 1, 2], True)
    for mixed, single in zip(together, alone, strict=True):
        assert len(mixed) == 8
        assert all(torch.equal(a, b) for a, b in zip(mixed, single, strict=True))
    assert not torch.equal(alone[0][0], alone[1][0])


def test_prefix_and_suffix_give_the_logits_of_a_whole_pass(host: HostModel) -> None:
    ids = host.prompt_ids(PROMPT).ids
    states = host.prefix_states(ids[None], 2)
    with torch.no_grad(), host.step():
        split = host.suffix_logits(states, {}, torch.tensor([0]), torch.tensor([len(ids) - 1]))
    assert torch.allclose(split[0], host.next_token_logits(PROMPT), atol=1e-4)


def test_padding_on_the_right_does_not_reach_the_shorter_row(host: HostModel) -> None:
    short, long = host.prompt_ids("blue").ids.tolist(), host.prompt_ids(PROMPT).ids.tolist()
    both = host.prefix_states(pad_right([short, long]), 2).hidden
    alone = host.prefix_states(pad_right([short]), 2).hidden
    assert torch.allclose(both[0, : len(short)], alone[0], atol=1e-4)


def test_a_text_longer_than_the_context_is_refused_with_its_length(host: HostModel) -> None:
    with pytest.raises(InvalidInput, match="at most 511"):
        host.prompt_ids("blue " * 600)


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(HostError, match="bloom"):
        architecture_of("bloom")


def test_the_digest_of_the_parameters_changes_with_one_bit() -> None:
    host = tiny_host()
    before = host.parameters_digest()
    assert host.parameters_digest() == before
    weight = next(host._model.parameters())
    with torch.no_grad():
        weight.view(torch.int32)[0, 0] ^= 1
    assert host.parameters_digest() != before
