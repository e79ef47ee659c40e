"""The physical floor of what `speed` times: what this machine needs at least, by its memory and by its matrix products.

Knows the host's size and torch; what was timed is told to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from sola_core.editors.sola import SolaSettings
from sola_core.evaluation.output import table
from sola_core.host.model import HostModel

BYTES = 256 * 2**20  # read once to time the memory: more than any cache holds
SIDE = 1024  # of the square matrices whose product is timed
REPEATS = 5  # the best counts: a floor is what is possible
QUESTION, ANSWER = 40, 5  # tokens of a usual fact: prompt with its template, answer with its end
PASSES = 12  # of a usual edit


@dataclass(frozen=True, kw_only=True)
class Floors:
    """What the machine can do, and what follows from it for one model."""

    bytes_per_second: float  # read from memory
    flops: float  # float32 multiplications and additions a second
    weight_bytes: int
    below: int  # parameters of the layers under the edited one
    above: int  # of the edited layer and those over it
    head: int  # of the LM head

    @property
    def token_seconds(self) -> float:
        """One token of one answer: every weight is read once."""
        return self.weight_bytes / self.bytes_per_second

    @property
    def edit_seconds(self) -> float:
        """One edit: one pass through the layers below, then PASSES forward and backward through those above and the head.

        A pass costs 2 operations for each weight and token; backward to the inputs, which leaves the weights alone, as many
        again. The head is needed at the answer's tokens only.
        """
        tokens = QUESTION + ANSWER
        passes = 2 * PASSES * (tokens * self.above + ANSWER * self.head)
        return 2 * (tokens * self.below + passes) / self.flops

    @property
    def figures(self) -> dict[str, float]:
        """The flat figures."""
        return {
            "floor_gb_per_second": self.bytes_per_second / 1e9,
            "floor_gflops": self.flops / 1e9,
            "floor_token_ms": 1000 * self.token_seconds,
            "floor_edit_seconds": self.edit_seconds,
        }

    def text(self, measured: Mapping[str, float]) -> str:
        """Return the floors as a table, beside what was measured, where it was: figures of the other reports by name."""
        rows = []
        for name, floor, figure, scale in (
            ("ms for a token, one answer", self.token_seconds, "base_tokens_per_second_1", 0.0),
            ("seconds for an edit, one by one", self.edit_seconds, "edit_seconds_median", 1.0),
            ("seconds for an edit, in bulk", self.edit_seconds, "bulk_edit_seconds", 1.0),
        ):
            found = measured.get(figure)
            taken = None if not found else found if scale else 1 / found
            unit = 1000 if not scale else 1
            rows.append(
                (
                    name,
                    f"{unit * floor:.3g}",
                    "-" if taken is None else f"{unit * taken:.3g}",
                    "-" if taken is None else f"{taken / floor:.1f}",
                )
            )
        head = ["physical floor", "at least", "measured", "times the floor"]
        around = f"memory {self.bytes_per_second / 1e9:.1f} GB/s, matrices {self.flops / 1e9:.0f} GFLOP/s in float32"
        return table(head, rows) + f"\n{around}; how each floor is worked out: assets/docs/speed.md"


def measure_floors(host: HostModel) -> Floors:
    """Time reading memory and multiplying matrices on this machine, and work out the floors of a model. Takes a second or two."""
    memory = torch.ones(BYTES // 4)
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    parameters, weight_bytes = host.size
    layer = min(int(SolaSettings().depth * host.n_layers), host.n_layers - 1)
    head = len(host.next_token_logits("?")) * host.hidden_size
    of_layers = max(
        0, parameters - head
    )  # the embeddings are looked up; where they are tied to the head they are no more
    below = of_layers * layer // host.n_layers
    return Floors(
        bytes_per_second=BYTES / _best(lambda: memory.sum()),
        flops=2 * SIDE**3 / _best(lambda: a @ b),
        weight_bytes=weight_bytes,
        below=below,
        above=of_layers - below,
        head=head,
    )


def _best(act: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return min(taken)
