"""What the reversibility protocol reports: checks with their breaches, and what could not be compared.

Knows nothing of how a check is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sola_core.evaluation.output import table

SHOWN = 5  # breaches that a check describes


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise, how often it was put to the test, and how often it was broken."""

    name: str
    cases: int
    breaches: int
    detail: str = ""  # the first few breaches in words


@dataclass(frozen=True, kw_only=True)
class Recaptured:
    """A prompt that another edit answers once its own is off or gone; it cannot be compared with the base model."""

    prompt: str
    was: str  # id of the edit that answered before
    now: str  # id of the edit that answers instead
    when: str


@dataclass(frozen=True, kw_only=True)
class NotTaught:
    """A fact that could not be taught, with the reason."""

    prompt: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ProofReport:
    """What the protocol found."""

    checks: tuple[Check, ...]
    recaptured: tuple[Recaptured, ...]
    not_taught: tuple[NotTaught, ...]
    edits: int
    seed: int
    router: str
    seconds: float
    surroundings: Mapping[str, str | int]

    @property
    def breaches(self) -> int:
        """Broken promises, over all checks."""
        return sum(check.breaches for check in self.checks)

    @property
    def figures(self) -> dict[str, float]:
        """The flat figures of the command line's JSON."""
        return {"breaches": self.breaches, "edits": self.edits, "recaptured": len(self.recaptured)}

    def text(self) -> str:
        """Return the report as a table with what it leaves out below."""
        lines = [table(["check", "cases", "breaches"], [(c.name, c.cases, c.breaches) for c in self.checks])]
        lines += [f"! {check.name}: {check.detail}" for check in self.checks if check.breaches]
        for r in self.recaptured:
            lines.append(f"re-captured ({r.when}): {r.prompt!r} is answered by edit {r.now} instead of {r.was}")
        lines += [f"not taught: {n.prompt!r}: {n.reason}" for n in self.not_taught]
        verdict = "no breach" if self.breaches == 0 else f"{self.breaches} BREACHES"
        lines.append(f"{self.edits} edits, router {self.router}, {self.seconds:.0f} s: {verdict}")
        return "\n".join(lines)


class Tally:
    """Counts one check's cases and breaches."""

    def __init__(self, name: str) -> None:
        self.name, self.cases, self.breaches = name, 0, 0
        self._shown: list[str] = []

    def case(self, breach: str) -> None:
        """Count one case; `breach` says what is wrong with it, "" when nothing is."""
        self.cases += 1
        if breach:
            self.breaches += 1
            if len(self._shown) < SHOWN:
                self._shown.append(breach)

    def check(self) -> Check:
        """Return the count so far as a record."""
        return Check(name=self.name, cases=self.cases, breaches=self.breaches, detail="; ".join(self._shown))
