"""Files that are no library, another host's, read-only or on a full disk: refused in words and left as they are."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sola_core.errors import (
    LibraryCorrupt,
    LibraryError,
    LibraryFull,
    LibraryMismatch,
    SolaError,
)
from sola_core.library import Library, schema
from tests.made_edits import HOST, SECRET, everything, keys_for, put, trained


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "facts.db"


@pytest.fixture
def saved(path: Path) -> bytes:
    """The bytes of a library with three edits, closed."""
    with Library.open(path, **HOST) as library:
        for i in range(3):
            put(library, trained(f"p{i}", seed=i, size=2000))
    return path.read_bytes()


def changed(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def foreign(path: Path) -> bytes:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE notes (text)")
        db.commit()
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        "text",
        "short",
        "foreign",
        "header",
        "first page",
        "half",
        "cut",
        "garbage",
        "newer",
        "older",
        "table",
        "trigger",
        "meta",
    ],
)
def test_a_damaged_or_foreign_file_is_refused_and_left_as_it_is(path: Path, saved: bytes, damage: str) -> None:
    path.unlink()
    half = len(saved) // 2
    match damage:
        case "text":
            content = b"prompt,target\n" * 40
        case "short":
            content = saved[:50]
        case "foreign":
            content = foreign(path)
        case "header":
            content = changed(saved, 0, b"sqlite")
        case "first page":
            content = saved[:100] + os.urandom(4096 - 100) + saved[4096:]
        case "half":
            content = saved[: half // 4096 * 4096]
        case "cut":
            content = saved[:-1000]
        case "garbage":
            content = changed(saved, half // 4096 * 4096, os.urandom(8192))
        case _:
            path.write_bytes(saved)
            statement = {
                "newer": "PRAGMA user_version = 3",
                "older": "PRAGMA user_version = 1",
                "table": "DROP TABLE keys",
                "trigger": "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM edits; END",
                "meta": "DELETE FROM meta",
            }[damage]
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute(statement)
                db.commit()
            content = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(LibraryCorrupt) as caught:
        Library.open(path, **HOST)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_one_changed_byte_in_an_edit_is_noticed_when_it_is_read(path: Path, saved: bytes) -> None:
    piece = trained("p1", seed=1, size=2000).tensors["layer.1.A"].view(torch.uint8).numpy().tobytes()[4000:4016]
    path.write_bytes(changed(saved, saved.index(piece), b"\x00\x01"))
    with Library.open(path, **HOST) as library:
        first, damaged, last = library.edits()
        with pytest.raises(LibraryCorrupt, match=damaged.id):
            library.tensors(damaged.id)
        library.tensors(first.id)
        library.tensors(last.id)
        library.delete(damaged.id)
        assert library.edits() == (first, last)


def test_a_changed_text_or_key_is_noticed_when_it_is_read(path: Path, saved: bytes) -> None:
    path.write_bytes(saved.replace(b'"prompt": "p1"', b'"prompt": "p7"'))
    with Library.open(path, **HOST) as library, pytest.raises(LibraryCorrupt):
        library.edits()
    key = (keys_for(trained("p1"))["enc"][0] or b"")[:64]
    path.write_bytes(saved.replace(key, key[::-1]))
    with Library.open(path, **HOST) as library, pytest.raises(LibraryCorrupt):
        library.keys("enc")


def test_an_empty_file_becomes_a_library(path: Path) -> None:
    path.touch()
    with Library.open(path, **HOST) as library:
        put(library, trained("p"))


def test_another_hosts_library_is_refused_with_both_names(path: Path, saved: bytes) -> None:
    with pytest.raises(LibraryMismatch, match=r"tiny-host \(f1f1f1f1f1f1\).*big-host \(abababababab\)"):
        Library.open(path, host_name="big-host", host_fingerprint="ab" * 32)
    assert path.read_bytes() == saved
    with Library.open(path, host_name="renamed", host_fingerprint=HOST["host_fingerprint"]) as library:
        assert len(library.edits()) == 3


def test_a_place_that_cannot_hold_a_library_is_named(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="is a folder"):
        Library.open(tmp_path, **HOST)
    with pytest.raises(LibraryError, match="There is no folder"):
        Library.open(tmp_path / "nowhere" / "facts.db", **HOST)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs file permissions")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_library_is_refused_and_left_as_it_is(what: str) -> None:
    folder = Path(tempfile.mkdtemp())
    path = folder / "facts.db"
    try:
        with Library.open(path, **HOST) as library:
            put(library, trained("p"))
        before = path.read_bytes()
        folder.chmod(0o777 if what == "file" else 0o555)
        path.chmod(0o444 if what == "file" else 0o666)
        with unprivileged(), pytest.raises(LibraryError, match="cannot be written"):
            Library.open(path, **HOST)
        assert path.read_bytes() == before
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Run the block as somebody to whom permissions apply; os.access asks for the real user, so both are changed."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no small disk can be mounted here")
    try:
        _fill_and_free(disk)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill_and_free(disk: Path) -> None:
    path = disk / "facts.db"
    with Library.open(path, **HOST) as library:
        stored = []
        with pytest.raises(LibraryFull):
            for i in range(500):
                stored.append(put(library, trained(f"p{i}", seed=i, size=1000)))
        assert [edit.id for edit in library.edits()] == stored
        before = everything(library)
        with pytest.raises(LibraryFull):
            put(library, SECRET, replace=stored[:1])
        assert everything(library) == before
    with pytest.raises(SolaError):
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free))
        Library.open(disk / "other.db", **HOST)
    (disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    with Library.open(path, **HOST) as library:
        assert everything(library) == before
        assert library.delete(stored[0]) == "erased"
        put(library, SECRET)


def test_a_file_too_large_to_be_checked_as_a_whole_is_checked_as_it_is_read(
    path: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "CHECKED_BYTES", 0)
    with Library.open(path, **HOST) as library:
        before, keys = library.edits(), library.keys("enc")
    piece = trained("p1", seed=1, size=2000).tensors["layer.1.A"].view(torch.uint8).numpy().tobytes()[4000:4016]
    path.write_bytes(changed(saved, saved.index(piece) // 2048 * 2048, os.urandom(2048)))  # a page of an adapter
    with Library.open(path, **HOST) as library:
        assert library.edits() == before and library.keys("enc") == keys
        with pytest.raises(LibraryCorrupt):
            library.tensors(before[1].id)
        library.tensors(before[2].id)
