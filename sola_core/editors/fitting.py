"""Facts as rows of tokens, and how likely a host with something on it finds their targets; one training loop for all methods.

Knows the host's layers and the records. Knows no method.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence

import torch
from torch import Tensor

from sola_core.errors import EditFailed, InvalidInput, InvalidRequest
from sola_core.host.intervention import ModuleFunction
from sola_core.host.model import HostModel
from sola_core.host.prefix import pad_right
from sola_core.records import EditRequest, TrainingStep
from sola_core.words import Sentence

MAX_TARGET_TOKENS = 64


def row_ids(request: EditRequest, host: HostModel, most: int = MAX_TARGET_TOKENS) -> tuple[list[int], list[int]]:
    """Return the prompt's ids and the target's, its end-of-turn token included; raise InvalidInput when they do not fit."""
    target = host.target_ids(request.target)
    words = len(target) - 1
    if words > most:
        raise InvalidInput(
            Sentence(
                "The new answer has {words} tokens; at most {most} are allowed. Shorten it.",
                words=words,
                most=most,
            )
        )
    if words < 1:
        raise InvalidInput(Sentence("The new answer is empty. Type something and try again."))
    for text in request.rephrases:
        host.prompt_ids(text)
    prompt = host.prompt_ids(request.prompt).ids.tolist()
    if len(prompt) + len(target) > host.context_tokens:
        raise InvalidInput(
            Sentence(
                "The question has {count:,} tokens and leaves no room for the answer; this model reads {most:,} in "
                "all. Shorten the question.",
                count=len(prompt),
                most=host.context_tokens,
            )
        )
    return prompt, target


class TargetRows:
    """Facts as one batch whose states below the first edited layer are computed once.

    Raises InvalidRequest for a fact that cannot be learnt.
    """

    def __init__(self, requests: Sequence[EditRequest], host: HostModel, layer: int) -> None:
        try:
            rows = [row_ids(request, host) for request in requests]
        except InvalidInput as error:
            raise InvalidRequest(str(error)) from error
        self.prompts, self.targets = [prompt for prompt, _ in rows], [target for _, target in rows]
        self.last_user = [host.prompt_ids(request.prompt).last_user for request in requests]  # column in its row
        self._host = host
        # the last token of a target predicts nothing
        self.states = host.prefix_states(pad_right([[*prompt, *target[:-1]] for prompt, target in rows]), layer)
        device = self.states.hidden.device
        self._lengths = [len(target) for target in self.targets]
        self._rows = torch.tensor([i for i, n in enumerate(self._lengths) for _ in range(n)], device=device)
        self._columns = torch.tensor([len(prompt) - 1 + j for prompt, target in rows for j in range(len(target))])
        self._columns = self._columns.to(device)
        self._wanted = torch.tensor([token for target in self.targets for token in target], device=device)

    def losses(self, modules: Mapping[str, ModuleFunction]) -> Tensor:
        """Return each row's mean cross-entropy over its target (nats), (batch,); the caller holds the host's step.

        `modules` stand at or above the layer of the rows; gradients reach the tensors that they close over.
        """
        logits = self._host.suffix_logits(self.states, modules, self._rows, self._columns).float()
        each = torch.nn.functional.cross_entropy(logits, self._wanted, reduction="none")
        return torch.stack([tokens.mean() for tokens in torch.split(each, self._lengths)])


def fitted_steps(
    parameters: Sequence[Tensor],
    loss: Callable[[], tuple[Tensor, Tensor]],
    host: HostModel,
    *,
    optimiser: torch.optim.Optimizer,
    goal: float,
    max_steps: int,
) -> Generator[TrainingStep, None, list[float]]:
    """Train `parameters` until every fact's loss is under `goal`, or for `max_steps` passes; return the mean of each pass.

    `loss` gives each fact's mean cross-entropy, (facts,), and what is minimised, a scalar. The last pass is followed by no
    step, so it measured what is kept. Raises EditFailed when a loss is not finite. Nothing is held while a caller looks.
    """
    losses: list[float] = []
    for step in range(1, max_steps + 1):
        with host.step(), torch.enable_grad():
            each, total = loss()
            losses.append(float(each.detach().mean()))
            if not total.isfinite():
                raise EditFailed("The numbers of this edit ran out of range. Nothing was stored. Try another wording.")
            done = float(each.detach().max()) < goal or step == max_steps
            if not done:
                optimiser.zero_grad(set_to_none=True)
                for parameter, gradient in zip(parameters, torch.autograd.grad(total, parameters), strict=True):
                    parameter.grad = gradient
                optimiser.step()
        yield TrainingStep(step=step, total=max_steps, loss=losses[-1])
        if done:
            break
    return losses
