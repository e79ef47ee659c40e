"""The library: what is stored comes back bit-equal, and errors leave it as it was."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sola_core.errors import (
    LibraryBusy,
    LibraryError,
    LibraryFull,
    UnknownEdit,
)
from sola_core.library import Library, edit_digest, schema
from tests.made_edits import HOST, SECRET, everything, keys_for, put, trained

WORDS = [SECRET.request.target, SECRET.request.subject or "", *SECRET.request.key_texts]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "facts.db"


@pytest.fixture(params=["memory", "file"])
def library(request: pytest.FixtureRequest, path: Path) -> Iterator[Library]:
    with Library.open(":memory:" if request.param == "memory" else path, **HOST) as library:
        yield library


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
    edit = library.get(library.add(trained("p"), keys={}, enabled=False).id)
    assert not edit.enabled
    assert library.set_enabled(edit.id, True) == replace(edit, enabled=True)
    assert library.set_enabled(edit.id, True).enabled
    assert [event.kind for event in library.events()] == ["taught", "disabled", "enabled"]


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
