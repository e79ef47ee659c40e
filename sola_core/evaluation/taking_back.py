"""What each method gives when facts are to be taken back: more and more of a stream is deleted, and everything is looked at.

Knows the session from outside. Asks by free-running answers and compares logits bit by bit; teaches what is left anew to see
whether the state equals one that never had the deleted facts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from sola_core.errors import EditFailed, NotReversible
from sola_core.evaluation.numbers import present, share
from sola_core.evaluation.output import table
from sola_core.evaluation.reversibility import OnStage
from sola_core.evaluation.traces import trace
from sola_core.records import Edit
from sola_core.session import AnyEditor

SHARES = (0.0, 0.1, 0.5, 1.0)  # of the stream that is gone at each stage; the first is a single fact
STEPS = 4  # greedy steps whose logits are compared
TOKENS = 24
LOOKED_AT = 20  # facts of each kind that are asked


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What was seen after some of the facts were deleted."""

    deleted: int
    left: int
    seconds: float  # for one deletion, the median of this stage's
    revoked: float | None  # share of the deleted facts asked whose answer is the untouched model's again
    revoked_bits: float | None  # the same for the logits of the first steps, bit by bit
    siblings_changed: int  # facts that were left and answer otherwise than before this stage
    siblings_changed_bits: int  # the same for logits
    siblings_asked: int
    like_never: bool | None  # the digest equals that of a session that never had them; None: not looked at
    retrained_seconds: float | None  # what teaching the rest from the beginning took


@dataclass(frozen=True, kw_only=True)
class TakenBack:
    """All stages of one method, or why there are none."""

    method: str
    capability: str
    why: str
    stages: tuple[Stage, ...] = ()
    refused: str = ""  # what the method said when it was asked

    @property
    def breaches(self) -> int:
        """How often a method that says `exact` was not: another state than one that never had the deleted facts, or anything
        but the untouched model when all are gone. (Where facts share weights, what is left may answer otherwise: that is no breach.)
        """
        if self.capability != "exact":
            return 0
        return sum(
            (stage.like_never is False) + (not stage.left and stage.revoked_bits not in (None, 1.0))
            for stage in self.stages
        )

    @property
    def figures(self) -> dict[str, float]:
        """The flat figures: those of the half that was deleted, the median seconds, and the breaches."""
        half = next((stage for stage in self.stages if stage.left and stage.deleted >= stage.left), None)
        found: dict[str, float | None] = {
            "deletion_seconds_median": median([s.seconds for s in self.stages]) if self.stages else None,
            "breaches": float(self.breaches),
        }
        if half is not None:
            found["revoked_half"] = half.revoked
            found["siblings_changed_half"] = half.siblings_changed / max(1, half.siblings_asked)
            found["retrained_seconds"] = half.retrained_seconds
        return present(found)

    def text(self) -> str:
        """Return a table with a line for each stage."""
        head = f"{self.method}: says {self.capability}. {self.why}"
        if self.refused:
            return f"{head}\nAsked to delete, it refused: {self.refused}"
        headers = [
            "deleted",
            "left",
            "s each",
            "revoked",
            "bit-equal",
            "siblings changed",
            "in bits",
            "like never taught",
        ]
        rows = [
            (
                stage.deleted,
                stage.left,
                f"{stage.seconds:.3g}",
                _share(stage.revoked),
                _share(stage.revoked_bits),
                f"{stage.siblings_changed}/{stage.siblings_asked}",
                f"{stage.siblings_changed_bits}/{stage.siblings_asked}",
                "-" if stage.like_never is None else stage.like_never,
            )
            for stage in self.stages
        ]
        return f"{head}\n{table(headers, rows)}"


def take_back(
    editor: AnyEditor,
    open_empty: Callable[[], AnyEditor],
    *,
    seed: int = 0,
    retrain: bool = True,
    on_stage: OnStage | None = None,
) -> TakenBack:
    """Delete the editor's facts in stages, in an order drawn from `seed`, and look at what is left after each.

    `open_empty` gives an empty session of the same method; what is left at the half and at the end is taught to it, in its order,
    for the digest. The editor ends empty, or as it was where its method refuses.
    """
    show = on_stage or (lambda stage, done, total: None)
    capability, why = editor.capabilities.delete, editor.capabilities.why
    order = list(editor.edits)
    random.Random(seed).shuffle(order)
    stages: list[Stage] = []
    total, gone = len(order), 0
    for part in SHARES if order else ():
        upto = max(1, round(part * total))
        if upto <= gone:
            continue
        left = [edit for edit in editor.edits if edit.id not in {one.id for one in order[:upto]}][:LOOKED_AT]
        before = _seen(editor, left)
        seconds: list[float] = []
        for edit in order[gone:upto]:
            show("deleting", gone + len(seconds), total)
            began = time.perf_counter()
            try:
                editor.delete(edit.id)
            except NotReversible as refusal:
                if stages or seconds:
                    break  # some can go and others not: what went is looked at
                return TakenBack(method=editor.method.name, capability=capability, why=why, refused=str(refusal))
            seconds.append(time.perf_counter() - began)
        there = {edit.id for edit in editor.edits}
        deleted = [edit for edit in order[:upto] if edit.id not in there]
        after = _seen(editor, left)
        revoked, bits = _revoked(editor, deleted[-LOOKED_AT:])
        like_never, retrained = _never(editor, open_empty) if retrain and part >= 0.5 else (None, None)
        stages.append(
            Stage(
                deleted=len(deleted),
                left=len(there),
                seconds=median(seconds) if seconds else 0.0,
                revoked=revoked,
                revoked_bits=bits,
                siblings_changed=sum(before[i][0] != after[i][0] for i in before),
                siblings_changed_bits=sum(before[i][1] != after[i][1] for i in before),
                siblings_asked=len(before),
                like_never=like_never,
                retrained_seconds=retrained,
            )
        )
        gone = upto
        if len(deleted) < upto:
            break
    return TakenBack(method=editor.method.name, capability=capability, why=why, stages=tuple(stages))


def taking_back_text(found: Sequence[TakenBack]) -> str:
    """Return one line for each method: what it says, and what was seen when half of its facts were gone."""
    headers = [
        "method",
        "says",
        "s each",
        "revoked",
        "siblings changed",
        "like never taught",
        "s to retrain",
        "breaches",
    ]
    rows = []
    for one in found:
        figures = one.figures
        half = next((s for s in one.stages if s.left and s.deleted >= s.left), None)
        rows.append(
            (
                one.method,
                one.capability,
                _number(figures.get("deletion_seconds_median")),
                _share(figures.get("revoked_half")),
                _share(figures.get("siblings_changed_half")),
                "-" if half is None or half.like_never is None else half.like_never,
                _number(figures.get("retrained_seconds")),
                one.breaches,
            )
        )
    return table(headers, rows)


# ---- helpers in the order of use -------------------------------------------------------------------------------------

Seen = tuple[str, tuple[str, ...]]  # an answer, and a SHA-256 of the logits of its first steps


def _seen(editor: AnyEditor, edits: Sequence[Edit]) -> Mapping[str, Seen]:
    return {
        edit.id: (editor.answer(edit.prompt, TOKENS).text, trace(editor.generation_logits(edit.prompt, STEPS)))
        for edit in edits
    }


def _revoked(editor: AnyEditor, deleted: Sequence[Edit]) -> tuple[float | None, float | None]:
    """Return the share of deleted facts that the untouched model answers again, by text and by logits."""
    texts, bits = [], []
    for edit in deleted:
        texts.append(editor.answer(edit.prompt, TOKENS).text == editor.base_answer(edit.prompt, TOKENS).text)
        ours, theirs = (
            logits(edit.prompt, STEPS) for logits in (editor.generation_logits, editor.base_generation_logits)
        )
        bits.append(trace(ours) == trace(theirs))
    return share(texts), share(bits)


def _never(editor: AnyEditor, open_empty: Callable[[], AnyEditor]) -> tuple[bool, float]:
    """Teach what is left from the beginning; return whether the digests are equal, and how long it took."""
    began = time.perf_counter()
    with open_empty() as never:
        for edit in editor.edits:
            try:
                never.edit(edit.request)
            except EditFailed:
                continue  # the digest then differs, and says so
        return never.state_digest == editor.state_digest, time.perf_counter() - began


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
