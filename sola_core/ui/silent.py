"""Gradio's page, but silent: it prints the traceback of an error, with what the visitor sent in its text; this one does not.

Knows where gradio runs every call; what is told and logged instead is the border's business.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from sola_core.ui import border


class SilentBlocks(gr.Blocks):
    """Blocks whose errors before and after a handler, in checking what was sent, are told as those of handlers are."""

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run one call; see gr.Blocks."""
        try:
            result: dict[str, Any] = await super().process_api(*args, **kwargs)
            return result
        except Exception as error:  # the border: told and logged, never passed over
            raise border.told(error) from None
