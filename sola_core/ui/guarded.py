"""The page's frame: what reaches a handler was looked at before, and no error of gradio's own tells or logs what was typed.

Knows gradio's `Blocks`; knows no panel. Every handler still checks its own inputs (see `border`).
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.blocks import Block
from gradio.state_holder import SessionState

from sola_core.errors import InvalidInput
from sola_core.ui import border, texts
from sola_core.ui.fair_queue import FairQueue
from sola_core.workspace import Limits

MAX_DEPTH = 12  # of lists and dictionaries in one another; the page itself sends two


class GuardedBlocks(gr.Blocks):
    """A page on which gradio reads no file that a request names, but one that was uploaded for an upload button."""

    limits = Limits()

    def fair_queue(self, limits: Limits) -> None:
        """Let requests wait in a queue that no single visitor can fill; a queued handler has no way round it."""
        self.limits = limits
        self.queue(max_size=None, default_concurrency_limit=limits.at_once, api_open=False)
        self._queue = FairQueue(self, limits)

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], state: SessionState | None, explicit_call: bool = False
    ) -> list[Any]:
        """Return what the handler takes; raise a message that repeats nothing for inputs of which gradio can make nothing."""
        given = [(block, value) for block, value in zip(block_fn.inputs, inputs, strict=False) if not block.stateful]
        if len(inputs) < len(block_fn.inputs) or not all(_passes(block, value) for block, value in given):
            raise _refused()
        try:
            found: list[Any] = await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except Exception:  # gradio's own checks; their messages, and the log, would repeat the value
            raise _refused() from None
        return found

    async def process_api(self, block_fn: BlockFunction | int, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run a handler; an error of gradio's own around it is told and logged as one of ours."""
        fn = self.fns.get(block_fn) if isinstance(block_fn, int) else block_fn
        if fn is None or fn.fn is None or fn.cancels:
            raise _refused()  # what it does is done in the browser; the page cancels by a route of its own
        try:
            return await super().process_api(fn, *args, **kwargs)
        except Exception as error:
            raise border.told(error) from None


def _passes(block: Block, value: object) -> bool:
    if isinstance(block, gr.Textbox):
        return value is None or isinstance(value, str)  # gradio would make a text of anything
    if not isinstance(block, gr.UploadButton):
        return not _names_file(value, MAX_DEPTH)
    if not isinstance(value, dict):
        return value is None
    path = value.get("path")
    return isinstance(path, str) and "\0" not in path and border.in_uploads(path) and not value.get("is_stream")


def _names_file(value: object, depth: int) -> bool:
    """Say whether a value names a file anywhere inside, or is too deep to look through."""
    if isinstance(value, dict):
        inside = list(value.values())
        if "path" in value or "meta" in value:
            return True
    elif isinstance(value, list):
        inside = value
    else:
        return False
    return depth == 0 or any(_names_file(one, depth - 1) for one in inside)


def _refused() -> gr.Error:
    return border.told(InvalidInput(texts.UNSUITABLE))
