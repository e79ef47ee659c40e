"""Answers one question twice, with the untouched model and with the edits, both at the same time.

Knows an editor's two streams. Knows nothing of visitors or of the page.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sola_core.first_token import TokenChance, first_token
from sola_core.records import Answer, Route
from sola_core.text import checked_prompt

if TYPE_CHECKING:
    from sola_core.session import SolaEditor


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """The two answers to one question, finished or in the making."""

    question: str
    route: Route
    base_text: str
    edited_text: str
    base: Answer | None = None  # once it has ended
    edited: Answer | None = None
    first: tuple[TokenChance, ...] = ()  # the tokens that the answers may begin with; from the first round on


def answer_twice(editor: SolaEditor, question: str, max_new_tokens: int) -> Generator[SideBySide, None, SideBySide]:
    """Yield both answers so far after each round of one token on either side, then return them finished.

    Closing the generator stops both. Raises InvalidInput when the question is unusable.
    """
    question = checked_prompt(question)
    edited, base = editor.both_streams(question, max_new_tokens)
    with closing(base), closing(edited):
        texts = {"base": "", "edited": ""}
        running = {"edited": edited, "base": base}
        first: tuple[TokenChance, ...] = ()
        while True:
            for side, stream in list(running.items()):
                try:
                    texts[side] += next(stream)
                except StopIteration:
                    del running[side]
            if not first and base.first_logits is not None and edited.first_logits is not None:
                first = first_token(editor.host.format, base.first_logits, edited.first_logits)
            both = SideBySide(
                question=question,
                route=edited.route,
                base_text=texts["base"],
                edited_text=texts["edited"],
                base=None if "base" in running else base.answer,
                edited=None if "edited" in running else edited.answer,
                first=first,
            )
            yield both
            if not running:
                return both
