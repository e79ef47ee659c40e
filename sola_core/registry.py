"""The registry that keeps visitors apart: who asks, which workspace is theirs, when one is made and when it goes.

Knows who may see and change which edits. Knows nothing of the page or of what happens in a workspace.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sola_core.errors import InvalidInput, SessionRequired, WorkspacesFull
from sola_core.records import KeysMade
from sola_core.routing.router import ROUTERS, checked_name
from sola_core.steps import finish
from sola_core.words import Sentence
from sola_core.workspace import Limits, Workspace

TOKEN_BYTES = 16  # 128 bits
MAX_SESSION_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who asks; the key is a bearer secret, so it is never shown or logged."""

    key: str = field(repr=False)
    router: str = ""  # the one chosen before there is a workspace; empty: the server's default
    address: str = field(default="", compare=False)  # of the computer that asks, as far as the server can tell


class WorkspaceRegistry:
    """Finds the workspace of a visitor.

    Shared mode: one private workspace each, made by the first edit that succeeds; until then a visitor reads an empty one
    that nobody can change, with the router that the visitor chose. Personal mode (`personal=True`): one workspace for everybody who can reach the server.
    """

    def __init__(
        self,
        new_workspace: Callable[[], Workspace],
        *,
        limits: Limits | None = None,
        personal: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits, self.personal = limits or Limits(), personal
        self._new, self._clock = new_workspace, clock
        self._home = new_workspace()  # personal: the one workspace; shared: the empty one
        self._home.remembers = personal
        self._empty = {self._home.router_name: self._home}  # shared: one for each router that somebody chose
        self._lock = threading.RLock()
        self._rooms: dict[str, _Room] = {}
        self._secret = secrets.token_bytes(32)

    def __len__(self) -> int:
        return len(self._rooms)

    # ---- who asks ----

    def mint(self) -> str:
        """Return a new token, to be kept by one browser: 128 random bits and this server's signature."""
        return self._signed(secrets.token_hex(TOKEN_BYTES))

    def is_minted(self, token: object) -> bool:
        """Say whether a token is one of this server's own."""
        if not isinstance(token, str) or len(token) != 4 * TOKEN_BYTES or not token.isascii():
            return False
        return hmac.compare_digest(token, self._signed(token[: 2 * TOKEN_BYTES]))

    def visitor(self, session_hash: object, token: object = "", router: object = "", *, address: str = "") -> Visitor:
        """Name a visitor by the browser's token, else by the session; raise SessionRequired when there is neither.

        Tokens and sessions cost a program nothing; `address` is what bounds how many workspaces it can make.
        `router` is the one that a workspace made for this visitor starts with; what is no router's name counts for none.
        """
        wish = self.wish(router)
        if self.is_minted(token):
            return Visitor(key=f"token {token}", router=wish, address=address)
        if isinstance(session_hash, str) and session_hash.strip():
            if len(session_hash) > MAX_SESSION_CHARS:
                raise InvalidInput(Sentence("A session hash has at most {most} characters.", most=MAX_SESSION_CHARS))
            return Visitor(key=f"session {session_hash}", router=wish, address=address)
        if self.personal:
            return Visitor(key="personal")
        raise SessionRequired(
            Sentence(
                "This server keeps every visitor's edits apart and cannot tell who asks: the request has no session. "
                "Use the page, or gradio_client.Client, which sends one."
            )
        )

    def alias(self, visitor: Visitor) -> str:
        """Return a name for a visitor from which nobody can tell the secret; the same as long as the server runs."""
        return hmac.new(self._secret, f"alias {visitor.key}".encode(), hashlib.sha256).hexdigest()[:32]

    def wish(self, router: object) -> str:
        """Return the name of a router as it was given, and the empty text for what names none."""
        return str(router) if router in ROUTERS else ""

    # ---- their workspace ----

    @contextmanager
    def visit(self, visitor: Visitor) -> Iterator[Workspace]:
        """Hold the visitor's workspace while reading or changing what is in it; makes none."""
        with self._lock:
            self._sweep()
            room = self._rooms.get(visitor.key)
            if room is not None:
                room.users += 1
            found = room.workspace if room is not None else self._empty_one(visitor.router)
        try:
            yield found
        finally:
            if room is not None:
                self._leave(visitor, room)

    @contextmanager
    def claim(self, visitor: Visitor) -> Iterator[Workspace]:
        """Hold the visitor's workspace for a new edit, made if need be; one in which nothing was stored goes again.

        Raises WorkspacesFull when there is no room and no workspace has been idle for long enough.
        """
        if self.personal:
            yield self._home
            return
        with self._lock:
            self._sweep()
            room = self._rooms.get(visitor.key) or self._open(visitor)
            room.users += 1
        try:
            yield room.workspace
        finally:
            self._leave(visitor, room)

    def use_router(self, visitor: Visitor, name: str) -> Generator[KeysMade, None, None]:
        """Route with another router in the visitor's workspace; raise InvalidInput for an unknown name.

        Makes no workspace: one who has none brings the choice along as `Visitor.router`.
        """
        checked_name(name)
        with self.visit(visitor) as workspace:
            yield from workspace.use_router(name)

    def close(self) -> None:
        """Close every workspace."""
        with self._lock:
            for room in self._rooms.values():
                room.workspace.close()
            self._rooms.clear()
            for workspace in self._empty.values():
                workspace.close()

    def _signed(self, nonce: str) -> str:
        return nonce + hmac.new(self._secret, nonce.encode(), hashlib.sha256).hexdigest()[: 2 * TOKEN_BYTES]

    def _open(self, visitor: Visitor) -> _Room:
        if len(self._rooms) >= self.limits.workspaces or self._of(visitor.address) >= self.limits.of_one_address:
            raise WorkspacesFull(
                Sentence(
                    "This server is full: other visitors' edits take all the places. Nothing was stored. Try again "
                    "later, or run SoLA Studio on your own machine."
                )
            )
        room = _Room(self._made(visitor.router), self._clock(), visitor.address)
        self._rooms[visitor.key] = room
        return room

    def _of(self, address: str) -> int:
        return sum(room.address == address for room in self._rooms.values())

    def _empty_one(self, router: str) -> Workspace:
        if self.personal or not router:
            return self._home
        if router not in self._empty:
            self._empty[router] = self._made(router)
            self._empty[router].remembers = False
        return self._empty[router]

    def _made(self, router: str) -> Workspace:
        workspace = self._new()
        finish(workspace.use_router(router or workspace.router_name))
        return workspace

    def _leave(self, visitor: Visitor, room: _Room) -> None:
        with self._lock:
            room.users -= 1
            room.last_used = self._clock()
            if not room.users and not room.workspace.taught and self._rooms.get(visitor.key) is room:
                del self._rooms[visitor.key]
                room.workspace.close()

    def _sweep(self) -> None:
        latest = self._clock() - self.limits.idle_seconds
        for key, room in list(self._rooms.items()):
            if not room.users and room.last_used < latest:
                del self._rooms[key]
                room.workspace.close()


class _Room:
    def __init__(self, workspace: Workspace, now: float, address: str) -> None:
        self.workspace, self.users, self.last_used, self.address = workspace, 0, now, address
