"""What a benchmark found: every answer of one run, the flat figures, and the tables for the terminal.

Knows what was taught and asked. Knows no editor and asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sola_core.evaluation.bounds import Bound, bound_figures
from sola_core.evaluation.cost import Cost, cost_text
from sola_core.evaluation.curve import Curve
from sola_core.evaluation.numbers import median, present, share
from sola_core.evaluation.output import table
from sola_core.evaluation.portability import portability_figures, portability_text
from sola_core.evaluation.questions import APART, FOLLOWS, OWN
from sola_core.evaluation.teacher_forced import ForcedScore, forced_figures
from sola_core.evaluation.teaching import Taught

if TYPE_CHECKING:
    from sola_core.evaluation.asking import Asked


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """Every answer of one run."""

    taught: tuple[Taught, ...]
    asked: tuple[Asked, ...]
    dropped: int  # neighbours that contain another taught subject
    settings: Mapping[str, str | int | bool]
    surroundings: Mapping[str, str | int]
    seconds: float
    cost: Cost
    teacher_forced: tuple[ForcedScore, ...] = ()
    bounds: tuple[Bound, ...] = ()
    untouched: tuple[ForcedScore, ...] = ()  # the base model's teacher-forced scores, with both blocks
    curve: Curve | None = None

    @property
    def figures(self) -> dict[str, float]:
        """The flat figures; shares are 0..1 and an absent one is left out."""
        own = [a for a in self.asked if a.kind in OWN]
        stay = [a for a in self.asked if a.kind not in OWN and not a.kind.startswith(FOLLOWS)]
        found: dict[str, float | None] = {
            "reliability": share(a.good for a in own if a.kind == "reliability"),
            "generality": share(a.good for a in own if a.kind == "generality"),
            "locality": share(a.good for a in stay if a.kind != APART),
        }
        for kind in dict.fromkeys(a.kind for a in stay):
            found[f"locality_{kind}"] = share(a.good for a in stay if a.kind == kind)
        for outcome in ("right", "wrong", "missed"):
            found[f"router_{outcome}"] = share(a.outcome == outcome for a in own)
        found["router_false_fire"] = share(a.outcome == "false fire" for a in stay if a.kind != APART)
        found["edit_seconds_median"] = median([t.seconds for t in self.taught if t.edit_id])
        found["edits"] = len(self.taught)
        found["not_taught"] = sum(t.edit_id is None for t in self.taught)
        return {
            **present(found),
            **self.cost.figures,
            **portability_figures(self.asked),
            **(self.curve.figures if self.curve else {}),
            **bound_figures(self.bounds),
            **self.forced_figures,
        }

    @property
    def forced_figures(self) -> dict[str, float]:
        """The teacher-forced ones of the flat figures; the untouched model's start with `no_edit_`."""
        base = {f"no_edit_{name}": value for name, value in forced_figures(self.untouched).items()}
        kept = {name: value for name, value in base.items() if "tf_locality" not in name}  # 1 by definition
        return {**forced_figures(self.teacher_forced), **kept}

    def text(self) -> str:
        """Return a table of how answers score and what the router did, then the blocks that were asked for."""
        blocks = [self._scores()]
        if self.bounds:
            blocks.append(_shares("the right edit forced, and no edit", bound_figures(self.bounds)))
        if self.teacher_forced:
            blocks.append(_shares("teacher-forced, as papers have it", self.forced_figures))
        blocks += [portability_text(self.asked), self.curve.text() if self.curve else "", cost_text(self.figures)]
        return "\n\n".join(filter(None, [*blocks, self.last_lines()]))

    def last_lines(self) -> str:
        """Return what was left out, how much was taught, and how long it took."""
        lines = [f"not taught: {t.prompt!r}: {t.failure}" for t in self.taught if t.edit_id is None]
        if self.dropped:
            lines.append(f"{self.dropped} neighbours were dropped: they contain another taught subject")
        lines.append(f"{len(self.taught)} facts taught; all in {self.seconds:.0f} s")
        return "\n".join(lines)

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _scores(self) -> str:
        rows = []
        for kind in dict.fromkeys(a.kind for a in self.asked if not a.kind.startswith(FOLLOWS)):
            here = [a for a in self.asked if a.kind == kind]
            fired = [sum(a.outcome == o for a in here) for o in ("right", "wrong", "missed", "false fire")]
            good = sum(a.good for a in here)
            rows.append((kind, len(here), good, f"{good / len(here):.3f}", *fired))
        return table(["asked", "prompts", "good", "share", "right edit", "wrong edit", "missed", "false fire"], rows)


def _shares(title: str, figures: Mapping[str, float]) -> str:
    return table([title, "share"], [(name, f"{value:.3f}") for name, value in figures.items()])
