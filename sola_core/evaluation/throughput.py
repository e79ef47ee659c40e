"""How much sooner many visitors have their answers when these share steps: at once in common steps against one after another.

Knows the session from outside, and that a visitor is a thread; says nothing about answers being right.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median

from sola_core.errors import EditFailed, InvalidInput
from sola_core.evaluation.output import surroundings, table
from sola_core.evaluation.reversibility import OnStage, OpenEditor
from sola_core.host.together import Together
from sola_core.records import EditRequest
from sola_core.session import SolaEditor

AT_ONCE = 16
TOKENS = 64  # every answer is made to give as many

NOTE = (
    "half of the questions are taught, the others are answered as routed; tokens/s counts all tokens and all time, routing and "
    "prompts included; ratios are medians over alternating pairs"
)


@dataclass(frozen=True, kw_only=True)
class Served:
    """The same questions answered once, in one of the two ways."""

    ids: tuple[tuple[int, ...], ...]  # the tokens of each answer, in the order of the questions
    first_seconds: tuple[float, ...]  # from asking to the first piece of text, of each
    seconds: tuple[float, ...]  # from the common start to the end of each answer

    @property
    def tokens_per_second(self) -> float:
        """All tokens over the time until the last answer has ended."""
        return sum(map(len, self.ids)) / max(self.seconds)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both ways, one right after the other."""

    together: Served
    one_by_one: Served

    @property
    def same(self) -> int:
        """How many answers have the same tokens in both ways."""
        return sum(a == b for a, b in zip(self.together.ids, self.one_by_one.ids, strict=True))


@dataclass(frozen=True, kw_only=True)
class ThroughputReport:
    """All timings of one run."""

    at_once: int
    edits: int  # different ones among those that answer
    pairs: tuple[Pair, ...]
    note: str
    surroundings: Mapping[str, str | int]

    @property
    def figures(self) -> dict[str, float]:
        """Medians, the share of answers with the same tokens, and how far apart equally long answers end."""
        together = [pair.together for pair in self.pairs]
        return {
            "requests_at_once": self.at_once,
            "together_tokens_per_second": median(served.tokens_per_second for served in together),
            "one_by_one_tokens_per_second": median(pair.one_by_one.tokens_per_second for pair in self.pairs),
            "throughput_ratio": median(
                p.together.tokens_per_second / p.one_by_one.tokens_per_second for p in self.pairs
            ),
            "same_tokens": sum(pair.same for pair in self.pairs) / (self.at_once * len(self.pairs)),
            "ends_spread": median(1 - min(served.seconds) / max(served.seconds) for served in together),
            "together_first_token_ms": 1000 * median(s for served in together for s in served.first_seconds),
        }

    def text(self) -> str:
        """Return one table: what was measured, ours, the yardstick, their ratio."""
        f = self.figures
        rows = [
            (
                f"tokens/s, {self.at_once} requests",
                f"{f['together_tokens_per_second']:.1f}",
                f"{f['one_by_one_tokens_per_second']:.1f} one after another",
                f"{f['throughput_ratio']:.2f}",
            ),
            ("answers with the same tokens", f"{f['same_tokens']:.1%}", "-", "-"),
            ("first end before the last, of the whole time", f"{f['ends_spread']:.1%}", "-", "-"),
            ("ms to first token, all asking at once", f"{f['together_first_token_ms']:.0f}", "-", "-"),
        ]
        return table(["median of", "ours", "against", "ratio"], rows) + f"\n{self.note}"


def measure_throughput(
    open_editor: OpenEditor,
    requests: Sequence[EditRequest],
    *,
    at_once: int = AT_ONCE,
    pairs: int = 3,
    tokens: int = TOKENS,
    on_stage: OnStage | None = None,
) -> ThroughputReport:
    """Teach half of the questions, then answer all `at_once` of them in both ways; a first pair warms up and is not counted.

    Of fewer requests some are asked more than once. Raises InvalidInput when there are none, or when none can be taught.
    """
    show = on_stage or (lambda stage, done, total: None)
    asked = list(islice(cycle(requests), at_once)) if requests else []
    with open_editor(":memory:") as editor:
        taught = _taught(editor, list(dict.fromkeys(asked))[: max(1, at_once // 2)], show)
        if not taught:
            raise InvalidInput("None of the facts could be taught, so there is nothing to ask. Try other facts.")
        questions = [request.prompt for request in asked]
        with editor.copy(together=Together(editor.host)) as shared:
            _serve_at_once(shared, questions, 2)
            made: list[Pair] = []
            for number in range(pairs):
                show(f"answering {at_once} requests both ways", number, pairs)
                ways: list[tuple[str, Callable[[], Served]]] = [
                    ("together", lambda: _serve_at_once(shared, questions, tokens)),
                    ("one_by_one", lambda: _serve_in_turn(editor, questions, tokens)),
                ]
                served = {name: serve() for name, serve in (ways if number % 2 == 0 else reversed(ways))}
                made.append(Pair(together=served["together"], one_by_one=served["one_by_one"]))
        show(f"answering {at_once} requests both ways", pairs, pairs)
        return ThroughputReport(
            at_once=at_once, edits=taught, pairs=tuple(made), note=NOTE, surroundings=surroundings(editor.host)
        )


def _taught(editor: SolaEditor, requests: Sequence[EditRequest], show: OnStage) -> int:
    for done, request in enumerate(requests):
        show("teaching", done, len(requests))
        try:
            editor.edit(request)
        except EditFailed:
            continue
    show("teaching", len(requests), len(requests))
    return len(editor.edits)


def _serve_in_turn(editor: SolaEditor, questions: Sequence[str], tokens: int) -> Served:
    start = time.perf_counter()
    return _served([_serve(editor, question, tokens, start) for question in questions])


def _serve_at_once(editor: SolaEditor, questions: Sequence[str], tokens: int) -> Served:
    ready = threading.Barrier(len(questions) + 1)
    started: list[float] = []

    def visitor(question: str) -> tuple[tuple[int, ...], float, float]:
        ready.wait()
        return _serve(editor, question, tokens, started[0])

    with ThreadPoolExecutor(len(questions)) as visitors:
        answers = [visitors.submit(visitor, question) for question in questions]
        started.append(time.perf_counter())
        ready.wait()
        return _served([answer.result() for answer in answers])


def _serve(editor: SolaEditor, question: str, tokens: int, start: float) -> tuple[tuple[int, ...], float, float]:
    """Answer one question; return its tokens, the seconds until its first piece, and those from the start to its end."""
    asked = time.perf_counter()
    stream = editor.stream(question, tokens, ignore_end=True)
    next(stream)
    first = time.perf_counter() - asked
    for _ in stream:
        pass
    return stream.ids, first, time.perf_counter() - start


def _served(answers: Sequence[tuple[tuple[int, ...], float, float]]) -> Served:
    ids, first, seconds = zip(*answers, strict=True)
    return Served(ids=ids, first_seconds=first, seconds=seconds)
