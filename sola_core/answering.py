"""An answer in the making: the route that was decided and the pieces of text as they come; or many answers in batches.

Knows records and how the host generates. Knows no router, no library and no page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from sola_core.editors.base import Plan
from sola_core.host.batch import generate_many
from sola_core.host.intervention import ModuleFunction
from sola_core.host.model import HostModel
from sola_core.host.stream import Generation
from sola_core.records import Answer, Route
from sola_core.text import checked_prompt

BASE = Route(kind="base")

OnAnswers = Callable[[int, int], None]  # how many answers are there, of how many
RowModules = Callable[[Sequence[Mapping[str, Tensor]], HostModel], Mapping[str, ModuleFunction]]  # as in Editor


class Tokens(Protocol):
    """The pieces of an answer and what is known of it: the host's TokenStream, or one that a worker makes."""

    @property
    def generation(self) -> Generation:
        """The answer so far."""

    @property
    def first_logits(self) -> Tensor | None:
        """The logits, (vocab,), that the first token was chosen from; None until it was."""

    @property
    def step_seconds(self) -> Sequence[float]:
        """Seconds of each forward step so far, as far as they are known."""

    def __next__(self) -> str: ...

    def close(self) -> None:
        """Stop here."""


class AnswerStream(Iterator[str]):
    """An answer in the making: iterate over pieces of text, then read `answer`; `close` stops it early."""

    def __init__(self, tokens: Tokens, plan: Plan) -> None:
        self._tokens, self._plan = tokens, plan

    def __next__(self) -> str:
        return next(self._tokens)

    @property
    def route(self) -> Route:
        """Which edit answers; known before the first piece is out."""
        return self._plan.route

    @property
    def answer(self) -> Answer:
        """The answer so far; `stopped` is "cancelled" until it has ended."""
        return answer_of(self._tokens.generation, self.route)

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens so far, the end-of-turn token not counted."""
        return self._tokens.generation.ids

    @property
    def first_logits(self) -> Tensor | None:
        """The logits, (vocab,), that the first token was chosen from; None until it was."""
        return self._tokens.first_logits

    @property
    def step_seconds(self) -> tuple[float, ...]:
        """Seconds of each forward step so far, the prefill first."""
        return tuple(self._tokens.step_seconds)

    def drain(self) -> Answer:
        """Run to the end and return the answer."""
        for _ in self:
            pass
        return self.answer

    def close(self) -> None:
        """Stop here."""
        self._tokens.close()


def generate_rows(
    host: HostModel,
    row_modules: RowModules,
    prompts: Sequence[str],
    adapters: Sequence[Mapping[str, Tensor]],
    max_new_tokens: int,
    on_progress: OnAnswers | None = None,
) -> list[Generation]:
    """Return the answers to prompts, each with its own adapter or with an empty one, in batches and in the order given.

    Prompts without an adapter run in batches of their own with no function round any module: the very calls that the untouched
    model's answers are made by. An exception from `on_progress` cancels.
    """
    texts = [checked_prompt(prompt) for prompt in prompts]
    made: dict[int, Generation] = {}
    for edited in (False, True):
        which = [i for i, adapter in enumerate(adapters) if bool(adapter) is edited]

        def modules(rows: Sequence[int], which: Sequence[int] = which) -> Mapping[str, ModuleFunction]:
            return row_modules([adapters[which[row]] for row in rows], host)

        ended = generate_many(
            host,
            [texts[i] for i in which],
            max_new_tokens=max_new_tokens,
            modules_of=modules if edited else None,
        )
        for row, generation in ended:
            made[which[row]] = generation
            if on_progress is not None:
                on_progress(len(made), len(prompts))
    return [made[i] for i in range(len(prompts))]


def answer_of(made: Generation, route: Route) -> Answer:
    """Return what the host generated as an answer, with its route."""
    return Answer(
        text=made.text,
        route=route,
        stopped=made.stopped,
        tokens=len(made.ids),
        first_token_seconds=made.first_token_seconds,
        seconds=made.seconds,
    )
