"""A certificate: the reversibility protocol run on the edits of a library as they are, with every digest it compared.

Works on a copy in memory, so the library itself is only read. Knows the session from outside; the file it makes holds no
text of any edit, only digests. The longer protocol, which teaches facts of its own, is `reversibility`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sola_core.errors import InvalidInput
from sola_core.evaluation.output import plain, surroundings, table
from sola_core.evaluation.proof_report import Check, Tally
from sola_core.evaluation.traces import STEPS, Trace, trace
from sola_core.records import Edit
from sola_core.session import SolaEditor
from sola_core.words import Sentence

FORMAT, VERSION = "sola-certificate", 1
MAX_BYTES = 8_000_000  # of a file that is read back


@dataclass(frozen=True, kw_only=True)
class Witness:
    """What was seen of one edit: digests of the logits of its own prompt, a SHA-256 for each generated step."""

    digest: str  # of request and stored tensors
    enabled: bool
    base: Trace  # the untouched model
    edited: Trace  # switched on
    off: Trace | None  # switched off; None when another edit of the same prompt answered instead
    deleted: Trace  # when all edits were deleted


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What the protocol found, as it is saved."""

    made: str  # ISO 8601, UTC
    state_digest: str  # of the library
    empty_digest: str  # of one without edits, and of the copy once all were deleted
    router: str
    parameters_before: str  # SHA-256 of the host's parameters
    parameters_after: str
    witnesses: tuple[Witness, ...]  # in order of teaching
    checks: tuple[Check, ...]
    surroundings: Mapping[str, str | int]

    @property
    def breaches(self) -> int:
        """Broken promises, over all checks."""
        return sum(check.breaches for check in self.checks)

    def to_json(self) -> str:
        """Return the certificate as a file's text; the last line of it is a SHA-256 over the rest, against damage."""
        body = {"format": FORMAT, "version": VERSION, **_plain(self)}
        return json.dumps({**body, "sha256": _sum(body)}, indent=2) + "\n"

    def text(self) -> str:
        """Return the checks as a table, with the verdict below."""
        rows = [(check.name, check.cases, check.breaches) for check in self.checks]
        lines = [table(["check", "cases", "breaches"], rows)]
        lines += [f"! {check.name}: {check.detail}" for check in self.checks if check.breaches]
        verdict = "no breach" if self.breaches == 0 else f"{self.breaches} BREACHES"
        lines.append(f"{len(self.witnesses)} edits, state {self.state_digest[:16]}, router {self.router}: {verdict}")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Certifying:
    """How far the protocol is, for progress displays."""

    stage: str
    done: int
    total: int


def certify_steps(editor: SolaEditor) -> Generator[Certifying, None, Certificate]:
    """Take every edit of a library back, in a copy, and compare bit by bit; closing the generator leaves no trace.

    Raises InvalidInput when the library is empty: then there is nothing to take back.
    """
    before = editor.host.parameters_digest()
    with editor.copy() as copy:
        edits, state = copy.edits, copy.state_digest
        if not edits:
            raise InvalidInput(Sentence("There is nothing to prove yet: no fact is taught. Teach one first."))
        checks = _Checks()
        for edit in edits:
            copy.set_enabled(edit.id, True)
        seen = []
        for number, edit in enumerate(edits, start=1):
            yield Certifying(stage=Sentence("off and on"), done=number - 1, total=len(edits))
            seen.append(checks.off_and_on(copy, edit, number))
        for edit in edits:
            if not edit.enabled:
                copy.set_enabled(edit.id, False)
        checks.digest(Sentence("all switches as before: the same state digest"), state, copy.state_digest)
        for edit in edits:
            copy.delete(edit.id)
        with editor.copy(empty=True) as never:
            empty = never.state_digest
        checks.digest(Sentence("all deleted: the digest of a library that never had an edit"), empty, copy.state_digest)
        witnesses = []
        for number, (edit, (base, edited, off)) in enumerate(zip(edits, seen, strict=True), start=1):
            yield Certifying(stage=Sentence("all deleted"), done=number - 1, total=len(edits))
            deleted = trace(copy.generation_logits(edit.prompt, STEPS))
            checks.trace(Sentence("all deleted: bit-equal to the untouched model"), number, base, deleted)
            witnesses.append(
                Witness(digest=edit.digest, enabled=edit.enabled, base=base, edited=edited, off=off, deleted=deleted)
            )
        yield Certifying(stage=Sentence("all deleted"), done=len(edits), total=len(edits))
    after = editor.host.parameters_digest()
    checks.digest(Sentence("the model's parameters: the same SHA-256"), before, after)
    return Certificate(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        state_digest=state,
        empty_digest=empty,
        router=editor.router_name,
        parameters_before=before,
        parameters_after=after,
        witnesses=tuple(witnesses),
        checks=checks.found(),
        surroundings=surroundings(editor.host),
    )


def read_certificate(path: Path) -> Certificate:
    """Read a certificate back; raise InvalidInput when the file is none, is damaged, or contradicts itself.

    That it is well formed says nothing about it being true; only running the protocol again on the library does.
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        body = json.loads(content)
        claimed = body.pop("sha256")
        if body.pop("format") != FORMAT or body.pop("version") != VERSION:
            raise InvalidInput(f"{path} was made by another version of SoLA Studio. Make it again.")
        certificate = _certificate(body)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"{path} is no certificate, or it is damaged.") from error
    if json.loads(certificate.to_json())["sha256"] != claimed:
        raise InvalidInput(f"{path} was changed after it was made: its check sum does not fit.")
    return certificate


def compared(ours: Certificate, theirs: Certificate) -> list[str]:
    """Return where a certificate and a new one of the same library part, in words; none when they agree.

    Logits are bit-equal only on the same machine, with the same versions and threads; elsewhere the digests of edits and
    state must still be the same.
    """
    found = []
    for name, words in (
        ("state_digest", "the state digest"),
        ("router", "the router"),
        ("empty_digest", "the empty digest"),
    ):
        if getattr(ours, name) != getattr(theirs, name):
            found.append(f"{words} differs: {getattr(ours, name)[:16]}, not {getattr(theirs, name)[:16]}")
    if [w.digest for w in ours.witnesses] != [w.digest for w in theirs.witnesses]:
        return [*found, "the edits are not the same"]
    if ours.parameters_before != theirs.parameters_before:
        found.append("the model's parameters are not the same")
    if dict(ours.surroundings) == dict(theirs.surroundings):
        pairs = zip(ours.witnesses, theirs.witnesses, strict=True)
        found += [f"edit {number}: other logits" for number, (a, b) in enumerate(pairs, start=1) if a != b]
    return found


# ---- helpers in the order of use -------------------------------------------------------------------------------------


class _Checks:
    """The tallies, and the comparisons that feed them."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def found(self) -> tuple[Check, ...]:
        return tuple(tally.check() for tally in self._tallies.values())

    def case(self, name: str, wrong: str) -> None:
        self._tallies.setdefault(name, Tally(name)).case(wrong)

    def digest(self, name: str, wanted: str, found: str) -> None:
        self.case(name, "" if found == wanted else f"{found[:12]}..., not {wanted[:12]}...")

    def trace(self, name: str, number: int, wanted: Trace, found: Trace) -> None:
        self.case(name, "" if found == wanted else f"edit {number}")

    def off_and_on(self, copy: SolaEditor, edit: Edit, number: int) -> tuple[Trace, Trace, Trace | None]:
        """Switch an edit off and on; return what the base model, the edit, and the model without it answered."""
        base = trace(copy.base_generation_logits(edit.prompt, STEPS))
        own = copy.route(edit.prompt).edit_id == edit.id  # else a later edit of the same question goes before it
        edited = trace(copy.generation_logits(edit.prompt, STEPS))
        digest = copy.state_digest
        copy.set_enabled(edit.id, False)
        off: Trace | None = None
        now = copy.route(edit.prompt).edit_id
        self.case(Sentence("an edit that is off answers nothing"), f"edit {number}" if now == edit.id else "")
        if now is None:
            off = trace(copy.generation_logits(edit.prompt, STEPS))
            self.trace(Sentence("switched off: bit-equal to the untouched model"), number, base, off)
        copy.set_enabled(edit.id, True)
        self.digest(Sentence("off and on again: the same state digest"), digest, copy.state_digest)
        if own:
            again = trace(copy.generation_logits(edit.prompt, STEPS))
            self.trace(Sentence("off and on again: bit-equal to before"), number, edited, again)
        return base, edited, off


def _plain(certificate: Certificate) -> dict[str, Any]:
    found = plain(certificate)
    assert isinstance(found, dict)
    return found


def _sum(body: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _certificate(body: dict[str, Any]) -> Certificate:
    """Return the record that parsed JSON is; raise TypeError, KeyError or ValueError when it is none."""
    witnesses = [
        Witness(
            digest=_hex(w["digest"]),
            enabled=bool(w["enabled"]),
            base=_trace(w["base"]),
            edited=_trace(w["edited"]),
            off=None if w["off"] is None else _trace(w["off"]),
            deleted=_trace(w["deleted"]),
        )
        for w in body.pop("witnesses")
    ]
    checks = [Check(**check) for check in body.pop("checks")]
    certificate = Certificate(**body, witnesses=tuple(witnesses), checks=tuple(checks))
    for name in ("state_digest", "empty_digest", "parameters_before", "parameters_after"):
        _hex(getattr(certificate, name))
    if not witnesses or certificate.breaches < 0:
        raise ValueError("no witness")
    return certificate


def _trace(value: list[object]) -> Trace:
    return tuple(_hex(step) for step in value)


def _hex(value: object) -> str:
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise ValueError("no SHA-256")
    return value
