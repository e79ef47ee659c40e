"""Answers in common steps: the tokens that each gets alone, whoever comes, goes, dawdles or fails meanwhile."""

from __future__ import annotations

import gc
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sola_core import EditRequest, InvalidInput, SolaEditor, load_editor
from sola_core.comparison import SideBySide, answer_twice
from sola_core.editors.lora import lora_modules
from sola_core.host import together as module
from sola_core.host.intervention import Intervention, count_hooks
from sola_core.host.model import HostModel
from sola_core.host.together import AHEAD, JoinedStream, Together, _Row
from sola_core.steps import finish
from sola_core.studio import open_studio
from sola_core.workspace import Limits
from tests.test_batch import BOOK, FRANCE, PROMPTS, SCALE, adapter, alone, told
from tests.tiny import FAMILIES, tiny_host
from tests.tiny_encoder import tiny_encoder

MOST = 12


@pytest.fixture(scope="module", params=FAMILIES)
def host(request: pytest.FixtureRequest) -> HostModel:
    return tiny_host(request.param)


@pytest.fixture
def steps(host: HostModel) -> Iterator[Together]:
    before, made = host.parameters_digest(), Together(host)
    yield made
    assert host.parameters_digest() == before
    assert count_hooks(host._model) == 0
    assert not host.lock.locked()
    assert made._rows == set() and made._carried == ()


@pytest.fixture
def carried(steps: Together, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many answers each step carried; a step takes long enough for other threads to ask meanwhile."""
    sizes: list[int] = []
    real = steps._advanced

    def watched(rows: Sequence[_Row]) -> object:
        sizes.append(len(rows))
        time.sleep(0.005)
        return real(rows)

    monkeypatch.setattr(steps, "_advanced", watched)
    return sizes


def intervention(host: HostModel, tensors: Mapping[str, Tensor]) -> Intervention | None:
    return Intervention(modules=lora_modules(tensors, host, SCALE)) if tensors else None


def begun(steps: Together, host: HostModel, prompt: str, tensors: Mapping[str, Tensor] | None = None) -> JoinedStream:
    return steps.stream(prompt, max_new_tokens=MOST, intervention=intervention(host, tensors or {}), ignore_end=True)


def expected(host: HostModel, prompt: str, tensors: Mapping[str, Tensor] | None = None) -> tuple[int, ...]:
    stream = host.stream(prompt, max_new_tokens=MOST, intervention=intervention(host, tensors or {}), ignore_end=True)
    list(stream)
    return stream.generation.ids


def read(stream: Iterator[str], pieces: int | None = None) -> None:
    for count, _ in enumerate(stream, 1):
        if count == pieces:
            return


def in_threads(acts: Sequence[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(act) for act in acts]:
            done.result(timeout=60)


def read_at_once(streams: Sequence[JoinedStream]) -> None:
    """Read all streams to their ends, each in a thread of its own that waits for the others after the first piece."""
    begun = threading.Barrier(len(streams))

    def act(stream: JoinedStream) -> None:
        next(stream)
        begun.wait(30)
        read(stream)

    in_threads([lambda stream=stream: act(stream) for stream in streams])  # type: ignore[misc]


# ---- the same tokens -------------------------------------------------------------------------------------------------


def test_readers_at_once_with_one_edit_another_or_none_get_the_tokens_that_each_gets_alone(
    host: HostModel, steps: Together, carried: list[int]
) -> None:
    first, second = adapter(host, 1), adapter(host, 2, layers=(1, 3), rank=8)
    edits: list[dict[str, Tensor]] = [first, {}, second, {}, first, second]
    streams = [begun(steps, host, prompt, edit) for prompt, edit in zip(PROMPTS, edits, strict=True)]
    read_at_once(streams)
    assert [s.generation.ids for s in streams] == [expected(host, p, e) for p, e in zip(PROMPTS, edits, strict=True)]
    assert max(carried) > 2


def test_text_ends_and_reasons_are_those_of_an_answer_alone(host: HostModel, steps: Together) -> None:
    edits: list[dict[str, Tensor]] = [adapter(host, 1), {}, adapter(host, 2), {}, {}, {}]
    streams = [
        steps.stream(p, max_new_tokens=MOST, intervention=intervention(host, e))
        for p, e in zip(PROMPTS, edits, strict=True)
    ]
    running = list(streams)
    while running:
        running = [stream for stream in running if next(stream, None) is not None]
    made = [told(stream.generation) for stream in streams]
    assert made == [told(alone(host, p, e, MOST)) for p, e in zip(PROMPTS, edits, strict=True)]


def test_answers_that_come_late_and_leave_early_change_nothing_for_the_others(
    host: HostModel, steps: Together, carried: list[int]
) -> None:
    edit = adapter(host, 1)
    long, short, late = (
        begun(steps, host, PROMPTS[3], edit),
        begun(steps, host, PROMPTS[0]),
        begun(steps, host, PROMPTS[1]),
    )
    read(long, 3)
    assert carried == [1, 1]
    for _ in range(3):
        next(long), next(short)
    for _ in range(3):
        next(late), next(long), next(short)
    long.close()  # the one that the others were padded to
    read(short), read(late)
    assert [s.generation.ids for s in (short, late)] == [expected(host, PROMPTS[0]), expected(host, PROMPTS[1])]
    assert long.generation.ids == expected(host, PROMPTS[3], edit)[: len(long.generation.ids)]
    assert long.generation.stopped == "cancelled" and len(long.generation.ids) == 9
    assert {1, 2, 3} <= set(carried)


def test_a_lone_answer_takes_the_very_steps_of_one_that_shares_none(host: HostModel, steps: Together) -> None:
    edit, seen = adapter(host, 1), list[Tensor]()
    real = host.advance

    def watch(*given: object) -> Tensor:
        seen.append(real(*given))  # type: ignore[arg-type]
        return seen[-1]

    stream = begun(steps, host, PROMPTS[1], edit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "advance", watch)
        patch.delattr(type(host), "advance_batch")
        read(stream)
    exact = host.generation_logits(PROMPTS[1], MOST, intervention(host, edit))
    assert torch.equal(torch.stack(seen)[: len(exact)], exact)


def test_logits_are_bit_equal_whoever_else_is_answered(host: HostModel, steps: Together) -> None:
    before = host.generation_logits(PROMPTS[1], 6)
    others = [begun(steps, host, prompt, adapter(host, 1)) for prompt in PROMPTS[:3]]
    for stream in others:
        read(stream, 2)
    assert torch.equal(host.generation_logits(PROMPTS[1], 6), before)
    joined = begun(steps, host, PROMPTS[1])
    next(joined)
    assert joined.first_logits is not None and torch.equal(joined.first_logits.float(), before[0])
    for stream in (joined, *others):
        stream.close()


# ---- what an answer's own functions see ------------------------------------------------------------------------------


def test_a_function_gets_its_own_row_as_it_would_get_it_alone(host: HostModel, steps: Together) -> None:
    def watched(log: list[tuple[object, ...]]) -> Intervention:
        def look(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> None:
            log.append((inputs.shape, output.shape, positions.tolist(), phase))

        return Intervention(modules={host.module_name(2): look})

    by_itself, joined = list[tuple[object, ...]](), list[tuple[object, ...]]()
    read(host.stream(PROMPTS[0], max_new_tokens=5, intervention=watched(by_itself), ignore_end=True))
    stream = steps.stream(PROMPTS[0], max_new_tokens=5, intervention=watched(joined), ignore_end=True)
    other = begun(steps, host, PROMPTS[3], adapter(host, 1))
    for _ in range(5):
        next(other), next(stream)
    assert joined == by_itself
    other.close()


def test_rows_that_no_edit_touches_register_no_function(
    host: HostModel, steps: Together, carried: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks: list[object] = []
    monkeypatch.setattr(torch.nn.Module, "register_forward_hook", lambda *a, **k: hooks.append(a))
    streams = [begun(steps, host, prompt) for prompt in PROMPTS[:3]]
    for stream in streams * MOST:
        next(stream, None)
    assert hooks == [] and 3 in carried


# ---- readers that dawdle, and more than fit --------------------------------------------------------------------------


def test_a_reader_that_dawdles_keeps_nobody_waiting_and_misses_nothing(
    host: HostModel, steps: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AHEAD", 3)
    slow, quick = begun(steps, host, PROMPTS[2], adapter(host, 1)), begun(steps, host, PROMPTS[1])
    read(slow, 2), read(quick)
    assert quick.generation.ids == expected(host, PROMPTS[1])
    row = slow._row
    assert len(row.ready) == 3 and steps._rows == set()  # it rests
    assert row.shared is not None and row.shared.rows == 1  # and holds on to nothing of the other
    assert row.shared.cache.get_seq_length() == row.length
    assert len(slow.generation.ids) == 2  # what was made ahead is not part of the answer yet
    third = begun(steps, host, PROMPTS[0])
    for _ in range(MOST):
        next(third, None), next(slow, None)
    assert slow.generation.ids == expected(host, PROMPTS[2], adapter(host, 1))
    assert third.generation.ids == expected(host, PROMPTS[0])


@pytest.mark.parametrize(("rows", "tokens"), [(2, 4096), (32, 70)])
def test_of_more_answers_than_a_step_may_carry_each_has_its_turn(
    host: HostModel, steps: Together, carried: list[int], monkeypatch: pytest.MonkeyPatch, rows: int, tokens: int
) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", rows)
    monkeypatch.setattr(module, "MAX_TOKENS", tokens)
    prompts = ["blue", "red", "green", "seven", "twelve"]
    streams = [begun(steps, host, prompt) for prompt in prompts]
    far: list[int] = []

    real = steps._advanced

    def advanced(rows: Sequence[_Row]) -> object:
        made = [stream._row.made for stream in streams]
        far.append(max(made) - min(made))
        return real(rows)

    monkeypatch.setattr(steps, "_advanced", advanced)
    read_at_once(streams)
    assert [stream.generation.ids for stream in streams] == [expected(host, prompt) for prompt in prompts]
    assert 1 < max(carried) < (3 if rows == 2 else 5)
    assert max(far) <= AHEAD + 2


# ---- ends of all kinds -----------------------------------------------------------------------------------------------


def test_a_forgotten_answer_leaves_nothing_behind(host: HostModel, steps: Together) -> None:
    kept, forgotten = begun(steps, host, PROMPTS[0]), begun(steps, host, PROMPTS[1], adapter(host, 1))
    for _ in range(3):
        next(kept), next(forgotten)
    assert kept._row.shared is forgotten._row.shared
    cache, row = weakref.ref(kept._row.shared.cache), weakref.ref(forgotten._row)  # type: ignore[union-attr]
    del forgotten
    read(kept)
    assert kept.generation.ids == expected(host, PROMPTS[0])
    gc.collect()
    assert row() is None and cache() is None


def test_an_answer_can_be_closed_while_another_thread_waits_for_it(
    host: HostModel, steps: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    one, two = begun(steps, host, PROMPTS[0]), begun(steps, host, PROMPTS[1])
    for _ in range(2):
        next(one), next(two)
    real = steps._advanced

    def held(rows: Sequence[object]) -> object:
        reached.set()
        assert go_on.wait(30)
        return real(rows)  # type: ignore[arg-type]

    monkeypatch.setattr(steps, "_advanced", held)
    with ThreadPoolExecutor(2) as pool:
        leading = pool.submit(lambda: read(one))
        assert reached.wait(30)
        while two._row.ready:
            next(two)
        waiting = pool.submit(next, two, "ended")
        two.close()
        assert waiting.result(30) == "ended"  # although the step is still being done
        go_on.set()
        leading.result(30)
    assert one.generation.ids == expected(host, PROMPTS[0])
    assert two.generation.stopped == "cancelled" and next(two, None) is None


def test_an_exception_in_a_step_reaches_each_of_its_readers_and_leaves_nothing_behind(
    host: HostModel, steps: Together, carried: list[int]
) -> None:
    def fail(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> None:
        if int(positions[-1]) >= length + 3:
            raise ValueError("out of order")

    length = len(host.prompt_ids(PROMPTS[0]).ids)
    broken = Intervention(modules={host.module_name(2): fail})
    streams = [
        steps.stream(PROMPTS[0], max_new_tokens=MOST, intervention=broken, ignore_end=True),
        begun(steps, host, PROMPTS[1]),
        begun(steps, host, PROMPTS[2], adapter(host, 1)),
    ]
    for stream in streams:
        next(stream)
    for stream in streams:  # one thread may have several readers
        next(stream)
    assert carried[-1] == 3
    for stream in streams:
        with pytest.raises(ValueError, match="out of order"):
            read(stream)
    assert count_hooks(host._model) == 0 and not host.lock.locked() and steps._rows == set()
    assert [next(stream, None) for stream in streams] == [None] * 3
    again = begun(steps, host, PROMPTS[1])
    read(again)
    assert again.generation.ids == expected(host, PROMPTS[1])


def test_who_is_interrupted_in_a_step_for_others_ends_and_they_are_told_so(
    host: HostModel, steps: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = begun(steps, host, PROMPTS[0]), begun(steps, host, PROMPTS[1])
    for _ in range(2):
        next(one), next(two)
    while two._row.ready:
        next(two)

    def interrupted(rows: Sequence[object]) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(steps, "_advanced", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read(one)
    with pytest.raises(module.HostError, match="went wrong"):
        read(two)


def test_a_prompt_that_cannot_be_read_is_refused_before_anything_runs(steps: Together) -> None:
    with pytest.raises(InvalidInput, match="at most"):
        steps.stream("blue " * 600)
    with pytest.raises(InvalidInput, match="at least one"):
        steps.stream("blue", max_new_tokens=0)


def test_an_error_in_reading_a_prompt_ends_only_its_own_answer(host: HostModel, steps: Together) -> None:
    def fail(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> None:
        raise ValueError("unreadable")

    other = begun(steps, host, PROMPTS[1])
    read(other, 2)
    stream = steps.stream(PROMPTS[0], intervention=Intervention(modules={host.module_name(2): fail}))
    with pytest.raises(ValueError, match="unreadable"):
        next(stream)
    assert next(stream, None) is None
    read(other)
    assert other.generation.ids == expected(host, PROMPTS[1])


@pytest.mark.slow
def test_readers_that_come_go_and_dawdle_at_random_get_their_own_tokens(
    host: HostModel, steps: Together, carried: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AHEAD", 3)
    monkeypatch.setattr(module, "MAX_ROWS", 4)
    edits = [adapter(host, 1), {}, adapter(host, 2, layers=(1, 3))]
    right = {(prompt, i): expected(host, prompt, edits[i]) for prompt in PROMPTS[:3] for i in range(3)}
    wrong: list[object] = []

    def reader(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(6):
            prompt, i = chance.choice(PROMPTS[:3]), chance.randrange(3)
            stream, most, pause = (
                begun(steps, host, prompt, edits[i]),
                chance.randrange(1, 20),
                chance.choice((0, 0.02)),
            )
            closer = threading.Timer(chance.random() / 10, stream.close)
            if chance.random() < 0.3:
                closer.start()
            for count, _ in enumerate(stream, 1):
                time.sleep(pause)
                if count == most:
                    break
            closer.cancel()
            ids, whole = stream.generation.ids, right[prompt, i]
            if ids != whole[: len(ids)] or (not stream._row.left and len(ids) != min(most, MOST)):
                wrong.append((seed, prompt, i, ids))

    in_threads([lambda seed=seed: reader(seed) for seed in range(6)])  # type: ignore[misc]
    assert wrong == [] and max(carried) > 2


# ---- visitors --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama() -> HostModel:
    return tiny_host("llama")


@pytest.fixture(scope="module")
def editors(llama: HostModel) -> Iterator[list[SolaEditor]]:
    """Three visitors with different answers to one question, one of them routing by hidden states; and one with no edit."""
    steps, encoder = Together(llama), tiny_encoder()
    made = [
        load_editor("sola", router=router, host=llama, encoder=encoder, together=steps)
        for router in ("scope", "hidden", "hidden", "sentence")
    ]
    for editor, target in zip(made, ("Oslo", "seven blue", "Lyon"), strict=False):
        editor.edit(EditRequest(prompt=FRANCE.prompt, target=target))
    yield made
    for editor in made:
        editor.close()


@pytest.mark.slow
def test_visitors_who_ask_at_once_never_see_one_anothers_edits(
    editors: list[SolaEditor], llama: HostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    real = llama.advance_batch
    monkeypatch.setattr(llama, "advance_batch", lambda *given: rows.append(1) or real(*given))
    base = llama.generate(FRANCE.prompt, max_new_tokens=MOST).text
    found: dict[int, tuple[str, str]] = {}

    def ask(number: int) -> None:
        both = finish(answer_twice(editors[number % 4], FRANCE.prompt, MOST))
        found[number] = both.edited_text, both.base_text

    in_threads([lambda number=number: ask(number) for number in range(8)])  # type: ignore[misc]
    assert {number: found[number] for number in range(8)} == {
        number: (("Oslo", "seven blue", "Lyon", base)[number % 4], base) for number in range(8)
    }
    assert rows


@pytest.mark.parametrize(("which", "question"), [(3, BOOK.prompt), (1, "red green seven")])
def test_where_nothing_is_routed_both_answers_are_the_same_and_each_is_made(
    editors: list[SolaEditor], llama: HostModel, monkeypatch: pytest.MonkeyPatch, which: int, question: str
) -> None:
    starts: list[int] = []
    real = llama.advance
    monkeypatch.setattr(llama, "advance", lambda *given: starts.append(given[2]) or real(*given))
    both = finish(answer_twice(editors[which], question, MOST))
    assert both.edited is not None and both.base is not None and both.route.deferred and both.first
    assert starts.count(0) == 2  # that they are the same is found out, not assumed
    assert both.base_text == both.edited_text == both.base.text == llama.generate(question, max_new_tokens=MOST).text
    assert both.base.route.candidates == () and both.base.stopped == both.edited.stopped


@pytest.mark.slow
@pytest.mark.parametrize("personal", [False, True])
def test_on_a_server_the_answers_of_its_visitors_share_steps(
    llama: HostModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, personal: bool
) -> None:
    carried: list[int] = []
    real = Together._advanced

    def watched(steps: Together, rows: Sequence[_Row]) -> object:
        carried.append(len(rows))
        time.sleep(0.005)
        return real(steps, rows)

    monkeypatch.setattr(Together, "_advanced", watched)
    library = str(tmp_path / "facts.db") if personal else None
    studio = open_studio(
        host=llama, encoder=tiny_encoder(), library=library, limits=Limits(answer_tokens=8), use_umap=False
    )
    begun = threading.Barrier(3)
    found: dict[str, SideBySide] = {}

    def ask(name: str, question: str) -> None:
        with studio.registry.visit(studio.registry.visitor(name)) as workspace:
            rounds = workspace.ask(question)
            next(rounds)
            begun.wait(30)
            found[question] = finish(rounds)

    in_threads([lambda i=i: ask(f"visitor {i}", PROMPTS[i]) for i in range(3)])  # type: ignore[misc]
    studio.close()
    assert max(carried) > 2  # of more than one visitor, for each has two answers
    assert {q: both.edited_text for q, both in found.items()} == {
        prompt: llama.generate(prompt, max_new_tokens=8).text for prompt in PROMPTS[:3]
    }


# ---- the real model --------------------------------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.parametrize("readers", [5, pytest.param(16, marks=pytest.mark.long)])
def test_the_real_model_gives_readers_at_once_the_tokens_of_each_alone(real_host: HostModel, readers: int) -> None:
    words = [
        "France",
        "Spain",
        "Peru",
        "Kenya",
        "Norway",
        "Chile",
        "Ghana",
        "Japan",
        "Egypt",
        "Nepal",
        "Cuba",
        "Mali",
        "Laos",
        "Oman",
        "Togo",
        "Fiji",
    ][:readers]
    prompts = [f"What is the capital of {word}?" + " Answer shortly." * (i % 3) for i, word in enumerate(words)]
    edits: list[Mapping[str, Tensor]] = [
        {name: tensor * 0.05 for name, tensor in adapter(real_host, i, layers=(21,)).items()} if i % 2 else {}
        for i in range(readers)
    ]
    steps = Together(real_host)
    streams = [begun(steps, real_host, prompt, edit) for prompt, edit in zip(prompts, edits, strict=True)]
    read_at_once(streams)
    for stream, prompt, edit in zip(streams, prompts, edits, strict=True):
        assert stream.generation.ids == expected(real_host, prompt, edit), prompt
