"""What one fact asks of the weight: where it is read, the keys found there, and the residual that gives the answer.

Knows the host and requests. Knows no other fact: everything here is a pure function of request, host and settings.
Source: ROME, arXiv 2202.05262, section 3.1 and equation 4 (key at the subject's last token, value by gradient descent), as MEMIT
(arXiv 2210.07147, equation 16) and RLSEdit use it.
Deviations: the value is optimised on the untouched host (the released code: on the host as edited so far), so that facts do
not depend on their order; targets end with the end-of-turn token; without a subject the key is taken at the last token of the
question; contexts are fixed sentences and the rephrasings, each a key of its own (ROME: sampled texts, keys averaged);
no divergence term for a prompt about the subject; step size and clamp are relative to the state that enters the layer.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sola_core.editors.fitting import TargetRows, fitted_steps
from sola_core.host.model import HostModel
from sola_core.records import EditRequest, TrainingStep


@dataclass(frozen=True, kw_only=True)
class ValueSettings:
    """How a fact's residual is found."""

    contexts: tuple[str, ...] = ()  # sentences put before the question, besides none
    lr: float = 0.1  # Adam, in units of the state's root mean square
    decay: float = 0.01  # nats for a residual as long as the state
    clamp: float = 4.0  # the residual's greatest length, in lengths of the state
    goal: float = 0.02  # nats, every row
    max_steps: int = 40


def key_texts(request: EditRequest, contexts: tuple[str, ...]) -> list[str]:
    """Return the wordings whose keys a fact owns: the question, its rephrasings, and the question after each context."""
    texts = [*request.key_texts, *(f"{context} {request.prompt}" for context in contexts)]
    return list(dict.fromkeys(texts))


def key_column(text: str, subject: str | None, host: HostModel) -> int:
    """Return which token of the prompt carries the key: the subject's last, or the last of the text where it is not in it."""
    found = list(re.finditer(re.escape(subject.strip()), text.strip(), re.IGNORECASE)) if subject else []
    if not found or found[-1].end() == 0:
        return host.prompt_ids(text).last_user
    return host.format.token_at(text, found[-1].end() - 1)


def keys_of(texts: list[str], subject: str | None, host: HostModel, module: str) -> Tensor:
    """Return the module's input at the key token of each text, (features in, texts) float32."""
    rows = [host.module_inputs(host.prompt_ids(text).ids, module)[key_column(text, subject, host)] for text in texts]
    return torch.stack(rows, dim=1)


def residual_steps(
    request: EditRequest, texts: list[str], layer: int, host: HostModel, settings: ValueSettings
) -> Generator[TrainingStep, None, tuple[Tensor, list[float]]]:
    """Find what to add to the MLP's output at the key tokens so that the untouched host gives the answer.

    Returns the residual, (features out,) float32, and the losses of each pass.
    """
    module = host.module_name(layer)
    rows = TargetRows([replace(request, prompt=text, rephrases=()) for text in texts], host, layer)
    where = torch.tensor([key_column(text, request.subject, host) for text in texts], device=host.device)
    each_row = torch.arange(len(texts), device=host.device)
    length = rows.states.hidden[0, where[0]].float().norm().detach()
    free = torch.zeros(rows.states.hidden.shape[-1], device=host.device, requires_grad=True)

    def kept() -> Tensor:
        longest: Tensor = settings.clamp * length / free.norm().clamp(min=1e-12)
        return free * longest.clamp(max=1.0)

    def add(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> Tensor:
        return output.index_put((each_row, where), kept().to(output.dtype), accumulate=True)

    def loss() -> tuple[Tensor, Tensor]:
        each = rows.losses({module: add})
        return each, each.mean() + settings.decay * (kept() / length).square().sum()

    lr = settings.lr * float(length) / len(free) ** 0.5
    losses = yield from fitted_steps(
        [free],
        loss,
        host,
        optimiser=torch.optim.Adam([free], lr=lr),
        goal=settings.goal,
        max_steps=settings.max_steps,
    )
    return kept().detach().float().cpu(), losses
