"""What one fact asks of the weight: where it is read, the keys found there, and the residuals that give the answer.

Knows the host and requests. Knows no other fact: everything here is a pure function of request, host and settings.
Source: ROME, arXiv 2202.05262, section 3.1 and equation 4 (key at the subject's last token, value by gradient descent), as MEMIT
(arXiv 2210.07147, equation 16) and RLSEdit use it.
Deviations: the value is optimised on the untouched host (the released code: on the host as edited so far), so that facts do
not depend on their order; targets end with the end-of-turn token; a fact has a key with a residual of its own at each of
several tokens (`ValueSettings.sites`; the papers: at the subject's last token only), all found together; contexts are the
rephrasings and fixed sentences, each with keys of its own (ROME: sampled texts, keys averaged); no divergence term for a
prompt about the subject; step size and clamp are relative to the state that enters the layer.
As one layer is edited, the keys of a question and of the right answer's tokens are the same with and without the other facts.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sola_core.editors.fitting import TargetRows, fitted_steps
from sola_core.host.model import HostModel
from sola_core.records import EditRequest, TrainingStep

Site = Literal["subject", "end", "answer"]
"""Where keys are taken: the subject's last token ("end" where there is no subject), the last token before the answer, and
each of the answer's own tokens."""


@dataclass(frozen=True, kw_only=True)
class ValueSettings:
    """How a fact's residual is found."""

    sites: tuple[Site, ...] = ("subject", "answer")
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


def key_columns(text: str, request: EditRequest, host: HostModel, sites: tuple[Site, ...]) -> list[int]:
    """Return which tokens of prompt and answer carry keys, in their order."""
    end = len(host.prompt_ids(text).ids) - 1
    columns = set()
    if "end" in sites:
        columns.add(end)
    if "subject" in sites:
        columns.add(subject_column(text, request.subject, host, end))
    if "answer" in sites:
        columns.update(range(end + 1, end + len(host.target_ids(request.target))))
    return sorted(columns)


def subject_column(text: str, subject: str | None, host: HostModel, otherwise: int) -> int:
    """Return the token of the prompt that ends the subject, where it is last named; `otherwise` where it is not."""
    found = list(re.finditer(re.escape(subject.strip()), text.strip(), re.IGNORECASE)) if subject else []
    if not found or found[-1].end() == 0:
        return otherwise
    return host.format.token_at(text, found[-1].end() - 1)


def keys_of(
    request: EditRequest, texts: Sequence[str], host: HostModel, module: str, sites: tuple[Site, ...]
) -> Tensor:
    """Return the module's input at the key tokens of each text in turn, (features in, keys) float32."""
    answer = torch.tensor(host.target_ids(request.target)[:-1], dtype=torch.int64)
    rows = []
    for text in texts:
        inputs = host.module_inputs(torch.cat([host.prompt_ids(text).ids, answer]), module)
        rows.append(inputs[key_columns(text, request, host, sites)])
    return torch.cat(rows).T.contiguous()


def residual_steps(
    request: EditRequest, texts: Sequence[str], layer: int, host: HostModel, settings: ValueSettings
) -> Generator[TrainingStep, None, tuple[Tensor, list[float]]]:
    """Find what to add to the MLP's output at the key tokens so that the untouched host gives the answer.

    Every text gets the same residuals. Returns them for each text in turn, (features out, keys) float32, and the loss of
    each pass.
    """
    module = host.module_name(layer)
    rows = TargetRows([replace(request, prompt=text, rephrases=()) for text in texts], host, layer)
    where = torch.tensor([key_columns(text, request, host, settings.sites) for text in texts], device=host.device)
    each_row = torch.arange(len(texts), device=host.device)[:, None].expand_as(where)
    lengths = rows.states.hidden[0, where[0]].float().norm(dim=-1, keepdim=True)  # (sites, 1)
    # one number a site is its share of a state as long as the one that is there
    free = torch.zeros(len(lengths), rows.states.hidden.shape[-1], device=host.device, requires_grad=True)

    def shares() -> Tensor:
        longest: Tensor = settings.clamp / free.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        return free * longest.clamp(max=1.0)

    def add(inputs: Tensor, output: Tensor, positions: Tensor, phase: str) -> Tensor:
        added = (shares() * lengths).to(output.dtype).expand(len(texts), -1, -1)
        return output.index_put((each_row, where), added, accumulate=True)

    def loss() -> tuple[Tensor, Tensor]:
        each = rows.losses({module: add})
        return each, each.mean() + settings.decay * shares().square().sum()

    losses = yield from fitted_steps(
        [free],
        loss,
        host,
        optimiser=torch.optim.Adam([free], lr=settings.lr / free.shape[1] ** 0.5),
        goal=settings.goal,
        max_steps=settings.max_steps,
    )
    return (shares() * lengths).detach().float().cpu().T.repeat(1, len(texts)), losses
