"""Whether a component is seen.

A component that is not seen is still mounted: Gradio 6.31 mounts `visible=False` components when they are first shown,
while the event goes on, and an update that comes in that moment can be lost (gradio pull requests 13521 and 13553 tell
of the same race); the component then never appears.
"""

from __future__ import annotations

from typing import Literal

HIDDEN: Literal["hidden"] = "hidden"


def seen(condition: object) -> bool | Literal["hidden"]:
    """Return the value of `visible` for a component that is seen under a condition."""
    return True if condition else HIDDEN
