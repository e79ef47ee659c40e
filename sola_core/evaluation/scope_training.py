"""Trains the scope scorer: endless batches of pairs, one logit each, a binary and a contrastive loss.

Knows the parts (`scope_data`, `scope_batches`, `scope_model`) and the encoder; writes the weights that `routing.scope` reads.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sola_core.evaluation.scope_batches import BatchSource, Prompt
from sola_core.evaluation.scope_data import SLOT, TrainingData, read_training_data
from sola_core.evaluation.scope_model import ScopeModel, TokenBatch, pair_loss
from sola_core.routing.encoders import TextEncoder
from sola_core.routing.names import given_tokens
from sola_core.routing.scope import early_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 64  # tokens of a prompt that are trained on
CLIP = 1.0
FEWEST = 0.03  # of the learning rate, at the end
WARM_UP = 20  # steps
NAMED = 0.5  # of the keys are read with their subject given


@dataclass(frozen=True, kw_only=True)
class ScopeTraining:
    """The settings; with the same ones, data, encoder and number of threads the weights come out the same."""

    steps: int = 1500
    rate: float = 1.2e-3  # of the adapter
    head_rate: float = 3e-3
    half: bool = True  # the encoder computes in bfloat16 while it is trained
    seed: int = 0


OnStep = Callable[[int, int, float], None]  # step, steps, mean loss of late


def train_scope(
    data: Path, out: Path, encoder: TextEncoder, settings: ScopeTraining, on_step: OnStep | None = None
) -> ScopeModel:
    """Train on the records in `data` and write `scope.safetensors` into `out`; return the model.

    Raises InvalidInput when a record file is missing or damaged. Takes about half an hour on two cores.
    """
    model = fit(read_training_data(data), encoder, settings, on_step)
    model.learned(encoder.fingerprint).save(out / "scope.safetensors")
    return model


def fit(data: TrainingData, encoder: TextEncoder, settings: ScopeTraining, on_step: OnStep | None = None) -> ScopeModel:
    """Train a scorer on an encoder, which stays as it is."""
    draws = random.Random(settings.seed)
    source = BatchSource(data, _unit_vectors(encoder), settings.seed)
    model = ScopeModel(copy.deepcopy(encoder.model), encoder.dim, settings.seed)
    learned = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for name, p in learned if name.startswith("encoder")], "lr": settings.rate},
            {"params": [p for name, p in learned if not name.startswith("encoder")], "lr": settings.head_rate},
        ],
        weight_decay=0.01,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, settings.steps))
    late = 0.0
    for step in range(1, settings.steps + 1):
        batch = source.batch()
        rows = [_read(encoder, prompt, named=prompt.is_key and draws.random() < NAMED) for prompt in batch.prompts]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        keys = torch.tensor([i for i in order if batch.prompts[i].is_key])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.half):
            tokens = _joined([model.tokens(*_padded([rows[i] for i in part])) for part in _halves(order)], order)
        logits = model.logits(tokens, tokens.rows(keys))
        loss = pair_loss(logits, torch.from_numpy(batch.labels)[:, keys], torch.from_numpy(batch.weights)[:, keys])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([p for _, p in learned], CLIP)
        optimiser.step()
        schedule.step()
        late = loss.item() if step == 1 else 0.95 * late + 0.05 * loss.item()
        if on_step is not None:
            on_step(step, settings.steps, late)
    return model


@dataclass(frozen=True)
class _Row:
    ids: list[int]
    given: list[int]
    early: list[int]


def _read(encoder: TextEncoder, prompt: Prompt, *, named: bool) -> _Row:
    """Return a prompt's ids with [CLS] and [SEP], and what stands where, as the scorer reads it."""
    text = encoder.tokenised(prompt.text)
    given = given_tokens(text, prompt.name) if named and prompt.name else np.zeros(len(text.ids), dtype=bool)
    signs = np.where(given, 1, -1) if given.any() else np.zeros(len(text.ids), dtype=int)
    edge = -1 if given.any() else 0
    first, last = encoder.edge_ids
    kept = LONGEST - 2
    return _Row(
        ids=[first, *text.ids[:kept].tolist(), last],
        given=[edge, *signs[:kept].tolist(), edge],
        early=[0, *early_tokens(text)[:kept].astype(int).tolist(), 0],
    )


def _padded(rows: list[_Row]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ids, mask, given and early of the rows, each (n, longest) int64."""
    longest = max(len(row.ids) for row in rows)
    made = torch.zeros(4, len(rows), longest, dtype=torch.int64)
    for number, row in enumerate(rows):
        for part, values in enumerate((row.ids, [1] * len(row.ids), row.given, row.early)):
            made[part, number, : len(values)] = torch.tensor(values)
    ids, mask, given, early = made
    return ids, mask, given, early


def _halves(order: list[int]) -> list[list[int]]:
    """Return the shorter three quarters and the longest quarter: a prompt with a sentence in front pads no other."""
    cut = 3 * len(order) // 4
    return [order[:cut], order[cut:]]


def _joined(parts: list[TokenBatch], order: list[int]) -> TokenBatch:
    """Return the rows of several batches as one, in the order that they had before they were sorted by `order`."""
    longest = max(part.vectors.shape[1] for part in parts)
    back = torch.argsort(torch.tensor(order))

    def join(tensors: list[Tensor]) -> Tensor:
        padding = [(0, 0) * (tensor.dim() - 2) + (0, longest - tensor.shape[1]) for tensor in tensors]
        padded = [functional.pad(tensor, pad) for tensor, pad in zip(tensors, padding, strict=True)]
        return torch.cat(padded)[back].float()

    return TokenBatch(
        join([part.vectors for part in parts]),
        join([part.key_weights for part in parts]),
        join([part.query_weights for part in parts]),
    )


def _rate(step: int, steps: int) -> float:
    """Return the share of the learning rate: a short rise, then half a cosine down to FEWEST."""
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return min(1.0, (step + 1) / WARM_UP) * (fall * (1 - FEWEST) + FEWEST)


def _unit_vectors(encoder: TextEncoder) -> Callable[[str], NDArray[np.float32]]:
    """Return a function from a wording or a name to its sentence vector, (dim,) of length 1."""
    known: dict[str, NDArray[np.float32]] = {}

    def vector(text: str) -> NDArray[np.float32]:
        if text not in known:
            encoded = encoder.encode(text.replace(SLOT, "it"))
            pooled = np.ones(encoder.dim) if encoded is None else encoded.pooled.astype(np.float64)
            known[text] = (pooled / np.linalg.norm(pooled)).astype(np.float32)
        return known[text]

    return vector
