"""Joins the panel of the model to its handlers, and to the panel that teaches lists.

Knows both panels and the events; what they do is theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradio.events import Dependency

from sola_core.ui import joining
from sola_core.ui.joining import quick
from sola_core.ui.keep import SHOW_JS
from sola_core.ui.models import RELOAD_JS, ModelsHandlers, ModelsPanel

if TYPE_CHECKING:
    from sola_core.ui.wires import Wires


def connect_models(wires: Wires, panel: ModelsPanel, arrived: Dependency) -> None:
    """Fill the panel when somebody comes; on a change the page is loaded anew, for all that it shows is another model's."""
    act, keep, token = ModelsHandlers(wires.studio), wires.keep, wires.token
    quick(arrived.then, act.show, [token], panel.shown)
    joining.latest([panel.other.change], act.look, [panel.other, token], panel.looked, preprocess=False)
    at_once = wires.registry.limits.at_once
    run = joining.model([panel.load.click], act.load, [panel.choice, panel.other, token], panel.loading, at_once,
                        preprocess=False)  # fmt: skip
    quick(run.failure, act.unfinished, None, panel.loading)
    run.success(None, js=RELOAD_JS)
    panel.stop.click(None, cancels=[run])
    listed = joining.state(panel.teach.click, act.take_along, [token], keep.shown)
    listed.success(None, js=SHOW_JS)
    for taught in wires.taught_lists:
        quick(taught.then, act.show, [token], panel.shown)
