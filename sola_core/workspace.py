"""One visitor's session, and the registry that keeps visitors apart.

Knows who may see and change which edits. Knows nothing of the page, of models or of how an edit is made.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sola_core.comparison import SideBySide, answer_twice
from sola_core.errors import InvalidInput, LibraryFull, SessionRequired, WorkspacesFull
from sola_core.records import Edit, EditRequest, Erasure, Route, TrainingStep

if TYPE_CHECKING:
    from sola_core.atlas import Layout
    from sola_core.session import SolaEditor

TOKEN_BYTES = 16  # 128 bits
MAX_SESSION_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much strangers may take of one server."""

    workspaces: int = 200  # at once, shared mode
    edits: int = 64  # in one workspace, shared mode
    questions: int = 24  # remembered for the map; the oldest goes first
    idle_seconds: float = 7200.0  # a workspace unused for longer may be dropped, shared mode
    answer_tokens: int = 128  # the longest answer; a longer one is marked as cut
    at_once: int = 4  # visitors whose model work runs side by side; the others queue
    queue: int = 60  # visitors who may wait


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who asks; the key is a bearer secret, so it is never shown or logged."""

    key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class AskedQuestion:
    """A question that the map remembers."""

    number: int  # 1, 2, ... within the workspace
    text: str
    edit_id: str | None  # the edit that answered it, at that time


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A state the workspace was in: its digest, and what had just happened."""

    digest: str
    after: Literal["start", "taught", "on", "off", "deleted"]
    number: int = 0  # of the edit that it happened to


class Workspace:
    """An editor of one's own and the questions asked in it. Safe to call from several threads."""

    def __init__(self, editor: SolaEditor, layout: Layout, limits: Limits, *, max_edits: int | None = None) -> None:
        self.editor, self.layout, self.limits = editor, layout, limits
        self.taught = False  # an edit was stored here, so there is something to keep
        self.remembers = True  # the questions asked; not where strangers read side by side
        self._max_edits = max_edits
        self._lock = threading.Lock()
        self._asked: list[AskedQuestion] = []
        self._asked_ever = 0
        self._moments = [Moment(digest=editor.state_digest, after="start")]

    # ---- reading ----

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits, in order of teaching."""
        return self.editor.edits

    @property
    def digest(self) -> str:
        """The state digest, hex."""
        return self.editor.state_digest

    @property
    def questions(self) -> tuple[AskedQuestion, ...]:
        """The questions remembered, oldest first."""
        with self._lock:
            return tuple(self._asked)

    def numbers(self) -> dict[str, int]:
        """Return the number of each edit by id: it was the how-manieth taught here. Numbers are never used again."""
        taught = [event.edit_id for event in self.editor.events() if event.kind == "taught"]
        return {edit_id: number for number, edit_id in enumerate(taught, 1)}

    def same_state(self) -> Moment | None:
        """Return the first moment at which the digest was what it is now, if that was before the last change."""
        with self._lock:
            now = self._moments[-1]
            return next((moment for moment in self._moments[:-1] if moment.digest == now.digest), None)

    # ---- acting ----

    def teach(self, request: EditRequest, replace: Sequence[str] = ()) -> Generator[TrainingStep, None, Edit]:
        """Teach one fact step by step; closing the generator early leaves nothing of it."""
        if self._max_edits is not None and len(self.edits) - len(replace) >= self._max_edits:
            raise LibraryFull(f"At most {self._max_edits} edits fit here. Delete one that you no longer need.")
        edit = yield from self.editor.edit_steps(request, replace=replace)
        self.taught = True
        self._note("taught", edit.id)
        return edit

    def ask(self, question: str) -> Generator[SideBySide, None, SideBySide]:
        """Answer with the untouched model and with the edits, piece by piece in turn; yields after every round."""
        with closing(answer_twice(self.editor, question, self.limits.answer_tokens)) as rounds:
            first = next(rounds)
            self._remember(first.question, first.route)
            yield first
            return (yield from rounds)

    def set_enabled(self, edit_id: str, enabled: bool) -> Edit:
        """Switch an edit on or off."""
        edit = self.editor.set_enabled(edit_id, enabled)
        self._note("on" if enabled else "off", edit_id)
        return edit

    def delete(self, edit_id: str) -> Erasure:
        """Delete an edit for ever."""
        erasure = self.editor.delete(edit_id)
        self._note("deleted", edit_id)
        return erasure

    def close(self) -> None:
        """Close the editor and forget the questions."""
        self._asked.clear()
        self.editor.close()

    def _remember(self, question: str, route: Route) -> None:
        if not self.remembers:
            return
        with self._lock:
            self._asked_ever += 1
            self._asked = [asked for asked in self._asked if asked.text != question]  # asked again: one point is enough
            self._asked.append(AskedQuestion(number=self._asked_ever, text=question, edit_id=route.edit_id))
            del self._asked[: -self.limits.questions]

    def _note(self, after: Literal["taught", "on", "off", "deleted"], edit_id: str) -> None:
        moment = Moment(digest=self.digest, after=after, number=self.numbers().get(edit_id, 0))
        with self._lock:
            self._moments.append(moment)
            del self._moments[1:-500]


class WorkspaceRegistry:
    """Finds the workspace of a visitor.

    Shared mode: one private workspace each, made by the first edit that succeeds; until then a visitor reads an empty one
    that nobody can change. Personal mode (`personal=True`): one workspace for everybody who can reach the server.
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

    def visitor(self, session_hash: object, token: object = "") -> Visitor:
        """Name a visitor by the browser's token, else by the session; raise SessionRequired when there is neither."""
        if self.is_minted(token):
            return Visitor(key=f"token {token}")
        if isinstance(session_hash, str) and session_hash.strip():
            if len(session_hash) > MAX_SESSION_CHARS:
                raise InvalidInput(f"A session hash has at most {MAX_SESSION_CHARS} characters.")
            return Visitor(key=f"session {session_hash}")
        if self.personal:
            return Visitor(key="personal")
        raise SessionRequired(
            "This server keeps every visitor's edits apart and cannot tell who asks: the request has no session. "
            "Use the page, or gradio_client.Client, which sends one."
        )

    # ---- their workspace ----

    @contextmanager
    def visit(self, visitor: Visitor) -> Iterator[Workspace]:
        """Hold the visitor's workspace while reading or changing what is in it; makes none."""
        with self._lock:
            self._sweep()
            room = self._rooms.get(visitor.key)
            if room is not None:
                room.users += 1
        try:
            yield room.workspace if room is not None else self._home
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

    def close(self) -> None:
        """Close every workspace."""
        with self._lock:
            for room in self._rooms.values():
                room.workspace.close()
            self._rooms.clear()
            self._home.close()

    def _signed(self, nonce: str) -> str:
        return nonce + hmac.new(self._secret, nonce.encode(), hashlib.sha256).hexdigest()[: 2 * TOKEN_BYTES]

    def _open(self, visitor: Visitor) -> _Room:
        if len(self._rooms) >= self.limits.workspaces:
            raise WorkspacesFull(
                "This server is full: other visitors' edits take all the places. Nothing was stored. "
                "Try again later, or run SoLA Studio on your own machine."
            )
        room = _Room(self._new(), self._clock())
        self._rooms[visitor.key] = room
        return room

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
    def __init__(self, workspace: Workspace, now: float) -> None:
        self.workspace, self.users, self.last_used = workspace, 0, now
