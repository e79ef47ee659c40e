"""The lesson's checks: for each step what passes and what does not, and a kept lesson that nobody can make up."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from sola_core.errors import InvalidInput
from sola_core.lesson import STEPS, Fact, Happened, Lesson, Observed, Proved, Snapshot, Step, Taught
from sola_core.lesson_checks import (
    added,
    finding,
    fits,
    gone_back,
    gone_on,
    judged,
    may_go_on,
    may_run,
    reached,
    standing,
)
from sola_core.lesson_kept import checked_fact, kept, unkept
from sola_core.records import Edit, EditRequest, TrainingRecord
from sola_core.ui import lesson_texts, lesson_words

FACT = Fact(
    prompt="What is the capital of Vellmora?",
    target="Port Anselm",
    rephrase="Which city is Vellmora's capital?",
    neighbour="What is the capital of Peru?",
    subject="Vellmora",
)
START = Snapshot(state="a" * 64, parameters="b" * 64, base="c" * 64, answered="c" * 64)
SECRET = b"of this server"


def asked(question: str, **changes: Any) -> Observed:
    seen = Observed(
        question=question,
        base_text="Lima, I think.",
        text="Lima, I think.",
        ended=True,
        answered_by="",
        reason="below",
        score=0.25,
        threshold=0.71,
        score_kind="probability",
        on=True,
    )
    return replace(seen, **changes)


BEFORE = asked(FACT.prompt, reason="no-edits", score=None, on=False, snapshot=START)
TAUGHT = Taught(
    edit_id="e1",
    prompt=FACT.prompt,
    target=FACT.target,
    held=True,
    known=False,
    seconds=0.8,
    steps=12,
    probability=0.97,
)
AGAIN = asked(FACT.prompt, text="Port Anselm.", answered_by="e1", reason="equal", score=0.99)
OTHER_WORDS = replace(AGAIN, question=FACT.rephrase, reason="score", score=0.83)
NEAR_BY = asked(FACT.neighbour)
OFF = asked(FACT.prompt, on=False)
PROVED = Proved(stored=False, erased=True, answered_by="", snapshot=START)
ALL: tuple[Happened, ...] = (BEFORE, TAUGHT, AGAIN, OTHER_WORDS, NEAR_BY, OFF, PROVED)


def at(step: Step) -> Lesson:
    """Return a lesson that has reached every step before this one, and is at it."""
    lesson = Lesson(fact=FACT)
    for happened in ALL[: STEPS.index(step)]:
        lesson = gone_on(added(replace(lesson, deleted=step == "prove" and lesson.step == "prove"), happened))
    assert lesson.step == step
    return lesson


def over() -> Lesson:
    return replace(added(at("prove"), PROVED), deleted=True)


# ---- what passes and what does not ----


@pytest.mark.parametrize(("step", "happened"), list(zip(STEPS, ALL, strict=True)))
def test_each_step_is_reached_by_what_it_is_about(step: Step, happened: Happened) -> None:
    lesson = at(step)
    assert finding(lesson, step) is None and may_go_on(lesson) == "no" and may_run(lesson)
    after = added(lesson, happened)
    assert finding(after, step) == "reached" and standing(after, STEPS.index(step)) == "done"
    assert "✓" not in (words := lesson_words.outcome(after, step, happened, "reached", {"e1": 3})) and words


@pytest.mark.parametrize(
    ("step", "changes", "found"),
    [
        ("ask", {"answered_by": "e9"}, "answered"),
        ("ask", {"text": "Lima, I think"}, "differs"),
        ("teach", {"held": False}, "not-held"),
        ("teach", {"target": "Port Ansel"}, "not-held"),
        ("teach", {"prompt": "What is the capital of Vellmora"}, "not-held"),
        ("again", {"text": "Port Ansel"}, "other-text"),
        ("again", {"ended": False}, "other-text"),
        ("again", {"answered_by": "e9"}, "other-edit"),
        ("again", {"answered_by": "", "on": False}, "switched-off"),
        ("rephrase", {"answered_by": "", "reason": "below"}, "below"),
        ("rephrase", {"answered_by": "", "reason": "unrepresentable"}, "unreadable"),
        ("rephrase", {"question": f" {FACT.prompt}\n"}, "same-words"),
        ("rephrase", {"answered_by": "e9"}, "other-edit"),
        ("rephrase", {"text": "Port Anselm, a city"}, "other-text"),
        ("neighbour", {"answered_by": "e1", "text": "Port Anselm"}, "fired"),
        ("neighbour", {"answered_by": "e1"}, "fired"),  # the same text, but not by the untouched model
        ("neighbour", {"answered_by": "e9"}, "other-edit"),
        ("neighbour", {"text": "Lima, I think. "}, "differs"),
        ("off", {"text": "lima, i think."}, "differs"),
        ("off", {"answered_by": "e9"}, "other-edit"),
        ("off", {"answered_by": "e1"}, "fired"),
        ("prove", {"stored": True}, "stored"),
        ("prove", {"answered_by": "e9"}, "other-edit"),
        ("prove", {"snapshot": replace(START, state="d" * 64)}, "state"),
        ("prove", {"snapshot": replace(START, answered="d" * 64)}, "numbers"),
        ("prove", {"snapshot": replace(START, base="d" * 64)}, "numbers"),
        ("prove", {"snapshot": replace(START, parameters="d" * 64)}, "numbers"),
    ],
)
def test_a_step_is_not_reached_by_anything_else(step: Step, changes: dict[str, Any], found: str) -> None:
    happened = replace(ALL[STEPS.index(step)], **changes)
    lesson = at(step)
    assert judged(lesson, step, happened) == found
    after = added(lesson, happened)
    assert finding(after, step) == found and reached(after) == STEPS.index(step)
    assert standing(after, STEPS.index(step)) == "now"
    words = lesson_words.outcome(after, step, happened, judged(after, step, happened), {"e1": 3, "e9": 5})
    assert words and (found not in ("below", "fired") or "0." in words or step == "off")
    assert may_go_on(after) == ("no" if step in ("ask", "teach", "prove") else "anyway")


def test_an_answer_equals_the_target_as_a_try_compares_it() -> None:
    assert judged(at("again"), "again", replace(AGAIN, text=" port ANSELM! ")) == "reached"


def test_a_step_that_was_gone_past_stays_marked_as_not_reached() -> None:
    missed = replace(OTHER_WORDS, answered_by="", text="Lima, I think.", reason="below")
    lesson = gone_on(added(at("rephrase"), missed))
    assert lesson.step == "neighbour" and standing(lesson, 3) == "missed"
    assert may_run(gone_back(lesson)) and may_go_on(gone_back(lesson)) == "next"
    better = added(gone_back(lesson), OTHER_WORDS)
    assert standing(better, 3) == "done"
    assert added(better, missed) == better  # what was reached stays reached
    assert "Other words" in lesson_words.closing(replace(over(), happened=(*ALL[:3], missed, *ALL[4:])))


def test_one_may_go_back_and_ask_again_until_the_edit_is_switched_off() -> None:
    lesson = gone_back(gone_back(at("neighbour")))
    assert lesson.step == "again" and may_run(lesson)
    assert not may_run(gone_back(gone_back(gone_back(added(at("off"), OFF)))))
    assert not may_run(gone_back(lesson)), "what was taught is not taught twice"
    assert gone_on(at("ask")) == at("ask") and gone_back(at("ask")) == at("ask")


def test_the_whole_lesson_ends_with_words_and_nothing_more_to_do() -> None:
    lesson = over()
    assert reached(lesson) == len(STEPS) and lesson.over and not may_run(lesson) and may_go_on(lesson) == "no"
    assert "All 7" in lesson_words.closing(lesson) and lesson_words.focus(lesson) == "again"
    assert [row[-1] for row in lesson_words.prints(lesson)] == [lesson_texts.SAME] * 4
    other = added(replace(at("prove"), deleted=True), replace(PROVED, snapshot=replace(START, state="d" * 64)))
    assert [row[-1] for row in lesson_words.prints(other)].count(lesson_texts.NOT_SAME) == 1


def test_every_step_has_words_for_pupils_and_teachers() -> None:
    assert list(lesson_texts.STEPS) == list(STEPS)
    for words in lesson_texts.STEPS.values():
        assert 2 <= len(" ".join(words.why).split(". ")) <= 5 and words.say and words.ask and words.minutes


# ---- a fact ----


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"target": ""}, "new answer is empty"),
        ({"rephrase": ""}, "in other words is empty"),
        ({"neighbour": "\u200b"}, "near by is empty"),
        ({"rephrase": f"  {FACT.prompt} "}, "is the question itself"),
        ({"neighbour": FACT.rephrase}, "something else"),
        ({"prompt": "x" * 5000}, "5,000 characters"),
    ],
)
def test_a_fact_that_cannot_be_used_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        checked_fact(replace(FACT, **changes))


# ---- what a browser keeps ----


def json_of(lesson: Lesson, owner: str = "me") -> dict[str, Any]:
    return json.loads(json.dumps(kept(lesson, SECRET, owner)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("step", STEPS)
def test_a_kept_lesson_comes_back_as_it_was(step: Step) -> None:
    for lesson in (at(step), gone_back(at(step)), over()):
        assert unkept(json_of(lesson), SECRET, "me") == lesson


def test_numbers_that_a_browser_writes_without_a_point_are_the_same_numbers() -> None:
    lesson = added(at("rephrase"), replace(OTHER_WORDS, score=1.0))
    value = json_of(lesson)
    value["happened"][3]["score"] = 1
    assert unkept(value, SECRET, "me") == lesson


def test_a_lesson_of_another_server_or_visitor_is_not_taken() -> None:
    value = json_of(at("off"))
    assert unkept(value, SECRET, "you") is None
    assert unkept(value, b"of another", "me") is None
    assert unkept(value, SECRET, "me") is not None


FORGED: dict[str, Any] = {
    "nothing": None,
    "text": "lesson",
    "a list": [1, 2],
    "another version": {"version": 2},
    "a step too far": {"at": 6},
    "a step that is none": {"at": 7, "opened": 7},
    "a step before the first": {"at": -1},
    "a truth for a number": {"at": True},
    "deleted too early": {"deleted": True},
    "steps without outcomes": {"happened": [None] * 7},
    "too few outcomes": {"happened": []},
    "an endless answer": {"happened.0.text": "x" * 30_000},
    "an answer that is no text": {"happened.0.text": ["x"]},
    "a score that is none": {"happened.2.score": "1"},
    "an endless score": {"happened.2.score": float("inf")},
    "a score that is no number": {"happened.2.score": float("nan")},
    "an unknown reason": {"happened.2.reason": "<b>"},
    "an unhashable reason": {"happened.2.reason": {}},
    "another edit": {"happened.1.edit_id": "e2"},
    "an edit id that is none": {"happened.1.edit_id": {"a": 1}},
    "an endless id": {"happened.1.edit_id": "e" * 1000},
    "an edit that did not hold": {"happened.1.held": False},
    "half a record": {"happened.1": {"edit_id": "e1"}},
    "one more part": {"more": 1},
    "a digest that is none": {"happened.0.snapshot.state": "x"},
    "another fact": {"fact.target": "Lima"},
    "an unusable fact": {"fact.prompt": ""},
    "a fact that is none": {"fact": 1},
    "no seal": {"seal": None},
    "another seal": {"seal": "0" * 64},
    "a seal in another script": {"seal": "é" * 64},
    "half a character": {"fact.subject": "\ud800"},
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_lesson_is_not_taken(name: str) -> None:
    change = FORGED[name]
    value: Any = json_of(at("rephrase"))
    if not isinstance(change, dict):
        assert unkept(change, SECRET, "me") is None
        return
    forged = copy.deepcopy(value)
    for path, new in change.items():
        *way, last = path.split(".")
        place = forged
        for part in way:
            place = place[int(part) if isinstance(place, list) else part]
        place[int(last) if isinstance(place, list) else last] = new
    assert unkept(forged, SECRET, "me") is None
    assert unkept(value, SECRET, "me") is not None


def test_a_lesson_that_does_not_hang_together_is_not_taken_even_with_a_seal() -> None:
    good = at("off")
    wrong = (
        replace(good, at=6),
        replace(good, deleted=True),
        replace(good, opened=0, at=0),
        replace(good, happened=(None, *good.happened[1:])),
        replace(good, happened=(replace(BEFORE, answered_by="e9"), *good.happened[1:])),
        replace(good, happened=(*good.happened[:4], None, *good.happened[5:])),
        replace(over(), deleted=False),
    )
    for lesson in wrong:
        assert unkept(json_of(lesson), SECRET, "me") is None


# ---- the edits that are stored ----


def edit(edit_id: str = "e1", prompt: str = FACT.prompt, target: str = FACT.target) -> Edit:
    record = TrainingRecord(
        losses=(0.1,), steps=1, seconds=0.1, target_probability=0.9, already_known=False, held=True, method="sola",
        settings={}, device="cpu", compute_dtype="float32", threads=1, versions={},
    )  # fmt: skip
    request = EditRequest(prompt=prompt, target=target)
    return Edit(id=edit_id, request=request, enabled=True, created=0.0, training=record, digest="a" * 64)


def test_a_lesson_fits_only_where_its_own_edit_is_stored() -> None:
    assert fits(at("teach"), ()) and fits(at("teach"), (edit(),))
    assert fits(at("again"), (edit("e0"), edit()))
    assert not fits(at("again"), ()) and not fits(at("again"), (edit("e0"),))
    assert not fits(at("again"), (edit(target="Lima"),))  # somebody else's edit of this id
    assert fits(over(), ()) and not fits(over(), (edit(),))
