"""Imports all that the tests do and ends: what Python compiles for it is there when several workers begin at once.

Knows nothing but names.
"""

from __future__ import annotations

from importlib import import_module

for name in (
    "gradio",
    "gradio_client",
    "peft",
    "playwright.sync_api",
    "sentence_transformers",
    "umap",
    "transformers.models.gpt2.modeling_gpt2",
    "transformers.models.llama.modeling_llama",
    "transformers.models.bert.modeling_bert",
    "tests.serving",
):
    import_module(name)
