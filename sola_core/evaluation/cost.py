"""What edits cost: seconds to teach and to answer, milliseconds to route, bytes to keep, memory while it runs.

Knows the session from outside. Says nothing about answers being right; ratios measured in one run are `speed`'s.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TypeVar

from sola_core.evaluation.numbers import median, present
from sola_core.evaluation.output import table
from sola_core.library.sizes import LibrarySizes
from sola_core.session import AnyEditor

Result = TypeVar("Result")

SAMPLE = 8  # prompts that are timed, spread evenly over the stream


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One taught prompt, answered with the edits and without them, each by itself and to its own end."""

    prompt: str
    seconds: float  # routing included
    tokens: int
    base_seconds: float
    base_tokens: int
    routing_seconds: float  # the decision alone; a router that reads hidden states runs the model up to them


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the edits of one run cost, beside the seconds that each took."""

    timings: tuple[Timing, ...]
    sizes: LibrarySizes
    peak_memory_mb: float | None  # of the whole process, the language model included; None where it cannot be read

    @property
    def figures(self) -> dict[str, float]:
        """Medians in seconds (routing: milliseconds), means in bytes for each stored edit."""
        routing = median([t.routing_seconds for t in self.timings])
        found: dict[str, float | None] = {
            "answer_seconds_median": median([t.seconds for t in self.timings]),
            "answer_tokens_median": median([t.tokens for t in self.timings]),
            "base_answer_seconds_median": median([t.base_seconds for t in self.timings]),
            "base_answer_tokens_median": median([t.base_tokens for t in self.timings]),
            "routing_ms": None if routing is None else 1000 * routing,
            "peak_memory_mb": self.peak_memory_mb,
        }
        if self.sizes.edits:
            for name in ("adapters", "keys", "pages"):
                found[f"{NAMES[name]}_bytes_per_edit"] = getattr(self.sizes, name) / self.sizes.edits
        return present(found)


NAMES = {"adapters": "adapter", "keys": "key", "pages": "file"}
COST_LINES = {  # figure -> what it is, in the order of the table
    "edit_seconds_median": "seconds to teach, try and store a fact (median)",
    "answer_seconds_median": "seconds for an answer of the edited model (median)",
    "answer_tokens_median": "its tokens (median)",
    "base_answer_seconds_median": "seconds for the untouched model's (median)",
    "base_answer_tokens_median": "its tokens (median)",
    "routing_ms": "ms to choose the edit, all stored (median)",
    "adapter_bytes_per_edit": "bytes of an adapter",
    "key_bytes_per_edit": "bytes of an edit's keys",
    "file_bytes_per_edit": "bytes of an edit in the file, all told",
    "peak_memory_mb": "MB of memory at most, the model included",
}


def cost_text(figures: Mapping[str, float]) -> str:
    """Return the table of what edits cost, out of a report's figures; lines without a figure are left out."""
    found = [(words, figures[name]) for name, words in COST_LINES.items() if name in figures]
    rows = [(words, f"{value:,.0f}" if value >= 1000 else f"{value:.3g}") for words, value in found]
    return table(["cost", "figure"], rows)


def sample_of(prompts: Sequence[str]) -> list[str]:
    """Return at most SAMPLE prompts, spread evenly."""
    count = min(SAMPLE, len(prompts))
    return [prompts[i * len(prompts) // count] for i in range(count)]


def time_answers(editor: AnyEditor, prompt: str, tokens: int) -> Timing:
    """Answer a prompt both ways, one by one whatever the benchmark does, and route it once more."""
    seconds, edited = _timed(lambda: editor.answer(prompt, tokens))
    base_seconds, base = _timed(lambda: editor.base_answer(prompt, tokens))
    routing_seconds, _ = _timed(lambda: editor.route(prompt))
    return Timing(
        prompt=prompt,
        seconds=seconds,
        tokens=edited.tokens,
        base_seconds=base_seconds,
        base_tokens=base.tokens,
        routing_seconds=routing_seconds,
    )


def peak_memory_mb() -> float | None:
    """Return the most memory that this process has had so far, in MB; None where the system does not say."""
    if find_spec("resource") is not None:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, others kB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    if find_spec("psutil") is not None:
        memory = import_module("psutil").Process().memory_info()
        return float(getattr(memory, "peak_wset", memory.rss)) / 1e6
    return None


def _timed(act: Callable[[], Result]) -> tuple[float, Result]:
    began = time.perf_counter()
    result = act()
    return time.perf_counter() - began, result
