"""What visitors meet while the model is being loaded: a page that says how far it is, and the health endpoint.

Knows the port and what it is told. Knows no model and no gradio, whose import alone takes seconds.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import uvicorn

from sola_core.errors import InvalidInput
from sola_core.resources import asset
from sola_core.ui import texts
from sola_core.words import Sentence, chosen, here

FIRST_PORT, PORTS = 7860, 100  # as gradio looks for one
LOOPBACK = ("127.0.0.1", "::1", "localhost")
WATCHED = 10.0  # seconds since a page last asked, within which somebody is looking at it
PARTING = 5.0  # seconds at most that an open page is given to learn of a failure
BUSY = (  # the sentences of the busy page, letter by letter
    Sentence("SoLA Studio is starting"),
    Sentence("SoLA Studio could not start"),
    Sentence("The server is getting ready."),
    Sentence("How far the server is"),
    Sentence(
        "The first start fetches a small language model, about 100 MB; later starts take some seconds. "
        "This page turns into the studio by itself."
    ),
    Sentence("When the server has been started again, this page turns into the studio by itself."),
    Sentence(
        "The server does not answer any more. Whoever started it can see the reason in its terminal window or log."
    ),
    Sentence("Almost ready."),
)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Health:
    """What `GET /health` answers, as JSON: 200 when ready, 503 otherwise. Nothing of a visitor is in it."""

    status: Literal["loading", "ready", "failed"]
    message: str = ""
    progress: float | None = None  # share of what is being fetched, 0..1, if it is known

    @property
    def code(self) -> int:
        """The HTTP status."""
        return 200 if self.status == "ready" else 503

    @property
    def body(self) -> bytes:
        """The JSON."""
        return json.dumps(asdict(self)).encode()


READY = Health(status="ready", message="Ready.")


class Lobby:
    """Serves the busy page on the port that the studio will have; closed before the studio takes it over.

    Every answer has the status 503: browsers show the page all the same, and programs that wait for a success wait for the
    studio itself.
    """

    def __init__(self, host: str | None = None, port: int | None = None, *, personal: bool = False) -> None:
        self.host = address(host)
        require_loopback(self.host, personal=personal)
        self._socket = _bound(self.host, port)
        self.port = int(self._socket.getsockname()[1])
        self._health = Health(status="loading", message=texts.STARTING)
        self._page = busy_page().encode()
        self._asked, self._told = 0.0, threading.Event()
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="lobby", daemon=True
        )
        self._thread.start()

    def say(self, text: str, share: float | None = None) -> None:
        """Show what is being done now, and the share of it that is done if it is known."""
        self._health = Health(status="loading", message=text, progress=share)

    def fail(self, text: str) -> None:
        """Show why there will be no studio; returns when the pages that are open know it, within seconds.

        The process then ends with an error, so that whatever runs it can see that and start it again.
        """
        self._told.clear()
        self._health = Health(status="failed", message=text)
        if time.monotonic() - self._asked < WATCHED and self._told.wait(PARTING):
            time.sleep(1.0)  # other pages ask as often

    def close(self) -> None:
        """Let go of the port."""
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        health, path = self._health, str(scope["path"])
        asks = path == "/health" or path.startswith("/gradio_api") or path == "/config"  # programs read JSON
        body, kind = (health.body, "application/json") if asks else (self._page, "text/html; charset=utf-8")
        headers = {"content-type": kind, "cache-control": "no-store", "retry-after": "2", "content-length": len(body)}
        await send(
            {
                "type": "http.response.start",
                "status": health.code,
                "headers": [(name.encode(), str(value).encode()) for name, value in headers.items()],
            }
        )
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
        if path == "/health":
            self._asked = time.monotonic()
            if health.status == "failed":
                self._told.set()


def busy_page() -> str:
    """Return the page in the language of this server: the file's own sentences, each said in it."""
    page = asset("lobby.html").read_text(encoding="utf-8").replace('lang="en"', f'lang="{chosen().name}"')
    for sentence in BUSY:
        page = page.replace(sentence, here(sentence))
    return page


def address(host: str | None) -> str:
    """Return the address to serve on: the one given, gradio's environment variable, or this computer only."""
    return host or os.environ.get("GRADIO_SERVER_NAME") or LOOPBACK[0]


def require_loopback(host: str, *, personal: bool) -> None:
    """Raise InvalidInput when a personal library would be served to other computers."""
    if personal and host not in LOOPBACK:
        raise InvalidInput(texts.NOT_LOOPBACK.format(host=host))


def taken(host: str, port: int | None, fault: Exception) -> InvalidInput:
    """Return the error that says that the page cannot be served there."""
    return InvalidInput(
        f"The page cannot be served on {host}, port {port or 'from 7860 on'}: {fault}. Choose another --port."
    )


def _bound(host: str, port: int | None) -> socket.socket:
    """Return a socket on this port, or on the first free one; raise InvalidInput when there is none."""
    bare = host.strip("[]")
    first = port if port is not None else _first_port()
    fault: Exception = OSError("no port is free")
    for one in [first] if port is not None else range(first, first + PORTS):
        made = socket.socket(socket.AF_INET6 if ":" in bare else socket.AF_INET)
        if os.name == "posix":  # elsewhere it would share a port that is taken
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((bare, one))
            return made
        except (OSError, OverflowError) as error:
            made.close()
            fault = error
    raise taken(host, port, fault) from fault


def _first_port() -> int:
    text = os.environ.get("GRADIO_SERVER_PORT", "").strip() or str(FIRST_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise InvalidInput(f"The environment variable GRADIO_SERVER_PORT is {text!r}; it must be a port, 1 to 65535.")
    return int(text)
