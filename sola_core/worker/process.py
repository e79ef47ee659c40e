"""A worker in a process of its own on this machine, with a host of its own; it stands in for ZeroGPU where there is none.

Knows pipes and processes, and tasks as something to carry. The process does one step of one task at a time, as the host does.
"""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from sola_core.errors import HostError, SolaError
from sola_core.host.model import HostModel
from sola_core.words import Sentence
from sola_core.worker.tasks import Message, Result, Step, Task, messages, passed_on

ENDED = Sentence("The process that runs the model has ended. Nothing was stored. Try again: a new one is started.")


@dataclass(frozen=True, kw_only=True)
class _Call:
    number: int  # of the task
    task: Any = None  # in its first call
    abandoned: tuple[int, ...] = ()  # tasks that nobody waits for any more


class ProcessWorker:
    """Runs tasks in a process that is started now, and anew when it has died."""

    def __init__(self, load: Callable[[], HostModel], *, threads: int | None = None) -> None:
        """`load` is called in the process and must be picklable; `threads` are torch's there, as many as here if not given."""
        self._load, self._threads = load, threads or torch.get_num_threads()
        self._numbers, self._abandoned = itertools.count(1), deque[int]()
        self._lock = threading.Lock()  # one call at a time
        self._process: BaseProcess | None = None
        self._pipe: Connection
        self._closed = False
        with self._lock:
            self._start()

    def run(self, task: Task[Step, Result]) -> Generator[Step, None, Result]:
        """Run a task there (see Worker)."""
        number, over = next(self._numbers), False
        try:
            message = self._call(_Call(number=number, task=task))
            while not message.last:
                yield message.step
                message = self._call(_Call(number=number))
            over = True
            result: Result = passed_on(message)
            return result
        finally:
            if not over:
                self._abandon(number)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            self._stop()

    def _call(self, call: _Call) -> Message:
        with self._lock:
            if self._closed:
                raise HostError(Sentence("The server is being stopped."))
            if self._process is None or not self._process.is_alive():
                self._stop()
                self._start()
            dropped = [self._abandoned.popleft() for _ in range(len(self._abandoned))]
            # plain pickle: multiprocessing's own would move the tensors into shared memory
            sent = pickle.dumps(_Call(number=call.number, task=call.task, abandoned=tuple(dropped)))
            try:
                self._pipe.send_bytes(sent)
                answer: Message = pickle.loads(self._pipe.recv_bytes())
                return answer
            except (EOFError, OSError):
                self._stop()
                raise HostError(ENDED) from None

    def _abandon(self, number: int) -> None:
        """Let the process forget a task now, or with the next call if one is under way (perhaps by this very thread)."""
        self._abandoned.append(number)
        if self._lock.acquire(blocking=False):
            self._lock.release()
            with suppress(HostError):
                self._call(_Call(number=0))

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, self._load, self._threads), name="sola-worker", daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            passed_on(pickle.loads(self._pipe.recv_bytes()))
        except (EOFError, OSError):
            self._stop()
            raise HostError(Sentence("The process that runs the model could not be started.")) from None
        except SolaError:
            self._stop()
            raise

    def _stop(self) -> None:
        if self._process is not None:
            self._pipe.close()  # which ends it
            self._process.join(5)
            self._process.kill()
            self._process = None


def _work(pipe: Connection, load: Callable[[], HostModel], threads: int) -> None:
    """Load a host, then answer calls until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that owns this one
    torch.set_num_threads(threads)
    try:
        host = load()
    except SolaError as error:
        pipe.send_bytes(pickle.dumps(Message(error=error, last=True)))
        return
    pipe.send_bytes(pickle.dumps(Message(last=True)))
    running: dict[int, Generator[Message, None, None]] = {}
    with suppress(EOFError, OSError):
        while True:
            call: _Call = pickle.loads(pipe.recv_bytes())
            for number in call.abandoned:
                if number in running:
                    running.pop(number).close()
            pipe.send_bytes(pickle.dumps(_advanced(call, running, host)))


def _advanced(call: _Call, running: dict[int, Generator[Message, None, None]], host: HostModel) -> Message:
    if call.number == 0:
        return Message(last=True)
    if call.task is not None:
        running[call.number] = messages(call.task, host)
    if call.number not in running:  # begun in a process that has died
        return Message(error=HostError(ENDED), last=True)
    message = next(running[call.number])
    if message.last:
        running.pop(call.number).close()
    return message
