"""An answer in the making: the route that was decided and the pieces of text as they come.

Knows records and the host's token stream. Knows no router, no library and no page.
"""

from __future__ import annotations

from collections.abc import Iterator

from sola_core.host.intervention import Intervention
from sola_core.host.stream import TokenStream
from sola_core.records import Answer, Route

BASE = Route(kind="base")


class Plan:
    """The route of one request and what it does to the host; filled in during prefill when the layer decides."""

    def __init__(self, route: Route, intervention: Intervention | None) -> None:
        self.route, self.intervention = route, intervention


class AnswerStream(Iterator[str]):
    """An answer in the making: iterate over pieces of text, then read `answer`; `close` stops it early."""

    def __init__(self, tokens: TokenStream, plan: Plan) -> None:
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
        made = self._tokens.generation
        return Answer(
            text=made.text,
            route=self.route,
            stopped=made.stopped,
            tokens=len(made.ids),
            first_token_seconds=made.first_token_seconds,
            seconds=made.seconds,
        )

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
