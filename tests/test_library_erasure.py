"""Deleted edits leave no byte in any file, and a killed process leaves the library before or after its change."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sola_core.library import Library, edit_digest, schema
from tests.kill_child import FIRST, SECOND
from tests.made_edits import HOST, SECRET, keys_for, put, secret_pieces, traces, trained

ROOT = Path(__file__).resolve().parent.parent
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "facts.db"


def test_nothing_of_an_erased_edit_is_left_in_any_file(path: Path) -> None:
    with Library.open(path, **HOST) as library:
        put(library, trained("before", seed=1))
        edit = put(library, SECRET)
        put(library, trained("after", seed=2))
        library.put_keys(edit, "enc", keys_for(SECRET)["enc"])
        library.set_enabled(edit, False)
        assert traces(path, SECRET)
        assert library.delete(edit) == "erased"
        assert not library.erasing
        assert traces(path, SECRET) == []
        assert len(library.edits()) == 2
    assert traces(path, SECRET) == []


@pytest.mark.slow
def test_while_another_program_reads_an_old_state_the_edit_is_erasing(path: Path) -> None:
    with Library.open(path, **HOST) as library:
        edit = put(library, SECRET)
        with contextlib.closing(sqlite3.connect(path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM edits").fetchone()
            assert library.delete(edit) == "erasing"
            assert library.edits() == ()
            assert library.erasing
            assert not library.retry_erasure()
            assert traces(path, SECRET)
            assert library.events()[-1].kind == "deleted"
            reader.rollback()
            assert library.retry_erasure()
        assert not library.erasing
        assert library.events()[-1].kind == "erased"
        assert traces(path, SECRET) == []


@pytest.mark.parametrize("by", ["open", "close", "delete", "replace"])
def test_a_delayed_erasure_is_finished_later(path: Path, by: str) -> None:
    library = Library.open(path, **HOST)
    other, edit = put(library, trained("other")), put(library, SECRET)
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM edits").fetchone()
    assert library.delete(edit) == "erasing"
    reader.rollback()
    if by == "delete":
        library.delete(other)
    elif by == "replace":
        put(library, trained("new"), replace=[other])
    elif by == "close":
        library.close()  # the other program still has the file open
    else:
        Library.open(path, **HOST).close()
    assert traces(path, SECRET) == []
    reader.close()
    library.close()
    with Library.open(path, **HOST) as library:
        assert not library.erasing
        assert ("erased", edit) in [(event.kind, event.edit_id) for event in library.events()]


def test_an_edit_that_was_refused_leaves_nothing_in_any_file(path: Path) -> None:
    with Library.open(path, **HOST) as library:
        library._db.execute("PRAGMA cache_size = 4")  # so that pages reach the log before the transaction ends
        with pytest.raises(sqlite3.Error), library._changing() as db:
            seq = db.execute("INSERT INTO edits (id, enabled, created) VALUES ('x', 1, 0)").lastrowid
            content = b"".join(secret_pieces(SECRET)) * 9
            db.execute("INSERT INTO contents VALUES (?, ?, ?)", (seq, content, b""))
            assert traces(path, SECRET)
            raise sqlite3.ProgrammingError
        assert traces(path, SECRET) == []


def test_private_content_never_shares_a_page_with_what_sqlite_moves_about(path: Path) -> None:
    with Library.open(path, **HOST) as library:
        for i in range(60):
            put(
                library,
                trained(f"MARK prompt {i}", "MARK" * (i * 40), rephrases=("MARK",) * (i % 3), seed=i, size=i + 1),
            )
    content = path.read_bytes()
    pages = [content[at : at + schema.PAGE_SIZE] for at in range(0, len(content), schema.PAGE_SIZE)]
    trees = [page for page in pages if page[0] in (2, 5, 10, 13) or page is pages[0]]  # b-tree pages by their kind
    assert len(trees) > 60
    assert b"MARK" in content
    for page in trees:
        assert b"MARK" not in page and b"KRAM" not in page  # the made-up keys have the texts backwards


def test_in_memory_a_delete_erases_at_once() -> None:
    with Library.open(":memory:", **HOST) as library:
        edit = put(library, SECRET)
        assert library.delete(edit) == "erased"
        content = library._db.serialize()
    assert [piece for piece in secret_pieces(SECRET) if piece in content] == []


# Killed processes.


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each action, with the libraries that processes killed in the middle of it have left."""
    folder = tmp_path_factory.mktemp("killed")
    subprocess.run([sys.executable, "-m", "tests.kill_child", str(folder)], cwd=ROOT, check=True, timeout=300)
    return folder


@pytest.mark.slow
@needs_fork
@pytest.mark.parametrize("action", ["create", "add", "replace", "delete"])
def test_a_process_killed_at_any_statement_leaves_the_library_before_or_after_the_change(
    killed: Path, action: str
) -> None:
    before, after = {
        "create": ([], []),
        "add": (["first"], ["first", "second"]),
        "replace": (["first"], ["second"]),
        "delete": (["first", "second"], ["first"]),
    }[action]
    seen = []
    for path in sorted(killed.glob(f"{action}/*/facts.db")):
        acknowledged = path.with_suffix(".acknowledged").exists()
        with Library.open(path, **HOST) as library:
            ids = [edit.id for edit in library.edits()]
            assert ids in ([after] if acknowledged else [before, after])
            for edit_id in ids:
                made = FIRST if edit_id == "first" else SECOND
                assert library.get(edit_id).digest == edit_digest(made.request, library.tensors(edit_id))
                assert library.keys("enc")[edit_id] == tuple(keys_for(made)["enc"])
            assert not library.erasing
            kinds = [event.kind for event in library.events()]
            assert kinds.count("taught") - kinds.count("deleted") == len(ids)
            gone = [made for name, made in (("first", FIRST), ("second", SECOND)) if name not in ids]
            assert [trace for made in gone for trace in traces(path, made)] == []
        seen.append((ids, acknowledged))
    assert (before, False) in seen
    assert seen[-1] == (after, True)
    assert len(seen) > 10


@needs_fork
def test_what_was_acknowledged_before_a_kill_at_any_time_is_there(killed: Path) -> None:
    counts = []
    for path in sorted(killed.glob("adding/*/facts.db")):
        log = path.with_suffix(".acknowledged")
        acknowledged = log.read_text().splitlines() if log.exists() else []
        with Library.open(path, **HOST) as library:
            ids = [edit.id for edit in library.edits()]
            assert ids[: len(acknowledged) + 1] == ["first", *acknowledged]
            assert len(ids) - len(acknowledged) in (1, 2)  # one may have been stored and not acknowledged yet
            for edit_id in ids:
                library.tensors(edit_id)
        counts.append(len(acknowledged))
    assert sum(counts) > 0
