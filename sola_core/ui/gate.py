"""The gate before gradio's routes: closes those that the page does not need, bounds what comes in, and answers what breaks.

Knows HTTP and gradio's addresses; knows no handler. What passes is checked again by `guarded` and `border`.
"""

from __future__ import annotations

import json
import logging
from collections import Counter

from gradio.route_utils import FnIndexInferError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sola_core.ui import border, texts
from sola_core.ui.sessions import Sessions
from sola_core.ui.uploads import Uploads

API = "/gradio_api/"
CLOSED = (  # what would write to the disk, fetch from elsewhere, or run something that no panel uses
    "deep_link",
    "proxy=",
    "stream/",
    "process_recording",
    "component_server",
    "custom_component",
    "vibe-",
    "undo-vibe-edit",
    "run-history",
    "runs",
    "dev/",
    "file=http:",
    "file=https:",
    "file/http:",
    "file/https:",
)
MAX_BODY = 1_500_000  # bytes of a request that is no upload; the fullest form of the page has 500 kB
MAX_QUERY = 4_000
DRAINED = 20_000_000
AT_ONCE = 600  # requests of one address that are open side by side; a page holds two


class Gate:
    """The outermost layer of ours in gradio's server."""

    def __init__(self, app: ASGIApp, uploads: Uploads) -> None:
        self._app, self._uploads = app, uploads
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = str((scope.get("client") or ("",))[0])
        status, words = self._refusal(scope, address)
        if status:
            if status == 413:
                await _Bounded(receive, self._most(scope)).drain()
            await _say(scope, send, status, words)
            return
        self._open[address] += 1
        try:
            await self._through(scope, _Bounded(receive, self._most(scope)), send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    async def _through(self, scope: Scope, receive: _Bounded, send: Send) -> None:
        path, answer = _path(scope), _Answer(scope, send)
        session = path.removeprefix(f"{API}heartbeat/") if path.startswith(f"{API}heartbeat/") else ""
        sessions: Sessions | None = getattr(scope.get("app"), "state_holder", None) if session else None
        if isinstance(sessions, Sessions):
            sessions.connected(session)
        try:
            if path.startswith(f"{API}upload_progress"):
                self._uploads.forget_progress()
            if _is_upload(scope):
                await self._uploads.take(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except Exception as error:  # the border: told and logged, never passed over
            await answer.end(*_status(error, receive.too_large))
        finally:
            if isinstance(sessions, Sessions):
                sessions.disconnected(session)

    def _refusal(self, scope: Scope, address: str) -> tuple[int, str]:
        path = _path(scope)
        if "\0" in path or len(path) > MAX_QUERY or len(scope.get("query_string", b"")) > MAX_QUERY:
            return 400, texts.UNSUITABLE
        if path.startswith(API) and path.removeprefix(API).lower().startswith(CLOSED):
            return 404, texts.CLOSED
        if b"deep_link" in scope.get("query_string", b""):
            return 404, texts.CLOSED
        if self._open[address] >= AT_ONCE:
            return 503, texts.PAGES_FULL
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not length.isdigit() or int(length) > self._most(scope):
            return 413, texts.TOO_LARGE
        return 0, ""

    def _most(self, scope: Scope) -> int:
        return self._uploads.most if _is_upload(scope) else MAX_BODY


class _Bounded:
    """Receives a request's body, up to the length that the gate allows."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left, self.too_large = receive, most, False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.too_large = True
            raise ValueError(texts.TOO_LARGE)
        return message

    async def drain(self) -> None:
        """Read what else is sent, within reason: whoever still sends would never read the answer."""
        read, more = 0, True
        while more and read < DRAINED:
            message = await self._receive()
            read += len(message.get("body", b""))
            more = bool(message.get("more_body"))


class _Answer:
    """Sends an answer on its way, and ends it when what made it has failed."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send, self._begun, self._ended = scope, send, False, False
        path = _path(scope).rstrip("/")
        self._status = {}
        if path.startswith((f"{API}run/", f"{API}api/")):
            self._status[500] = 422  # gradio's word for every refusal of a handler
        elif path in (f"{API}cancel", f"{API}reset"):
            self._status[422] = 200  # the page cancels what has no number yet: there is nothing to be done

    async def __call__(self, message: Message) -> None:
        self._begun = True
        self._ended = message["type"] == "http.response.body" and not message.get("more_body")
        if message.get("status") in self._status:
            message = {**message, "status": self._status[message["status"]]}
        await self._send(message)

    async def end(self, status: int, words: str) -> None:
        """Say why there is no answer, or end the one that was begun."""
        if not self._begun:
            await _say(self._scope, self._send, status, words)
        elif not self._ended:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _status(error: Exception, too_large: bool) -> tuple[int, str]:
    if too_large:
        return 413, texts.TOO_LARGE
    if isinstance(error, HTTPException):
        return error.status_code, texts.UNSUITABLE
    late = isinstance(error.__cause__, HTTPException)  # gradio refuses a stream that it has begun
    theirs = isinstance(error, (ValueError, LookupError, TypeError, RecursionError, ArithmeticError, FnIndexInferError))
    border.note(error, logging.INFO if late or theirs else logging.ERROR)
    return 400 if theirs else 500, texts.UNSUITABLE


def _is_upload(scope: Scope) -> bool:
    return _path(scope).rstrip("/") == f"{API}upload" and scope["method"] == "POST"


def _path(scope: Scope) -> str:
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(root) else path


async def _say(scope: Scope, send: Send, status: int, words: str) -> None:
    content = json.dumps({"detail": words, "error": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
