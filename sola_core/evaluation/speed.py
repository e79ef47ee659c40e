"""Speed as ratios measured in one run: teaching against a plain PEFT loop, answering against the untouched model.

Knows the session from outside and the plain loop; says nothing about answers being right.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sola_core.answering import AnswerStream
from sola_core.errors import EditFailed, InvalidInput
from sola_core.evaluation.output import surroundings, table
from sola_core.evaluation.peft_loop import PlainLoop
from sola_core.evaluation.reversibility import OnStage, OpenEditor
from sola_core.library.store import Library
from sola_core.records import Edit, EditRequest, TrainedEdit
from sola_core.session import SolaEditor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENS = 64  # both sides are made to give as many
ROUTINGS = 20  # routing decisions timed for each row

NOTE = (
    "filler edits: copies of one adapter under made-up prompts, with keys made from those prompts; "
    "tokens/s counts the tokens after the first; ratios are medians over alternating pairs"
)


@dataclass(frozen=True, kw_only=True)
class EditTiming:
    """One fact taught both ways, one right after the other."""

    prompt: str
    seconds: float  # the whole edit: training, trying, keys, storing
    steps: int
    plain_seconds: float  # the plain loop: training only
    plain_try_seconds: float  # asking once afterwards, as our side does within `seconds`
    plain_steps: int


@dataclass(frozen=True, kw_only=True)
class AnswerTiming:
    """One question answered by both sides with `stored` edits in the library."""

    stored: int
    tokens_per_second: float
    base_tokens_per_second: float
    first_token_seconds: float  # from asking to the first piece of text, routing included
    base_first_token_seconds: float


@dataclass(frozen=True, kw_only=True)
class SpeedReport:
    """All timings of one run."""

    edits: tuple[EditTiming, ...]
    answers: tuple[AnswerTiming, ...]
    routing_seconds: Mapping[int, tuple[float, ...]]  # by number of stored edits
    note: str
    surroundings: Mapping[str, str | int]

    @property
    def figures(self) -> dict[str, float]:
        """Medians and ratios; a ratio of times under 1, or of rates over 1, is in our favour."""
        found = {
            "edit_seconds_median": median(t.seconds for t in self.edits),
            "plain_edit_seconds_median": median(t.plain_seconds for t in self.edits),
            "plain_tried_edit_seconds_median": median(t.plain_seconds + t.plain_try_seconds for t in self.edits),
            "edit_steps_median": median(t.steps for t in self.edits),
            "plain_edit_steps_median": median(t.plain_steps for t in self.edits),
        }
        for name in ("plain_edit", "plain_tried_edit"):
            ratio = found["edit_seconds_median"] / found[f"{name}_seconds_median"]
            found[f"edit_seconds_ratio_to_{name.removesuffix('_edit')}"] = ratio
        for stored, seconds in self.routing_seconds.items():
            here = [t for t in self.answers if t.stored == stored]
            found[f"decoding_ratio_{stored}"] = median(t.tokens_per_second / t.base_tokens_per_second for t in here)
            found[f"tokens_per_second_{stored}"] = median(t.tokens_per_second for t in here)
            found[f"base_tokens_per_second_{stored}"] = median(t.base_tokens_per_second for t in here)
            found[f"first_token_ms_{stored}"] = 1000 * median(t.first_token_seconds for t in here)
            found[f"base_first_token_ms_{stored}"] = 1000 * median(t.base_first_token_seconds for t in here)
            found[f"routing_ms_{stored}"] = 1000 * median(seconds)
        return found

    def text(self) -> str:
        """Return one table: what was measured, ours, the yardstick, their ratio."""
        f, loop = self.figures, "plain PEFT loop"
        ours = f["edit_seconds_median"]
        rows: list[tuple[str, str, str, str]] = [
            _row("seconds per edit, tried and stored", ours, f["plain_edit_seconds_median"], loop),
            _row("seconds per edit, tried and stored", ours, f["plain_tried_edit_seconds_median"], f"{loop} and a try"),
            _row("steps per edit", f["edit_steps_median"], f["plain_edit_steps_median"], loop, ratio=False),
        ]
        for n in self.routing_seconds:
            side = "base model"
            name = f"tokens/s, 1 edit of {n:,} active"
            rows.append(
                (
                    name,
                    f"{f[f'tokens_per_second_{n}']:.1f}",
                    f"{f[f'base_tokens_per_second_{n}']:.1f} {side}",
                    f"{f[f'decoding_ratio_{n}']:.3f}",
                )
            )
            rows.append(
                _row(f"ms to first token, {n:,} stored", f[f"first_token_ms_{n}"], f[f"base_first_token_ms_{n}"], side)
            )
            rows.append((f"routing ms, {n:,} stored", f"{f[f'routing_ms_{n}']:.1f}", "-", "-"))
        return table(["median of", "ours", "against", "ratio"], rows) + f"\n{self.note}"


def measure_speed(
    open_editor: OpenEditor,
    reference: PreTrainedModel,
    requests: Sequence[EditRequest],
    *,
    stored: Sequence[int] = (1, 1000),
    pairs: int = 7,
    seed: int = 0,
    on_stage: OnStage | None = None,
) -> SpeedReport:
    """Time teaching and answering; the first fact warms both sides up and is not counted.

    `reference` is a copy of the host's model for the plain loop to train on. Raises InvalidInput with fewer than two
    facts, or when the first cannot be taught.
    """
    if len(requests) < 2:
        raise InvalidInput("At least two facts are needed to time teaching: the first only warms up.")
    show = on_stage or (lambda stage, done, total: None)
    with open_editor(":memory:") as editor:
        first = editor.edit(requests[0])
        loop = PlainLoop(reference, editor.host, first.training.settings)
        loop.edit(first.prompt, first.target)
        edits = tuple(_time_edits(editor, loop, requests[1:], show))
        around = surroundings(editor.host)
    if not edits:
        raise InvalidInput("None of the facts could be taught, so there is nothing to time. Try other facts.")
    answers: list[AnswerTiming] = []
    routing: dict[int, tuple[float, ...]] = {}
    for count in stored:
        with _filled(open_editor, requests[0], count, seed) as editor:
            answers += _time_answers(editor, first.prompt, count, pairs, show)
            routing[count] = tuple(_seconds(lambda: editor.route(first.prompt)) for _ in range(ROUTINGS))
    return SpeedReport(edits=edits, answers=tuple(answers), routing_seconds=routing, note=NOTE, surroundings=around)


def _time_edits(
    editor: SolaEditor, loop: PlainLoop, requests: Sequence[EditRequest], show: OnStage
) -> Iterator[EditTiming]:
    for done, request in enumerate(requests):
        show("teaching both ways", done, len(requests))
        began = time.perf_counter()
        try:
            edit = editor.edit(request)
        except EditFailed:
            continue
        seconds = time.perf_counter() - began
        plain = loop.edit(request.prompt, request.target)
        yield EditTiming(
            prompt=request.prompt,
            seconds=seconds,
            steps=edit.training.steps,
            plain_seconds=plain.seconds,
            plain_try_seconds=plain.try_seconds,
            plain_steps=plain.steps,
        )
    show("teaching both ways", len(requests), len(requests))


def _time_answers(editor: SolaEditor, prompt: str, stored: int, pairs: int, show: OnStage) -> Iterator[AnswerTiming]:
    sides: tuple[Callable[[], AnswerStream], ...] = (
        lambda: editor.stream(prompt, TOKENS, ignore_end=True),
        lambda: editor.base_stream(prompt, TOKENS, ignore_end=True),
    )
    for side in sides:
        _time_stream(side)  # warm up
    for pair in range(pairs):
        show(f"answering, {stored:,} stored", pair, pairs)
        order = (0, 1) if pair % 2 == 0 else (1, 0)
        taken = {side: _time_stream(sides[side]) for side in order}
        yield AnswerTiming(
            stored=stored,
            tokens_per_second=taken[0][0],
            base_tokens_per_second=taken[1][0],
            first_token_seconds=taken[0][1],
            base_first_token_seconds=taken[1][1],
        )
    show(f"answering, {stored:,} stored", pairs, pairs)


def _time_stream(make: Callable[[], AnswerStream]) -> tuple[float, float]:
    """Return tokens per second after the first token, and seconds until the first piece was there."""
    began = time.perf_counter()
    stream = make()
    next(stream)
    first = time.perf_counter() - began
    for _ in stream:
        pass
    steps = stream.step_seconds[1:]
    return len(steps) / sum(steps), first


@contextmanager
def _filled(open_editor: OpenEditor, request: EditRequest, count: int, seed: int) -> Iterator[SolaEditor]:
    """Open an editor over a library of `count` edits: one taught, the others copies of it under made-up prompts."""
    with TemporaryDirectory(prefix="sola-speed-") as folder:
        file = Path(folder) / "filled.db"
        with open_editor(file) as editor:
            taught, host = editor.edit(request), editor.host
        with Library.open(file, host_name=host.name, host_fingerprint=host.fingerprint) as library:
            tensors = library.tensors(taught.id)
            for filler in _fillers(taught, count - 1, seed):
                library.add(TrainedEdit(request=filler, tensors=tensors, training=taught.training), keys={})
        with open_editor(file) as editor:
            yield editor


def _fillers(like: Edit, count: int, seed: int) -> Iterator[EditRequest]:
    chance = random.Random(seed)
    for number in range(count):
        word = "".join(chance.choice("bdfglmnprstvz") + chance.choice("aeiou") for _ in range(4)).title()
        yield EditRequest(prompt=f"In which year was company {word} {number} founded?", target=like.target)


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _row(name: str, ours: float, theirs: float, side: str, *, ratio: bool = True) -> tuple[str, str, str, str]:
    return name, f"{ours:.3g}", f"{theirs:.3g} {side}", f"{ours / theirs:.3f}" if ratio and theirs else "-"
