"""All that can be asked of an editor: answers by themselves and in batches, logits, and how likely given texts are.

Knows the host and who plans a request; teaches nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from sola_core.answering import BASE, AnswerStream, OnAnswers, Tokens, answer_of, generate_rows
from sola_core.editors.base import Editor, Plan
from sola_core.host.intervention import Intervention
from sola_core.host.model import HostModel
from sola_core.host.scoring import TargetScore, score_targets, score_text
from sola_core.host.stream import Generation
from sola_core.host.together import Together
from sola_core.records import Answer, Route
from sola_core.routed import RoutedEdits
from sola_core.text import checked_prompt
from sola_core.worker.answers import respond
from sola_core.worker.tasks import Respond, Worker


class Planner(Protocol):
    """Decides what a request does to the host."""

    def plan(self, prompt: str, on: Collection[str] | None = None) -> Plan:
        """Return the plan of one request, as if exactly the edits of `on` were switched on, if it is given."""


class Asking:
    """The half of an editor that answers, whatever its method is."""

    def __init__(self, host: HostModel, planner: Planner, together: Together | None = None) -> None:
        self.host, self._planner, self._joined = host, planner, together

    def answer(self, prompt: str, max_new_tokens: int = 48) -> Answer:
        """Answer with the edit that the router chooses, or with the untouched model."""
        return self.stream(prompt, max_new_tokens).drain()

    def base_answer(self, prompt: str, max_new_tokens: int = 48) -> Answer:
        """Answer with the untouched model."""
        return self.base_stream(prompt, max_new_tokens).drain()

    def answer_many(
        self, prompts: Sequence[str], max_new_tokens: int = 48, on_progress: OnAnswers | None = None
    ) -> list[Answer]:
        """Answer many prompts as `answer` does; `on_progress(done, total)` may raise to cancel."""
        answers: list[Answer] = []
        for prompt in prompts:
            if on_progress is not None:
                on_progress(len(answers), len(prompts))
            answers.append(self.answer(prompt, max_new_tokens))
        return answers

    def base_answer_many(
        self, prompts: Sequence[str], max_new_tokens: int = 48, on_progress: OnAnswers | None = None
    ) -> list[Answer]:
        """Answer many prompts in batches with the untouched model."""
        adapters: list[Mapping[str, Tensor]] = [{}] * len(prompts)
        made = generate_rows(self.host, lambda rows, host: {}, prompts, adapters, max_new_tokens, on_progress)
        return [answer_of(generation, BASE) for generation in made]

    def stream(
        self,
        prompt: str,
        max_new_tokens: int = 48,
        *,
        ignore_end: bool = False,
        on: Collection[str] | None = None,
    ) -> AnswerStream:
        """Return an iterator over the pieces of an answer; its route is decided once and holds to the end.

        With `on`, the ids of some edits, answer as if exactly these were switched on; no switch is moved.
        """
        plan = self._planner.plan(prompt, on)
        read = prompt if plan.prompt is None else plan.prompt
        return AnswerStream(self._tokens(read, max_new_tokens, plan.intervention, ignore_end), plan)

    def base_stream(self, prompt: str, max_new_tokens: int = 48, *, ignore_end: bool = False) -> AnswerStream:
        """Return an iterator over the pieces of the untouched model's answer."""
        return AnswerStream(self._tokens(checked_prompt(prompt), max_new_tokens, None, ignore_end), Plan(BASE, None))

    def both_streams(self, prompt: str, max_new_tokens: int = 48) -> list[AnswerStream]:
        """Return `stream` and `base_stream` of a prompt."""
        return [self.stream(prompt, max_new_tokens), self.base_stream(prompt, max_new_tokens)]

    def _tokens(self, read: str, most: int, intervention: Intervention | None, ignore_end: bool) -> Tokens:
        """Return an answer in the making: by itself, or in common steps with those of other readers."""
        stream = self.host.stream if self._joined is None else self._joined.stream
        return stream(read, max_new_tokens=most, intervention=intervention, ignore_end=ignore_end)

    def next_token_logits(self, prompt: str) -> Tensor:
        """Return the float32 logits, (vocab,), of the first token, with the routed edit applied."""
        return self.generation_logits(prompt, 1)[0]

    def generation_logits(self, prompt: str, steps: int = 16) -> Tensor:
        """Return the float32 logits of the first greedy steps, (at most `steps`, vocab), with the routed edit applied."""
        plan = self._planner.plan(prompt)
        return self.host.generation_logits(plan.prompt or prompt, steps, plan.intervention)

    def base_generation_logits(self, prompt: str, steps: int = 16) -> Tensor:
        """Return the same of the untouched model."""
        return self.host.generation_logits(checked_prompt(prompt), steps)

    def target_scores(self, prompt: str, targets: Sequence[str]) -> tuple[TargetScore, ...]:
        """Return how likely each target is as the answer, teacher-forced, with the edit that `answer` would route to."""
        plan = self._planner.plan(prompt)
        return score_targets(self.host, plan.prompt or prompt, targets, plan.intervention)

    def base_target_scores(self, prompt: str, targets: Sequence[str]) -> tuple[TargetScore, ...]:
        """Return the same of the untouched model."""
        return score_targets(self.host, checked_prompt(prompt), targets)

    def base_text_score(self, text: str) -> TargetScore:
        """Return how likely a running text is to the untouched model."""
        return score_text(self.host, checked_prompt(text))


class RoutedAsking(Asking):
    """The same over edits that each stand for themselves: also in batches, in a worker, and with an edit forced."""

    def __init__(
        self,
        host: HostModel,
        method: Editor,
        routed: RoutedEdits,
        worker: Worker | None = None,
        together: Together | None = None,
    ) -> None:
        super().__init__(host, routed, together)
        self.method, self._routed, self._worker = method, routed, worker

    def answer_many(
        self, prompts: Sequence[str], max_new_tokens: int = 48, on_progress: OnAnswers | None = None
    ) -> list[Answer]:
        """Answer many prompts in batches, each with its own route, decided before it runs; the texts of `answer`.

        Tokens equal those of `answer` in float32, near-ties aside. `on_progress(done, total)` may raise to cancel.
        """
        show = on_progress or (lambda done, total: None)
        chosen = []
        for prompt in prompts:
            show(0, len(prompts))
            chosen.append(self._routed.chosen(prompt))
        adapters = [adapter for _, adapter in chosen]
        made = generate_rows(self.host, self.method.row_modules, prompts, adapters, max_new_tokens, on_progress)
        return [answer_of(generation, route) for generation, (route, _) in zip(made, chosen, strict=True)]

    def stream(
        self,
        prompt: str,
        max_new_tokens: int = 48,
        *,
        ignore_end: bool = False,
        on: Collection[str] | None = None,
    ) -> AnswerStream:
        """Return an iterator over the pieces of an answer (see Asking.stream), here or from the worker."""
        if self._worker is not None:
            return self._elsewhere(self._worker, prompt, max_new_tokens, ignore_end, base=False, on=on)[0]
        return super().stream(prompt, max_new_tokens, ignore_end=ignore_end, on=on)

    def base_stream(self, prompt: str, max_new_tokens: int = 48, *, ignore_end: bool = False) -> AnswerStream:
        """Return an iterator over the pieces of the untouched model's answer, here or from the worker."""
        if self._worker is not None:
            return self._elsewhere(self._worker, prompt, max_new_tokens, ignore_end, edited=False)[0]
        return super().base_stream(prompt, max_new_tokens, ignore_end=ignore_end)

    def both_streams(self, prompt: str, max_new_tokens: int = 48) -> list[AnswerStream]:
        """Return `stream` and `base_stream` of a prompt; a worker makes them in one task."""
        if self._worker is not None:
            return self._elsewhere(self._worker, prompt, max_new_tokens)
        return super().both_streams(prompt, max_new_tokens)

    def _elsewhere(
        self,
        worker: Worker,
        prompt: str,
        max_new_tokens: int,
        ignore_end: bool = False,
        *,
        edited: bool = True,
        base: bool = True,
        on: Collection[str] | None = None,
    ) -> list[AnswerStream]:
        """Decide the route here, and let a worker answer with what was routed, with the bare host, or with both."""
        self.host.prompt_ids(checked_prompt(prompt))
        chosen: list[tuple[Route, Mapping[str, Tensor]]] = [self._routed.chosen(prompt, on)] if edited else []
        chosen += [(BASE, {})] if base else []
        task = Respond(
            method=self.method,
            prompt=prompt,
            adapters=tuple(adapter for _, adapter in chosen),
            max_new_tokens=max_new_tokens,
            ignore_end=ignore_end,
        )
        made = respond(worker, task)
        return [AnswerStream(tokens, Plan(route, None)) for tokens, (route, _) in zip(made, chosen, strict=True)]

    def text_score(self, text: str) -> TargetScore:
        """Return how likely a running text is, with the edit that the router chooses for it as for a question."""
        edit_id = self._routed.route(text).edit_id
        return score_text(self.host, text, None if edit_id is None else self._routed.intervention(edit_id))

    def forced_answer(self, edit_id: str, prompt: str, max_new_tokens: int = 48) -> Generation:
        """Answer with this edit, on or off, whatever the router would choose; raise UnknownEdit for an unknown id."""
        forced = self._routed.intervention(edit_id)
        return self.host.generate(checked_prompt(prompt), max_new_tokens=max_new_tokens, intervention=forced)

    def forced_answer_many(
        self,
        edit_ids: Sequence[str],
        prompts: Sequence[str],
        max_new_tokens: int = 48,
        on_progress: OnAnswers | None = None,
    ) -> list[Generation]:
        """Answer each prompt with the edit beside it, as `forced_answer` does, in batches."""
        read = {edit_id: self._routed.adapter(edit_id) for edit_id in dict.fromkeys(edit_ids)}
        adapters = [read[edit_id] for edit_id in edit_ids]
        return generate_rows(self.host, self.method.row_modules, prompts, adapters, max_new_tokens, on_progress)
