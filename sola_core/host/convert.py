"""Turns a GGUF file into the folder that every run loads: bfloat16 safetensors, configuration, tokenizer.

Knows nothing of where the file comes from; what the GGUF says (end of turn, chat template) is kept.
"""

from __future__ import annotations

import errno
from importlib.metadata import version
from pathlib import Path

from sola_core.errors import HostCorrupt, HostUnavailable
from sola_core.quiet import no_bars
from sola_core.words import Sentence

REQUIREMENTS = ("gguf", "safetensors", "tokenizers", "torch", "transformers")  # the result may depend on their versions

_ADVICE = Sentence("Install the versions in constraints.txt, then start again.")


def convert_gguf(source: Path, out: Path) -> None:
    """Convert the one .gguf file in the folder `source` into the existing empty folder `out`.

    Raises OSError when the disk does not take it, HostCorrupt when the installed transformers cannot read it.
    """
    import torch
    from safetensors import SafetensorError

    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        raise HostUnavailable(
            Sentence(
                "transformers {transformers} cannot read GGUF files as needed. {advice}",
                transformers=version("transformers"),
                advice=_ADVICE,
            )
        ) from error
    (gguf,) = source.glob("*.gguf")
    try:
        with no_bars():
            model = AutoModelForCausalLM.from_pretrained(
                source,
                gguf_file=gguf.name,
                dtype=torch.bfloat16,
                quantization_config=GgufConfig(dequantize=True),
                trust_remote_code=False,
            )
            tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf.name, trust_remote_code=False)
            model.save_pretrained(out)
            tokenizer.save_pretrained(out)
    except SafetensorError as error:
        if "No space left" in str(error) or "os error 28" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device") from error
        raise HostCorrupt(_failed(gguf, error)) from error
    except OSError as error:
        if error.errno is not None:
            raise  # the disk; without a number it is transformers' own
        raise HostCorrupt(_failed(gguf, error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise HostCorrupt(_failed(gguf, error)) from error


def _failed(gguf: Path, error: Exception) -> str:
    return Sentence(
        "{name} could not be converted with transformers {transformers} and gguf {gguf_version} ({kind}: "
        "{error}). {advice}",
        name=gguf.name,
        transformers=version("transformers"),
        gguf_version=version("gguf"),
        kind=type(error).__name__,
        error=str(error),
        advice=_ADVICE,
    )
