"""Answers in batches: the same tokens as one by one, whoever shares the batch, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
import torch
from torch import Tensor

from sola_core import EditRequest, InvalidInput, SolaEditor, UnknownEdit, load_editor
from sola_core.editors.lora import lora_modules, lora_rows
from sola_core.host import batch
from sola_core.host.batch import batches, generate_many, pad_left
from sola_core.host.intervention import Intervention, ModuleFunction, count_hooks
from sola_core.host.model import HostModel
from sola_core.host.stream import Generation
from sola_core.routing.encoders import TextEncoder
from tests.tiny import FAMILIES, tiny_host
from tests.tiny_encoder import tiny_encoder

PROMPTS = (
    "blue",
    "What is the capital of France?",
    "Who wrote the book?",
    "Which company makes the engine of the ship, and where was the ship built? seven twelve",
    "The mother tongue of the painter is",
    "red green seven",
)
FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo")
BOOK = EditRequest(prompt="Who wrote the book?", target="seven blue")
SCALE = 4.0


@pytest.fixture(scope="module", params=FAMILIES)
def host(request: pytest.FixtureRequest) -> HostModel:
    return tiny_host(request.param)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return tiny_encoder()


@pytest.fixture(autouse=True)
def left_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    if "host" not in request.fixturenames:
        yield
        return
    host: HostModel = request.getfixturevalue("host")
    before = host.parameters_digest()
    yield
    assert host.parameters_digest() == before
    assert count_hooks(host._model) == 0
    assert not host.lock.locked()


def adapter(host: HostModel, seed: int, *, layers: Sequence[int] = (2,), rank: int = 4) -> dict[str, Tensor]:
    """Return a random adapter that changes answers a lot."""
    made, tensors = torch.Generator().manual_seed(seed), dict[str, Tensor]()
    for layer in layers:
        name = host.module_name(layer)
        n_in, n_out = host.linear_shape(name)
        tensors[f"{name}.lora_A.weight"] = (torch.randn(rank, n_in, generator=made) / n_in**0.5).half()
        tensors[f"{name}.lora_B.weight"] = torch.randn(n_out, rank, generator=made).half()
    return tensors


def together(
    host: HostModel, prompts: Sequence[str], adapters: Sequence[Mapping[str, Tensor]], tokens: int = 12
) -> list[Generation]:
    """Answer all prompts in one go, edits and none mixed in a batch."""

    def modules(rows: Sequence[int]) -> Mapping[str, ModuleFunction]:
        return lora_rows([adapters[row] for row in rows], host, SCALE)

    made = dict(generate_many(host, prompts, max_new_tokens=tokens, modules_of=modules))
    return [made[i] for i in range(len(prompts))]


def alone(host: HostModel, prompt: str, tensors: Mapping[str, Tensor], tokens: int = 12) -> Generation:
    only = Intervention(modules=lora_modules(tensors, host, SCALE)) if tensors else None
    return host.generate(prompt, max_new_tokens=tokens, intervention=only)


def told(generation: Generation) -> tuple[object, ...]:
    return generation.ids, generation.text, generation.stopped


@pytest.mark.slow
def test_rows_with_one_edit_another_or_none_get_the_tokens_that_each_gets_alone(host: HostModel) -> None:
    first, second = adapter(host, 1), adapter(host, 2)
    adapters = [first, {}, second, {}, first, second]
    made = together(host, PROMPTS, adapters)
    expected = [alone(host, prompt, tensors) for prompt, tensors in zip(PROMPTS, adapters, strict=True)]
    assert [told(g) for g in made] == [told(g) for g in expected]
    bare = [alone(host, prompt, {}) for prompt in PROMPTS]
    assert [g.ids != b.ids for g, b in zip(made, bare, strict=True)] == [bool(tensors) for tensors in adapters]


def test_edits_of_other_layers_and_ranks_share_a_batch(host: HostModel) -> None:
    adapters = [adapter(host, 1, layers=(1, 3), rank=2), adapter(host, 2), {}, adapter(host, 3, rank=8)]
    made = together(host, PROMPTS[:4], adapters)
    expected = [alone(host, prompt, tensors) for prompt, tensors in zip(PROMPTS, adapters, strict=False)]
    assert [told(g) for g in made] == [told(g) for g in expected]


@pytest.mark.slow
def test_rows_that_end_early_are_told_at_once_and_leave_the_batch(
    host: HostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [host.generate(prompt, max_new_tokens=12).ids for prompt in PROMPTS]
    monkeypatch.setattr(host.format, "end_ids", frozenset({full[1][2], full[3][6]}))  # they come early in two answers
    expected = [host.generate(prompt, max_new_tokens=12) for prompt in PROMPTS]
    sizes: list[int] = []
    real = host.advance_batch

    def watch(ids: Tensor, *rest: object) -> Tensor:
        sizes.append(len(ids))
        return real(ids, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(host, "advance_batch", watch)
    made = dict(generate_many(host, PROMPTS, max_new_tokens=12))
    assert [told(made[i]) for i in range(len(PROMPTS))] == [told(g) for g in expected]
    assert {g.stopped for g in expected} == {"end", "limit"}
    steps = {i: len(g.ids) + (g.stopped == "end") for i, g in enumerate(expected)}
    assert [steps[i] for i in made] == sorted(steps.values())
    assert sizes == [sum(n > step for n in steps.values()) for step in range(max(steps.values()))]


def test_a_row_without_an_edit_keeps_every_bit_of_its_module_output(host: HostModel) -> None:
    name = host.module_name(2)
    (function,) = lora_rows([{}, adapter(host, 1), {}], host, SCALE).values()
    n_in, n_out = host.linear_shape(name)
    inputs, output = torch.randn(3, 5, n_in), torch.randn(3, 5, n_out)
    before = output.clone()
    changed = function(inputs, output, torch.arange(5), "decode")
    assert changed is not None
    assert torch.equal(output, before)
    assert [torch.equal(changed[row], output[row]) for row in range(3)] == [True, False, True]
    assert lora_rows([{}, {}], host, SCALE) == {}


def test_padding_stands_on_the_left_and_positions_do_not_count_it(
    host: HostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, mask = pad_left([[5, 6, 7], [8]])
    assert (ids.tolist(), mask.tolist()) == ([[5, 6, 7], [0, 0, 8]], [[1, 1, 1], [0, 0, 1]])
    seen: list[list[list[int]]] = []
    real = host.advance_batch

    def watch(ids: Tensor, cache: object, mask: Tensor, positions: Tensor, modules: object) -> Tensor:
        seen.append([row[-3:] for row in positions.tolist()])
        return real(ids, cache, mask, positions, modules)  # type: ignore[arg-type]

    monkeypatch.setattr(host, "advance_batch", watch)
    short, long = len(host.prompt_ids("blue").ids), len(host.prompt_ids(PROMPTS[3]).ids)
    list(generate_many(host, ("blue", PROMPTS[3]), max_new_tokens=2))
    assert [row[-1] for row in seen[0]] == [short - 1, long - 1]
    assert seen[1] == [[short], [long]]


def test_a_batch_is_bounded_in_rows_and_in_tokens_and_has_rows_of_like_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_ROWS", 3)
    monkeypatch.setattr(batch, "MAX_TOKENS", 100)
    lengths = [10, 90, 20, 10, 30, 10, 200]
    made = batches(lengths, [20] * 7)
    assert made == [[0, 3, 5], [2, 4], [1], [6]]
    assert sorted(i for rows in made for i in rows) == list(range(7))
    assert batches([], []) == []


def test_no_step_is_larger_than_the_bound(host: HostModel, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [told(host.generate(prompt, max_new_tokens=6)) for prompt in PROMPTS]
    sizes: list[int] = []
    real = host.advance_batch

    def watch(ids: Tensor, *rest: object) -> Tensor:
        sizes.append(len(ids))
        return real(ids, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(host, "advance_batch", watch)
    monkeypatch.setattr(batch, "MAX_ROWS", 4)
    made = dict(generate_many(host, PROMPTS, max_new_tokens=6))
    assert [told(made[i]) for i in range(len(PROMPTS))] == expected
    assert max(sizes) == 4


def test_without_edits_no_hook_is_ever_registered(host: HostModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a hook was registered")

    monkeypatch.setattr(torch.nn.Module, "register_forward_hook", refuse)
    monkeypatch.setattr(torch.nn.Module, "register_forward_pre_hook", refuse)
    assert len(list(generate_many(host, PROMPTS, max_new_tokens=3))) == len(PROMPTS)


def test_an_exception_inside_a_module_leaves_nothing(host: HostModel) -> None:
    def explode(*_: object) -> None:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        list(generate_many(host, PROMPTS, modules_of=lambda rows: {host.module_name(1): explode}))


def test_nothing_is_held_between_two_answers_and_dropping_them_stops_the_work(
    host: HostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_ROWS", 1)
    touched = {host.module_name(1): lambda i, o, p, phase: o + 1}
    answers = generate_many(host, PROMPTS, max_new_tokens=2, modules_of=lambda rows: touched)
    next(answers)
    assert not host.lock.locked()
    assert count_hooks(host._model) == 0
    answers.close()  # type: ignore[attr-defined]
    assert list(answers) == []


@pytest.mark.parametrize("prompts", [("blue", ""), ("blue", "blue " * 600)])
def test_a_bad_prompt_is_refused_before_anything_runs(host: HostModel, prompts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput):
        generate_many(host, prompts)
    with pytest.raises(InvalidInput, match="at least one token"):
        generate_many(host, ("blue",), max_new_tokens=0)


@pytest.mark.slow
def test_an_answer_ends_where_the_context_does(host: HostModel) -> None:
    prompt = "blue " * 480
    left = host.context_tokens - len(host.prompt_ids(prompt).ids)
    made = dict(generate_many(host, (prompt, "red"), max_new_tokens=host.context_tokens))
    assert told(made[0]) == told(host.generate(prompt, max_new_tokens=host.context_tokens))
    assert len(made[0].ids) <= left


# ---- the editor ----------------------------------------------------------------------------------------------------

Opened = Callable[[str], SolaEditor]


@pytest.fixture
def opened(host: HostModel, encoder: TextEncoder) -> Iterator[Opened]:
    made: list[SolaEditor] = []

    def open_editor(router: str) -> SolaEditor:
        made.append(load_editor(host=host, encoder=encoder, router=router))
        made[-1].edit(FRANCE)
        made[-1].edit(BOOK)
        return made[-1]

    yield open_editor
    for editor in made:
        editor.close()


@pytest.mark.slow
@pytest.mark.parametrize("router", ["hidden", "scope"])
def test_many_answers_are_those_of_one_by_one_with_their_routes(opened: Opened, router: str) -> None:
    editor = opened(router)
    many = editor.answer_many(PROMPTS, 8)
    single = [editor.answer(prompt, 8) for prompt in PROMPTS]
    assert [(a.text, a.stopped, a.route, a.tokens) for a in many] == [
        (a.text, a.stopped, a.route, a.tokens) for a in single
    ]
    assert many[1].text == "Oslo" and many[2].text == "seven blue"
    assert any(a.route.deferred for a in many)
    base = editor.base_answer_many(PROMPTS, 8)
    assert [(a.text, a.stopped, a.route) for a in base] == [
        (a.text, a.stopped, a.route) for a in (editor.base_answer(prompt, 8) for prompt in PROMPTS)
    ]


def test_a_forced_edit_answers_whatever_the_router_would_choose(opened: Opened) -> None:
    editor = opened("scope")
    ids = [edit.id for edit in editor.edits] * 3
    made = editor.forced_answer_many(ids, PROMPTS, 8)
    single = [editor.forced_answer(edit_id, prompt, 8) for edit_id, prompt in zip(ids, PROMPTS, strict=True)]
    assert [told(g) for g in made] == [told(g) for g in single]
    with pytest.raises(UnknownEdit, match="nope"):
        editor.forced_answer_many(["nope"], PROMPTS[:1])


def test_prompts_that_no_edit_answers_run_bare_though_edits_are_stored(
    opened: Opened, host: HostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = opened("scope")
    with_functions: list[int] = []
    real = host.advance_batch

    def watch(ids: Tensor, cache: object, mask: Tensor, positions: Tensor, modules: Mapping[str, object]) -> Tensor:
        with_functions.extend([len(ids)] if modules else [])
        return real(ids, cache, mask, positions, modules)  # type: ignore[arg-type]

    monkeypatch.setattr(host, "advance_batch", watch)
    answers = editor.answer_many(PROMPTS, 4)
    edited = sum(not a.route.deferred for a in answers)
    assert 0 < edited < len(PROMPTS)
    assert max(with_functions) == edited


def test_progress_is_told_to_the_end_and_an_exception_from_it_cancels(opened: Opened, host: HostModel) -> None:
    editor = opened("scope")
    steps: list[tuple[int, int]] = []
    editor.answer_many(PROMPTS, 4, lambda done, total: steps.append((done, total)))
    n = len(PROMPTS)
    assert [step for step in steps if step[0]] == [(done, n) for done in range(1, n + 1)]

    def stop(done: int, total: int) -> None:
        if done:
            assert not host.lock.locked() and count_hooks(host._model) == 0
            raise KeyboardInterrupt

    digest = editor.state_digest
    for ask in (editor.answer_many, editor.base_answer_many):
        with pytest.raises(KeyboardInterrupt):
            ask(PROMPTS, 4, stop)
    assert editor.state_digest == digest


def test_an_edit_deleted_while_many_are_answered_still_answers_those(opened: Opened) -> None:
    editor = opened("scope")
    book = editor.edits[1].id

    def delete(done: int, total: int) -> None:
        if done == 1:
            editor.delete(book)

    assert editor.answer_many(("blue", BOOK.prompt), 8, delete)[1].text == "seven blue"


def test_asking_nothing_or_nonsense_in_batches(opened: Opened) -> None:
    editor = opened("scope")
    assert editor.answer_many([]) == editor.base_answer_many([]) == editor.forced_answer_many([], []) == []
    for ask in (editor.answer_many, editor.base_answer_many):
        with pytest.raises(InvalidInput):
            ask(["blue", "  "])


@pytest.mark.model
def test_the_real_model_gives_the_same_answers_in_a_batch(real_host: HostModel) -> None:
    with load_editor(host=real_host, router="hidden") as editor:
        editor.edit(EditRequest(prompt="Who is the mayor of Quillhaven?", target="Ada Brambleworth"))
        editor.edit(EditRequest(prompt="What is the capital of France?", target="Lyon"))
        prompts = [
            "Who is the mayor of Quillhaven?",
            "What is the capital of France?",
            "What is the capital of Spain?",
            "Name a colour.",
            "How many days does a week have, and which of them is the first one where you live?",
        ]
        many = editor.answer_many(prompts, 10)
        single = [editor.answer(prompt, 10) for prompt in prompts]
    assert [(a.text, a.stopped, a.route) for a in many] == [(a.text, a.stopped, a.route) for a in single]
    assert [a.text for a in many[:2]] == ["Ada Brambleworth", "Lyon"]
    assert {a.stopped for a in many} == {"end", "limit"}
    assert count_hooks(real_host._model) == 0
