"""The scope scorer as it is trained: an encoder under LoRA, a projection, two weight heads and one logit for a pair.

Knows torch and PEFT; knows no records. `sola_core.routing.scope` computes the same logit on whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sola_core.routing.scope import HEADS, ScopeWeights

RANK, ALPHA = 32, 64
KEY_DIM = 64
LINEARS = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]


@dataclass(frozen=True)
class TokenBatch:
    """Projected tokens of some texts; padding has zero vectors and zero weights."""

    vectors: Tensor  # (n, t, KEY_DIM), unit
    key_weights: Tensor  # (n, t)
    query_weights: Tensor  # (n, t)

    def rows(self, kept: Tensor) -> TokenBatch:
        """Return some of the texts, (k,) int64, without the padding that none of them needs."""
        weights = self.query_weights[kept]
        longest = int((weights > 0).sum(dim=1).max())
        return TokenBatch(self.vectors[kept, :longest], self.key_weights[kept, :longest], weights[:, :longest])


class ScopeModel(nn.Module):
    """Everything that is learned."""

    def __init__(self, encoder: nn.Module, dim: int, seed: int) -> None:
        super().__init__()
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)
        config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=LINEARS, lora_dropout=0.0, bias="none")
        self.encoder = get_peft_model(encoder, config)
        self.projection = nn.Linear(dim, KEY_DIM)
        nn.init.orthogonal_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        self.weights = nn.Linear(dim, len(HEADS))
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        self.bias = nn.Parameter(torch.tensor(3.0))

    def tokens(self, ids: Tensor, mask: Tensor, given: Tensor, early: Tensor) -> TokenBatch:
        """Encode ids (n, t); `given` is 1 in the subject, -1 outside of it, 0 where no subject is given.

        `early` is 1 in the sentences before the last.
        """
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        kept = mask.float()
        vectors = functional.normalize(self.projection(states), dim=-1) * kept[..., None]
        raw = self.weights(states)
        key = raw[..., 0] + torch.where(given > 0, raw[..., 2], torch.where(given < 0, raw[..., 3], 0.0))
        key, prompt = key + early * raw[..., 4], raw[..., 1] + early * raw[..., 5]
        return TokenBatch(vectors, functional.softplus(key) * kept, functional.softplus(prompt) * kept)

    def learned(self, encoder: str) -> ScopeWeights:
        """Return everything that was learned as it is shipped; `encoder` is the fingerprint of the encoder below."""
        adapter = {}
        for name, module in self.encoder.named_modules():
            if hasattr(module, "lora_A") and "default" in module.lora_A:
                a, b = (getattr(module, part)["default"].weight.detach() for part in ("lora_A", "lora_B"))
                linear = name.removeprefix("base_model.model.")
                adapter[linear] = (a.half().numpy(), (b * (ALPHA / RANK)).half().numpy())
        return ScopeWeights(
            adapter=adapter,
            projection=self.projection.weight.detach().numpy().copy(),
            shift=self.projection.bias.detach().numpy().copy(),
            heads=self.weights.weight.detach().numpy().copy(),
            head_shift=self.weights.bias.detach().numpy().copy(),
            bias=self.bias.item(),
            encoder=encoder,
        )

    def logits(self, queries: TokenBatch, keys: TokenBatch) -> Tensor:
        """Return one logit for each query and key, (n queries, n keys)."""
        return pair_logits(queries, keys, self.bias)


def pair_logits(queries: TokenBatch, keys: TokenBatch, bias: Tensor) -> Tensor:
    """Bias less what each side's tokens miss in the other: weight * (1 - best match)."""
    q, k = queries.vectors, keys.vectors
    products = (q.reshape(-1, q.shape[-1]) @ k.reshape(-1, k.shape[-1]).T).reshape(*q.shape[:2], *k.shape[:2])
    in_query = products.amax(dim=1).relu()  # (nq, nk, tk): best match of each key token
    in_key = products.amax(dim=3).relu()  # (nq, tq, nk)
    missed = torch.einsum("kt,qkt->qk", keys.key_weights, 1 - in_query)
    missed = missed + torch.einsum("qt,qtk->qk", queries.query_weights, 1 - in_key)
    return bias - missed


def pair_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Binary loss over known pairs of a query and a key, and a contrastive one: a query's own keys against all the others.

    `labels`, (n queries, n keys): 1 for the same, 0 for not, -1 for unknown; `weights`, the same shape: how much each counts.
    """
    same, other = labels == 1, labels == 0
    positive = (functional.softplus(-logits) * weights)[same].mean()
    negative = (functional.softplus(logits) * weights * other).sum() / len(logits)
    rows = same.any(dim=1)
    masked = logits.masked_fill(labels < 0, -1e4)
    contrast = (masked.logsumexp(1) - masked.masked_fill(~same, -1e4).logsumexp(1))[rows].mean()
    return positive + negative + 0.5 * contrast
