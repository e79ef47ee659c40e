"""A sentence encoder of one random layer with a small WordPiece vocabulary, built in code; no file, no network.

Knows nothing of the tests. It has MiniLM's width, so the shipped tables of the `scope` router fit it.
"""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from sola_core.routing.encoders import TextEncoder

WORDS = (
    *("the", "of", "is", "in", "who", "what", "which", "was", "wrote", "made", "by", "a", "an", "to", "where", "born"),
    *("capital", "river", "mother", "tongue", "city", "company", "product", "?", ".", ",", "'", "7", "1984"),
    *"<>${}=!-/()12",
    *("france", "spain", "peru", "kenya", "danielle", "darrieux", "unifirst", "zephyr", "quartz"),
)
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]


def tiny_tokenizer() -> Tokenizer:
    """Return a lower-casing WordPiece tokenizer that knows some words and every Latin letter, no other script."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *LETTERS, *(f"##{c}" for c in LETTERS)]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return tokenizer


def tiny_encoder(*, dim: int = 384, seed: int = 0, max_tokens: int = 256) -> TextEncoder:
    """Return an encoder whose weights depend on `seed` only."""
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=dim,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=512,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertModel(config)
    return TextEncoder(model, tokenizer, fingerprint=f"{seed:064x}", max_tokens=max_tokens)
