"""Which expert a question belongs to: its anchor vector, the keys of the experts, the null key, and the plan of who learns together.

Knows the embedding layer of the host and vectors. Knows no expert's weights, no facts and no session.
Source: LEMoE, arXiv 2406.20030: the anchor is the mean of the embedding layer's outputs over the words of the input, projected by
W_up SiLU(W_down e); every expert has one key; an input goes to the expert whose key meets its projection best, the same way
in training and in answers; k-means puts similar requests into one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize, silu

from sola_core.editors.neutral import NEUTRAL
from sola_core.host.model import HostModel

_SHARP = 10.0  # turns scores into the logits of the routing loss
_ROUNDS = 20  # of k-means; it is over much earlier


@dataclass(frozen=True, kw_only=True)
class Projection:
    """The network that turns an anchor into what keys are compared with; frozen, or trained further with every batch."""

    centre: Tensor  # (dim,), of anchors
    neutral: Tensor  # (questions, dim), anchors that no key may answer
    down: Tensor  # (2 dim, dim)
    up: Tensor  # (dim, 2 dim)

    def project(self, anchors: Tensor) -> Tensor:
        """Return unit vectors, (n, dim), of anchors, (n, dim)."""
        inner: Tensor = silu((anchors - self.centre) @ self.down.mT)
        return normalize(inner @ self.up.mT, dim=-1)

    def tensors(self) -> dict[str, Tensor]:
        """Return its numbers by name."""
        return {
            "projection.centre": self.centre,
            "projection.neutral": self.neutral,
            "projection.down": self.down,
            "projection.up": self.up,
        }


def anchor(host: HostModel, text: str) -> Tensor:
    """Return the mean of the embedding layer's outputs over the tokens of a text, (dim,) float32, without its template."""
    ids = host.prompt_ids(text)
    entering = host.prefix_states(ids.ids[None], 0).hidden[0].float().cpu()
    return entering[len(host.format.before) : ids.last_user + 1].mean(0)


def whitening(host: HostModel, ridge: float = 0.05) -> Projection:
    """Return the projection as it starts: it makes the directions of frequent words count less; a function of the host alone.

    Token ids of a byte-pair vocabulary come in order of frequency, so 1 / (id + 10) stands for how often a token is used.
    As silu(x) - silu(-x) = x, the network with mirrored halves is the plain linear map by the inverse root of the covariance.
    """
    size = len(host.format.tokenizer)
    table = host.prefix_states(torch.arange(size)[:, None], 0).hidden[:, 0].double().cpu()
    share = 1.0 / (torch.arange(size, dtype=torch.float64) + 10.0)
    share = (share / share.sum())[:, None]
    centre = (share * table).sum(0)
    covariance = (table - centre).mT @ ((table - centre) * share)
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * (values.clamp_min(0.0) + ridge * values.mean()).rsqrt()) @ vectors.mT
    identity = torch.eye(len(root), dtype=torch.float64)
    down, up = torch.cat([root, -root]), torch.cat([identity, -identity], 1)
    neutral = torch.stack([anchor(host, text) for text in NEUTRAL])
    return Projection(centre=centre.float(), neutral=neutral, down=down.float(), up=up.float())


def least_squares_key(own: Tensor, neutral: Tensor, ridge: float) -> Tensor:
    """Return the smallest key, (dim,), that nearly gives a batch's vectors, (n, dim), a score of 1 and neutral ones 0."""
    vectors = torch.cat([own, neutral]).double()
    wanted = torch.cat([torch.ones(len(own)), torch.zeros(len(neutral))]).double()
    gram = vectors @ vectors.mT + ridge * torch.eye(len(vectors), dtype=torch.float64)
    weights: Tensor = torch.linalg.solve(gram, wanted)
    return (vectors.mT @ weights).float()


def trained_route(
    projection: Projection,
    anchors: Tensor,
    key: Tensor,
    keys: Sequence[Tensor],
    null: float | None,
    *,
    steps: int,
    lr: float,
) -> tuple[Projection, Tensor]:
    """Return the projection and a new expert's `key`, trained so that a batch's anchors meet it, as the paper trains both.

    The earlier `keys` are frozen, the projection is not: what they meet afterwards may be other questions than before.
    """
    key = key.clone().requires_grad_()
    down, up = (tensor.clone().requires_grad_() for tensor in (projection.down, projection.up))
    moving = replace(projection, down=down, up=up)
    optimiser = torch.optim.Adam([key, down, up], lr=lr)
    with torch.enable_grad():
        for _ in range(steps):
            scores = moving.project(anchors) @ torch.stack([*keys, key]).mT
            if null is not None:
                scores = torch.cat([torch.full((len(anchors), 1), null), scores], 1)
            loss = -torch.log_softmax(_SHARP * scores, -1)[:, -1].mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return replace(projection, down=down.detach(), up=up.detach()), key.detach()


def planned_order(vectors: Tensor, most: int) -> list[list[int]]:
    """Put similar unit vectors, (n, dim), into batches of at most `most` places, by k-means; no chance is involved.

    The first centre is the first vector, each further one that which is farthest from those before. Batches come in the order
    of their first place, and so do places in a batch.
    """
    count = -(-len(vectors) // most)
    centres = [vectors[0]]
    while len(centres) < count:
        centres.append(vectors[(vectors @ torch.stack(centres).mT).max(1).values.argmin()])
    means, before = torch.stack(centres), None
    for _ in range(_ROUNDS):
        owner = _filled(vectors @ means.mT, most)
        if owner == before:
            break
        before = owner
        chosen = torch.tensor(owner)
        means = torch.stack([normalize(vectors[chosen == i].sum(0), dim=0) for i in range(count)])
    batches = [[place for place, one in enumerate(owner) if one == i] for i in range(count)]
    return sorted(batches, key=lambda batch: batch[0])


def _filled(nearness: Tensor, most: int) -> list[int]:
    """Give each row to its nearest column that has room, the clearest cases first, and no column nothing."""
    rows, columns = nearness.shape
    owner, room = [-1] * rows, [most] * columns
    for place in nearness.flatten().argsort(descending=True, stable=True).tolist():
        row, column = divmod(place, columns)
        unplaced, without = owner.count(-1), [i for i in range(columns) if room[i] == most]
        if owner[row] < 0 and room[column] and (column in without or unplaced > len(without)):
            owner[row] = column
            room[column] -= 1
    return owner
