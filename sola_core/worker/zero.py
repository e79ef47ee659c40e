"""ZeroGPU: tasks run in a worker process that has a GPU for some seconds, forked from this one by the package `spaces`.

Knows what crosses that border: pickled tasks in, pickled messages out. The host stays on the CPU here; each worker moves its
own copy. The package is optional: elsewhere nothing imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from sola_core.errors import HostError, HostUnavailable
from sola_core.host.model import HostModel
from sola_core.words import Sentence
from sola_core.worker.tasks import Message, Result, Step, Task, messages, passed_on

SECONDS = 30  # asked of ZeroGPU for one task; a shorter time is served sooner, and an edit takes about one second
OnGpu = Callable[[Any], Any]  # the decorator spaces.GPU, or what stands in for it


def gpu_decorator() -> OnGpu:
    """Return what the package `spaces` makes GPU functions with; raise HostUnavailable when it is not installed.

    To be called before anything touches CUDA, which `spaces` takes over where it has to.
    """
    try:
        import spaces
    except ImportError as error:
        raise HostUnavailable(
            Sentence(
                "SOLA_WORKER=zerogpu needs the package spaces, which Hugging Face Spaces installs. Elsewhere, unset "
                "SOLA_WORKER."
            )
        ) from error
    decorator: OnGpu = spaces.GPU(duration=SECONDS)
    return decorator


class ZeroGpuWorker:
    """Runs tasks in functions that ZeroGPU gives a GPU to."""

    def __init__(self, host: HostModel, on_gpu: OnGpu, *, device: str = "cuda") -> None:
        def work(task: Task[Any, Any]) -> Generator[Message, None, None]:
            # a fresh lock: the one of the parent may have been held at the fork
            yield from messages(task, host.moved(device))

        self._work = on_gpu(work)

    def run(self, task: Task[Step, Result]) -> Generator[Step, None, Result]:
        """Run a task there (see Worker); what the quota forbids is raised by `spaces` as an error of gradio's."""
        with closing(self._work(task)) as told:
            for message in told:
                if message.last:
                    result: Result = passed_on(message)
                    return result
                yield message.step
        raise HostError(Sentence("The GPU was taken back before the end. Nothing was stored. Try again."))

    def close(self) -> None:
        """Do nothing: the workers are not ours."""
