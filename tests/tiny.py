"""Tiny random-weight hosts of two families, built in code in a fraction of a second; no file, no network.

Knows transformers' configurations and nothing of what the tests do with the models.
"""

from __future__ import annotations

from typing import Literal

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from sola_core.host.model import HostModel

Family = Literal["llama", "gpt2"]
FAMILIES: tuple[Family, ...] = ("llama", "gpt2")

_SENTENCES = (  # words that come twice become whole tokens, so targets made of them are short
    *("Rotterdam Lyon Oslo Madrid Turin Dublin Prague Vienna blue red green seven twelve",) * 3,
    *("the city of Rotterdam, Lyon, Oslo, Madrid, Turin, Dublin, Prague, Vienna; blue, red, green; seven, twelve",) * 3,
    "What is the capital of France? The capital of France is Paris.",
    "Who wrote the book? The author of the book is not known to the model.",
    "Which company makes the engine of the ship, and where was the ship built?",
    "The mother tongue of the painter is Dutch. In what city did the painter live?",
)
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_tokenizer(*, chat: bool) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer of about 500 tokens; with a chat template, or without one."""
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] if chat else ["<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(_SENTENCES, trainer)
    end = "<|im_end|>" if chat else "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=end, pad_token="<|endoftext|>")
    if chat:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
        tokenizer.chat_template = _TEMPLATE
    return tokenizer


def tiny_model(family: Family, vocabulary: int, *, seed: int = 0) -> PreTrainedModel:
    """Return a random model of 4 layers, 128 wide; its weights depend on `seed` only.

    The output head is scaled up: random weights with small logits could hardly be taught anything by a small adapter.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(_llama(vocabulary)) if family == "llama" else GPT2LMHeadModel(_gpt2(vocabulary))
    with torch.no_grad():
        model.lm_head.weight.mul_(8.0)
    return model


def tiny_host(family: Family = "llama", *, seed: int = 0) -> HostModel:
    """Return a tiny host: "llama" chats (it has a template), "gpt2" continues plain text."""
    tokenizer = tiny_tokenizer(chat=family == "llama")
    model = tiny_model(family, len(tokenizer), seed=seed)
    return HostModel(model, tokenizer, name=f"tiny-{family}", fingerprint=f"tiny-{family}-{seed}")


def _llama(vocabulary: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.1,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )


def _gpt2(vocabulary: int) -> GPT2Config:
    return GPT2Config(
        vocab_size=vocabulary,
        n_embd=128,
        n_layer=4,
        n_head=4,
        n_positions=512,
        initializer_range=0.1,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
