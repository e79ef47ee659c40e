"""Routers in training: how far they are from an allocation, and what they may change for it.

Knows tensors and a mixture. Knows no host, no LoRA's training and no facts.
Source: ELDER, arXiv 2408.11869, the guided loss L = - sum of log s over the assigned LoRAs, in every layer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sola_core.editors.mixture import Mixture


class GuidedRouters:
    """The routers of a mixture on their way to the allocations of some texts; the mixture itself stays as it is.

    With `guard` they move orthogonally to the queries of all earlier facts, whose scores therefore stay as they are.
    """

    def __init__(self, state: Mixture, query: Tensor, assigned: Tensor, *, guard: bool, device: str) -> None:
        self._state, self._guard = state, guard
        self._query = query.to(device)  # (rows, dim)
        self._free = (state.unseen(query) if guard else query).to(device)  # the part of it that may move a router
        self._assigned = assigned.to(device, torch.float32)  # (rows, L, N), 0 or 1
        self._old = [weight.to(device) for weight in state.router]
        self.moves = [torch.zeros_like(weight).requires_grad_() for weight in self._old]

    def scores(self) -> tuple[Tensor, Tensor]:
        """Return the weights of the assigned LoRAs, (rows, L, N), 0 elsewhere, and each row's guided loss (nats), (rows,)."""
        pairs = zip(self._old, self.moves, strict=True)
        logs = torch.stack(
            [torch.log_softmax(self._query @ old.mT + self._free @ move.mT, -1) for old, move in pairs], 1
        )
        return logs.exp() * self._assigned, -(logs * self._assigned).sum((1, 2))

    def lead(self, lr: float, steps: int, enough: float) -> None:
        """Train the routers alone until the assigned LoRAs of every layer share `enough` of the weight, evenly, or `steps` are over.

        No further: a router that is surer than it must be draws other questions along.
        """
        optimiser = torch.optim.Adam(self.moves, lr=lr)
        with torch.enable_grad():
            for _ in range(steps):
                weights, guide = self.scores()
                each = self._assigned.sum(-1, keepdim=True)  # how many are assigned
                if bool((weights * each >= enough * self._assigned).all()):
                    return
                for move, gradient in zip(self.moves, torch.autograd.grad(guide.sum(), self.moves), strict=True):
                    move.grad = gradient
                optimiser.step()

    @property
    def routers(self) -> tuple[Tensor, ...]:
        """The routers as they are now, per layer (N, dim), on the CPU."""
        moves = [move.detach() for move in self.moves]
        if self._guard:
            moves = [self._state.unseen(move) for move in moves]
        return tuple((old + move).cpu() for old, move in zip(self._old, moves, strict=True))
