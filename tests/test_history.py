"""The history: what the event log tells, and answers as they were, which change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sola_core import EditRequest, InvalidInput, SolaEditor, load_editor
from sola_core.atlas import Atlas, Layout
from sola_core.history import History, history_of
from sola_core.records import Event
from sola_core.steps import finish
from sola_core.workspace import Limits, Workspace
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo")
AGAIN = EditRequest(prompt="What is the capital of France?", target="Lyon")
BOOK = EditRequest(prompt="Who wrote the book?", target="seven blue", rephrases=("The author of the book is",))
QUESTIONS = (FRANCE.prompt, BOOK.prompt, "The author of the book is", "What is the capital of Spain?", "Where is it?")
NUMBERS = {"t": "taught", "+": "enabled", "-": "disabled", "x": "deleted", "e": "erased"}


def log(*lines: str) -> tuple[Event, ...]:
    """Return events written as "ta" (a is taught), "-a" (off), "+a" (on), "xa" (deleted), "ea" (erased).

    Those with a comma in between have the same time, as what one transaction does has.
    """
    events: list[Event] = []
    for when, line in enumerate(lines):
        for word in line.split(","):
            kind: Any = NUMBERS[word[0]]
            events.append(Event(number=len(events) + 1, kind=kind, edit_id=word[1:], time=100.0 + when))
    return tuple(events)


def told(*lines: str, **stored: bool) -> History:
    """Return the history of such a log, with the edits that are stored: their switches by id."""
    edits: Any = [SimpleNamespace(id=edit_id, enabled=on) for edit_id, on in stored.items()]
    return history_of(log(*lines), edits)


def on(history: History, moment: int) -> list[str | None]:
    return [edit.edit_id for edit in history.at(moment).on]


# ---- the log ----


def test_an_empty_log_has_one_moment_at_which_nothing_was_taught() -> None:
    history = told()
    assert history.now == 0 and history.moments[0].time is None and history.edits == ()
    assert history.at(0).ids == frozenset()


def test_each_moment_has_the_edits_that_were_on_then() -> None:
    history = told("ta", "tb", "-a", "-b", "+a", a=True, b=False)
    assert [on(history, k) for k in range(6)] == [[], ["a"], ["a", "b"], ["b"], [], ["a"]]
    assert [edit.edit_id for edit in history.at(4).off] == ["a", "b"]
    assert history.moments[3].changes[0].number == 1 and history.moments[3].time == 102.0


def test_of_an_erased_edit_only_its_number_and_its_times_are_left() -> None:
    history = told("ta", "tb", "xa", "ea", "tc", b=True, c=True)
    assert [moment.changes[0].kind for moment in history.moments[1:]] == ["taught", "taught", "deleted", "taught"]
    (gone,) = history.at(2).lost
    assert (gone.number, gone.edit_id, gone.deleted, gone.deleted_at, gone.erased) == (1, None, 3, 102.0, True)
    assert on(history, 2) == ["b"] and history.at(2).ids == {"b"}
    assert history.at(3).lost == () and on(history, 4) == ["b", "c"]


def test_an_edit_that_was_off_when_it_was_deleted_could_not_have_answered() -> None:
    history = told("ta", "-a", "xa")
    assert [edit.number for edit in history.at(2).lost_off] == [1] and history.at(2).lost == ()
    assert not history.edits[0].erased  # its text is still being erased


def test_a_replacing_edit_and_the_one_it_replaces_change_hands_in_one_moment() -> None:
    history = told("ta", "xa,tb", "ea", b=True)
    assert history.now == 2
    assert [(change.kind, change.number) for change in history.moments[2].changes] == [("deleted", 1), ("taught", 2)]
    assert on(history, 2) == ["b"] and [edit.number for edit in history.at(1).lost] == [1]


def test_a_file_of_edits_comes_in_as_one_moment_with_its_switches() -> None:
    history = told("ta", "tb,tc,td,-c", "+c", a=True, b=True, c=True, d=True)
    assert history.now == 3 and on(history, 2) == ["a", "b", "d"] and on(history, 3) == ["a", "b", "c", "d"]


def test_an_old_log_that_does_not_say_that_a_file_brought_an_edit_off_is_read_by_its_switches() -> None:
    history = told("ta,tb,tc", "+a", a=True, b=False, c=True)
    assert on(history, 1) == ["c"] and on(history, 2) == ["a", "c"]


def test_switches_at_the_same_time_are_moments_of_their_own() -> None:
    history = told("ta", "-a,+a,-a", a=False)
    assert history.now == 4


@pytest.mark.parametrize("moment", [-1, 3, 10**30])
def test_a_moment_that_never_was_is_refused(moment: int) -> None:
    with pytest.raises(InvalidInput, match="no such moment"):
        told("ta", "-a", a=False).at(moment)


def test_a_line_about_an_edit_that_the_log_never_taught_is_passed_over() -> None:
    history = told("-z", "xz", "ez", "ta", a=True)
    assert history.now == 1 and on(history, 1) == ["a"]


@pytest.mark.slow
def test_thousands_of_events_are_read() -> None:
    lines = [line for n in range(4000) for line in (f"t{n}", f"-{n}", f"+{n}", f"x{n}" if n % 2 else f"-{n}")]
    stored = {str(n): False for n in range(0, 4000, 2)}
    events = log(*lines)
    edits: Any = [SimpleNamespace(id=edit_id, enabled=enabled) for edit_id, enabled in stored.items()]
    history = history_of(events, edits)
    assert len(history.at(history.now).off) == 2000
    assert history.now == 16_000 and len(history.edits) == 4000


# ---- undo ----


def test_the_last_switch_of_an_edit_that_is_still_there_can_be_undone() -> None:
    history = told("ta", "tb", "-a", "-b", "xb", a=False)
    last = history.last_switch()
    assert last is not None and (last.number, last.kind) == (1, "off")
    assert history.last_switch({last.event}) is None
    assert told("ta", "tb,-b", a=True, b=False).last_switch() is None  # it came so
    assert told("ta", "-a", "xa").last_switch() is None


# ---- a workspace ----


Made = Callable[..., Workspace]


@pytest.fixture(scope="module")
def make() -> Iterator[Made]:
    host, encoder = tiny_host(), tiny_encoder()
    sheet = Atlas(["the capital", "who", "the river"], use_umap=False).sheet(
        "t", lambda text: encoder.encode(text).pooled
    )
    made: list[Workspace] = []

    def workspace(library: str | Path = ":memory:", router: str = "scope") -> Workspace:
        editor = load_editor(host=host, encoder=encoder, library=library, router=router)
        made.append(Workspace(editor, Layout(sheet), Limits(answer_tokens=6)))
        return made[-1]

    yield workspace
    for one in made:
        one.close()


def lived(workspace: Workspace) -> None:
    """Let a workspace have a past: taught, covered, switched, replaced, deleted."""
    france, book = workspace.edit(FRANCE), workspace.edit(BOOK)
    again = workspace.edit(AGAIN)
    workspace.set_enabled(again.id, False)
    workspace.set_enabled(book.id, False)
    workspace.set_enabled(again.id, True)
    workspace.edit(replace(BOOK, target="red"), replace=[book.id])
    workspace.set_enabled(france.id, False)
    workspace.set_enabled(again.id, False)


def everything(editor: SolaEditor) -> tuple[object, ...]:
    return editor.state_digest, editor.events(), editor.edits, editor.host.parameters_digest()


def switched(editor: SolaEditor, enabled: frozenset[str]) -> None:
    for edit in editor.edits:
        editor.set_enabled(edit.id, edit.id in enabled)


@pytest.mark.slow
@pytest.mark.parametrize(
    "router",
    ["scope", pytest.param("sentence", marks=pytest.mark.long), pytest.param("hidden", marks=pytest.mark.long)],
)
def test_a_moment_is_answered_bit_for_bit_as_by_a_library_with_those_switches(make: Made, router: str) -> None:
    workspace = make(router=router)
    lived(workspace)
    editor, history = workspace.editor, workspace.history()
    before = everything(editor)
    kept: list[tuple[frozenset[str], str, object, torch.Tensor, str]] = []
    for moment in range(history.now + 1):
        ids = history.at(moment).ids
        for question in QUESTIONS:
            *_, last = workspace.ask_at(question, moment)
            plan = editor._routed.plan(question, ids)
            logits = editor.host.generation_logits(question, 4, plan.intervention)
            kept.append((ids, question, last.route, logits, last.text))
            assert plan.route == last.route
    assert everything(editor) == before and workspace.questions == () and workspace.same_state() is None
    assert len({ids for ids, *_ in kept}) == 6 and len({text for *_, text in kept}) > 4
    for ids, question, route, logits, text in kept:
        switched(editor, ids)
        assert route == editor.route(question) == editor.answer(question, 6).route
        assert torch.equal(logits, editor.generation_logits(question, 4))
        assert text == editor.answer(question, 6).text


@pytest.mark.slow
def test_of_equal_keys_the_one_taught_last_among_those_that_were_on_answers(make: Made) -> None:
    workspace = make()
    lived(workspace)
    answers = []
    for moment in range(workspace.history().now + 1):
        *_, last = workspace.ask_at(FRANCE.prompt, moment)
        answers.append(last.text if last.route.reason == "equal" else "")
    assert answers == ["", "Oslo", "Oslo", "Lyon", "Oslo", "Oslo", "Lyon", "Lyon", "Lyon", ""]


def test_an_answer_of_then_can_be_stopped_and_leaves_nothing(make: Made) -> None:
    workspace = make()
    lived(workspace)
    before = everything(workspace.editor)
    steps = workspace.ask_at(FRANCE.prompt, 3)
    assert next(steps).answer is None
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)
    assert everything(workspace.editor) == before
    with pytest.raises(InvalidInput):
        finish(workspace.ask_at("  ", 3))
    with pytest.raises(InvalidInput, match="no such moment"):
        finish(workspace.ask_at(FRANCE.prompt, 99))


def test_what_was_deleted_since_cannot_answer_any_more(make: Made) -> None:
    workspace = make()
    edit = workspace.edit(FRANCE)
    workspace.delete(edit.id)
    *_, last = workspace.ask_at(FRANCE.prompt, 1)
    assert last.route.deferred and [gone.number for gone in last.state.lost] == [1]
    assert last.text == workspace.editor.base_answer(FRANCE.prompt, 6).text


def test_a_library_opened_again_still_has_its_history(make: Made, tmp_path: Path) -> None:
    first = make(tmp_path / "facts.db")
    lived(first)
    history = first.history()
    first.editor.close()
    again = make(tmp_path / "facts.db")
    assert again.history() == history
    *_, last = again.ask_at(FRANCE.prompt, 1)
    assert last.text == "Oslo"


def test_a_replacement_and_a_loaded_file_are_one_moment_each(make: Made) -> None:
    source, target = make(), make()
    lived(source)
    assert (
        source.history().now == 9 and len(source.editor.events()) == 11
    )  # a deletion, an erasure, a taught edit in one
    finish(target.take_in(source.export(), "skip"))
    history = target.history()
    assert history.now == 1 and [change.kind for change in history.moments[1].changes] == [
        *["taught"] * 3,
        *["off"] * 2,
    ]
    assert [edit.number for edit in history.at(1).on] == [3] and [edit.number for edit in history.at(1).off] == [1, 2]
    assert target.undoable(history) is None


def test_switches_are_undone_one_after_the_other_and_the_log_tells_of_it(make: Made) -> None:
    workspace = make()
    one, two = workspace.edit(FRANCE), workspace.edit(BOOK)
    digests = [workspace.digest]
    for edit, enabled in ((one, False), (two, False), (one, True)):
        workspace.set_enabled(edit.id, enabled)
        digests.append(workspace.digest)
    undone = []
    while workspace.undoable(workspace.history()) is not None:
        change = workspace.undo_switch()
        undone.append((change.number, change.kind))
        digests.pop()
        assert workspace.digest == digests[-1] and workspace.same_state() is not None
    assert undone == [(1, "on"), (2, "off"), (1, "off")] and len(digests) == 1
    assert workspace.history().now == 8  # 2 taught, 3 switched, 3 set back
    with pytest.raises(InvalidInput, match="no switch to undo"):
        workspace.undo_switch()
    workspace.set_enabled(two.id, False)  # a new one can be undone again
    assert workspace.undo_switch().number == 2


def test_a_switch_of_a_deleted_edit_is_passed_over_by_undo(make: Made) -> None:
    workspace = make()
    one, two = workspace.edit(FRANCE), workspace.edit(BOOK)
    workspace.set_enabled(one.id, False)
    workspace.set_enabled(two.id, False)
    workspace.delete(two.id)
    assert workspace.undo_switch().number == 1
    assert [edit.enabled for edit in workspace.edits] == [True]


def events_of(kinds: Sequence[Event]) -> list[str]:
    return [event.kind for event in kinds]


def test_an_edit_that_a_file_brings_switched_off_is_logged_so(make: Made) -> None:
    source, target = make(), make()
    source.set_enabled(source.edit(FRANCE).id, False)
    finish(target.take_in(source.export(), "skip"))
    assert events_of(target.editor.events()) == ["taught", "disabled"]
    target.delete(target.edits[0].id)
    assert target.history().at(1).lost == () and len(target.history().at(1).lost_off) == 1
