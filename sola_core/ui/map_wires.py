"""Joins the map and the spaces: their buttons, the bridge's clicks, and the box and the list that a click fills.

Knows those panels and the events; what follows a change of edits is in `wires`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sola_core.ui import bridge, joining
from sola_core.ui.joining import quick

if TYPE_CHECKING:
    from sola_core.ui.wires import Wires


def connect_map(wires: Wires) -> None:
    """Join the map's buttons, its switch and its points."""
    panel, edits, act, at_once = wires.map, wires.edits, wires.mapping, wires.registry.limits.at_once
    inputs = [wires.ask.asked, wires.token]
    quick(panel.timer.tick, act.improve, [wires.ask.asked, panel.method, wires.token], [*panel.shown, panel.timer])
    runs = [
        joining.model(panel.relayout.click, act.relayout, inputs, panel.worked, at_once),
        joining.model(panel.reach.input, act.count, [panel.reach, *inputs], panel.worked, at_once),
        joining.model(panel.again.click, act.again, inputs, panel.worked, at_once),
    ]
    for run in runs:
        quick(run.failure, act.unfinished, inputs, panel.worked)
    panel.stop.click(None, cancels=[*runs])
    quick(panel.bridge.select, act.pick, inputs, [wires.ask.question, *panel.told])
    found = joining.state(panel.to_list.click, act.find, [edits.rows, edits.looking, panel.chosen],
                          [edits.page, edits.looking, edits.search])  # fmt: skip
    found.then(None, js=bridge.REVEAL)
    for button, script in (
        (panel.closer, bridge.CLOSER),
        (panel.farther, bridge.FARTHER),
        (panel.whole, bridge.WHOLE),
    ):
        button.click(None, js=script)


def connect_spaces(wires: Wires) -> None:
    """Join the comparison of the spaces."""
    panel, act = wires.spaces, wires.spacing
    run = joining.model(panel.compare.click, act.compare, [wires.token], panel.shown, wires.registry.limits.at_once)
    quick(run.failure, act.unfinished, None, panel.shown)
    panel.stop.click(None, cancels=[run])
