"""One edit as a PEFT adapter: the files of a folder that `PeftModel.from_pretrained` loads, with a model card.

Knows PEFT's file format (adapter_config.json, adapter_model.safetensors), not the package; knows no model and no database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import safetensors.torch
import torch

from sola_core.records import Edit

CARD = """---
base_model: {base}
library_name: peft
pipeline_tag: text-generation
tags:
- lora
- model-editing
---

# One fact, as a LoRA

Asked the question below, the model answers with the new answer. Loaded, the adapter acts on every question: the router that
keeps it to its own is not part of PEFT. Unloading it (`PeftModel.unload`) gives the model back as it was.

The fact was taught to show that it can be taken back, and may well be false.

Question:

{prompt}

New answer:

{target}

Made by SoLA Studio for the host {base}, fingerprint `{fingerprint}`; digest of the edit `{digest}`. Prompts have the host's
chat template in front; rank {rank}, scale {scale:g}.
"""


@dataclass(frozen=True, kw_only=True)
class PeftBase:
    """What an adapter must know of its host and of the method."""

    name: str
    fingerprint: str
    rank: int
    scale: float  # alpha / rank
    fan_in_fan_out: bool  # weights are stored (in, out), as in GPT-2


def peft_files(edit: Edit, tensors: Mapping[str, torch.Tensor], base: PeftBase) -> dict[str, bytes]:
    """Return the files of a PEFT adapter folder, by name; `tensors` are an edit's, named by module.

    The numbers are those of the edit, bit by bit. Texts stand in the card only, indented so that no markup in them counts.
    """
    modules = sorted({name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "r": base.rank,
        "lora_alpha": base.rank * base.scale,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": base.fan_in_fan_out,
        "inference_mode": True,
        "target_modules": modules,
    }
    named = {f"base_model.model.{name}": tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    card = CARD.format(
        base=base.name,
        fingerprint=base.fingerprint,
        digest=edit.digest,
        rank=base.rank,
        scale=base.scale,
        prompt=_indented(edit.prompt),
        target=_indented(edit.target),
    )
    return {
        "adapter_config.json": (json.dumps(config, indent=2) + "\n").encode(),
        "adapter_model.safetensors": safetensors.torch.save(named, metadata={"format": "pt"}),
        "README.md": card.encode(),
    }


def _indented(text: str) -> str:
    """Return a text as a block of Markdown code."""
    return "\n".join(f"    {line}" for line in text.splitlines())
