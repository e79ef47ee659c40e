"""Joins a control of the page to its handler, in one of four ways; every handler is guarded on the way.

Knows gradio's events and the border; knows no panel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Literal, TypedDict, Unpack

import gradio as gr
from gradio.events import Dependency

from sola_core.ui import border


class ModelOptions(TypedDict, total=False):
    """What a join may differ in."""

    trigger_mode: Literal["once", "multiple", "always_last"]
    preprocess: bool


AT_ONCE = 16  # changes of State handled side by side


def model(
    triggers: list[Callable[..., Dependency]] | Callable[..., Dependency],
    handler: Callable[..., Generator[tuple[object, ...], None, None]],
    inputs: list[gr.components.Component],
    outputs: list[gr.components.Component],
    at_once: int,
    *,
    trigger_mode: Literal["once", "multiple", "always_last"] = "once",
    preprocess: bool = True,
) -> Dependency:
    """Join work of the model: queued, `at_once` visitors at a time, one at a time for each page."""
    listen = functools.partial(gr.on, triggers) if isinstance(triggers, list) else triggers
    run: Dependency = listen(
        border.guarded_steps(handler), inputs, outputs, api_visibility="private",
        concurrency_id="model", concurrency_limit=at_once, trigger_mode=trigger_mode,
        show_progress="hidden", preprocess=preprocess,
    )  # fmt: skip
    return run


def state(
    listen: Callable[..., Dependency],
    handler: Callable[..., object],
    inputs: list[gr.components.Component] | None,
    outputs: list[gr.components.Component],
    *,
    preprocess: bool = True,
    key: str | tuple[str, str] | None = None,
    trigger_mode: Literal["once", "multiple"] = "multiple",
) -> Dependency:
    """Join work that sets a State which something listens to: only queued events tell the page of such a change.

    Inside a render function `key` makes the event the same one in every redrawing.
    """
    return listen(
        border.guarded(handler), inputs, outputs, api_visibility="private", concurrency_id="state",
        concurrency_limit=AT_ONCE, trigger_mode=trigger_mode, show_progress="hidden", preprocess=preprocess, key=key,
    )  # fmt: skip


def latest(
    triggers: list[Callable[..., Dependency]],
    handler: Callable[..., object],
    inputs: list[gr.components.Component],
    outputs: list[gr.components.Component],
    *,
    preprocess: bool = True,
) -> Dependency:
    """Join work that follows several controls: of many changes only the last has to be handled.

    `preprocess=False` leaves out gradio's own check of a choice, which would write what a program sent to the log.
    """
    joined: Dependency = gr.on(
        triggers, border.guarded(handler), inputs, outputs, api_visibility="private", concurrency_id="state",
        concurrency_limit=AT_ONCE, trigger_mode="always_last", show_progress="hidden", preprocess=preprocess,
    )  # fmt: skip
    return joined


def quick(
    listen: Callable[..., Dependency],
    handler: Callable[..., object],
    inputs: list[gr.components.Component] | None,
    outputs: list[gr.components.Component],
    **options: Unpack[ModelOptions],
) -> Dependency:
    """Join work that takes a moment and needs no queue."""
    return listen(
        border.guarded(handler), inputs, outputs, api_visibility="private", queue=False, show_progress="hidden",
        **options,
    )  # fmt: skip
