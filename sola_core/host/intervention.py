"""Interventions: what an editor does to the frozen host during one forward step.

Knows how to put functions round named modules and take them off again. Knows no editor, no router, no tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

Phase = Literal["prefill", "decode", "train"]
ModuleFunction = Callable[[Tensor, Tensor, Tensor, Phase], Tensor | None]
"""(input, output, positions, phase) -> a new output, or None for "untouched".

`input` and `output` are the module's own tensors, (batch, n, dim); `positions` holds the absolute token positions: (n,), or
(batch, n) in a batch whose rows are padded on the left.
"""


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """Functions for named modules, and at most one decision taken inside a module.

    With `decides_in`, the host calls `decide(row, activation)` once, during prefill, with the input of that module at the
    last token of the user's text, (dim,) float32; what it returns is latched for the whole answer (SoLA, arXiv 2603.11239:
    the master decision layer). Without it, `modules` apply to every step as they stand.
    """

    modules: Mapping[str, ModuleFunction] = field(default_factory=dict)
    decides_in: str | None = None
    decide: Callable[[int, Tensor], Intervention | None] | None = None


class Latch:
    """The intervention of one request, which a decision inside the model may replace once."""

    def __init__(self, intervention: Intervention | None) -> None:
        self.current = intervention

    @contextmanager
    def applied(self, model: nn.Module, positions: Tensor, phase: Phase, last_user: int = -1) -> Iterator[None]:
        """Hold this request's hooks on `model` for one forward step; all are gone afterwards, whatever happens.

        With nothing to do no hook is registered at all: the step is the bare host.
        """
        with ExitStack() as hooks:
            if self.current is not None and self.current.decides_in is not None:
                self._hook_decision(hooks, model, positions, phase, last_user)
            elif self.current is not None:
                _hook_modules(hooks, model, self.current.modules, positions, phase)
            yield
        if self.current is not None and self.current.decides_in is not None:
            raise RuntimeError(f"The decision in {self.current.decides_in} was never reached.")

    def _hook_decision(
        self, hooks: ExitStack, model: nn.Module, positions: Tensor, phase: Phase, last_user: int
    ) -> None:
        waiting = self.current
        assert waiting is not None and waiting.decides_in is not None and waiting.decide is not None
        decide, name = waiting.decide, waiting.decides_in

        def on_forward(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            if self.current is not waiting:  # decided: never again
                return None
            self.current = decide(0, args[0][0, last_user].detach().float())
            if self.current is None:
                return None
            modules = dict(self.current.modules)
            here = modules.pop(name, None)
            _hook_modules(hooks, model, modules, positions, phase)  # the later edited modules of this same pass
            return None if here is None else here(args[0], output, positions, phase)

        hooks.callback(model.get_submodule(name).register_forward_hook(on_forward).remove)


@contextmanager
def applied(model: nn.Module, modules: Mapping[str, ModuleFunction], positions: Tensor, phase: Phase) -> Iterator[None]:
    """Hold `modules` on `model` inside the block; the hooks come off when it ends, also by an exception."""
    with ExitStack() as hooks:
        _hook_modules(hooks, model, modules, positions, phase)
        yield


def _hook_modules(
    hooks: ExitStack, model: nn.Module, modules: Mapping[str, ModuleFunction], positions: Tensor, phase: Phase
) -> None:
    for name, function in modules.items():

        def on_forward(
            _: nn.Module, args: tuple[Tensor, ...], output: Tensor, function: ModuleFunction = function
        ) -> Tensor | None:
            return function(args[0], output, positions, phase)

        hooks.callback(model.get_submodule(name).register_forward_hook(on_forward).remove)


def by_rows(interventions: Sequence[Intervention | None]) -> dict[str, ModuleFunction]:
    """Return the functions of a batch in which every row has a latched intervention of its own, or none.

    Each function gets its own row, in the shapes and at the positions that it would get alone; all other rows keep their output
    bit by bit, and a module that no row touches gets no function.
    """
    found: dict[str, list[tuple[int, ModuleFunction]]] = {}
    for row, one in enumerate(interventions):
        for name, function in ({} if one is None else one.modules).items():
            found.setdefault(name, []).append((row, function))
    return {name: _each_on_its_row(functions) for name, functions in found.items()}


def _each_on_its_row(functions: Sequence[tuple[int, ModuleFunction]]) -> ModuleFunction:
    def act(inputs: Tensor, output: Tensor, positions: Tensor, phase: Phase) -> Tensor:
        changed = output.clone()
        for row, function in functions:
            own = function(inputs[row : row + 1], output[row : row + 1], positions[row], phase)
            if own is not None:
                changed[row] = own[0]
        return changed

    return act


def count_hooks(model: nn.Module) -> int:
    """Return how many forward hooks stand on the model; 0 between steps, always (tests rely on it)."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def no_grad_parameters(model: nn.Module) -> None:
    """Freeze the model: evaluation mode, no parameter wants a gradient."""
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
