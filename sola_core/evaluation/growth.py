"""What each act costs as a library grows: adding, switching, deleting, opening, routing, the first token, bytes on disk and in memory.

Knows the session from outside. A library is filled with copies of one taught edit under made-up prompts; nothing is trained.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from sola_core.errors import InvalidInput
from sola_core.evaluation.output import surroundings, table
from sola_core.evaluation.reversibility import OnStage, OpenEditor
from sola_core.library.edit_rows import NewEdit
from sola_core.library.store import Library
from sola_core.records import EditRequest, TrainedEdit
from sola_core.session import SolaEditor

BATCH = 500  # filler edits stored in one transaction

NOTE = (
    "milliseconds are medians; adding is everything but training: keys, storing, routing from then on. Opening does not load "
    "the model and makes no keys. The first token's overhead is what routing and the edit add to the base model's. Filler "
    "edits are copies of one adapter under made-up prompts, with keys made from those prompts. Memory is what Python and numpy "
    "allocate to open the library and answer from it, beyond that of a library with one edit."
)


@dataclass(frozen=True, kw_only=True)
class Grown:
    """All that was measured with one number of stored edits."""

    stored: int
    add_seconds: tuple[float, ...]
    switch_seconds: tuple[float, ...]
    delete_seconds: tuple[float, ...]
    digest_seconds: tuple[float, ...]  # each after a change
    routing_seconds: tuple[float, ...]
    first_token_seconds: tuple[float, ...]  # edited; pairs with the next
    base_first_token_seconds: tuple[float, ...]
    open_seconds: float
    disk_bytes: int  # the whole file
    memory_bytes: int  # beyond a library with one edit

    @property
    def figures(self) -> dict[str, float]:
        """The same as one number each."""
        pairs = zip(self.first_token_seconds, self.base_first_token_seconds, strict=True)
        return {
            "add_ms": 1000 * median(self.add_seconds),
            "switch_ms": 1000 * median(self.switch_seconds),
            "delete_ms": 1000 * median(self.delete_seconds),
            "digest_ms": 1000 * median(self.digest_seconds),
            "open_seconds": self.open_seconds,
            "routing_ms": 1000 * median(self.routing_seconds),
            "first_token_overhead_ms": 1000 * median(ours - base for ours, base in pairs),
            "disk_bytes_per_edit": self.disk_bytes / self.stored,
            "memory_bytes_per_edit": self.memory_bytes / max(1, self.stored - 1),
        }


@dataclass(frozen=True, kw_only=True)
class GrowthReport:
    """One run over growing numbers of stored edits."""

    rows: tuple[Grown, ...]  # fewest edits first
    note: str
    surroundings: Mapping[str, str | int]

    @property
    def figures(self) -> dict[str, float]:
        """Each figure with the number of edits behind its name, and what the last row's acts cost against the first's."""
        found = {f"{name}_{row.stored}": value for row in self.rows for name, value in row.figures.items()}
        first, last = self.rows[0].figures, self.rows[-1].figures
        for name in ("add", "switch", "delete", "routing"):
            found[f"{name}_growth"] = last[f"{name}_ms"] / first[f"{name}_ms"]
        return found

    def text(self) -> str:
        """Return a table with a line for each number of stored edits."""
        names = list(self.rows[0].figures)
        lines = [(f"{row.stored:,}", *(f"{value:,.4g}" for value in _rounded(row.figures))) for row in self.rows]
        growth = self.figures["add_growth"]
        most, fewest = self.rows[-1].stored, self.rows[0].stored
        headers = ["stored", *(name.replace("_", " ") for name in names)]
        ratio = f"adding one to {most:,} edits takes {growth:.2f} times as long as adding one to {fewest:,}"
        return f"{table(headers, lines)}\n{ratio}\n{self.note}"


def measure_growth(
    open_editor: OpenEditor,
    request: EditRequest,
    *,
    stored: Sequence[int] = (10, 1000, 10_000),
    repeats: int = 9,
    on_stage: OnStage | None = None,
) -> GrowthReport:
    """Teach one fact, fill one library file to each number of edits in turn, and measure what every act costs then.

    Raises InvalidInput for numbers below 2, or when the fact cannot be taught (EditFailed).
    """
    wanted = sorted(set(stored))
    if not wanted or wanted[0] < 2 or repeats < 1:
        raise InvalidInput("Growth is measured from 2 stored edits on. Name numbers of 2 or more.")
    show = on_stage or (lambda stage, done, total: None)
    rows = []
    with TemporaryDirectory(prefix="sola-growth-") as folder:
        file = Path(folder) / "growing.db"
        with open_editor(file) as editor:
            taught, around = editor.edit(request), surroundings(editor.host)
            like = TrainedEdit(request=taught.request, tensors=editor.tensors(taught.id), training=taught.training)
            host = editor.host
        fillers = _fillers(like)
        _traced(open_editor, file, request.prompt)  # what is loaded once is not an edit's
        alone = _traced(open_editor, file, request.prompt)
        for done, count in enumerate(wanted):
            show("growing", done, len(wanted))
            with Library.open(file, host_name=host.name, host_fingerprint=host.fingerprint) as library:
                while batch := list(islice(fillers, min(BATCH, count - library.count))):
                    library.add_many([NewEdit(trained=filler, keys={}) for filler in batch])
            open_editor(file).close()  # makes the keys
            rows.append(_grown(open_editor, file, count, request.prompt, fillers, repeats, alone))
        show("growing", len(wanted), len(wanted))
    return GrowthReport(rows=tuple(rows), note=NOTE, surroundings=around)


def _grown(
    open_editor: OpenEditor,
    file: Path,
    count: int,
    prompt: str,
    fillers: Iterator[TrainedEdit],
    repeats: int,
    alone: int,
) -> Grown:
    disk, memory = file.stat().st_size, _traced(open_editor, file, prompt) - alone
    began = time.perf_counter()
    with open_editor(file) as editor:
        opened = time.perf_counter() - began
        for edited in (True, False):  # warm both up
            _first_token(editor, prompt, edited=edited)
        _seconds(partial(getattr, editor, "state_digest"))
        pairs = [
            {edited: _first_token(editor, prompt, edited=edited) for edited in ((True, False), (False, True))[turn % 2]}
            for turn in range(repeats)
        ]
        routing = tuple(_seconds(partial(editor.route, prompt)) for _ in range(repeats))
        new = list(islice(fillers, repeats))
        adding = tuple(_seconds(partial(editor.store, edit)) for edit in new)
        ids = [edit.id for filler in new for edit in editor.edits_of(filler.request.prompt)]
        switching = tuple(_seconds(partial(editor.set_enabled, e, on)) for e in ids for on in (False, True))
        digesting, deleting = list[float](), list[float]()
        for edit_id in ids:
            deleting.append(_seconds(partial(editor.delete, edit_id)))
            digesting.append(_seconds(partial(getattr, editor, "state_digest")))
    return Grown(
        stored=count,
        add_seconds=adding,
        switch_seconds=switching,
        delete_seconds=tuple(deleting),
        digest_seconds=tuple(digesting),
        routing_seconds=routing,
        first_token_seconds=tuple(pair[True] for pair in pairs),
        base_first_token_seconds=tuple(pair[False] for pair in pairs),
        open_seconds=opened,
        disk_bytes=disk,
        memory_bytes=memory,
    )


def _traced(open_editor: OpenEditor, file: Path, prompt: str) -> int:
    """Return the bytes that an open library holds in memory once it has answered where a question goes."""
    gc.collect()
    tracemalloc.start()
    try:
        with open_editor(file) as editor:
            editor.route(prompt)
            _seconds(partial(getattr, editor, "state_digest"))
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def _first_token(editor: SolaEditor, prompt: str, *, edited: bool) -> float:
    began = time.perf_counter()
    stream = (editor.stream if edited else editor.base_stream)(prompt, 2, ignore_end=True)
    next(stream)
    taken = time.perf_counter() - began
    stream.close()
    return taken


def _fillers(like: TrainedEdit) -> Iterator[TrainedEdit]:
    """Make up edits with a company's name each, four syllables that never come twice in this order."""
    syllables = [consonant + vowel for consonant in "bdfglmnprstvz" for vowel in "aeiou"]
    size, many = len(syllables), len(syllables) ** 4
    for number in range(many):
        mixed = number * 7_368_787 % many  # a prime, so every number gets another name, and neighbours unlike ones
        word = "".join(syllables[mixed // size**place % size] for place in range(4)).title()
        request = EditRequest(prompt=f"In which year was company {word} founded?", target=like.request.target)
        yield TrainedEdit(request=request, tensors=like.tensors, training=like.training)


def _rounded(figures: Mapping[str, float]) -> list[float]:
    return [round(value) if name.endswith("per_edit") else value for name, value in figures.items()]


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
