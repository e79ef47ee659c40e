"""What a benchmark asks once everything is taught, in batches or one by one, and how each answer counts.

Knows the session from outside. Knows no teaching and no figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sola_core.errors import InvalidInput
from sola_core.evaluation.questions import Question
from sola_core.evaluation.rows import Row
from sola_core.host.stream import Generation
from sola_core.joint_session import JointEditor
from sola_core.records import Answer
from sola_core.session import AnyEditor

Outcome = Literal["right", "wrong", "missed", "untouched", "false fire"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question, the free-running answer, and how it counts."""

    row_id: str
    kind: str  # as in Question
    prompt: str
    text: str
    stopped: str
    good: bool  # exactly the new answer with a natural stop; or, where it must stay, the base model's answer
    outcome: Outcome  # what the router did, apart from the content
    wanted: str  # the new answer, or the base model's
    contains: bool = False  # a new answer stands in the text, alone or not


class Answers:
    """Asks on behalf of one run, while nothing is taught, switched or deleted.

    In batches every distinct prompt is generated once. A prompt that no edit answers has the untouched model's answer by
    construction: `answer_many` runs such prompts without a function round any module, which is all that `base_answer_many`
    does, so one generation serves both sides. (Generated again in another batch, a near-tie of two tokens could fall otherwise
    and look like harm done by an edit.) One by one, which checks all this, both sides are generated anew for each question.
    """

    def __init__(self, editor: AnyEditor, tokens: int, *, one_by_one: bool = False) -> None:
        self._editor, self._tokens, self._one_by_one = editor, tokens, one_by_one
        self._routed: dict[str, Answer] = {}
        self._base: dict[str, Answer] = {}

    def routed(self, prompts: Sequence[str]) -> list[Answer]:
        """Answer each prompt with the edit that the router chooses, or with the untouched model."""
        if self._one_by_one:
            return [self._editor.answer(prompt, self._tokens) for prompt in prompts]
        new = _new(prompts, self._routed)
        made = self._editor.answer_many(new, self._tokens)
        self._routed.update(zip(new, made, strict=True))
        self._base.update((prompt, answer) for prompt, answer in self._routed.items() if answer.route.deferred)
        return [self._routed[prompt] for prompt in prompts]

    def base(self, prompts: Sequence[str]) -> list[Answer]:
        """Answer each prompt with the untouched model."""
        if self._one_by_one:
            return [self._editor.base_answer(prompt, self._tokens) for prompt in prompts]
        new = _new(prompts, self._base)
        made = self._editor.base_answer_many(new, self._tokens)
        self._base.update(zip(new, made, strict=True))
        return [self._base[prompt] for prompt in prompts]

    def forced(self, edit_ids: Sequence[str], prompts: Sequence[str]) -> list[Generation]:
        """Answer each prompt with the edit beside it, whatever the router would choose."""
        if isinstance(self._editor, JointEditor):
            raise InvalidInput("Facts that share a state cannot be asked by themselves.")
        forced = self._editor.forced_answer
        if self._one_by_one:
            pairs = zip(edit_ids, prompts, strict=True)
            return [forced(edit_id, prompt, self._tokens) for edit_id, prompt in pairs]
        return self._editor.forced_answer_many(edit_ids, prompts, self._tokens)

    def route(self, prompt: str) -> str | None:
        """Return the edit that answers a prompt."""
        known = self._routed.get(prompt)
        return (known.route if known else self._editor.route(prompt)).edit_id


def ask_all(answers: Answers, questions: Sequence[Question], owners: Mapping[str, Row]) -> list[Asked]:
    """Ask all questions and score the answers; `owners` says which row each edit was taught from.

    Where the answer must stay it is compared, letter by letter and with how it stopped, with the untouched model's.
    """
    routed = answers.routed([question.prompt for question in questions])
    staying = [i for i, question in enumerate(questions) if question.target is None]
    base = dict(zip(staying, answers.base([questions[i].prompt for i in staying]), strict=True))
    return [
        _asked(question, answer, base.get(i), owners)
        for i, (question, answer) in enumerate(zip(questions, routed, strict=True))
    ]


def _new(prompts: Sequence[str], known: Mapping[str, Answer]) -> list[str]:
    return [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]


def _asked(question: Question, answer: Answer, base: Answer | None, owners: Mapping[str, Row]) -> Asked:
    if base is None:
        good, wanted = question.answered(answer.text, answer.stopped), question.target or ""
    else:
        good, wanted = answer.text == base.text and answer.stopped == base.stopped, base.text
    return Asked(
        row_id=question.row.id,
        kind=question.kind,
        prompt=question.prompt,
        text=answer.text,
        stopped=answer.stopped,
        good=good,
        outcome=_outcome(question, answer, owners),
        wanted=wanted,
        contains=question.contained(answer.text),
    )


def _outcome(question: Question, answer: Answer, owners: Mapping[str, Row]) -> Outcome:
    if question.target is None:
        return "untouched" if answer.route.deferred else "false fire"
    if answer.route.deferred:
        return "missed"
    return "right" if any(owners.get(edit_id) == question.row for edit_id in answer.route.edit_ids) else "wrong"
