"""A lesson as a browser keeps it, and back; what comes back is not believed.

Every part is checked for its kind and size, the parts must fit together, and a seal shows that this server made it for
this visitor. Knows the lesson and no page; what a browser keeps holds no secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, Final, TypeVar, get_args

from sola_core.errors import InvalidInput
from sola_core.lesson import (
    KINDS,
    STEPS,
    Fact,
    Happened,
    Lesson,
    Observed,
    Proved,
    Snapshot,
    Taught,
)
from sola_core.lesson_checks import NEEDED, finding
from sola_core.records import RouteReason, ScoreKind
from sola_core.text import (
    MAX_PROMPT_CHARS,
    MAX_SUBJECT_CHARS,
    MAX_TARGET_CHARS,
    canonical,
    checked_request,
    checked_text,
)
from sola_core.words import Sentence

MAX_ANSWER_CHARS = 20_000  # of an answer; a server's limit in tokens is far below
MAX_ID_CHARS = 100
VERSION = 1  # of what is kept
Made = TypeVar("Made")


def checked_fact(fact: Fact) -> Fact:
    """Return a fact trimmed; raise InvalidInput, saying what to do, when a part cannot be used."""
    request = checked_request(fact.request)
    rephrase = checked_text(fact.rephrase, Sentence("question in other words"), MAX_PROMPT_CHARS)
    neighbour = checked_text(fact.neighbour, Sentence("question near by"), MAX_PROMPT_CHARS)
    if canonical(rephrase) == canonical(request.prompt):
        raise InvalidInput(
            Sentence("The question in other words is the question itself. Ask for the same in another way.")
        )
    if canonical(neighbour) in (canonical(request.prompt), canonical(rephrase)):
        raise InvalidInput(
            Sentence("The question near by must be about something else, so that its answer must not change.")
        )
    return Fact(
        prompt=request.prompt,
        target=request.target,
        rephrase=rephrase,
        neighbour=neighbour,
        subject=request.subject or "",
    )


def kept(lesson: Lesson, secret: bytes, owner: str) -> dict[str, Any]:
    """Return a lesson as a browser keeps it: plain JSON, sealed for one visitor."""
    body = {"version": VERSION, **asdict(lesson), "happened": [one and asdict(one) for one in lesson.happened]}
    return {**body, "seal": _seal(body, secret, owner)}


def unkept(value: object, secret: bytes, owner: str) -> Lesson | None:
    """Return the lesson that a browser kept; None when it is damaged, forged or somebody else's."""
    try:
        lesson = _lesson(value)
        seal = value["seal"]  # type: ignore[index]  # a dict, or it would not have been read
        made = kept(lesson, secret, owner)["seal"]
        return lesson if hmac.compare_digest(seal.encode(), made.encode()) else None
    except (InvalidInput, TypeError, ValueError, KeyError, AttributeError, OverflowError):
        return None


def _seal(body: Mapping[str, object], secret: bytes, owner: str) -> str:
    text = json.dumps([owner, body], sort_keys=True)
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


# ---- reading: each of these raises when a value is not what it must be ----


def _text(most: int) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise ValueError
        return value

    return read


def _hex(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1_000_000:
        raise ValueError
    return value


def _one_of(names: object) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in get_args(names):
            raise ValueError
        return value

    return read


def _maybe(read: Callable[[object], Made]) -> Callable[[object], Made | None]:
    return lambda value: None if value is None else read(value)


def _record(kind: type[Made]) -> Callable[[object], Made]:
    def read(value: object) -> Made:
        names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
        if not isinstance(value, dict) or set(value) != names:
            raise ValueError
        return kind(**{name: _FIELDS[kind][name](value[name]) for name in names})

    return read


_PROMPT, _ANSWER, _ID = _text(MAX_PROMPT_CHARS), _text(MAX_ANSWER_CHARS), _text(MAX_ID_CHARS)
_FIELDS: Final[Mapping[type, Mapping[str, Callable[[object], Any]]]] = {
    Fact: {
        "prompt": _PROMPT,
        "target": _text(MAX_TARGET_CHARS),
        "rephrase": _PROMPT,
        "neighbour": _PROMPT,
        "subject": _text(MAX_SUBJECT_CHARS),
    },
    Snapshot: dict.fromkeys(("state", "parameters", "base", "answered"), _hex),
    Observed: {
        "question": _PROMPT,
        "base_text": _ANSWER,
        "text": _ANSWER,
        "ended": _flag,
        "answered_by": _ID,
        "reason": _one_of(RouteReason),
        "score": _maybe(_number),
        "threshold": _number,
        "score_kind": _one_of(ScoreKind),
        "on": _flag,
        "snapshot": _maybe(_record(Snapshot)),
    },
    Taught: {
        "edit_id": _ID,
        "prompt": _PROMPT,
        "target": _text(MAX_TARGET_CHARS),
        "held": _flag,
        "known": _flag,
        "seconds": _number,
        "steps": _count,
        "probability": _number,
    },
    Proved: {"stored": _flag, "erased": _flag, "answered_by": _ID, "snapshot": _record(Snapshot)},
}


def _lesson(value: object) -> Lesson:
    names = {field.name for field in fields(Lesson)} | {"version", "seal"}
    if not isinstance(value, dict) or set(value) != names or value["version"] != VERSION:
        raise ValueError
    happened = value["happened"]
    if not isinstance(happened, list) or len(happened) != len(STEPS):
        raise ValueError
    lesson = Lesson(
        fact=checked_fact(_record(Fact)(value["fact"])),
        happened=tuple(_happened(number, one) for number, one in enumerate(happened)),
        at=_count(value["at"]),
        opened=_count(value["opened"]),
        deleted=_flag(value["deleted"]),
    )
    if not _hangs_together(lesson):
        raise ValueError
    return lesson


def _happened(number: int, value: object) -> Happened | None:
    kind: type[Any] = KINDS[STEPS[number]]
    made: Happened | None = _maybe(_record(kind))(value)
    return made


def _hangs_together(lesson: Lesson) -> bool:
    if not lesson.at <= lesson.opened < len(STEPS):
        return False
    if any(finding(lesson, step) != "reached" for step in STEPS[: min(lesson.opened, NEEDED)]):
        return False
    beyond = [one for one in lesson.happened[lesson.opened + 1 :] if one is not None]
    passed = all(one is not None for one in lesson.happened[: lesson.opened])
    if beyond or not passed or (lesson.over and not lesson.deleted):
        return False
    return not lesson.deleted or (lesson.opened == len(STEPS) - 1 and bool(lesson.edit_id))
