"""What `load_editor` returns: it routes a prompt, lets the method answer or learn, and commits to the library.

Joins one editor, one router and one library over one host. Knows no page and no method's insides.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from torch import Tensor

from sola_core.answering import BASE, AnswerStream, OnAnswers, Plan, answer_of, generate_rows
from sola_core.editors.base import Editor
from sola_core.editors.sola import Sola, SolaSettings
from sola_core.errors import BatchFailed, EditFailed, InvalidInput, InvalidRequest
from sola_core.host.model import HostModel
from sola_core.host.scoring import TargetScore, score_targets, score_text
from sola_core.host.stream import Generation
from sola_core.library.sizes import LibrarySizes
from sola_core.library.store import Library
from sola_core.records import (
    Answer,
    Candidate,
    Edit,
    EditRequest,
    Erasure,
    Event,
    KeysMade,
    Route,
    TrainingStep,
)
from sola_core.routed import RoutedEdits
from sola_core.steps import finish
from sola_core.text import checked_prompt, checked_request

if TYPE_CHECKING:
    import numpy as np

    from sola_core.routing.encoders import TextEncoder

OnProgress = Callable[[TrainingStep], None]
METHODS = ("sola",)


def load_editor(
    method: str = "sola",
    model: str = "smollm2-135m",
    router: str = "scope",
    device: str = "auto",
    library: str | Path = ":memory:",
    seed: int = 0,
    host: HostModel | None = None,
    encoder: TextEncoder | None = None,
) -> SolaEditor:
    """Load a host, a router and a library, and return the editor over them.

    `model` is a known name, a hub id or a local folder; `library` is ":memory:" or a file. `host` and `encoder` share ones
    already loaded. Raises a SolaError child that says what to do when a part cannot be had.
    """
    if method not in METHODS:
        raise InvalidInput(f"Unknown method '{method}'. Available: {', '.join(METHODS)}.")
    host = host or HostModel.load(model, device)
    store = Library.open(library, host_name=host.name, host_fingerprint=host.fingerprint)
    try:
        return SolaEditor(
            method=Sola(SolaSettings(seed=seed)), host=host, library=store, router=router, encoder=encoder
        )
    except BaseException:
        store.close()
        raise


class SolaEditor:
    """Teach, ask, switch off and take back facts on one frozen host.

    Safe to call from several threads: library and router change together under one short lock, and the host does one step
    at a time; nothing is held while a caller reads an answer.
    """

    def __init__(
        self,
        *,
        method: Editor,
        host: HostModel,
        library: Library,
        router: str = "scope",
        encoder: TextEncoder | None = None,
    ) -> None:
        self.host, self.method, self.capabilities = host, method, method.capabilities
        self._library = library
        self._routed = RoutedEdits(library, method, host, router=router, encoder=encoder)

    # ---- teaching ------------------------------------------------------------------------------------------------

    def edit(self, request: EditRequest, *, replace: Sequence[str] = (), on_progress: OnProgress | None = None) -> Edit:
        """Teach one fact and return it, stored; raise EditFailed, and store nothing, when it cannot be learnt.

        `replace` names edits that are deleted in the same transaction.
        """
        return finish(self.edit_steps(request, replace=replace), on_progress)

    def edit_steps(self, request: EditRequest, *, replace: Sequence[str] = ()) -> Generator[TrainingStep, None, Edit]:
        """Teach one fact step by step; closing the generator before its end leaves no trace of it."""
        try:
            request = checked_request(request)
        except InvalidInput as error:
            raise InvalidRequest(str(error)) from error
        replace = tuple(dict.fromkeys(replace))
        for edit_id in replace:
            self._library.get(edit_id)
        trained = yield from self.method.train_steps(request, self.host)
        record = trained.training
        yield TrainingStep(step=len(record.losses), total=len(record.losses), loss=record.losses[-1], stage="storing")
        return self._routed.add(trained, replace)

    def edit_many(
        self,
        requests: Sequence[EditRequest],
        on_progress: OnProgress | None = None,
        on_failure: Callable[[int, EditFailed], None] | None = None,
    ) -> list[Edit]:
        """Teach many facts in batches and return those that hold, in the order given; each is stored by itself.

        A failed one goes to `on_failure(index, error)`; without it, BatchFailed is raised once the others are stored.
        """
        edits: list[Edit] = []
        failures: dict[int, EditFailed] = {}
        size = getattr(getattr(self.method, "settings", None), "batch_rows", 16)
        for start in range(0, len(requests), size):
            outcomes = finish(self.method.train_many(requests[start : start + size], self.host), on_progress)
            for index, outcome in enumerate(outcomes, start):
                if isinstance(outcome, EditFailed):
                    failures[index] = outcome
                    if on_failure is not None:
                        on_failure(index, outcome)
                else:
                    edits.append(self._routed.add(outcome))
        if failures and on_failure is None:
            raise BatchFailed(edits, failures)
        return edits

    # ---- asking --------------------------------------------------------------------------------------------------

    def answer(self, prompt: str, max_new_tokens: int = 48) -> Answer:
        """Answer with the edit that the router chooses, or with the untouched model."""
        return self.stream(prompt, max_new_tokens).drain()

    def base_answer(self, prompt: str, max_new_tokens: int = 48) -> Answer:
        """Answer with the untouched model."""
        return self.base_stream(prompt, max_new_tokens).drain()

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

    def base_answer_many(
        self, prompts: Sequence[str], max_new_tokens: int = 48, on_progress: OnAnswers | None = None
    ) -> list[Answer]:
        """Answer many prompts in batches with the untouched model."""
        adapters: list[Mapping[str, Tensor]] = [{}] * len(prompts)
        made = generate_rows(self.host, self.method.row_modules, prompts, adapters, max_new_tokens, on_progress)
        return [answer_of(generation, BASE) for generation in made]

    def stream(self, prompt: str, max_new_tokens: int = 48, *, ignore_end: bool = False) -> AnswerStream:
        """Return an iterator over the pieces of an answer; its route is decided once and holds to the end."""
        request = self._routed.plan(prompt)
        tokens = self.host.stream(
            prompt, max_new_tokens=max_new_tokens, intervention=request.intervention, ignore_end=ignore_end
        )
        return AnswerStream(tokens, request)

    def base_stream(self, prompt: str, max_new_tokens: int = 48, *, ignore_end: bool = False) -> AnswerStream:
        """Return an iterator over the pieces of the untouched model's answer."""
        checked_prompt(prompt)
        tokens = self.host.stream(prompt, max_new_tokens=max_new_tokens, ignore_end=ignore_end)
        return AnswerStream(tokens, Plan(BASE, None))

    def next_token_logits(self, prompt: str) -> Tensor:
        """Return the float32 logits, (vocab,), of the first token, with the routed edit applied."""
        return self.host.next_token_logits(prompt, self._routed.plan(prompt).intervention)

    def generation_logits(self, prompt: str, steps: int = 16) -> Tensor:
        """Return the float32 logits of the first greedy steps, (at most `steps`, vocab), with the routed edit applied."""
        return self.host.generation_logits(prompt, steps, self._routed.plan(prompt).intervention)

    def base_generation_logits(self, prompt: str, steps: int = 16) -> Tensor:
        """Return the same of the untouched model."""
        return self.host.generation_logits(checked_prompt(prompt), steps)

    def target_scores(self, prompt: str, targets: Sequence[str]) -> tuple[TargetScore, ...]:
        """Return how likely each target is as the answer, teacher-forced, with the edit that `answer` would route to."""
        return score_targets(self.host, prompt, targets, self._routed.plan(prompt).intervention)

    def base_target_scores(self, prompt: str, targets: Sequence[str]) -> tuple[TargetScore, ...]:
        """Return the same of the untouched model."""
        return score_targets(self.host, checked_prompt(prompt), targets)

    def text_score(self, text: str) -> TargetScore:
        """Return how likely a running text is, with the edit that the router chooses for it as for a question."""
        edit_id = self._routed.route(text).edit_id
        return score_text(self.host, text, None if edit_id is None else self._routed.intervention(edit_id))

    def base_text_score(self, text: str) -> TargetScore:
        """Return the same of the untouched model."""
        return score_text(self.host, checked_prompt(text))

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

    # ---- routing -------------------------------------------------------------------------------------------------

    def route(self, prompt: str) -> Route:
        """Return the route that `answer` would take now."""
        return self._routed.route(prompt)

    def scores(self, prompt: str) -> tuple[Candidate, ...]:
        """Return the score of every stored edit for this prompt, best first."""
        return self._routed.scores(prompt)

    def embed(self, text: str) -> np.ndarray:
        """Return the vector that the map draws for a text, (dim,) float32."""
        return self._routed.embed(text)

    @property
    def router_name(self) -> str:
        """The router in use: hidden, sentence or scope."""
        return self._routed.router_name

    def use_router(self, name: str) -> None:
        """Route with another router from now on; keys that it lacks are made from the edits' texts."""
        finish(self._routed.use_router_steps(name))

    def use_router_steps(self, name: str) -> Generator[KeysMade, None, None]:
        """Do the same edit by edit; closing the generator before its end leaves the old router in use."""
        return self._routed.use_router_steps(name)

    def routes(self, prompt: str) -> dict[str, Route]:
        """Return the route that each router would take now, by name; the one in use stays in use."""
        return finish(self._routed.routes_steps(prompt))

    def routes_steps(self, prompt: str) -> Generator[KeysMade, None, dict[str, Route]]:
        """Do the same edit by edit, as far as keys have to be made first; no answer is generated."""
        return self._routed.routes_steps(prompt)

    # ---- the edits -----------------------------------------------------------------------------------------------

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits, in order of teaching."""
        return self._library.edits()

    def set_enabled(self, edit_id: str, enabled: bool) -> Edit:
        """Switch an edit on or off; raise UnknownEdit for an id this library does not hold."""
        return self._routed.set_enabled(edit_id, enabled)

    def delete(self, edit_id: str) -> Erasure:
        """Delete an edit for ever; say whether its text is already gone from the disk ("erased") or still going."""
        return self._routed.delete(edit_id)

    @property
    def erasing(self) -> bool:
        """True while the text of a deleted edit is not yet gone from the disk."""
        return self._library.erasing

    def retry_erasure(self) -> bool:
        """Try again to clear deleted texts from the disk; return True when nothing is left."""
        return self._library.retry_erasure()

    def events(self) -> tuple[Event, ...]:
        """Return what was done here: kinds, ids and times, no texts."""
        return self._library.events()

    def tensors(self, edit_id: str) -> dict[str, Tensor]:
        """Return an edit's adapter as it is stored; raise UnknownEdit for an unknown id."""
        return self._library.tensors(edit_id)

    @property
    def sizes(self) -> LibrarySizes:
        """How many bytes the stored edits take: adapters, keys, and all of it in the library's file."""
        return self._library.sizes

    @property
    def state_digest(self) -> str:
        """Hex SHA-256 of the edits that are stored, independent of how this state was reached."""
        return self._routed.state_digest

    def close(self) -> None:
        """Close the library; the editor cannot be used afterwards."""
        self._library.close()

    def __enter__(self) -> SolaEditor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
