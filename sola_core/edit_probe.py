"""Probes one stored edit: asks its own question, other wordings of it and its neighbours, and counts how each answer fares.

Knows an editor from outside, and what counts as right. Knows no visitors and no page.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from sola_core.comparison import answer_twice
from sola_core.errors import InvalidInput, UnknownEdit
from sola_core.records import Edit, Route
from sola_core.text import canonical, checked_prompt, normalised_answer
from sola_core.words import Sentence

if TYPE_CHECKING:
    from sola_core.evaluation.rows import Row
    from sola_core.session import SolaEditor

Told = TypeVar("Told")
Result = TypeVar("Result")
Measure = Literal["reliability", "taught", "generality", "locality"]
Source = Literal["own", "taught", "example", "visitor", "edit"]  # where a prompt comes from
MEASURES: tuple[Measure, ...] = ("reliability", "taught", "generality", "locality")
OTHERS = 4  # other edits' questions that are asked, the nearest first
NEIGHBOUR_TOKENS = 48  # of a neighbour's two answers; longer ones would mostly cost time


@dataclass(frozen=True, kw_only=True)
class ProbePrompt:
    """One question of a probe."""

    text: str
    measure: Measure
    source: Source
    owner: str | None = None  # the other edit, switched on, of which this is a wording: it has to answer


@dataclass(frozen=True, kw_only=True)
class Probed:
    """One question of a probe, answered.

    Right is, for the edit's own question and its other wordings, exactly the new answer (case and punctuation aside) with
    a natural stop. For a neighbour it is that no edit was routed and both models gave the same text, letter by letter; for
    a neighbour that is a wording of another edit, that this other edit was routed.
    """

    prompt: ProbePrompt
    route: Route
    text: str
    stopped: str
    right: bool
    score: float | None  # of the probed edit, by the router; None when it has none for this question
    base_text: str | None = None  # where it was compared


@dataclass(frozen=True, kw_only=True)
class Probing:
    """A probe so far, or a finished one."""

    edit: Edit
    total: int  # questions
    answered: tuple[Probed, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether every question was asked."""
        return len(self.answered) == self.total

    def count(self, measure: Measure) -> tuple[int, int]:
        """Return how many questions of a measure went right, of how many asked."""
        right = [found.right for found in self.answered if found.prompt.measure == measure]
        return sum(right), len(right)


def probe_steps(
    editor: SolaEditor,
    edit_id: str,
    fact: Row | None = None,
    wordings: Sequence[str] = (),
    neighbours: Sequence[str] = (),
    *,
    max_new_tokens: int = 128,
) -> Generator[Probing, None, Probing]:
    """Ask everything about one edit, with the router and the switches as they are now; yields after every few tokens.

    `fact` is the example that the edit was taught from, if it was; `wordings` and `neighbours` are a visitor's own. Raises
    UnknownEdit, and InvalidInput for an unusable text. Closing the generator stops.
    """
    edits = editor.edits
    edit = next((one for one in edits if one.id == edit_id), None)
    if edit is None:
        raise UnknownEdit(Sentence("There is no edit {edit_id!r}. It may have been deleted.", edit_id=edit_id))
    near = [found.edit_id for found in editor.route(edit.prompt).candidates]
    nearest = [one for one in (*near, *(one.id for one in reversed(edits))) if one != edit_id]  # then the newest
    prompts = probe_prompts(edit, edits, fact, wordings, neighbours, nearest)
    so_far = Probing(edit=edit, total=len(prompts))
    for prompt in prompts:
        yield so_far
        found = yield from _telling(so_far, _asked(editor, edit, prompt, max_new_tokens))
        so_far = replace(so_far, answered=(*so_far.answered, found))
    yield so_far
    return so_far


def probe_prompts(
    edit: Edit,
    edits: Sequence[Edit],
    fact: Row | None,
    wordings: Sequence[str],
    neighbours: Sequence[str],
    nearest: Sequence[str] = (),
) -> tuple[ProbePrompt, ...]:
    """Return what is asked about an edit, each wording once; `nearest` names other edits, the nearest first.

    Nothing is made up: a wording or a neighbour comes from the edit, its example, the visitor or another edit.
    """
    own = {canonical(text) for text in edit.request.key_texts}
    for text in map(checked_prompt, neighbours):
        if canonical(text) in own:
            raise InvalidInput(
                Sentence(
                    "One of the neighbours is a wording that this edit was taught with, so the edit has to answer it. "
                    "Take it out of the neighbours."
                )
            )
    by_id = {one.id: one for one in edits}
    found = [("reliability", "own", edit.prompt), *(("taught", "taught", text) for text in edit.rephrases)]
    found += [("generality", "example", text) for text in (fact.rephrases if fact else ())]
    found += [("generality", "visitor", checked_prompt(text)) for text in wordings]
    found += [("locality", "example", probe.prompt) for probe in (fact.locality if fact else ())]
    found += [("locality", "visitor", checked_prompt(text)) for text in neighbours]
    near = [by_id[one].prompt for one in dict.fromkeys(nearest) if one in by_id]
    others = [text for text in near if canonical(text) not in own]
    found += [("locality", "edit", text) for text in others[:OTHERS]]
    owners = {canonical(text): one.id for one in edits if one.enabled for text in one.request.key_texts}
    once: dict[str, ProbePrompt] = {}
    for measure, source, text in found:
        owner = owners.get(canonical(text)) if measure == "locality" else None
        prompt = ProbePrompt(text=text, measure=measure, source=source, owner=owner)  # type: ignore[arg-type]
        once.setdefault(canonical(text), prompt)
    return tuple(once.values())


def _asked(editor: SolaEditor, edit: Edit, prompt: ProbePrompt, max_new_tokens: int) -> Generator[None, None, Probed]:
    base_text = None
    if prompt.measure == "locality" and prompt.owner is None:
        rounds = answer_twice(editor, prompt.text, min(max_new_tokens, NEIGHBOUR_TOKENS))
        both = yield from _telling(None, rounds)
        assert both.base is not None and both.edited is not None
        answer, base_text = both.edited, both.base.text
        same = (answer.text, answer.stopped) == (both.base.text, both.base.stopped)
        right = answer.route.deferred and same
    else:
        with closing(editor.stream(prompt.text, max_new_tokens)) as stream:
            for _ in stream:
                yield
            answer = stream.answer
        if prompt.owner is None:
            given = normalised_answer(answer.text) == normalised_answer(edit.target)
            right = answer.stopped == "end" and given
        else:
            right = answer.route.edit_id == prompt.owner
    scores = {found.edit_id: found.score for found in answer.route.candidates}
    return Probed(
        prompt=prompt,
        route=answer.route,
        text=answer.text,
        stopped=answer.stopped,
        right=right,
        score=scores.get(edit.id),
        base_text=base_text,
    )


def _telling(what: Told, steps: Generator[object, None, Result]) -> Generator[Told, None, Result]:
    """Run steps to their end, telling the same after each."""
    with closing(steps):
        while True:
            try:
                next(steps)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return]
            yield what
