"""Keeps fetched models on disk: a folder is there whole or not at all, whatever fails and whoever else is at it.

Knows nothing of what is kept, nor where it comes from.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from sola_core.errors import HostUnavailable
from sola_core.host.fingerprint import Progress
from sola_core.words import Sentence

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


def cache_dir() -> Path:
    """Return the folder that fetched models are kept in: `SOLA_CACHE`, or the platform's. It may not exist yet."""
    chosen = os.environ.get("SOLA_CACHE", "").strip()
    if chosen:
        return Path(os.path.abspath(Path(chosen).expanduser()))
    return platformdirs.user_cache_path("sola-studio", appauthor=False)


@contextmanager
def disk_errors(what: str, folder: Path) -> Iterator[None]:
    """Turn an OSError of the disk into HostUnavailable with words on what to do; `what` names what was being kept."""
    try:
        yield
    except ConnectionError:
        raise  # not the disk
    except OSError as error:
        raise HostUnavailable(disk_message(what, folder, error)) from error


def disk_message(what: str, folder: Path, error: OSError) -> str:
    """Say why `folder` could not hold `what`, and what to do."""
    elsewhere = Sentence("set SOLA_CACHE to a folder on another disk")
    if error.errno in _NO_ROOM:
        return Sentence(
            "There is no room left in {folder} for {what}. Free some space or {elsewhere}, then start again.",
            folder=folder,
            what=what,
            elsewhere=elsewhere,
        )
    reason = error.strerror or str(error)
    if error.errno in _NO_RIGHT:
        return Sentence(
            "{what} cannot be kept in {folder}: {reason}. Set SOLA_CACHE to a folder that you may read and "
            "write, then start again.",
            what=what,
            folder=folder,
            reason=reason,
        )
    return Sentence(
        "{what} could not be written to {folder}: {reason}. Check that folder or {elsewhere}, then start again.",
        what=what,
        folder=folder,
        reason=reason,
        elsewhere=elsewhere,
    )


def require_room(what: str, folder: Path, needed: int) -> None:
    """Raise HostUnavailable unless the disk of the existing `folder` has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise HostUnavailable(
            Sentence(
                "There is no room in {folder} for {what}: it needs {needed:,.0f} MB while it is made, and "
                "{free:,.0f} MB are free. Free some space or set SOLA_CACHE to a folder on another disk, then start "
                "again.",
                folder=folder,
                what=what,
                needed=needed / 1e6,
                free=free / 1e6,
            )
        )


@contextmanager
def locked(target: Path, on_progress: Progress) -> Iterator[None]:
    """Hold the lock of `target` among all processes; leftovers of killed ones are gone when it is held.

    While another process holds it, `on_progress` is called about twice a second, and may raise to give up.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(target)
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            on_progress(Sentence("Waiting for another process that prepares {name}", name=target.name), None)
    try:
        _remove_leftovers(target)
        yield
    finally:
        lock.release()


def sweep(target: Path) -> None:
    """Remove what killed processes left beside `target`, if no live one is at work there and it may be written."""
    try:
        if not any(target.parent.glob(_work_name(target, "*"))):
            return
        with _lock(target).acquire(timeout=0):
            _remove_leftovers(target)
    except (Timeout, OSError):
        return


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder on the disk of `target`, removed at the end whatever happens. Needs the lock of `target`."""
    folder = target.parent / _work_name(target, secrets.token_hex(6))
    folder.mkdir()  # not mkdtemp: the mode follows the umask, so that a cache can be shared
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(made: Path, target: Path, old: Path) -> None:
    """Flush the folder `made` to the disk, then give it the name `target` at once; what stands there goes to `old`."""
    mode = stat.S_IMODE(made.stat().st_mode)
    for path in sorted(made.rglob("*"), reverse=True):
        path.chmod(mode if path.is_dir() else mode & 0o666)
        _flush(path)
    _flush(made)
    if target.exists() or target.is_symlink():
        os.replace(target, old)
    os.replace(made, target)
    _flush(target.parent)


def _lock(target: Path) -> FileLock:
    return FileLock(target.with_name(f".{target.name}.lock"))


def _work_name(target: Path, token: str) -> str:
    return f".{target.name}.making-{token}"


def _remove_leftovers(target: Path) -> None:
    for folder in target.parent.glob(_work_name(target, "*")):
        shutil.rmtree(folder, ignore_errors=True)


def _flush(path: Path) -> None:
    """Force a file or a folder to the disk (folders cannot be opened on Windows, which needs no such thing)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
