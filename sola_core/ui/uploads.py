"""Takes uploaded files in: each into a folder of its own that nobody can guess, and no more than the disk can bear.

Knows gradio's reading of forms. What a file holds is not its business.
"""

from __future__ import annotations

import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gradio.route_utils import upload_fn
from gradio.routes import file_upload_statuses
from gradio.utils import get_upload_folder
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from sola_core.ui import texts

AROUND = 20_000  # bytes of a form beside the file in it
PLACES = 100  # uploads that wait to be read; one address may have half of them
PREFIX = "up-"
NAMES = 500
MAX_NAME = 100  # characters by which the page asks how far an upload is
WAIT_SECONDS = 600.0  # an upload that nobody asked to have read goes


@dataclass(frozen=True)
class _Waiting:
    folder: Path
    address: str
    since: float


class Uploads:
    """The uploads that were not read yet.

    gradio puts a file where its content says: of two visitors who upload the same list at the same time, the first to have
    it read would take it away from the other.
    """

    def __init__(self, most: int) -> None:
        self._most = most  # bytes of a file
        self._waiting: list[_Waiting] = []
        clear(PREFIX, WAIT_SECONDS)  # of a server that was killed

    @property
    def most(self) -> int:
        """Bytes of the largest request that brings a file."""
        return self._most + AROUND

    async def take(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an upload with where the files are, as gradio's page expects it."""
        request = Request(scope, receive)
        answer = await self._taken(request)
        await answer(scope, receive, send)

    def forget_progress(self) -> None:
        """Forget how far uploads are, when gradio remembers that of very many: anybody may ask, and it never forgets."""
        if len(file_upload_statuses._signals) > NAMES:
            file_upload_statuses._signals.clear()
            file_upload_statuses._statuses.clear()

    async def _taken(self, request: Request) -> JSONResponse:
        address = request.client.host if request.client else ""
        self._tidy()
        mine = sum(one.address == address for one in self._waiting)
        if len(self._waiting) >= PLACES or mine >= PLACES // 2:
            return JSONResponse({"detail": texts.UPLOADS_FULL}, status_code=503)
        folder = Path(get_upload_folder()) / f"{PREFIX}{secrets.token_hex(16)}"
        self._waiting.append(_Waiting(folder, address, time.monotonic()))
        try:
            name = request.query_params.get("upload_id") or None
            told = file_upload_statuses if name and len(name) <= MAX_NAME else None
            paths, _, _ = await upload_fn(
                request, str(folder), self._most, name if told else None, upload_progress=told
            )
        except MultiPartException as error:
            shutil.rmtree(folder, ignore_errors=True)
            large = "maximum allowed size" in error.message
            return JSONResponse(
                {"detail": texts.TOO_LARGE if large else texts.UNSUITABLE}, status_code=413 if large else 400
            )
        except ClientDisconnect:
            shutil.rmtree(folder, ignore_errors=True)
            return JSONResponse({"detail": texts.UNSUITABLE}, status_code=400)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return JSONResponse(paths)

    def _tidy(self) -> None:
        """Forget the uploads that were read, and delete those that nobody asked for."""
        oldest = time.monotonic() - WAIT_SECONDS
        kept = []
        for one in self._waiting:
            if one.since < oldest:
                shutil.rmtree(one.folder, ignore_errors=True)
            elif one.folder.exists():
                kept.append(one)
        self._waiting = kept


def clear(prefix: str, seconds: float) -> None:
    """Delete what was uploaded or saved, by the beginning of its folder's name, and is older than that."""
    oldest = time.time() - seconds
    for folder in Path(get_upload_folder()).glob(f"{prefix}*"):
        with suppress(OSError):  # another one deletes it at the same time
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
