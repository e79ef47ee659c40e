"""LoRA tensors: how they start, how they act on a module, how a batch of independent ones is fitted together.

Knows tensors and the host's layers. Knows no requests, no routing and no storage.
Source: LoRA, arXiv 2106.09685, equation 3: h = W0 x + (alpha / r) B A x.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sola_core.host.intervention import ModuleFunction
from sola_core.host.model import HostModel
from sola_core.host.prefix import PrefixStates, pad_right

Pair = tuple[Tensor, Tensor]  # A: (rank, features in), B: (features out, rank)


def initial_pairs(host: HostModel, modules: Sequence[str], rank: int, seed: int) -> dict[str, Pair]:
    """Return fresh float32 pairs on the CPU: A Gaussian with variance 1/in (SoLA, section 3.2), B zero."""
    generator = torch.Generator().manual_seed(seed)
    pairs: dict[str, Pair] = {}
    for name in modules:
        n_in, n_out = host.linear_shape(name)
        a = torch.randn(rank, n_in, generator=generator) / n_in**0.5
        pairs[name] = (a, torch.zeros(n_out, rank))
    return pairs


def lora_function(a: Tensor, b: Tensor, scale: float) -> ModuleFunction:
    """Return the function that adds scale * B A x at every position.

    `a`, `b` are one pair for the whole batch, or stacked pairs (batch, ...), one for each row.
    """

    def add(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> Tensor:
        return output + (inputs @ a.mT @ b.mT) * scale

    return add


def lora_modules(tensors: Mapping[str, Tensor], host: HostModel, scale: float) -> dict[str, ModuleFunction]:
    """Return the functions of a stored adapter, by module name, in the host's dtype and on its device."""
    where = {"device": host.device, "dtype": host.dtype}
    names = [key.removesuffix(".lora_A.weight") for key in tensors if key.endswith(".lora_A.weight")]
    return {
        name: lora_function(
            tensors[f"{name}.lora_A.weight"].to(**where),  # type: ignore[call-overload]
            tensors[f"{name}.lora_B.weight"].to(**where),  # type: ignore[call-overload]
            scale,
        )
        for name in names
    }


def lora_rows(adapters: Sequence[Mapping[str, Tensor]], host: HostModel, scale: float) -> dict[str, ModuleFunction]:
    """Return the functions of a batch in which every row has a stored adapter of its own, or an empty one for none.

    A row without an adapter keeps its output bit by bit; a module that no row adapts gets no function.
    """
    modules: dict[str, ModuleFunction] = {}
    for key in dict.fromkeys(key for tensors in adapters for key in tensors if key.endswith(".lora_A.weight")):
        name = key.removesuffix(".lora_A.weight")
        rows = [row for row, tensors in enumerate(adapters) if key in tensors]
        a = pad_sequence(
            [adapters[row][key] for row in rows], batch_first=True
        )  # a smaller rank is filled up with zeros
        b = pad_sequence([adapters[row][f"{name}.lora_B.weight"].mT for row in rows], batch_first=True).mT
        where = {"device": host.device, "dtype": host.dtype}
        modules[name] = _rows_function(torch.tensor(rows, device=host.device), a.to(**where), b.to(**where), scale)  # type: ignore[call-overload]
    return modules


def _rows_function(rows: Tensor, a: Tensor, b: Tensor, scale: float) -> ModuleFunction:
    def add(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> Tensor:
        changed = output.clone()
        changed[rows] += (inputs[rows] @ a.mT @ b.mT) * scale
        return changed

    return add


def stored_tensors(pairs: Mapping[str, Pair], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the pairs as they are stored, rounded to `dtype`, named as PEFT names them."""
    tensors: dict[str, Tensor] = {}
    for name, (a, b) in pairs.items():
        tensors[f"{name}.lora_A.weight"] = a.detach().to("cpu", dtype).contiguous()
        tensors[f"{name}.lora_B.weight"] = b.detach().to("cpu", dtype).contiguous()
    return tensors


@dataclass(kw_only=True)
class FitRow:
    """One edit in a fit: its tokens, its own pairs, and the loss so far."""

    prompt: list[int]
    target: list[int]  # the answer and the end-of-turn token
    pairs: dict[str, Pair]
    losses: list[float] = field(default_factory=list)  # nats, one for each pass; the last is of the adapter as it is
    steps: int = 0  # optimiser steps taken
    lead: float = float("-inf")  # logits: by how much the adapter as it is makes its target win, if that was seen
    knew: bool = False  # the untouched host already gives this target

    @property
    def parameters(self) -> list[Tensor]:
        """The tensors that are trained."""
        return [tensor for pair in self.pairs.values() for tensor in pair]


class Fit:
    """Trains a batch of independent rows by AdamW; each row moves as it would alone.

    The states below the first edited layer do not depend on the adapters, so they are computed once; every step runs only
    the layers above, and the LM head only at target positions. Every pass sees the adapters rounded as they are stored
    (gradients go straight through, arXiv 1308.3432), so the pass that meets the goal has tried what will be kept. Rows that
    reach the goal leave the batch.
    """

    def __init__(
        self, rows: Sequence[FitRow], host: HostModel, *, layer: int, lr: float, scale: float, stored_dtype: torch.dtype
    ) -> None:
        self.rows, self._host, self._scale, self._stored_dtype = list(rows), host, scale, stored_dtype
        for row in self.rows:
            row.pairs = {
                name: (a.to(host.device).requires_grad_(), b.to(host.device).requires_grad_())
                for name, (a, b) in row.pairs.items()
            }
        tokens = pad_right([[*row.prompt, *row.target[:-1]] for row in self.rows])  # the last token predicts nothing
        self._states = host.prefix_states(tokens, layer)
        parameters = [p for row in self.rows for p in row.parameters]
        self._optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0)

    def run(self, which: Sequence[int], goal: float, max_steps: int) -> Iterator[list[FitRow]]:
        """Train the rows named by `which` until their loss is under `goal` or they have `max_steps` losses.

        Yields the rows still in the batch after each pass.
        """
        active = [i for i in which if len(self.rows[i].losses) < max_steps]
        while active:
            going = self._step(active, self._pick(active), goal, max_steps)
            yield [self.rows[i] for i in active]
            active = [i for i, goes in zip(active, going, strict=True) if goes and len(self.rows[i].losses) < max_steps]

    def _pick(self, rows: Sequence[int]) -> PrefixStates:
        if len(rows) == len(self.rows):
            return self._states
        return self._states.rows(torch.tensor(list(rows), device=self._states.hidden.device))

    def _step(self, active: Sequence[int], states: PrefixStates, goal: float, max_steps: int) -> list[bool]:
        """Do one forward pass, and an optimiser step for the rows still above the goal; say which those are.

        A row's last pass is never followed by a step, so that what it measured is what is kept.
        """
        rows = [self.rows[i] for i in active]
        with self._host.step(), torch.enable_grad():
            losses, leads = self._losses(rows, states)
            values = losses.detach().tolist()
            going = [
                not row.losses or (value >= goal and len(row.losses) + 1 < max_steps)
                for row, value in zip(rows, values, strict=True)
            ]
            if any(going):
                self._optimiser.zero_grad(set_to_none=True)
                total = torch.stack([loss for loss, goes in zip(losses, going, strict=True) if goes]).sum()
                torch.autograd.backward(total)
                self._forget_finished(rows, going)
                self._optimiser.step()
        for row, value, lead, goes in zip(rows, values, leads, going, strict=True):
            row.knew = lead > 0 if not row.losses else row.knew
            row.lead = float("-inf") if goes else lead  # an adapter that moved since was not seen
            row.steps += goes
            row.losses.append(value)
        return going

    def _forget_finished(self, rows: Sequence[FitRow], going: Sequence[bool]) -> None:
        for row, goes in zip(rows, going, strict=True):
            if not goes:
                for parameter in row.parameters:
                    parameter.grad = None

    def _losses(self, rows: Sequence[FitRow], states: PrefixStates) -> tuple[Tensor, list[float]]:
        """Return each row's mean cross-entropy over its target, (batch,), and by how much that target wins, in logits.

        The lead is the least gap between a target token and the best other token; negative when some token does not win.
        """
        device = states.hidden.device
        lengths = [len(row.target) for row in rows]
        where = torch.tensor([i for i, n in enumerate(lengths) for _ in range(n)], device=device)
        columns = torch.tensor([len(row.prompt) - 1 + j for row in rows for j in range(len(row.target))], device=device)
        wanted = torch.tensor([t for row in rows for t in row.target], device=device)
        modules = {name: self._stacked(rows, name) for name in rows[0].pairs}
        logits = self._host.suffix_logits(states, modules, where, columns).float()
        each = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
        means = torch.stack([tokens.mean() for tokens in torch.split(each, lengths)])
        return means, [float(gaps.min()) for gaps in torch.split(_gaps(logits.detach(), wanted), lengths)]

    def _stacked(self, rows: Sequence[FitRow], name: str) -> ModuleFunction:
        a, b = (torch.stack([self._rounded(row.pairs[name][i]) for row in rows]) for i in (0, 1))
        return lora_function(a.to(self._host.dtype), b.to(self._host.dtype), self._scale)

    def _rounded(self, tensor: Tensor) -> Tensor:
        return tensor + (tensor.detach().to(self._stored_dtype).float() - tensor.detach())


def _gaps(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return how far the wanted token lies above the best other one, (k,), for logits (k, vocab)."""
    best = logits.topk(2, dim=-1)
    own = logits.gather(1, wanted[:, None])[:, 0]
    return own - torch.where(best.indices[:, 0] == wanted, best.values[:, 1], best.values[:, 0])
