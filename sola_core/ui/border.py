"""The border between the page and the engine: who asks, what may pass, and how errors are told.

Every handler passes through `guarded`; nothing that a visitor wrote, and no secret, reaches a log.
"""

from __future__ import annotations

import functools
import html
import inspect
import logging
import re
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

import fastapi
import gradio as gr
from gradio.context import LocalContext
from gradio.utils import get_upload_folder

from sola_core.errors import InvalidInput, SolaError
from sola_core.registry import Visitor, WorkspaceRegistry
from sola_core.text import MAX_PROMPT_CHARS, MAX_REPHRASES
from sola_core.ui import texts
from sola_core.words import here, say

MAX_ID_CHARS = 100
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(/[A-Za-z0-9_+-]{1,30}){0,2}")  # as in "Europe/Berlin"
MAX_PATH_CHARS = 1000
MAX_FIELD_CHARS = (MAX_PROMPT_CHARS + 1) * (MAX_REPHRASES + 1)  # a field may be refused in detail below this
log = logging.getLogger(__name__)

Inputs = ParamSpec("Inputs")
Result = TypeVar("Result")
Item = TypeVar("Item")


def guarded(handler: Callable[Inputs, Result]) -> Callable[Inputs, Result]:
    """Turn a SolaError into a message for the visitor; log any other error by type and line only."""

    @functools.wraps(handler)
    def call(*args: Inputs.args, **kwargs: Inputs.kwargs) -> Result:
        try:
            return handler(*args, **kwargs)
        except Exception as error:  # the border: told and logged, never passed over
            raise told(error) from None

    return call


def guarded_steps(
    handler: Callable[Inputs, Generator[Item, None, None]],
) -> Callable[Inputs, Generator[Item, None, None]]:
    """Do the same for a handler that yields; closing it closes what it was doing."""
    assert inspect.isgeneratorfunction(handler)

    @functools.wraps(handler)
    def call(*args: Inputs.args, **kwargs: Inputs.kwargs) -> Generator[Item, None, None]:
        try:
            yield from handler(*args, **kwargs)
        except Exception as error:  # the border: told and logged, never passed over
            raise told(error) from None

    return call


def visitor(registry: WorkspaceRegistry, request: gr.Request | None, token: object = "") -> Visitor:
    """Name who asks; raise SessionRequired when a shared server cannot tell.

    `token` is what the browser keeps (see `kept`), whatever a program sends in its place.
    """
    session = request.session_hash if request is not None else None
    if session is not None and session == LocalContext.event_id.get(None):
        session = None  # the caller sent none, and the queue made one up for this call alone
    if _through_mcp(request):
        session = None  # gradio sends the calls of all MCP clients through one session
    known = token if isinstance(token, dict) else {}
    return registry.visitor(session, known.get("token"), known.get("router"), address=address(request))


def address(request: gr.Request | fastapi.Request | None) -> str:
    """Return the address that a request came from, empty when it is not known.

    Behind a proxy that is the proxy's, unless FORWARDED_ALLOW_IPS in the server's environment names it (see uvicorn).
    """
    try:
        return str(request.client.host) if request is not None and request.client else ""
    except AttributeError:
        return ""


def kept(registry: WorkspaceRegistry, token: object, router: str | None = None) -> dict[str, str]:
    """Return what a browser is to keep: its token, a new one if it had none, the router chosen, and its time zone."""
    known = token if isinstance(token, dict) else {}
    old, where = known.get("token"), zone(token)
    return {
        "token": str(old) if registry.is_minted(old) else registry.mint(),
        "router": router or registry.wish(known.get("router")),
        **({"zone": where} if where else {}),
    }


def zone(token: object) -> str:
    """Return the name of the time zone that a browser told (see `kept`); empty for what cannot be one."""
    told = token.get("zone") if isinstance(token, dict) else None
    return told if isinstance(told, str) and ZONE.fullmatch(told) else ""


def text_field(value: object, name: str) -> str:
    """Return an input that may be empty; raise InvalidInput for another type or an endless text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(texts.WRONG_TYPE.format(name=name))
    if len(value) > MAX_FIELD_CHARS:
        raise InvalidInput(
            say("The {name} has {count:,} characters, which is far too long. Shorten it.", name=name, count=len(value))
        )
    return value


def lines_field(value: object, name: str) -> tuple[str, ...]:
    """Return the non-empty lines of an input."""
    return tuple(line for line in text_field(value, name).splitlines() if line.strip())


def switch_field(value: object) -> bool:
    """Return an on-or-off input."""
    if not isinstance(value, bool):
        raise InvalidInput(texts.WRONG_TYPE.format(name=say("on or off (true or false)")))
    return value


def id_field(value: object) -> str:
    """Return an edit id as it was given, if it can be one."""
    if not isinstance(value, str) or not value or len(value) > MAX_ID_CHARS or not value.isprintable():
        raise InvalidInput(texts.WRONG_TYPE.format(name=say("the edit id")))
    return value


def name_field(value: object, name: str) -> str:
    """Return a short name as it was given."""
    if not isinstance(value, str) or len(value) > MAX_ID_CHARS or not value.isprintable():
        raise InvalidInput(texts.WRONG_TYPE.format(name=name))
    return value


def upload_field(value: object, name: str, most: int) -> bytes:
    """Return what an uploaded file holds, and delete it from the server; raise InvalidInput for anything else."""
    given = value.get("path") if isinstance(value, dict) else value
    if not isinstance(given, str) or not in_uploads(given):
        raise InvalidInput(texts.WRONG_TYPE.format(name=name))
    path = Path(given).resolve()
    try:
        if path.stat().st_size > most:
            raise InvalidInput(say("This file is larger than {size:,} kB. Choose a smaller one.", size=most // 1000))
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
        with suppress(OSError):  # something else is in it
            for folder in (path.parent, path.parent.parent):
                if folder != Path(get_upload_folder()).resolve():
                    folder.rmdir()


def in_uploads(path: str) -> bool:
    """Say whether a path is that of a file which was uploaded and is still there."""
    if not path or "\0" in path or len(path) > MAX_PATH_CHARS:
        return False
    try:
        found, folder = Path(path).resolve(), Path(get_upload_folder()).resolve()
        return found.is_relative_to(folder) and found.is_file() and not found.is_symlink()
    except (OSError, ValueError):  # a name that no file can have
        return False


def whole_field(value: object, name: str, below: int) -> int:
    """Return a whole number, 0 or more and less than `below`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
        raise InvalidInput(texts.WRONG_TYPE.format(name=name))
    return value


def moment_field(value: object, first: int, last: int) -> int:
    """Return where a slider stands: a whole number from `first` to `last`, which a browser may send as 3.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(texts.WRONG_TYPE.format(name=say("the moment")))
    if not first <= value <= last:
        raise InvalidInput(texts.NO_MOMENT)
    return value


def _through_mcp(request: gr.Request | None) -> bool:
    headers = getattr(getattr(request, "request", None), "headers", None)
    return headers is not None and headers.get("x-gradio-user") == "mcp"


def told(error: Exception) -> gr.Error:
    """Return what a visitor is told of an error; the log hears of an unexpected one by its type and line only."""
    if isinstance(error, gr.Error):
        error.print_exception = False  # it may quote what was sent
        return error
    if isinstance(error, SolaError):
        return gr.Error(html.escape(here(str(error)), quote=False), title="", print_exception=False)
    note(error)
    return gr.Error(texts.UNEXPECTED, title="", print_exception=False)


def note(error: Exception, level: int = logging.ERROR) -> None:
    """Log an error by type and line, without its message, which may repeat what a visitor wrote."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else "?"
    log.log(level, "%s at %s", type(error).__name__, where)
