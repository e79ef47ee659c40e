"""Joins the map to the page: which point was clicked, and a zoom that outlives a redraw.

Knows gradio's ways to run a script of ours (assets/map_bridge.js) and to be told of an event. What comes from the
browser is two whole numbers that anybody could have sent; a visitor's text passes neither way.
"""

from __future__ import annotations

from typing import Literal

import gradio as gr

from sola_core.errors import InvalidInput
from sola_core.resources import asset
from sola_core.ui import border, texts
from sola_core.words import say

Kind = Literal["edit", "question"]
KINDS: tuple[Kind, ...] = ("edit", "question")  # a point carries the place of its kind here, and its number
MOST = 10**9  # numbers of edits and questions stay below
CLOSER, FARTHER, WHOLE, REVEAL = (
    f"() => {{ window.solaMap?.{name}(); }}" for name in ("closer", "farther", "whole", "reveal")
)


def map_bridge() -> gr.HTML:
    """Draw the bridge: nothing is seen of it, and its `select` event tells of a click on a point."""
    script = asset("map_bridge.js").read_text(encoding="utf-8")
    return gr.HTML("", visible="hidden", elem_id="map-bridge", js_on_load=script)


def picked(event: gr.EventData) -> tuple[Kind, int]:
    """Return the kind and the number of the point that was clicked; raise InvalidInput for anything else."""
    sent = event._data
    if not isinstance(sent, dict):
        raise InvalidInput(texts.WRONG_TYPE.format(name=say("the point")))
    kind = border.whole_field(sent.get("kind"), say("the kind of point"), len(KINDS))
    return KINDS[kind], border.whole_field(sent.get("number"), say("the number of the point"), MOST)
