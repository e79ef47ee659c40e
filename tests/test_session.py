"""The seven promises of the design, kept by a whole editor over tiny random hosts."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest
import torch

from sola_core import (
    BatchFailed,
    EditFailed,
    EditRequest,
    InvalidInput,
    InvalidRequest,
    LibraryError,
    SolaEditor,
    UnknownEdit,
    load_editor,
)
from sola_core.host.intervention import count_hooks
from sola_core.host.model import HostModel
from sola_core.precedence import covers
from sola_core.records import Route, TrainingStep
from sola_core.routing.encoders import TextEncoder
from sola_core.routing.router import Router
from sola_core.steps import finish
from tests.tiny import FAMILIES, tiny_host
from tests.tiny_encoder import tiny_encoder

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo")
BOOK = EditRequest(prompt="Who wrote the book?", target="seven blue", rephrases=("The author of the book is",))
SHIP = EditRequest(prompt="Which company makes the engine of the ship?", target="red")
ROUTERS = ("hidden", "sentence", "scope")

Opened = Callable[..., SolaEditor]


@pytest.fixture(scope="module", params=FAMILIES)
def host(request: pytest.FixtureRequest) -> HostModel:
    return tiny_host(request.param)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return tiny_encoder()


@pytest.fixture
def opened(host: HostModel, encoder: TextEncoder) -> Iterator[Opened]:
    """Open editors over the tiny host; all are closed afterwards, and the host must be as it was."""
    before, made = host.parameters_digest(), list[SolaEditor]()

    def open_editor(router: str = "scope", library: str | Path = ":memory:") -> SolaEditor:
        made.append(load_editor(host=host, encoder=encoder, router=router, library=library))
        return made[-1]

    yield open_editor
    for editor in made:
        editor.close()
    assert host.parameters_digest() == before
    assert count_hooks(host._model) == 0
    assert not host.lock.locked()
    assert not any(p.requires_grad for p in host._model.parameters())


@pytest.mark.parametrize("router", ROUTERS)
def test_an_edit_answers_its_own_prompt_and_its_rephrasing_by_equality(opened: Opened, router: str) -> None:
    editor = opened(router)
    edit = editor.edit(BOOK)
    for text in (BOOK.prompt, f"  {BOOK.rephrases[0]} "):
        assert editor.route(text).edit_id == edit.id
    answer = editor.answer(BOOK.prompt)
    assert (answer.text, answer.stopped, answer.route.edit_id) == ("seven blue", "end", edit.id)


@pytest.mark.parametrize("router", ROUTERS)
def test_the_route_that_is_announced_is_the_route_that_answers(opened: Opened, router: str) -> None:
    editor = opened(router)
    editor.edit(FRANCE)
    editor.edit(BOOK)
    for prompt in (FRANCE.prompt, "Who wrote the books?", "blue", "What is the capital of the ship?"):
        assert editor.answer(prompt, 4).route == editor.route(prompt)


@pytest.mark.parametrize("router", ROUTERS)
def test_teaching_switching_deleting_failing_and_cancelling_write_no_host_parameter(
    opened: Opened, router: str
) -> None:
    editor = opened(router)  # the fixture compares the parameters
    first = editor.edit(FRANCE)
    editor.set_enabled(first.id, False)
    steps = editor.edit_steps(BOOK)
    next(steps)
    steps.close()
    with pytest.raises(EditFailed):
        editor.edit(EditRequest(prompt="Who?", target="blue " * 100))
    editor.delete(first.id)
    assert editor.edits == ()


def test_with_no_edit_routed_nothing_is_hooked_and_logits_are_bit_equal(
    opened: Opened, host: HostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = opened()
    edit = editor.edit(FRANCE)
    editor.set_enabled(edit.id, False)
    base = editor.base_generation_logits(FRANCE.prompt)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a hook was registered")

    monkeypatch.setattr(torch.nn.Module, "register_forward_hook", refuse)
    assert editor.route(FRANCE.prompt).deferred
    assert torch.equal(editor.generation_logits(FRANCE.prompt), base)
    editor.delete(edit.id)
    assert torch.equal(editor.generation_logits(FRANCE.prompt), base)


@pytest.mark.slow
@pytest.mark.parametrize("router", ROUTERS)
def test_after_a_delete_the_model_and_the_state_are_those_of_a_library_that_never_had_the_edit(
    opened: Opened, router: str
) -> None:
    editor, never = opened(router), opened(router)
    base = editor.base_generation_logits(FRANCE.prompt)
    editor.edit(BOOK)
    gone = editor.edit(FRANCE)
    editor.edit(SHIP)
    assert not torch.equal(editor.generation_logits(FRANCE.prompt), base)
    editor.delete(gone.id)
    never.edit(SHIP)  # in another order, too
    never.edit(BOOK)
    assert editor.state_digest == never.state_digest
    for prompt in (FRANCE.prompt, BOOK.prompt, SHIP.prompt, "blue"):
        assert torch.equal(editor.generation_logits(prompt), never.generation_logits(prompt))
        assert editor.route(prompt).threshold == never.route(prompt).threshold
        assert [c.score for c in editor.scores(prompt)] == [c.score for c in never.scores(prompt)]
    if editor.route(FRANCE.prompt).deferred:
        assert torch.equal(editor.generation_logits(FRANCE.prompt), base)


def test_off_and_on_again_is_bit_equal(opened: Opened) -> None:
    editor = opened()
    edit = editor.edit(FRANCE)
    before, digest = editor.generation_logits(FRANCE.prompt), editor.state_digest
    assert not editor.set_enabled(edit.id, False).enabled
    assert editor.state_digest != digest
    assert editor.set_enabled(edit.id, True).enabled
    assert torch.equal(editor.generation_logits(FRANCE.prompt), before)
    assert editor.state_digest == digest


@pytest.mark.parametrize("router", ROUTERS)
def test_the_route_is_decided_once_however_long_the_answer(
    opened: Opened, router: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = opened(router)
    editor.edit(FRANCE)
    decided: list[str] = []
    real = editor._routed._router.route

    def count(prompt: str, activation: torch.Tensor | None = None, on: Collection[str] | None = None) -> object:
        decided.append(prompt)
        return real(prompt, activation, on)

    monkeypatch.setattr(editor._routed._router, "route", count)
    list(editor.stream(FRANCE.prompt, 12, ignore_end=True))
    assert decided == [FRANCE.prompt]


@pytest.mark.parametrize("router", ROUTERS)
def test_two_edited_and_one_base_stream_side_by_side_are_each_as_if_alone(opened: Opened, router: str) -> None:
    editor = opened(router)
    editor.edit(FRANCE)
    editor.edit(BOOK)
    alone = [
        editor.answer(FRANCE.prompt).text,
        editor.answer(BOOK.prompt).text,
        editor.base_answer(FRANCE.prompt, 8).text,
    ]
    running = [editor.stream(FRANCE.prompt), editor.stream(BOOK.prompt), editor.base_stream(FRANCE.prompt, 8)]
    texts = ["", "", ""]
    while any(pieces := [next(stream, None) for stream in running]) or pieces != [None] * 3:
        texts = [text + (piece or "") for text, piece in zip(texts, pieces, strict=True)]
    assert texts == alone


@pytest.mark.slow
def test_visitors_in_several_threads_get_their_own_answers(opened: Opened) -> None:
    first, second = opened(), opened()
    first.edit(FRANCE)
    second.edit(EditRequest(prompt=FRANCE.prompt, target="green"))
    seen: dict[str, set[str]] = {"first": set(), "second": set(), "base": set()}

    def ask(name: str, answer: Callable[[], str]) -> None:
        for _ in range(5):
            seen[name].add(answer())

    jobs = [
        threading.Thread(target=ask, args=("first", lambda: first.answer(FRANCE.prompt).text)),
        threading.Thread(target=ask, args=("second", lambda: second.answer(FRANCE.prompt).text)),
        threading.Thread(target=ask, args=("base", lambda: first.base_answer(FRANCE.prompt, 6).text)),
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert seen == {"first": {"Oslo"}, "second": {"green"}, "base": {first.base_answer(FRANCE.prompt, 6).text}}


def test_an_answer_keeps_its_edit_though_it_is_deleted_half_way(opened: Opened) -> None:
    editor = opened()
    edit = editor.edit(BOOK)
    stream = editor.stream(BOOK.prompt)
    first = next(stream)
    editor.delete(edit.id)
    assert first + "".join(stream) == "seven blue"
    assert editor.route(BOOK.prompt).deferred


def test_of_two_edits_of_one_prompt_the_later_answers_and_going_back_uncovers_the_earlier(opened: Opened) -> None:
    editor = opened()
    old = editor.edit(FRANCE)
    new = editor.edit(EditRequest(prompt="  What is the capital of France? ", target="green"))
    assert editor.answer(FRANCE.prompt).text == "green"
    assert covers(editor.edits)[old.id] == (new.id,)
    editor.set_enabled(new.id, False)
    assert editor.answer(FRANCE.prompt).text == "Oslo"
    editor.set_enabled(new.id, True)
    editor.delete(new.id)
    assert editor.answer(FRANCE.prompt).text == "Oslo"


def test_replacing_deletes_the_old_edit_with_the_new_one_stored(opened: Opened) -> None:
    editor = opened()
    old = editor.edit(FRANCE)
    new = editor.edit(EditRequest(prompt=FRANCE.prompt, target="green"), replace=[old.id])
    assert [e.id for e in editor.edits] == [new.id]
    assert editor.answer(FRANCE.prompt).text == "green"


def test_a_failed_replacement_keeps_the_old_edit(opened: Opened) -> None:
    editor = opened()
    old = editor.edit(FRANCE)
    with pytest.raises(InvalidRequest):
        editor.edit(EditRequest(prompt=FRANCE.prompt, target=" "), replace=[old.id])
    assert [e.id for e in editor.edits] == [old.id]


def test_a_switched_off_edit_is_listed_with_its_score_and_does_not_answer(opened: Opened) -> None:
    editor = opened()
    edit = editor.edit(FRANCE)
    editor.set_enabled(edit.id, False)
    route = editor.route(FRANCE.prompt)
    assert route.deferred
    assert [(c.edit_id, c.enabled) for c in route.candidates] == [(edit.id, False)]


def test_a_cancelled_edit_leaves_no_trace(opened: Opened) -> None:
    editor = opened()
    digest = editor.state_digest
    steps = editor.edit_steps(FRANCE)
    for _ in range(3):
        next(steps)
    steps.close()
    assert (editor.edits, editor.events(), editor.state_digest) == ((), (), digest)


def test_progress_is_told_step_by_step_to_the_end(opened: Opened) -> None:
    steps: list[TrainingStep] = []
    opened().edit(FRANCE, on_progress=steps.append)
    assert [s.stage for s in steps[-2:]] == ["trying", "storing"]
    assert steps[0].loss > steps[-1].loss


def test_many_at_once_give_the_same_answers_as_one_by_one(opened: Opened) -> None:
    editor = opened()
    edits = editor.edit_many([FRANCE, BOOK, SHIP])
    assert [e.target for e in edits] == ["Oslo", "seven blue", "red"] == [e.target for e in editor.edits]
    assert [editor.answer(e.prompt).text for e in edits] == [e.target for e in edits]


def test_one_bad_fact_among_many_is_told_and_the_others_are_stored(opened: Opened) -> None:
    editor = opened()
    with pytest.raises(BatchFailed, match="1 of 3") as raised:
        editor.edit_many([FRANCE, EditRequest(prompt="", target="x"), SHIP])
    assert list(raised.value.failures) == [1]
    assert [e.target for e in editor.edits] == ["Oslo", "red"]


def test_a_library_file_gives_the_same_bits_in_a_later_session(opened: Opened, tmp_path: Path) -> None:
    editor = opened(library=tmp_path / "facts.db")
    editor.edit(FRANCE)
    editor.edit(BOOK)
    before, digest = editor.generation_logits(FRANCE.prompt), editor.state_digest
    editor.close()
    again = opened(library=tmp_path / "facts.db")
    assert torch.equal(again.generation_logits(FRANCE.prompt), before)
    assert again.state_digest == digest


@pytest.mark.slow
@pytest.mark.parametrize("router", ROUTERS)
def test_what_another_process_changes_in_the_file_is_followed(opened: Opened, tmp_path: Path, router: str) -> None:
    page, other = (opened(router, tmp_path / "facts.db") for _ in range(2))
    made = page.edit(FRANCE)
    assert other.answer(FRANCE.prompt).text == "Oslo"
    other.set_enabled(made.id, False)
    assert page.route(FRANCE.prompt).deferred
    book = other.edit(BOOK)
    assert page.answer(BOOK.prompt).text == "seven blue"
    assert not page.set_enabled(book.id, False).enabled
    assert other.answer(BOOK.prompt).route.deferred
    page.delete(book.id)
    other.delete(made.id)
    assert page.answer(FRANCE.prompt).route.deferred
    assert page.edits == other.edits == ()


def test_replacing_the_same_edit_named_twice_leaves_library_and_router_agreed(opened: Opened) -> None:
    editor = opened()
    old = editor.edit(FRANCE)
    new = editor.edit(EditRequest(prompt=FRANCE.prompt, target="green"), replace=[old.id, old.id])
    assert [edit.id for edit in editor.edits] == [new.id]
    assert editor.answer(FRANCE.prompt).text == "green"


def test_an_erasure_that_fails_after_the_commit_does_not_look_like_a_failed_delete(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise LibraryError("the disk does not answer")

    editor = opened()
    edit = editor.edit(FRANCE)
    with monkeypatch.context() as patched:
        patched.setattr("sola_core.library.store.fold_log", broken)
        assert editor.delete(edit.id) == "erasing"
    assert editor.route(FRANCE.prompt).deferred
    assert editor.edits == ()


def test_a_first_edit_that_arrives_while_a_route_is_sought_locks_nobody_out(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = opened("hidden")
    editor.edit(FRANCE)
    editor.set_enabled(editor.edits[0].id, False)
    real, seen = editor._routed._router.route, list[object]()

    def switched_meanwhile(prompt: str, activation: torch.Tensor | None = None) -> Route:
        seen.append(activation)
        return real(prompt, activation)

    monkeypatch.setattr(editor._routed._router, "route", switched_meanwhile)
    held = editor._routed._state
    held.acquire()
    asking = threading.Thread(target=editor.route, args=(FRANCE.prompt,))
    asking.start()
    editor.set_enabled(editor.edits[0].id, True)
    held.release()
    asking.join(10)
    assert not asking.is_alive()
    assert all(isinstance(state, torch.Tensor) for state in seen) and seen


@pytest.mark.parametrize("name", ROUTERS)
def test_the_router_can_be_changed_with_the_edits_kept(opened: Opened, name: str) -> None:
    editor = opened("scope")
    edit = editor.edit(FRANCE)
    editor.use_router(name)
    assert editor.router_name == name
    assert editor.route(FRANCE.prompt).edit_id == edit.id
    assert editor.answer(FRANCE.prompt).text == "Oslo"


def test_an_unknown_id_is_an_error_with_words(opened: Opened) -> None:
    editor = opened()
    for act in (
        lambda: editor.delete("nope"),
        lambda: editor.set_enabled("nope", True),
    ):
        with pytest.raises(UnknownEdit, match="nope"):
            act()


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 100_000, "a\x00b"])
def test_a_question_that_is_no_question_is_refused(opened: Opened, prompt: str) -> None:
    editor = opened()
    asks = (editor.answer, editor.base_answer, editor.route, editor.routes, editor.scores, editor.next_token_logits)
    for ask in asks:
        with pytest.raises(InvalidInput):
            ask(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "\u0645\u0627 \u0647\u064a \u0639\u0627\u0635\u0645\u0629 \u0641\u0631\u0646\u0633\u0627\u061f",
        "\U0001f600\U0001f680",
        "<b>${x}</b> {{y}}",
        "\u0e40\u0e21\u0e37\u0e2d\u0e07\u0e2b\u0e25\u0e27\u0e07",
    ],
)
def test_other_scripts_emoji_and_markup_can_be_taught_and_do_not_catch_each_other(opened: Opened, prompt: str) -> None:
    editor = opened()
    editor.edit(EditRequest(prompt="\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e\u0e2f", target="green"))
    editor.edit(EditRequest(prompt="\U0001f40d", target="red"))
    edit = editor.edit(EditRequest(prompt=prompt, target="Oslo"))
    assert editor.route(prompt).edit_id == edit.id
    assert editor.answer(prompt).text == "Oslo"


def test_an_unknown_method_or_router_is_named_with_what_there_is(host: HostModel) -> None:
    with pytest.raises(InvalidInput, match="sola"):
        load_editor(method="magic", host=host)
    with pytest.raises(InvalidInput, match="hidden"):
        load_editor(router="magic", host=host)
    with pytest.raises(InvalidInput, match="hidden"), load_editor(host=host, encoder=tiny_encoder()) as editor:
        editor.use_router("magic")


# ---- what each router would do -----------------------------------------------------------------------------------


@pytest.mark.parametrize("used", ROUTERS)
def test_each_router_is_asked_and_the_one_in_use_stays(opened: Opened, used: str) -> None:
    editor = opened(used)
    editor.edit_many([FRANCE, BOOK])
    editor.set_enabled(editor.edits[1].id, False)
    state, events = editor.state_digest, editor.events()
    found = editor.routes("Which city is the capital of France?")
    assert (editor.router_name, editor.state_digest, editor.events()) == (used, state, events)
    assert {name: route.router for name, route in found.items()} == {name: name for name in ROUTERS}
    for name in ROUTERS:  # each says what it says when it is in use
        editor.use_router(name)
        assert editor.route("Which city is the capital of France?") == found[name]


def test_keys_are_made_once_and_told_edit_by_edit(opened: Opened) -> None:
    editor = opened("scope")
    editor.edit_many([FRANCE, BOOK])
    steps = list(editor.routes_steps(FRANCE.prompt))
    for name in ("sentence", "hidden"):
        assert [(step.done, step.total) for step in steps if step.router == name] == [(0, 2), (1, 2), (2, 2)]
    assert list(editor.routes_steps(FRANCE.prompt)) == list(editor.use_router_steps("hidden")) == []


def test_a_switch_that_is_given_up_leaves_the_old_router_in_use(opened: Opened) -> None:
    editor = opened("scope")
    editor.edit_many([FRANCE, BOOK])
    steps = editor.use_router_steps("hidden")
    next(steps)
    steps.close()
    assert editor.router_name == "scope"
    assert editor.answer(FRANCE.prompt).text == "Oslo"


@pytest.mark.slow
def test_a_deleted_edit_is_gone_from_every_router_and_its_keys_from_the_library(opened: Opened) -> None:
    editor = opened("scope")
    france, book = editor.edit_many([FRANCE, BOOK])
    encoders = {finish(editor._routed._filling(name)).encoder_id for name in ROUTERS}
    editor.routes(FRANCE.prompt)
    assert all(set(editor._library.keys(encoder)) == {france.id, book.id} for encoder in encoders)
    editor.delete(france.id)
    assert all(set(editor._library.keys(encoder)) == {book.id} for encoder in encoders)
    held = [found for found in gc.get_objects() if type(found) is Router and france.id in dict(found.switches())]
    assert held == []  # not even a router that was filled for a comparison
    assert all(france.id not in str(route) for route in editor.routes(FRANCE.prompt).values())


def test_what_is_deleted_while_keys_are_made_takes_no_part(opened: Opened) -> None:
    editor = opened("scope")
    france, book = editor.edit_many([FRANCE, BOOK])
    steps = editor.routes_steps(FRANCE.prompt)
    next(steps)
    editor.delete(france.id)
    routes = finish(steps)
    assert {candidate.edit_id for route in routes.values() for candidate in route.candidates} == {book.id}


def test_comparing_nothing_leaves_every_question_to_the_model(opened: Opened) -> None:
    assert [route.reason for route in opened().routes(FRANCE.prompt).values()] == ["no-edits"] * 3
