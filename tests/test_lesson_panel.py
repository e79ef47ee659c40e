"""The lesson's buttons over a tiny host: what they do to a visitor's edits, what they say, and what they do not believe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from sola_core import EditRequest
from sola_core.errors import InvalidInput, SessionRequired, WorkspacesFull
from sola_core.host.model import HostModel
from sola_core.lesson import STEPS
from sola_core.routing.encoders import TextEncoder
from sola_core.studio import Studio, open_studio
from sola_core.ui import lesson_texts as texts
from sola_core.ui.lesson_handlers import LessonHandlers, boxes_of
from sola_core.ui.lesson_view import PARTS
from sola_core.workspace import Limits
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

PROMPT, TARGET = "What is the capital of France?", "Oslo"
WORDS, FAR = "Which is the capital of France?", "Is it known? What is the capital of France?"
NEAR, TOO_NEAR = "In what city did the painter live?", "Who wrote the book?"
APART = "เมืองหลวงคืออะไร"  # a question that the tiny encoder cannot read, so no other is close to it
BOXES = (PROMPT, TARGET, WORDS, NEAR, "France")
ME, YOU = gr.Request(session_hash="me"), gr.Request(session_hash="you")
Parts = dict[str, Any]


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    found = open_studio(
        host=tiny_host(),
        encoder=tiny_encoder(),
        limits=Limits(answer_tokens=8, edits=3, workspaces=2),
        use_umap=False,
    )
    yield found
    found.registry.close()


@pytest.fixture(autouse=True)
def forgotten(studio: Studio) -> Iterator[None]:
    """Let nobody have a workspace when a test begins."""
    yield
    for room in studio.registry._rooms.values():
        room.workspace.close()
    studio.registry._rooms.clear()


class Pupil:
    """Somebody who takes the lesson, with what the browser keeps of it."""

    def __init__(self, studio: Studio, request: gr.Request = ME) -> None:
        self.act, self.request, self.kept, self.wording = LessonHandlers(studio), request, "", ""
        self.parts: Parts = {}

    def go(self, boxes: tuple[object, ...] = BOXES, **changes: Any) -> Parts:
        """Press the main button and return what the last message shows; it names every part."""
        wording = changes.get("wording", self.wording)
        *early, last = self.act.go(*boxes, wording, changes.get("kept", self.kept), "", self.request)
        assert all(len(message) == len(PARTS) for message in early)
        assert gr.skip() not in last
        return self._seen(last)

    def press(self, name: str) -> Parts:
        """Press another button."""
        return self._seen(getattr(self.act, name)(self.kept, "", self.request))

    def through(self, until: int) -> None:
        """Go through the lesson up to a step, without doing what that one is about."""
        for number in range(until):
            self.go()
            self.press("next")
            assert self.at == number + 1, self.parts["outcome"]

    @property
    def at(self) -> int:
        return int(self.kept["at"]) if isinstance(self.kept, dict) else -1

    def _seen(self, message: tuple[object, ...]) -> Parts:
        self.parts = dict(zip(PARTS, message, strict=True))
        self.kept = self.parts["kept"]
        self.wording = self.parts["wording"]["value"]
        return self.parts


def edits(studio: Studio, who: gr.Request = ME) -> list[tuple[str, str, bool]]:
    with studio.registry.visit(studio.registry.visitor(who.session_hash)) as workspace:
        return [(edit.prompt, edit.target, edit.enabled) for edit in workspace.edits]


def teach(studio: Studio, prompt: str, target: str) -> str:
    with studio.registry.claim(studio.registry.visitor("me")) as workspace:
        return workspace.edit(EditRequest(prompt=prompt, target=target)).id


@pytest.mark.slow
def test_the_whole_lesson_is_reached_and_leaves_nothing_behind(studio: Studio) -> None:
    pupil = Pupil(studio)
    for number, step in enumerate(STEPS):
        assert texts.STEPS[step].button in (pupil.parts["go"]["value"] if number else texts.STEPS["ask"].button)
        parts = pupil.go()
        assert "✓" in parts["outcome"], parts["outcome"]
        assert len(edits(studio)) == (1 if 1 <= number < 6 else 0)
        assert parts["line"].count(">done<") == number + 1
        assert parts["focus"] == ("next" if number < 6 else "again")
        if number < 6:
            pupil.press("next")
    assert "All 7 steps" in parts["outcome"] and parts["prints"].count(texts.SAME) == 4
    assert parts["prints"].count("<tr ") == 5 and parts["next"]["visible"] == "hidden"


@pytest.mark.slow
def test_a_wording_that_the_router_misses_is_told_with_its_score_and_may_be_tried_again_or_passed(
    studio: Studio,
) -> None:
    pupil = Pupil(studio)
    pupil.through(3)
    parts = pupil.go(wording=FAR)
    assert "■" in parts["outcome"] and "an edit answers from" in parts["outcome"] and parts["focus"] == "wording"
    assert parts["wording"]["value"] == FAR and parts["anyway"]["visible"] is True
    assert "✓" in pupil.go(wording=WORDS)["outcome"]
    assert "■" in pupil.go(wording=FAR)["outcome"]  # told, though the step is reached already
    assert pupil.parts["line"].count(">done<") == 4 and pupil.parts["next"]["visible"] is True
    pupil.press("next")
    assert "should have left alone" in pupil.go(wording=TOO_NEAR)["outcome"]
    pupil.press("next")  # the same handler is behind "go on anyway"
    assert pupil.at == 5 and pupil.parts["line"].count("not reached") == 1


def test_one_goes_back_to_look_and_finds_what_happened(studio: Studio) -> None:
    pupil = Pupil(studio)
    first = pupil.go()["base"]
    pupil.press("next")
    pupil.go()
    parts = pupil.press("back")
    assert parts["base"] == first and parts["go"]["visible"] == "hidden" and "✓" in parts["outcome"]
    pupil.go()  # called by a program all the same: nothing happens twice
    assert len(edits(studio)) == 1 and pupil.at == 0


def test_a_fact_that_is_taught_already_is_left_alone_and_another_one_asked_for(studio: Studio) -> None:
    teach(studio, PROMPT, "red")
    pupil = Pupil(studio)
    parts = pupil.go()
    assert "Edit 1 already answers" in parts["outcome"] and pupil.kept == ""
    assert parts["setup"]["visible"] is True and edits(studio) == [(PROMPT, "red", True)]


def test_a_fact_that_is_taught_elsewhere_meanwhile_stops_the_lesson_kindly(studio: Studio) -> None:
    pupil = Pupil(studio)
    pupil.through(1)
    teach(studio, PROMPT, "red")
    assert "Edit 1 already answers" in pupil.go()["outcome"]
    assert edits(studio) == [(PROMPT, "red", True)] and pupil.at == 1


def test_an_edit_deleted_elsewhere_starts_the_lesson_again_with_a_kind_word(studio: Studio) -> None:
    pupil = Pupil(studio)
    pupil.through(3)
    with studio.registry.visit(studio.registry.visitor("me")) as workspace:
        workspace.delete(workspace.edits[0].id)
    parts = pupil.go()
    assert texts.EDIT_GONE in parts["outcome"] and pupil.kept == "" and parts["setup"]["visible"] is True


@pytest.mark.slow
def test_another_change_meanwhile_is_said_and_the_proof_can_be_repeated(studio: Studio) -> None:
    pupil = Pupil(studio)
    pupil.through(6)
    other = teach(studio, APART, "red")
    parts = pupil.go()
    assert "others were taught" in parts["outcome"] and parts["prints"].count(texts.NOT_SAME) == 1
    assert parts["go"]["value"] == texts.COMPARE_AGAIN and parts["line"].count(">done<") == 6
    with studio.registry.visit(studio.registry.visitor("me")) as workspace:
        workspace.delete(other)
    assert "All 7 steps" in pupil.go()["outcome"]


def test_starting_again_deletes_the_edit_of_the_lesson_and_no_other(studio: Studio) -> None:
    teach(studio, APART, "red")
    pupil = Pupil(studio)
    pupil.through(2)
    assert pupil.parts["again"]["value"] == texts.START_AGAIN_DELETES and len(edits(studio)) == 2
    parts = pupil.press("again")
    assert [target for _, target, _ in edits(studio)] == ["red"] and pupil.kept == "" and parts["focus"] == "go"


def test_a_stopped_proof_goes_on_where_it_was(studio: Studio) -> None:
    pupil = Pupil(studio)
    pupil.through(6)
    run = pupil.act.go(*BOXES, "", pupil.kept, "", ME)
    for message in run:
        kept = dict(zip(PARTS, message, strict=True))["kept"]
        if isinstance(kept, dict) and kept.get("deleted"):
            break
    run.close()
    assert edits(studio) == []
    pupil.kept = kept
    assert texts.STOPPED in pupil.press("unfinished")["outcome"] and pupil.at == 6
    assert "All 7 steps" in pupil.go()["outcome"]


def test_a_stopped_lesson_leaves_no_half_edit(studio: Studio) -> None:
    pupil = Pupil(studio)
    pupil.through(1)
    run = pupil.act.go(*BOXES, "", pupil.kept, "", ME)
    next(run)
    next(run)
    run.close()
    assert edits(studio) == [] and len(studio.registry) == 0
    assert pupil.press("unfinished")["focus"] == "go" and pupil.at == 1


@pytest.mark.parametrize("kept", [{"at": 6}, "x", ["a"], 7, {"happened": "x" * 10_000}, {"seal": "0" * 64}])
def test_a_forged_lesson_starts_again_with_a_kind_word_and_touches_nothing(studio: Studio, kept: object) -> None:
    mine = teach(studio, PROMPT, "red")
    for press in ("resume", "next", "back", "again"):
        pupil = Pupil(studio)
        pupil.kept = kept  # type: ignore[assignment]
        assert texts.AGAIN in pupil.press(press)["outcome"] and pupil.kept == ""
    assert texts.AGAIN in Pupil(studio).go(kept=kept)["outcome"]
    with studio.registry.visit(studio.registry.visitor("me")) as workspace:
        assert [edit.id for edit in workspace.edits] == [mine]


def test_the_edit_of_somebody_else_cannot_be_named(studio: Studio) -> None:
    pupil, thief = Pupil(studio), Pupil(studio, YOU)
    pupil.through(2)
    thief.act = pupil.act  # the same page
    for changed in (pupil.kept, {**pupil.kept, "at": 6, "opened": 6}):  # type: ignore[dict-item]
        thief.kept = changed  # type: ignore[assignment]
        assert texts.AGAIN in thief.press("again")["outcome"]
    mine = teach(studio, APART, "red")
    taught = {**pupil.kept["happened"][1], "edit_id": mine}  # type: ignore[index,call-overload]
    pupil.kept = {**pupil.kept, "happened": [pupil.kept["happened"][0], taught, *[None] * 5]}  # type: ignore
    assert texts.AGAIN in pupil.press("again")["outcome"]
    assert len(edits(studio)) == 2


def test_every_input_of_the_wrong_kind_is_refused(studio: Studio) -> None:
    for place in range(len(BOXES)):
        for wrong in (7, ["x"], {"a": 1}, "x" * 100_000):
            boxes = (*BOXES[:place], wrong, *BOXES[place + 1 :])
            with pytest.raises(InvalidInput):
                Pupil(studio).go(boxes)
    pupil = Pupil(studio)
    pupil.through(3)
    for wrong in (7, None, ["x"], "", "x" * 5000):
        with pytest.raises(InvalidInput):
            pupil.go(wording=wrong)
    for index in (-1, 24, True, "0", None):
        with pytest.raises(InvalidInput):
            pupil.act.choose(index)
    assert edits(studio) == [(PROMPT, TARGET, True)]


def test_one_without_a_session_is_refused_and_asking_makes_no_workspace(studio: Studio) -> None:
    with pytest.raises(SessionRequired):
        Pupil(studio, gr.Request()).go()
    pupil = Pupil(studio)
    pupil.go()
    assert len(studio.registry) == 0
    for who in ("a", "b"):  # all places are taken
        with studio.registry.claim(studio.registry.visitor(who)) as workspace:
            workspace.edit(EditRequest(prompt=PROMPT, target=TARGET))
    pupil.press("next")
    with pytest.raises(WorkspacesFull):
        pupil.go()
    assert pupil.press("unfinished")["go"]["interactive"] is True and pupil.at == 1


def test_a_subject_left_over_from_another_fact_is_not_taught(studio: Studio) -> None:
    pupil = Pupil(studio)
    pupil.go((*BOXES[:4], "Vellmora"))
    assert pupil.kept["fact"]["subject"] == ""  # type: ignore[index,call-overload]
    pupil.press("again")
    pupil.go((*BOXES[:4], " france "))
    assert pupil.kept["fact"]["subject"] == "france"  # type: ignore[index,call-overload]


def test_what_is_kept_and_shown_holds_no_secret_and_no_markup_of_the_visitor(studio: Studio) -> None:
    hostile = "<img src=x onerror=window.hacked=1> ${1}"
    pupil = Pupil(studio)
    first = pupil.go((hostile, "red", f"{hostile} again", f"{hostile} near", ""))
    for parts in (first, pupil.press("next"), pupil.go()):
        markup = "".join(value for value in parts.values() if isinstance(value, str))
        assert "&lt;img" in markup and "<img" not in markup
    assert "session me" not in str(pupil.kept)


def test_every_demo_fact_fills_all_boxes_with_a_fact_that_can_be_used(studio: Studio) -> None:
    for index, fact in enumerate(studio.facts):
        boxes = LessonHandlers(studio).choose(index)
        assert boxes == boxes_of(fact) and all(boxes)
        made = LessonHandlers(studio)._fact(*boxes)
        assert made.request == fact.request, "its subject stands in its question"


@pytest.mark.long
@pytest.mark.model
def test_a_demo_fact_goes_through_the_whole_lesson_with_the_real_model(
    real_host: HostModel, real_encoder: TextEncoder
) -> None:
    found = open_studio(host=real_host, encoder=real_encoder, limits=Limits(answer_tokens=8), use_umap=False)
    pupil = Pupil(found)
    for number in range(len(STEPS)):
        assert "✓" in pupil.go(boxes_of(found.facts[0]))["outcome"], pupil.parts["outcome"]
        if number < len(STEPS) - 1:
            pupil.press("next")
    assert "All 7 steps" in pupil.parts["outcome"]
    found.registry.close()
