"""Trains batches on a Ray cluster: each worker loads the host once, and keeps nothing else of one batch for the next.

Knows Ray (an optional package) and tasks as something to carry. Knows no library: results go to whoever asked, each once. A
batch whose worker is lost is trained again by another one; if that happens too often, its facts fail and the others go on.
"""

from __future__ import annotations

import importlib
import os
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from sola_core.errors import EditFailed, HostError, InvalidInput, SolaError
from sola_core.host.model import HostModel
from sola_core.worker.batches import Ended
from sola_core.worker.tasks import Message, Train, broken, messages, passed_on

RETRIES = 3  # how often a batch is begun again when its worker is lost
PATIENCE = 1.0  # seconds between two looks, so that Ctrl-C is heard


@dataclass(frozen=True, kw_only=True)
class HostPlace:
    """Where a worker finds the host, and which one it must be."""

    model: str  # a known name, a hub id, or a folder that every machine has at the same path
    device: str  # of the parent: its dtype follows from it, and an edit is tried in the dtype that will answer
    fingerprint: str
    threads: int


class RayEngine:
    """Spreads batches over a cluster (see batches.Engine); one that it started itself, on this machine, ends with `close`."""

    def __init__(
        self, host: HostModel, model: str, *, address: str | None = None, cpus: int = 1, ray: Any = None
    ) -> None:
        """Join the cluster at `address`; without one Ray looks for it itself, and starts one here if there is none.

        `cpus` are the cores of one worker. Raises InvalidInput without the package, HostError when the cluster is not there.
        """
        self._ray = ray or _ray()
        device = host.device.partition(":")[0]
        folder = Path(model).expanduser()
        self._place = HostPlace(
            model=str(folder.resolve()) if folder.is_dir() else model,
            device=device,
            fingerprint=host.fingerprint,
            threads=cpus,
        )
        self._joined = not self._ray.is_initialized()
        if self._joined:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster started here reports to nobody
            try:
                self._ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise HostError(
                    f"The Ray cluster cannot be joined ({type(error).__name__}). Check --address."
                ) from error
        gpus = 1 if device == "cuda" else 0
        train = self._ray.remote(trained_there)
        self._train = train.options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
        there = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        places = [int(one.get("CPU", 0) // cpus) for one in there]
        if gpus:
            places = [min(n, int(one.get("GPU", 0))) for n, one in zip(places, there, strict=True)]
        self.width = sum(places)
        if self.width < 1:
            self.close()
            raise HostError(f"No machine of the Ray cluster offers {cpus} cores{' and a GPU' if gpus else ''}.")

    def run(self, tasks: Sequence[Train]) -> Generator[Ended, None, None]:
        """Train batches wherever there is room, and tell each as it ends (see batches.Engine)."""
        waiting = {self._train.remote(task, self._place): number for number, task in enumerate(tasks)}
        try:
            while waiting:
                done, _ = self._ray.wait(list(waiting), num_returns=1, timeout=PATIENCE)
                for reference in done:
                    number = waiting.pop(reference)
                    yield Ended(number=number, outcomes=self._outcomes(reference, tasks[number]))
        finally:
            for reference in waiting:
                self._ray.cancel(reference)

    def close(self) -> None:
        """Leave the cluster."""
        if self._joined:
            self._ray.shutdown()

    def _outcomes(self, reference: Any, task: Train) -> tuple[Any, ...]:
        errors = self._ray.exceptions
        try:
            return tuple(passed_on(self._ray.get(reference)))
        except errors.RayTaskError as error:  # before our own code ran: no package of ours, or another version
            raise HostError(
                f"A worker cannot run this ({type(error).__name__}). Install the same version there."
            ) from None
        except errors.RayError as error:
            why = f"Its worker was lost {RETRIES + 1} times ({type(error).__name__}). Nothing was stored. Try again."
            return tuple(EditFailed(why) for _ in task.requests)


def trained_there(task: Train, place: HostPlace) -> Message:
    """Train one batch in a worker; whatever happens is told in a message, so that Ray logs no text of anybody's."""
    try:
        return deque(messages(task, _host(place)), maxlen=1).pop()
    except SolaError as error:
        return Message(error=error, last=True)
    except Exception as error:  # the border of the process
        return Message(error=HostError(broken(error)), last=True)


@lru_cache(maxsize=1)  # a worker process serves one run; the host is read-only
def _host(place: HostPlace) -> HostModel:
    torch.set_num_threads(place.threads)
    host = HostModel.load(place.model, place.device)
    if host.fingerprint != place.fingerprint:
        raise HostError(f"A worker has another {host.name} than this machine: its files are not the same.")
    return host


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise InvalidInput('A cluster needs Ray. Install it: pip install "sola-studio[ray]"') from error
