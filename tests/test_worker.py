"""Workers: what they are given and give back crosses a process border, and every bit is the same as here."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import signal
import sys
import threading
import types
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
import torch

from sola_core.comparison import answer_twice
from sola_core.editors.sola import Sola
from sola_core.errors import EditFailed, HostError, InvalidRequest, SolaError
from sola_core.host.model import HostModel
from sola_core.records import EditRequest, TrainedEdit
from sola_core.session import SolaEditor, load_editor
from sola_core.steps import finish
from sola_core.studio import open_studio
from sola_core.worker.process import ProcessWorker, _work
from sola_core.worker.tasks import Respond, Train, messages, passed_on
from sola_core.worker.zero import ZeroGpuWorker
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

PROMPT, TARGET = "What is the capital of France?", "Oslo"
REQUEST = EditRequest(prompt=PROMPT, target=TARGET, subject="France")
OTHER = EditRequest(prompt="In what city did the painter live?", target="Turin")


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host()


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessWorker]:
    worker = ProcessWorker(tiny_host, threads=1)
    yield worker
    worker.close()


def pickled_gpu(task: Callable[..., Generator[Any, None, None]]) -> Callable[..., Generator[Any, None, None]]:
    """Do what ZeroGPU's decorator does to a generator: pickle what goes in and everything that comes out."""

    @functools.wraps(task)
    def call(*args: object) -> Generator[Any, None, None]:
        for item in task(*pickle.loads(pickle.dumps(args))):
            yield pickle.loads(pickle.dumps(item))

    return call


@pytest.fixture(params=["process", "zerogpu"])
def editors(request: pytest.FixtureRequest, process: ProcessWorker, host: HostModel) -> tuple[SolaEditor, SolaEditor]:
    """An editor that works here, and one whose model work is done by a worker."""
    encoder = tiny_encoder()
    worker = process if request.param == "process" else ZeroGpuWorker(tiny_host(), pickled_gpu, device="cpu")
    return load_editor(host=host, encoder=encoder), load_editor(host=host, encoder=encoder, worker=worker)


def same_bits(one: TrainedEdit | EditFailed, two: TrainedEdit | EditFailed) -> bool:
    assert isinstance(one, TrainedEdit) and isinstance(two, TrainedEdit)
    return one.tensors.keys() == two.tensors.keys() and all(
        torch.equal(tensor.view(torch.uint8), two.tensors[name].view(torch.uint8))
        for name, tensor in one.tensors.items()
    )


def test_a_task_and_all_it_tells_can_be_pickled_and_training_is_pure(host: HostModel) -> None:
    task = pickle.loads(pickle.dumps(Train(method=Sola(), requests=(REQUEST, OTHER))))
    here = finish(task.run(host))
    told = [pickle.loads(pickle.dumps(message)) for message in messages(task, tiny_host())]
    assert len(told) > 3 and told[-1].last and not any(message.last for message in told[:-1])
    assert all(same_bits(one, two) for one, two in zip(here, told[-1].result, strict=True))


@pytest.mark.slow
def test_edits_that_a_worker_trained_are_the_same_to_the_last_bit(editors: tuple[SolaEditor, SolaEditor]) -> None:
    here, there = editors
    steps = [[], []]  # type: ignore[var-annotated]
    for editor, told in zip(editors, steps, strict=True):
        for request in (REQUEST, OTHER):
            editor.edit(request, on_progress=told.append)
    assert here.state_digest == there.state_digest
    for one, two in zip(here.edits, there.edits, strict=True):
        assert all(
            torch.equal(here.tensors(one.id)[name], there.tensors(two.id)[name]) for name in here.tensors(one.id)
        )
        assert one.training.losses == two.training.losses and one.training.threads == two.training.threads
    assert steps[0] == steps[1] and len(steps[0]) > 3


@pytest.mark.slow
@pytest.mark.parametrize("router", ["scope", "hidden"])
def test_answers_of_a_worker_are_those_of_this_process(editors: tuple[SolaEditor, SolaEditor], router: str) -> None:
    here, there = editors
    for editor in editors:
        editor.edit(REQUEST)
        editor.use_router(router)
    for question in (PROMPT, OTHER.prompt, "Where is the river?"):
        one, two = (finish(answer_twice(editor, question, 8)) for editor in editors)
        assert (one.edited_text, one.base_text) == (two.edited_text, two.base_text)
        assert one.edited is not None and two.edited is not None and two.base is not None
        assert one.edited.stopped == two.edited.stopped and one.edited.tokens == two.edited.tokens
        assert (two.route.kind, two.route.reason) == (one.route.kind, one.route.reason)
        assert list(there.stream(question, 8)) == list(here.stream(question, 8))
        assert there.base_answer(question, 8).text == one.base_text
    assert there.answer(PROMPT).text == TARGET


def test_what_is_refused_here_is_refused_there_in_the_same_words(editors: tuple[SolaEditor, SolaEditor]) -> None:
    for request in (EditRequest(prompt=PROMPT, target="word " * 200), EditRequest(prompt="x " * 1500, target=TARGET)):
        words = []
        for editor in editors:
            with pytest.raises(InvalidRequest) as refused:
                editor.edit(request)
            words.append(str(refused.value))
        assert words[0] == words[1]
    for editor in editors:
        with pytest.raises(SolaError, match="tokens"):
            editor.answer("x " * 1500)
        assert editor.edits == ()


def test_an_edit_that_is_cancelled_leaves_nothing_and_the_worker_goes_on(
    editors: tuple[SolaEditor, SolaEditor],
) -> None:
    here, there = editors
    before = there.state_digest
    steps = there.edit_steps(REQUEST)
    next(steps)
    steps.close()
    stream = there.stream(PROMPT, 8)
    next(stream)
    stream.close()
    assert there.state_digest == before and stream.answer.stopped == "cancelled"
    assert there.edit(REQUEST).digest == here.edit(REQUEST).digest


def test_visitors_at_once_get_their_own_answers_from_one_process(host: HostModel, process: ProcessWorker) -> None:
    encoder, targets = tiny_encoder(), ("Oslo", "Lyon", "Turin", "seven")
    got: dict[str, str] = {}

    def visit(target: str) -> None:
        editor = load_editor(host=host, encoder=encoder, worker=process)
        editor.edit(EditRequest(prompt=PROMPT, target=target))
        got[target] = finish(answer_twice(editor, PROMPT, 8)).edited_text

    threads = [threading.Thread(target=visit, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {target: target for target in targets}


@pytest.mark.slow
def test_a_process_that_dies_fails_its_tasks_in_words_and_the_next_one_gets_a_new_process(
    host: HostModel, process: ProcessWorker
) -> None:
    editor = load_editor(host=host, encoder=tiny_encoder(), worker=process)
    steps, idle = editor.edit_steps(REQUEST), editor.stream(PROMPT, 8)
    next(steps)
    next(idle)
    assert process._process is not None
    process._process.kill()
    process._process.join()
    with pytest.raises(HostError, match=r"has ended\. Nothing was stored"):
        finish(steps)
    with pytest.raises(HostError, match="has ended"):
        next(idle)
    assert editor.edits == () and editor.edit(REQUEST).target == TARGET


def no_host() -> HostModel:
    raise HostError("There is no model here.")


def test_a_process_that_cannot_load_its_host_says_why() -> None:
    mine, theirs = multiprocessing.Pipe()
    before = signal.getsignal(signal.SIGINT)
    try:
        _work(theirs, no_host, 1)  # here, to save the start of a process
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(HostError, match="There is no model here"):
        passed_on(pickle.loads(mine.recv_bytes()))


class Breaks:
    """A task that fails with what a visitor wrote in the error's text."""

    def run(self, host: HostModel) -> Generator[int, None, None]:
        yield 1
        raise ValueError("what the visitor wrote")


def test_an_unexpected_error_crosses_the_border_without_its_text(
    process: ProcessWorker, host: HostModel, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for worker in (process, ZeroGpuWorker(host, pickled_gpu, device="cpu")):
        with pytest.raises(HostError) as told:
            finish(worker.run(Breaks()))
        assert "what the visitor wrote" not in str(told.value) + caplog.text + "".join(capfd.readouterr())
    assert "ValueError at" in caplog.text


def test_a_gpu_that_is_taken_back_is_an_error_and_not_an_answer(host: HostModel) -> None:
    def cut(task: Callable[..., Generator[Any, None, None]]) -> Callable[..., Generator[Any, None, None]]:
        def call(*args: object) -> Generator[Any, None, None]:
            yield next(task(*args))

        return call

    task = Respond(method=Sola(), prompt=PROMPT, adapters=({},), max_new_tokens=4)
    with pytest.raises(HostError, match="taken back"):
        finish(ZeroGpuWorker(host, cut, device="cpu").run(task))


def test_zero_gpu_without_its_package_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spaces", None)
    with pytest.raises(SolaError, match="needs the package spaces"):
        open_studio(worker="zerogpu")


@pytest.mark.slow
def test_a_page_on_zero_gpu_works_through_its_package(monkeypatch: pytest.MonkeyPatch, host: HostModel) -> None:
    asked: list[float] = []

    def gpu(*, duration: float) -> Callable[..., Any]:
        asked.append(duration)
        return pickled_gpu

    monkeypatch.setitem(sys.modules, "spaces", types.SimpleNamespace(GPU=gpu))
    monkeypatch.setattr(HostModel, "moved", lambda self, device: self)  # there is no CUDA here
    studio = open_studio(worker="zerogpu", host=host, encoder=tiny_encoder(), use_umap=False)
    try:
        assert asked == [30] and isinstance(studio.worker, ZeroGpuWorker)
        with studio.registry.claim(studio.registry.visitor("somebody")) as workspace:
            workspace.edit(REQUEST)
            assert finish(workspace.ask(PROMPT)).edited_text == TARGET
    finally:
        studio.close()
