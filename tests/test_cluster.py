"""Batches on a Ray cluster: the bits of this machine, each result once, and a lost worker costs its batch alone.

The logic is tested with a stand-in for Ray's few calls everywhere, and on a local cluster where Ray is installed.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sola_core import EditRequest, load_editor
from sola_core.editors.sola import Sola
from sola_core.errors import EditFailed, HostError, InvalidInput
from sola_core.fact_lists import ListedFact
from sola_core.host.model import HostModel
from sola_core.records import TrainedEdit, TrainingStep
from sola_core.steps import finish
from sola_core.teaching_batches import teach_batches_steps
from sola_core.worker import cluster
from sola_core.worker.batches import BatchLimits, Ended, Here
from sola_core.worker.cluster import RETRIES, RayEngine
from sola_core.worker.tasks import Train
from tests.tiny import tiny_model, tiny_tokenizer

CITIES = ("Oslo", "Lyon", "Turin", "Madrid", "Dublin", "Prague")
REQUESTS = tuple(EditRequest(prompt=f"Where was ship {n} built?", target=city) for n, city in enumerate(CITIES))
PAIRS = BatchLimits(rows=2, window=3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a tiny model, where every worker finds it."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tokenizer = tiny_tokenizer(chat=True)
    tiny_model("llama", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def host(model: Path) -> HostModel:
    return HostModel.load(str(model), "cpu")


def batches_of(*requests: EditRequest) -> list[Train]:
    return [Train(method=Sola(), requests=requests[i : i + 2]) for i in range(0, len(requests), 2)]


def bits(outcomes: Sequence[TrainedEdit | EditFailed]) -> list[dict[str, Any]]:
    assert all(isinstance(outcome, TrainedEdit) for outcome in outcomes)
    return [{name: t.tolist() for name, t in outcome.tensors.items()} for outcome in outcomes]  # type: ignore[union-attr]


def ended(engine: Any, tasks: Sequence[Train]) -> dict[int, tuple[Any, ...]]:
    found = [step for step in engine.run(tasks) if isinstance(step, Ended)]
    assert len({step.number for step in found}) == len(found)  # each once
    return {step.number: step.outcomes for step in found}


# ---- with a stand-in ----


class RayError(Exception):
    """As in ray.exceptions."""


class RayTaskError(RayError):
    """As in ray.exceptions."""


class WorkerCrashedError(RayError):
    """As in ray.exceptions."""


@dataclass
class InProcess:
    """Ray's calls in this process: everything is pickled, the last task is done first, a worker can be lost."""

    lost: Mapping[int, Exception] = field(default_factory=dict)  # by the number of the call
    nodes_: Sequence[Mapping[str, Any]] = ({"Alive": True, "Resources": {"CPU": 2.0}},)
    log: list[str] = field(default_factory=list)
    results: dict[int, bytes] = field(default_factory=dict)
    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: object) -> None:
        if options["address"] == "nowhere":
            raise ConnectionError("no such cluster")
        self.log.append("init")

    def nodes(self) -> Sequence[Mapping[str, Any]]:
        return self.nodes_

    def remote(self, call: Any) -> Any:
        def start(*given: object) -> int:
            number = len(self.results)
            self.results[number] = pickle.dumps(call(*pickle.loads(pickle.dumps(given))))
            return number

        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=start))

    def wait(self, waiting: list[int], *, num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        if self.log[-1] != "nothing yet":
            self.log.append("nothing yet")
            return [], waiting
        self.log.append("one is done")
        return waiting[-1:], waiting[:-1]

    def get(self, number: int) -> Any:
        if number in self.lost:
            raise self.lost[number]
        return pickle.loads(self.results[number])

    def cancel(self, number: int) -> None:
        self.log.append(f"cancelled {number}")

    def shutdown(self) -> None:
        self.log.append("shutdown")


@pytest.fixture(autouse=True)
def fresh_worker() -> Iterator[None]:
    yield
    cluster._host.cache_clear()


def test_batches_come_back_in_any_order_each_once_with_the_bits_of_this_machine(host: HostModel, model: Path) -> None:
    ray = InProcess()
    engine = RayEngine(host, str(model), ray=ray)
    tasks = batches_of(*REQUESTS)
    there, here = ended(engine, tasks), ended(Here(host), tasks)
    assert engine.width == 2 and list(there) == [2, 1, 0] and list(here) == [0, 1, 2]
    assert [bits(there[n]) for n in range(3)] == [bits(here[n]) for n in range(3)]
    engine.close()
    assert ray.log[0] == "init" and ray.log[-1] == "shutdown"


def test_a_batch_whose_workers_are_always_lost_fails_and_the_others_are_stored(host: HostModel, model: Path) -> None:
    engine = RayEngine(host, str(model), ray=InProcess(lost={1: WorkerCrashedError("what the visitor wrote")}))
    facts = [ListedFact(line=line, request=request) for line, request in enumerate(REQUESTS, start=2)]
    with load_editor(host=host, router="hidden") as editor:
        outcomes = finish(teach_batches_steps(editor, facts, limits=PAIRS, engine=engine))
        failed = [outcome for outcome in outcomes if outcome.outcome == "failed"]
        assert len(failed) == 2 and len(editor.edits) == 4
        assert all(f"lost {RETRIES + 1} times (WorkerCrashedError)" in outcome.reason for outcome in failed)
        again = finish(teach_batches_steps(editor, facts, limits=PAIRS))
        assert sorted(outcome.outcome for outcome in again) == ["present"] * 4 + ["taught"] * 2


def test_a_worker_with_another_model_ends_the_run_in_words(host: HostModel, model: Path) -> None:
    engine = RayEngine(host, str(model), ray=InProcess())
    engine._place = cluster.HostPlace(model=str(model), device="cpu", fingerprint="another", threads=1)
    with pytest.raises(HostError, match="its files are not the same"):
        ended(engine, batches_of(*REQUESTS))


def test_an_error_before_our_own_code_runs_ends_the_run_without_its_text(host: HostModel, model: Path) -> None:
    engine = RayEngine(host, str(model), ray=InProcess(lost={2: RayTaskError("what the visitor wrote")}))
    with pytest.raises(HostError, match="Install the same version there") as told:
        ended(engine, batches_of(*REQUESTS))
    assert "visitor" not in str(told.value)


def test_a_run_that_is_closed_gives_up_what_is_not_ended(host: HostModel, model: Path) -> None:
    ray = InProcess()
    steps = RayEngine(host, str(model), ray=ray).run(batches_of(*REQUESTS))
    next(steps)
    steps.close()
    assert ray.log[-2:] == ["cancelled 0", "cancelled 1"]


def test_a_cluster_that_is_not_there_or_too_small_is_told_in_words(
    host: HostModel, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HostError, match="Check --address"):
        RayEngine(host, str(model), address="nowhere", ray=InProcess())
    nodes = ({"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 64.0}})
    with pytest.raises(HostError, match="offers 4 cores"):
        RayEngine(host, str(model), cpus=4, ray=InProcess(nodes_=nodes))
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InvalidInput, match=r"sola-studio\[ray\]"):
        RayEngine(host, str(model))


# ---- on a local cluster ----


@dataclass(frozen=True, kw_only=True)
class DiesOnce(Train):
    """A batch that takes its worker with it, in the middle, the first time that it is trained."""

    marker: str = ""

    def run(self, host: HostModel) -> Generator[TrainingStep, None, list[TrainedEdit | EditFailed]]:
        steps = super().run(host)
        yield next(steps)
        if not Path(self.marker).exists():
            Path(self.marker).write_text(str(os.getpid()), encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
        return (yield from steps)


@pytest.fixture(scope="module")
def local(host: HostModel, model: Path) -> Iterator[RayEngine]:
    """A cluster of two workers on this machine."""
    ray = pytest.importorskip("ray", reason="Ray is an optional package")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield RayEngine(host, str(model))
    ray.shutdown()


@pytest.mark.long  # with the extra `ray` installed
def test_on_a_real_cluster_a_killed_worker_costs_its_batch_alone(
    local: RayEngine, host: HostModel, tmp_path: Path
) -> None:
    marker = tmp_path / "died"
    first, *others = batches_of(*REQUESTS)
    dies = DiesOnce(method=first.method, requests=first.requests, marker=str(marker))
    there, here = ended(local, [dies, *others]), ended(Here(host), [first, *others])
    assert marker.exists() and int(marker.read_text(encoding="utf-8")) != os.getpid()
    assert [bits(there[n]) for n in range(3)] == [bits(here[n]) for n in range(3)]


@pytest.mark.long  # with the extra `ray` installed
def test_on_a_real_cluster_a_list_is_taught_as_it_is_here(local: RayEngine, host: HostModel) -> None:
    facts = [ListedFact(line=line, request=request) for line, request in enumerate(REQUESTS, start=2)]
    with load_editor(host=host, router="hidden") as there, load_editor(host=host, router="hidden") as here:
        outcomes = finish(teach_batches_steps(there, facts, limits=PAIRS, engine=local))
        finish(teach_batches_steps(here, facts, limits=PAIRS))
        assert {outcome.outcome for outcome in outcomes} == {"taught"} and local.width == 2
        assert there.state_digest == here.state_digest  # one thread on both sides
