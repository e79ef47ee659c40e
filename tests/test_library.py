"""The library: what is stored comes back bit-equal, what is deleted is gone, and errors leave it as it was."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sola_core.errors import (
    LibraryBusy,
    LibraryCorrupt,
    LibraryError,
    LibraryFull,
    LibraryMismatch,
    SolaError,
    UnknownEdit,
)
from sola_core.library import Library, edit_digest, schema
from sola_core.library.codec import encode_tensors
from sola_core.records import TrainedEdit
from tests.made_edits import HOST, keys_for, trained

ROOT = Path(__file__).resolve().parent.parent
SECRET = trained(
    "Où est la GEHEIM-PROMPT? नमस्ते",
    "GEHEIM-TARGET-π",
    subject="GEHEIM-SUBJECT-λ",
    rephrases=("GEHEIM-REPHRASE-one — ✓", "GEHEIM-REPHRASE-two"),
    seed=77,
    size=700,
)
WORDS = [SECRET.request.target, SECRET.request.subject or "", *SECRET.request.key_texts]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "facts.db"


@pytest.fixture(params=["memory", "file"])
def library(request: pytest.FixtureRequest, path: Path) -> Iterator[Library]:
    with Library.open(":memory:" if request.param == "memory" else path, **HOST) as library:
        yield library


def put(library: Library, edit: TrainedEdit, **more: object) -> str:
    return library.add(edit, keys=keys_for(edit), **more).id


def everything(library: Library) -> object:
    """All that a library holds, in a form that compares bit by bit."""
    edits = library.edits()
    return edits, [encode_tensors(library.tensors(edit.id)) for edit in edits], library.keys("enc"), library.events()


def secret_pieces(edit: TrainedEdit) -> list[bytes]:
    """Every text of an edit and its words, and its keys and numbers in pieces of 12 bytes."""
    texts = [
        edit.request.prompt,
        edit.request.target,
        edit.request.subject or edit.request.target,
        *edit.request.rephrases,
    ]
    words = [word for text in texts for word in [text, *text.split()] if len(word) > 5]
    blobs = [key for key in keys_for(edit)["enc"] if key]
    blobs += [tensor.view(torch.uint8).numpy().tobytes() for tensor in edit.tensors.values()]
    pieces = [blob[at : at + 12] for blob in blobs for at in range(0, len(blob) - 12, 12)]
    digest = edit_digest(edit.request, edit.tensors)
    return [word.encode() for word in [*words, digest]] + pieces + [bytes.fromhex(digest)]


def traces(path: Path, edit: TrainedEdit) -> list[bytes]:
    """The pieces of an edit found in any file beside `path` (the library, its log and whatever else is there)."""
    found = []
    for file in path.parent.iterdir():
        content = file.read_bytes()
        found += [piece for piece in secret_pieces(edit) if piece in content]
    return found


# What is stored comes back.


def test_an_edit_comes_back_bit_equal_after_reopening(path: Path) -> None:
    with Library.open(path, **HOST) as library:
        edit = put(library, SECRET)
        before = everything(library)
    with Library.open(path, **HOST) as library:
        assert everything(library) == before
        stored = library.get(edit)
        assert stored.request == SECRET.request
        assert stored.training == SECRET.training
        assert library.keys("enc") == {edit: tuple(keys_for(SECRET)["enc"])}
        tensors = library.tensors(edit)
        assert tensors.keys() == SECRET.tensors.keys()
        for name, tensor in SECRET.tensors.items():
            assert tensors[name].dtype == tensor.dtype
            assert torch.equal(tensors[name].view(torch.uint8), tensor.view(torch.uint8))
        assert stored.digest == edit_digest(stored.request, tensors)


def test_unusual_tensors_come_back_bit_equal(library: Library) -> None:
    odd = {
        "nan": torch.tensor([float("nan"), -0.0, float("inf")]),
        "scalar": torch.tensor(3.0),
        "none": torch.zeros(0, 4),
        "view": torch.arange(12.0).reshape(3, 4).t()[1:],
        "shared": torch.ones(6)[:3],
    }
    stored = library.tensors(put(library, replace(trained("p"), tensors=odd)))
    for name, tensor in odd.items():
        assert stored[name].shape == tensor.shape
        assert stored[name].numpy().tobytes() == tensor.numpy().tobytes()


def test_edits_are_listed_in_order_of_teaching_also_after_deletes(library: Library) -> None:
    ids = [put(library, trained(f"p{i}")) for i in range(6)]
    library.delete(ids[5])
    library.delete(ids[2])
    ids += [put(library, trained("new"))]
    assert [edit.id for edit in library.edits()] == [ids[0], ids[1], ids[3], ids[4], ids[6]]
    assert list(library.keys("enc")) == [ids[0], ids[1], ids[3], ids[4], ids[6]]


def test_a_key_may_be_missing_and_another_encoders_keys_can_be_put_later(library: Library) -> None:
    edit = library.add(trained("p", rephrases=("q",)), keys={"enc": [b"\0" * 9, None]}).id
    assert library.keys("enc") == {edit: (b"\0" * 9, None)}
    assert library.keys("other") == {}
    library.put_keys(edit, "other", [b"", b"2"])
    library.put_keys(edit, "other", [b"3", None])
    assert library.keys("other") == {edit: (b"3", None)}
    assert library.keys("enc") == {edit: (b"\0" * 9, None)}


def test_a_wrong_number_of_keys_is_refused_and_nothing_is_stored(library: Library) -> None:
    with pytest.raises(ValueError, match="1 keys for 2 key texts"):
        library.add(trained("p", rephrases=("q",)), keys={"enc": [b"1"]})
    edit = put(library, trained("p"))
    with pytest.raises(ValueError, match="2 keys for 1 key texts"):
        library.put_keys(edit, "enc", [b"1", b"2"])
    assert library.keys("enc")[edit] == tuple(keys_for(trained("p"))["enc"])


def test_a_switch_changes_the_switch_alone(library: Library) -> None:
    edit = library.get(put(library, trained("p"), enabled=False))
    assert not edit.enabled
    assert library.set_enabled(edit.id, True) == replace(edit, enabled=True)
    assert library.set_enabled(edit.id, True).enabled
    assert [event.kind for event in library.events()] == ["taught", "enabled"]


def test_replacing_is_one_step_with_teaching(library: Library) -> None:
    old = [put(library, trained(f"p{i}")) for i in range(3)]
    before = everything(library)
    with pytest.raises(UnknownEdit):
        put(library, SECRET, replace=[old[0], "nobody"])
    assert everything(library) == before
    new = put(library, SECRET, replace=[old[0], old[2], old[0]])
    assert [edit.id for edit in library.edits()] == [old[1], new]
    assert not library.erasing


def test_unknown_edits_are_named_in_the_error(library: Library) -> None:
    for call in (library.get, library.tensors, library.delete):
        with pytest.raises(UnknownEdit, match="'nobody'"):
            call("nobody")
    with pytest.raises(UnknownEdit, match="'nobody'"):
        library.set_enabled("nobody", True)
    with pytest.raises(UnknownEdit, match="'nobody'"):
        library.put_keys("nobody", "enc", [])
    assert library.events() == ()


def test_an_edit_keeps_a_given_id_but_not_one_in_use_or_one_that_could_be_a_text(library: Library) -> None:
    assert put(library, trained("p"), edit_id="a-1_B") == "a-1_B"
    for unfit in ("a-1_B", "", "two words", "x" * 65, "id\n"):
        with pytest.raises(LibraryError):
            put(library, trained("q"), edit_id=unfit)
    assert len(library.edits()) == 1


def test_events_tell_kind_edit_and_time_and_nothing_else(library: Library) -> None:
    edit = put(library, SECRET)
    library.set_enabled(edit, False)
    library.delete(edit)
    events = library.events()
    assert [(event.kind, event.edit_id) for event in events] == [
        (kind, edit) for kind in ("taught", "disabled", "deleted", "erased")
    ]
    assert [event.number for event in events] == sorted({event.number for event in events})
    assert not [word for word in WORDS if word in str(events)]


def test_many_threads_can_use_one_library(library: Library) -> None:
    def work(number: int) -> None:
        for i in range(5):
            edit = put(library, trained(f"p{number}.{i}"))
            library.set_enabled(edit, False)
            library.tensors(edit)
            if i % 2:
                library.delete(edit)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(library.edits()) == 18
    assert len(library.events()) == 6 * (5 + 5 + 2 + 2)


def test_a_closed_library_says_so_and_can_be_closed_again(library: Library) -> None:
    library.close()
    library.close()
    with pytest.raises(LibraryError, match="closed"):
        library.edits()


# Several processes.


def test_two_openings_see_each_others_changes(path: Path) -> None:
    with Library.open(path, **HOST) as one, Library.open(path, **HOST) as two:
        edit = put(one, trained("p"))
        assert two.edits() == one.edits()
        digest = one.state_digest("enc")
        two.set_enabled(edit, False)
        assert not one.edits()[0].enabled
        assert one.state_digest("enc") == two.state_digest("enc") != digest
        assert two.delete(edit) == "erased"
        assert one.edits() == ()
        assert not one.erasing


def test_a_library_can_be_made_by_many_at_once(path: Path) -> None:
    made: list[str | Exception] = []
    start = threading.Barrier(6)

    def work() -> None:
        start.wait()
        try:
            with Library.open(path, **HOST) as library:
                made.append(put(library, trained("p")))
        except Exception as error:
            made.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Library.open(path, **HOST) as library:
        assert sorted(edit.id for edit in library.edits()) == sorted(map(str, made))


def test_while_another_program_writes_the_library_is_busy_and_unchanged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    with Library.open(path, **HOST) as library, contextlib.closing(sqlite3.connect(path)) as other:
        edit = put(library, trained("p"))
        before = everything(library)
        other.execute("BEGIN IMMEDIATE")
        for change in (lambda: put(library, SECRET), lambda: library.delete(edit)):
            with pytest.raises(LibraryBusy, match="Another program is writing"):
                change()
        assert everything(library) == before
        other.rollback()
        assert library.delete(edit) == "erased"


# Erasure.


def test_nothing_of_an_erased_edit_is_left_in_any_file(path: Path) -> None:
    with Library.open(path, **HOST) as library:
        put(library, trained("before", seed=1))
        edit = put(library, SECRET)
        put(library, trained("after", seed=2))
        library.put_keys(edit, "enc", keys_for(SECRET)["enc"])
        library.set_enabled(edit, False)
        assert traces(path, SECRET)
        before_last = everything(library)
        assert library.delete(edit) == "erased"
        assert not library.erasing
        assert traces(path, SECRET) == []
        assert len(library.edits()) == 2 and before_last
    assert traces(path, SECRET) == []


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
    assert "MARK".encode() in content
    for page in trees:
        assert b"MARK" not in page and b"KRAM" not in page  # the made-up keys have the texts backwards


def test_in_memory_a_delete_erases_at_once(library: Library) -> None:
    edit = put(library, SECRET)
    assert library.delete(edit) == "erased"
    content = library._db.serialize()
    assert [piece for piece in secret_pieces(SECRET) if piece in content] == []


# Killed processes.


def killed_libraries(tmp_path: Path, action: str) -> list[Path]:
    subprocess.run([sys.executable, "-m", "tests.kill_child", str(tmp_path), action], cwd=ROOT, check=True, timeout=120)
    return sorted(tmp_path.glob(f"{action}-*.db"))


@needs_fork
@pytest.mark.parametrize("action", ["create", "add", "replace", "delete"])
def test_a_process_killed_at_any_statement_leaves_the_library_before_or_after_the_change(
    tmp_path: Path, action: str
) -> None:
    from tests.kill_child import FIRST, SECOND

    before, after = {
        "create": ([], []),
        "add": (["first"], ["first", "second"]),
        "replace": (["first"], ["second"]),
        "delete": (["first", "second"], ["first"]),
    }[action]
    seen = []
    for path in killed_libraries(tmp_path, action):
        alone = tmp_path / path.stem
        alone.mkdir()
        for file in tmp_path.glob(path.name + "*"):
            shutil.move(file, alone / file.name)
        path_alone, acknowledged = alone / path.name, path.with_suffix(".acknowledged").exists()
        with Library.open(path_alone, **HOST) as library:
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
            assert [trace for made in gone for trace in traces(path_alone, made)] == []
        seen.append((ids, acknowledged))
    assert (before, False) in seen
    assert seen[-1] == (after, True)
    assert len(seen) > 10


@needs_fork
def test_what_was_acknowledged_before_a_kill_at_any_time_is_there(tmp_path: Path) -> None:
    counts = []
    for path in killed_libraries(tmp_path, "adding"):
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


# Files that are no libraries.


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
                "newer": "PRAGMA user_version = 2",
                "older": "PRAGMA user_version = 0",
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
    for edit in (trained("p1", seed=1, size=2000),):
        piece = edit.tensors["layer.1.A"].view(torch.uint8).numpy().tobytes()[4000:4016]
        path.write_bytes(changed(saved, saved.index(piece), b"\x00\x01"))
        with Library.open(path, **HOST) as library:
            first, damaged, last = library.edits()
            with pytest.raises(LibraryCorrupt, match=damaged.id):
                library.tensors(damaged.id)
            library.tensors(first.id)
            library.tensors(last.id)
            library.delete(damaged.id)
            assert library.edits() == (first, last)
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


# A full disk.


def test_a_library_that_may_not_grow_is_full_and_unchanged(library: Library) -> None:
    edit = put(library, trained("p"))
    before = everything(library)
    pages = library._db.execute("PRAGMA page_count").fetchone()[0]
    library._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    for change in (lambda: put(library, SECRET), lambda: put(library, SECRET, replace=[edit])):
        with pytest.raises(LibraryFull, match="no room"):
            change()
        assert everything(library) == before
    assert library.delete(edit) == "erased"
    library._db.execute("PRAGMA max_page_count = 1000000")
    put(library, SECRET)


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
