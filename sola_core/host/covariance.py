"""How often a module of the host meets which input: the second moment of its inputs over running text, found out once.

Knows the host and the cache folder. Knows no editor, and not what the numbers are used for.
The text is the project's reference sentences as questions, each with the answer that this host gives to it, the template's
own tokens included: those are the inputs that answering consists of. Nothing is fetched.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sola_core.host.batch import generate_many
from sola_core.host.cache import cache_dir
from sola_core.resources import asset

if TYPE_CHECKING:
    from sola_core.host.model import HostModel

logger = logging.getLogger(__name__)

AT_ONCE = 32  # sentences answered together
_NAME = "second_moment"


def second_moment_steps(
    host: HostModel, module_name: str, *, tokens_per_input: int, answer_tokens: int
) -> Generator[tuple[int, int], None, Tensor]:
    """Return E[k k^T], (dim, dim) float64 on the CPU, over the inputs k of a linear module; yields (tokens read, tokens wanted).

    Reads about `tokens_per_input` tokens for each of the dim inputs, or all the text there is; answers are cut at
    `answer_tokens`. From the host's memory, or from the cache folder, when it was found out before.
    """
    dim, _ = host.linear_shape(module_name)
    wanted = tokens_per_input * dim
    texts = asset("reference_sentences.txt").read_text(encoding="utf-8").splitlines()
    what = _digest(host, module_name, wanted, answer_tokens, texts)
    if what not in host.measured:
        file = _file(host, what)
        found = _read(file, dim)
        if found is None:
            found = yield from _measured(host, module_name, dim, wanted, answer_tokens, texts)
            _write(file, found)
        host.measured[what] = found
    return host.measured[what]


def _measured(
    host: HostModel, module_name: str, dim: int, wanted: int, answer_tokens: int, texts: list[str]
) -> Generator[tuple[int, int], None, Tensor]:
    total, tokens = torch.zeros(dim, dim, dtype=torch.float64), 0
    for start in range(0, len(texts), AT_ONCE):
        part = texts[start : start + AT_ONCE]
        answers: list[tuple[int, ...]] = [()] * len(part)
        for index, generation in generate_many(host, part, max_new_tokens=answer_tokens):
            answers[index] = generation.ids
        for text, answer in zip(part, answers, strict=True):
            ids = torch.cat([host.prompt_ids(text).ids, torch.tensor([*answer, host.format.end_of_turn])])
            keys = host.module_inputs(ids, module_name).double()
            total += keys.T @ keys
            tokens += len(keys)
        yield min(tokens, wanted), wanted
        if tokens >= wanted:
            break
    return total / tokens


def _digest(host: HostModel, module_name: str, wanted: int, answer_tokens: int, texts: list[str]) -> str:
    parts = (host.fingerprint, host.format.digest, str(host.dtype), module_name, wanted, answer_tokens, *texts)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _file(host: HostModel, what: str) -> Path | None:
    """Return where the numbers are kept; nowhere for a host that is not known by its weights."""
    known = re.fullmatch(r"[0-9a-f]{64}", host.fingerprint)
    return cache_dir() / "statistics" / f"{what}.safetensors" if known else None


def _read(file: Path | None, dim: int) -> Tensor | None:
    """Return what the file holds; None when there is none, or not what it ought to be."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    if file is None:
        return None
    try:
        found = load(file.read_bytes()).get(_NAME)
    except (OSError, SafetensorError):
        return None
    whole = found is not None and found.shape == (dim, dim) and found.dtype == torch.float64
    return found if whole and bool(found.isfinite().all()) else None  # type: ignore[union-attr]


def _write(file: Path | None, found: Tensor) -> None:
    """Keep the numbers, whole or not at all; a place that cannot be written is left alone."""
    from safetensors.torch import save

    if file is None:
        return
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(save({_NAME: found}))
            os.replace(draft, file)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        logger.debug("statistics not kept: %s", error.strerror)
