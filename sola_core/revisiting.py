"""Answers a question with the edits that were on at an earlier moment, as far as they are still stored.

Knows an editor's stream and the history. Moves no switch, stores nothing, remembers nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sola_core.history import PastState
from sola_core.records import Answer, Route
from sola_core.text import checked_prompt

if TYPE_CHECKING:
    from sola_core.session import SolaEditor


@dataclass(frozen=True, kw_only=True)
class AnswerThen:
    """An answer as it was at a moment, finished or in the making."""

    question: str
    state: PastState
    route: Route
    text: str
    answer: Answer | None = None  # once it has ended


def answer_then(
    editor: SolaEditor, question: str, state: PastState, max_new_tokens: int
) -> Generator[AnswerThen, None, AnswerThen]:
    """Yield the answer so far after each token, then return it finished; closing the generator stops it.

    Raises InvalidInput when the question is unusable.
    """
    question = checked_prompt(question)
    with closing(editor.stream(question, max_new_tokens, on=state.ids)) as stream:
        text = ""
        for piece in stream:
            text += piece
            yield AnswerThen(question=question, state=state, route=stream.route, text=text)
        last = AnswerThen(question=question, state=state, route=stream.route, text=text, answer=stream.answer)
        yield last
        return last
