"""What differs between model families: where the layers, the MLP output and the final norm are.

The only place that knows a family's module names. Llama covers Llama, SmolLM2, Qwen2 and Mistral.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from sola_core.errors import HostError
from sola_core.words import Sentence


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Module names of one family, relative to the causal LM."""

    layers: str  # the list of decoder layers
    final_norm: str
    mlp: str  # inside a layer: the whole feed-forward block
    mlp_output: str  # inside a layer: the linear that writes into the residual stream
    fan_in_fan_out: bool  # its weight is stored (in, out), as GPT-2's Conv1D does


_FAMILIES = {
    "llama": Architecture(
        layers="model.layers", final_norm="model.norm", mlp="mlp", mlp_output="mlp.down_proj", fan_in_fan_out=False
    ),
    "gpt2": Architecture(
        layers="transformer.h",
        final_norm="transformer.ln_f",
        mlp="mlp",
        mlp_output="mlp.c_proj",
        fan_in_fan_out=True,
    ),
}
_LLAMA_LIKE = frozenset({"llama", "qwen2", "qwen3", "mistral", "smollm3"})


def architecture_of(model_type: str) -> Architecture:
    """Return the module names for a transformers `model_type`; raise HostError for a family we do not know."""
    family = "llama" if model_type in _LLAMA_LIKE else model_type
    if family not in _FAMILIES:
        known = ", ".join(sorted(_LLAMA_LIKE | _FAMILIES.keys()))
        raise HostError(
            Sentence(
                "Models of type '{model_type}' are not supported. Choose one of these families: {known}.",
                model_type=model_type,
                known=known,
            )
        )
    return _FAMILIES[family]


def linear_shape(module: nn.Module, arch: Architecture) -> tuple[int, int]:
    """Return (features in, features out) of a linear module of this family."""
    weight = module.weight
    assert isinstance(weight, nn.Parameter)
    rows, columns = weight.shape
    return (rows, columns) if arch.fan_in_fan_out else (columns, rows)
