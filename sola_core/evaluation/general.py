"""What the host can still do elsewhere while edits are stored: running text and unrelated questions, against the base model.

Knows the session from outside. Says nothing about the facts that were taught.
"""

from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sola_core.errors import EditFailed, InvalidInput
from sola_core.evaluation.numbers import present, share
from sola_core.evaluation.output import surroundings, table
from sola_core.evaluation.reversibility import OnStage
from sola_core.evaluation.rows import Row
from sola_core.records import EditRequest
from sola_core.session import SolaEditor

WINDOW_CHARS = 600  # about 150 tokens: inside the sentence encoder's window, so that a text router really judges it


@dataclass(frozen=True, kw_only=True)
class Window:
    """One piece of running text, as likely as the model finds it."""

    text: str
    tokens: int  # that are scored: all but the first
    edit_id: str | None  # which edit the router chose for it
    reason: str  # Route.reason
    score: float | None  # of the closest edit
    nats: float  # negative log likelihood of the window, with the edits stored
    base_nats: float  # the untouched model's


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """One unrelated question, answered with the edits stored and by the untouched model."""

    prompt: str
    text: str
    base_text: str
    edit_id: str | None
    identical: bool  # the same text, and the same way to stop
    bit_equal: bool  # the same logits for the first token, bit for bit


@dataclass(frozen=True, kw_only=True)
class GeneralReport:
    """Every window and every question of one run."""

    edits: int
    not_taught: int
    windows: tuple[Window, ...]
    questions: tuple[Elsewhere, ...]
    settings: Mapping[str, str | int]
    surroundings: Mapping[str, str | int]
    seconds: float

    @property
    def figures(self) -> dict[str, float]:
        """The flat figures; shares are 0..1, a perplexity is per token, and an absent figure is left out."""
        tokens = sum(w.tokens for w in self.windows)
        found: dict[str, float | None] = {
            "perplexity": math.exp(sum(w.nats for w in self.windows) / tokens) if tokens else None,
            "perplexity_base": math.exp(sum(w.base_nats for w in self.windows) / tokens) if tokens else None,
            "routed_windows": share(w.edit_id is not None for w in self.windows),
            "identical_answers": share(q.identical for q in self.questions),
            "bit_equal": share(q.bit_equal for q in self.questions),
            "routed_questions": share(q.edit_id is not None for q in self.questions),
            "edits": self.edits,
            "not_taught": self.not_taught,
        }
        return present(found)

    def text(self) -> str:
        """Return the figures as a table, then what was routed to an edit although it is about something else."""
        lines = [table(["figure", "value"], [(name, f"{value:.6g}") for name, value in self.figures.items()])]
        for w in self.windows:
            if w.edit_id is not None:
                lines.append(f"routed to {w.edit_id}: {textwrap.shorten(w.text, 80)!r}")
        lines += [
            f"changed: {q.prompt!r}: {q.base_text!r} became {q.text!r}" for q in self.questions if not q.identical
        ]
        unread = sum(w.reason == "unrepresentable" for w in self.windows)
        if unread:
            lines.append(f"{unread} windows could not be read by the router: no edit can answer them")
        asked = f"{len(self.windows)} windows of text, {len(self.questions)} unrelated questions"
        lines.append(f"{self.edits} edits stored, router {self.settings['router']}; {asked}; {self.seconds:.0f} s")
        return "\n".join(lines)


def general(
    editor: SolaEditor,
    requests: Sequence[EditRequest] = (),
    *,
    windows: Sequence[str] = (),
    unrelated: Sequence[Row] = (),
    tokens: int = 48,
    on_stage: OnStage | None = None,
) -> GeneralReport:
    """Teach the requests (none for an editor that holds edits already), then compare windows and questions with the base model.

    Every window is one request to the router, as a user's text would be; its perplexity is that of the plain text, outside of
    any template. Raises InvalidInput when there is no edit, or nothing to compare.
    """
    if not windows and not unrelated:
        raise InvalidInput(
            "There is nothing to compare. Name a text (--text), unrelated questions (--unrelated), or both."
        )
    show, began = on_stage or (lambda stage, done, total: None), time.perf_counter()
    failed = 0
    for done, request in enumerate(requests):
        show("teaching", done, len(requests))
        try:
            editor.edit(request)
        except EditFailed:
            failed += 1
    if not editor.edits:
        raise InvalidInput("No edit is stored, so there is nothing that could harm the model. Teach facts first.")
    read = []
    for done, text in enumerate(windows):
        show("reading", done, len(windows))
        read.append(_window(editor, text))
    asked = []
    for done, row in enumerate(unrelated):
        show("asking", done, len(unrelated))
        asked.append(_elsewhere(editor, row.prompt, tokens))
    return GeneralReport(
        edits=len(editor.edits),
        not_taught=failed,
        windows=tuple(read),
        questions=tuple(asked),
        settings={"router": editor.router_name, "method": editor.method.name, "tokens": tokens},
        surroundings=surroundings(editor.host),
        seconds=time.perf_counter() - began,
    )


def read_windows(path: Path, count: int, chars: int = WINDOW_CHARS) -> tuple[str, ...]:
    """Return at most `count` windows of a text file of about `chars` characters each, spread evenly over it.

    Line ends count as spaces. Raises InvalidInput for a file that cannot be read or holds no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The file {path} cannot be read as UTF-8 text: {error}") from error
    pieces = textwrap.wrap(" ".join(text.split()), chars, break_on_hyphens=False)
    if not pieces:
        raise InvalidInput(f"The file {path} holds no text. Name another one.")
    whole = pieces[:-1] or pieces  # the last one is short
    step = max(1.0, len(whole) / count)
    return tuple(whole[int(i * step)] for i in range(min(count, len(whole))))


def _window(editor: SolaEditor, text: str) -> Window:
    route = editor.route(text)
    score, base = editor.text_score(text), editor.base_text_score(text)
    return Window(
        text=text,
        tokens=len(score.ids),
        edit_id=route.edit_id,
        reason=route.reason,
        score=route.candidates[0].score if route.candidates else None,
        nats=-sum(score.log_probabilities),
        base_nats=-sum(base.log_probabilities),
    )


def _elsewhere(editor: SolaEditor, prompt: str, tokens: int) -> Elsewhere:
    answer, base = editor.answer(prompt, tokens), editor.base_answer(prompt, tokens)
    logits, base_logits = editor.next_token_logits(prompt), editor.base_generation_logits(prompt, 1)[0]
    return Elsewhere(
        prompt=prompt,
        text=answer.text,
        base_text=base.text,
        edit_id=answer.route.edit_id,
        identical=(answer.text, answer.stopped) == (base.text, base.stopped),
        bit_equal=bool(logits.equal(base_logits)),
    )
