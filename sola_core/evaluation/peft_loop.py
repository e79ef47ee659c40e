"""The yardstick for teaching speed: the plain PEFT loop that one would write first, full forwards and all.

Knows PEFT and a causal LM of its own; never touches the host that is measured against it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer

from sola_core.evaluation.numbers import number, numbers
from sola_core.host.model import HostModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class PlainRun:
    """One edit by the plain loop."""

    seconds: float  # training only: no try, no keys, no storing
    try_seconds: float  # asking once afterwards, as an editor does before it stores
    steps: int  # optimiser steps
    loss: float  # nats, at the last forward pass


class PlainLoop:
    """LoRA by PEFT on the same layers with the same rank, learning rate and stopping rule as a recorded edit."""

    def __init__(self, model: PreTrainedModel, host: HostModel, settings: Mapping[str, object]) -> None:
        rank = int(number(settings, "rank"))
        modules = [host.module_name(int(layer)) for layer in numbers(settings, "layers")]
        config = LoraConfig(
            r=rank,
            lora_alpha=round(rank * number(settings, "scale")),
            target_modules=modules,
            fan_in_fan_out=host.architecture.fan_in_fan_out,
            task_type="CAUSAL_LM",
        )
        self._host, self._settings = host, settings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT's own, about transformers' next version
            self._model: Any = get_peft_model(model, config)
        self._model.eval()  # no dropout: the editor trains without it too
        self._lora: list[Any] = [module for module in self._model.modules() if isinstance(module, LoraLayer)]
        self._lr = number(settings, "lr")
        self._goal = numbers(settings, "goals")[0]
        self._max_steps = int(number(settings, "max_steps"))

    def edit(self, prompt: str, target: str) -> PlainRun:
        """Train a fresh adapter on one fact and return what it took."""
        began = time.perf_counter()
        self._reset()
        asked, answer = self._host.prompt_ids(prompt).ids.tolist(), self._host.target_ids(target)
        ids, labels = self._rows(asked, answer)
        optimiser = torch.optim.AdamW(self._trained(), lr=self._lr, weight_decay=0.0)
        losses: list[float] = []
        while True:
            loss = self._model(input_ids=ids, labels=labels, use_cache=False).loss
            losses.append(loss.item())
            if (losses[1:] and losses[-1] < self._goal) or len(losses) >= self._max_steps:
                break  # as the editor does it: at least one step, and the pass that meets the goal is the last
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        trained = time.perf_counter()
        self._try(ids[:, : len(asked)], len(answer) - 1 + int(number(self._settings, "extra_try_tokens")))
        tried = time.perf_counter()
        return PlainRun(seconds=trained - began, try_seconds=tried - trained, steps=len(losses) - 1, loss=losses[-1])

    def _rows(self, asked: list[int], answer: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens of a fact and its labels, (1, n) each."""
        ids = torch.tensor([asked + answer], device=self._host.device)
        return ids, torch.tensor([[-100] * len(asked) + answer], device=self._host.device)

    @torch.no_grad()
    def _try(self, prompt: torch.Tensor, tokens: int) -> None:
        ends = sorted(self._host.format.end_ids)
        self._model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=ends[0],
        )

    def _reset(self) -> None:
        for module in self._lora:
            module.reset_lora_parameters("default", True)

    def _trained(self) -> Sequence[torch.nn.Parameter]:
        return [p for p in self._model.parameters() if p.requires_grad]


class PaperLoop(PlainLoop):
    """The paper's recipe on the layers and with the rank of a recorded edit: so many epochs of SGD, whatever the loss does.

    Source: arXiv 2603.11239, appendix B: SGD, learning rate 0.05 with cosine decay, 40 epochs, rank 4.
    """

    epochs = 40
    rate = 0.05

    def edit(self, prompt: str, target: str) -> PlainRun:
        """Train a fresh adapter on one fact, full forwards all the way, and return what it took; nothing is tried."""
        began = time.perf_counter()
        self._reset()
        ids, labels = self._rows(self._host.prompt_ids(prompt).ids.tolist(), self._host.target_ids(target))
        optimiser = torch.optim.SGD(self._trained(), lr=self.rate)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=self.epochs)
        for _ in range(self.epochs):
            loss = self._model(input_ids=ids, labels=labels, use_cache=False).loss
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            decay.step()
        return PlainRun(
            seconds=time.perf_counter() - began, try_seconds=0.0, steps=self.epochs, loss=float(loss.detach())
        )


def load_reference(model: str, host: HostModel) -> PreTrainedModel:
    """Load a second copy of a host's model from its files, in the same dtype and on the same device."""
    from transformers import AutoModelForCausalLM

    from sola_core.host.sources import fetch_host

    folder = fetch_host(model)
    copy: Any = AutoModelForCausalLM.from_pretrained(folder.path, dtype=host.dtype, use_safetensors=True)
    placed: PreTrainedModel = copy.to(host.device)
    return placed
