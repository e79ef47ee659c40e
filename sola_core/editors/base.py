"""What every editing method offers: training as a pure function, and an intervention for what it trained.

Knows the host and the records. Knows no library, no router and no page.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from sola_core.errors import EditFailed
from sola_core.host.intervention import Intervention, ModuleFunction
from sola_core.host.model import HostModel
from sola_core.records import Capabilities, EditRequest, Route, TrainedEdit, TrainingStep
from sola_core.steps import finish

TrainingSteps = Generator[TrainingStep, None, TrainedEdit]


class Plan:
    """The route of one request and what it does to the host; filled in during prefill when a module decides.

    `prompt` is what the host reads in place of the question, for methods that write the fact in front of it.
    """

    def __init__(self, route: Route, intervention: Intervention | None, prompt: str | None = None) -> None:
        self.route, self.intervention, self.prompt = route, intervention, prompt


class Editor(Protocol):
    """One method. Holds settings only: nothing it is given is kept, so one object serves every visitor."""

    name: str
    capabilities: Capabilities

    def train_steps(self, request: EditRequest, host: HostModel) -> TrainingSteps:
        """Train one edit, yielding once a step; closing the generator cancels and leaves nothing behind.

        Raises InvalidRequest for a request that cannot be trained, EditFailed when the result does not hold.
        """

    def train_many(
        self, requests: Sequence[EditRequest], host: HostModel
    ) -> Generator[TrainingStep, None, list[TrainedEdit | EditFailed]]:
        """Train independent edits in one batch; a failed one is its error, in its place."""

    def intervention(self, tensors: Mapping[str, Tensor], host: HostModel) -> Intervention:
        """Return the intervention that one trained edit is."""

    def row_modules(self, adapters: Sequence[Mapping[str, Tensor]], host: HostModel) -> Mapping[str, ModuleFunction]:
        """Return the functions of a batch in which every row has a trained edit of its own, or an empty one for none."""

    def effect(self, host: HostModel) -> Mapping[str, object]:
        """Return the settings, as JSON has them, that the effect of trained tensors depends on."""

    def shapes(self, host: HostModel) -> Mapping[str, tuple[int, int]]:
        """Return the name and shape of each tensor of an edit."""

    def held(self, request: EditRequest, tensors: Mapping[str, Tensor], host: HostModel) -> str | None:
        """Try an edit that was trained elsewhere, alone; return None when it holds, or the answer that came instead."""

    def decision_module(self, host: HostModel) -> str:
        """Return the module whose input a hidden-state router reads: the first edited one."""


def train(editor: Editor, request: EditRequest, host: HostModel) -> TrainedEdit:
    """Train one edit to the end; a pure function of editor settings, request and host."""
    return finish(editor.train_steps(request, host))
