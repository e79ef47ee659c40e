"""What follows from a taught fact: how its probes score, and what the router did with them, apart from the other scores.

Knows answers that were asked and judged. Knows no editor, and not what is taught.

Only `Subject_Aliasing` asks for the fact itself, the subject under another name: there the router should find the edit. The
other kinds (`Reasoning`, `Logical_Generalization`, `one_hop`) ask what would be true as well if the fact were. An editor that
keys each edit by its question, as SoLA does, holds one answer and no consequence of it: such a prompt is left to the untouched
model, or gets the fact's own answer where the router takes it for the fact. So a low share there is what the method is, no
failure of the run, and a share above zero can be what the model knew before: `--bounds` has the untouched model's beside it.
Both are counted, none is left out, because "edited" is often read as "believes what follows".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sola_core.evaluation.numbers import present, share
from sola_core.evaluation.output import table
from sola_core.evaluation.questions import ALIAS, FOLLOWS

if TYPE_CHECKING:
    from sola_core.evaluation.asking import Asked


def portability_figures(asked: Sequence[Asked]) -> dict[str, float]:
    """Return the flat figures, 0..1: `portability` and `portability_<kind>` for the exact answer with a natural stop.

    `portability_contains` and `portability_contains_<kind>` are softer: the answer stands somewhere in the text. The router's
    part: `router_alias_right`, `_wrong` and `_missed` for aliases; `router_fired_<kind>` for the others, where any edit answered.
    """
    follow = [a for a in asked if a.kind.startswith(FOLLOWS)]
    found = {
        "portability": share(a.good for a in follow),
        "portability_contains": share(a.contains for a in follow),
    }
    for kind in dict.fromkeys(a.kind.removeprefix(FOLLOWS) for a in follow):
        here = [a for a in follow if a.kind == FOLLOWS + kind]
        found[f"portability_{kind}"] = share(a.good for a in here)
        found[f"portability_contains_{kind}"] = share(a.contains for a in here)
        if kind == ALIAS:
            for outcome in ("right", "wrong", "missed"):
                found[f"router_alias_{outcome}"] = share(a.outcome == outcome for a in here)
        else:
            found[f"router_fired_{kind}"] = share(a.outcome != "missed" for a in here)
    return present(found)


def portability_text(asked: Sequence[Asked]) -> str:
    """Return a table with a line for each kind; empty when nothing of the kind was asked."""
    follow = [a for a in asked if a.kind.startswith(FOLLOWS)]
    rows = []
    for kind in dict.fromkeys(a.kind for a in follow):
        here = [a for a in follow if a.kind == kind]
        good, holds = sum(a.good for a in here), sum(a.contains for a in here)
        answered_by = [sum(a.outcome == outcome for a in here) for outcome in ("right", "wrong", "missed")]
        name = kind.removeprefix(FOLLOWS)
        rows.append((name, len(here), good, f"{good / len(here):.3f}", holds, f"{holds / len(here):.3f}", *answered_by))
    headers = ["what follows", "prompts", "exact", "share", "contains", "share", "own edit", "other edit", "no edit"]
    return table(headers, rows) if rows else ""
