"""What is kept in memory of a library follows every change, one's own and another process's, as if it were read anew."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sola_core.editors.sola import Sola
from sola_core.errors import LibraryFull
from sola_core.host.model import HostModel
from sola_core.library import Library, schema, state_digest
from sola_core.library.feed import changes_since
from sola_core.records import TrainedEdit
from sola_core.routing.encoders import TextEncoder
from sola_core.session import SolaEditor
from sola_core.text import canonical
from tests.made_edits import HOST, SECRET, everything, keys_for, put, trained
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

PROMPTS = ("What is the capital of Peru?", "What  is the capital of Peru?", "Who made the river?", "Where is Kenya?")
SEVERAL = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# what to do, through which opening of the file, with which prompt or edit, and which further key
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "off", "switch", "delete", "replace", "again", "reopen"]),
        st.booleans(),
        st.integers(0, 9),
        st.sampled_from([(), (PROMPTS[0],), (PROMPTS[2], "Who  made it?")]),
    ),
    max_size=14,
)


@dataclass
class Two:
    """Two openings of one file, which change it in turn."""

    path: Path
    made: int = 0
    open: list[Library] = field(default_factory=list)

    def __enter__(self) -> Two:
        self.open = [self.opened(), self.opened()]
        return self

    def __exit__(self, *error: object) -> None:
        for library in self.open:
            library.close()

    def opened(self) -> Library:
        return Library.open(self.path, **HOST)

    def fact(self, number: int, rephrases: tuple[str, ...]) -> TrainedEdit:
        self.made += 1
        return trained(PROMPTS[number % len(PROMPTS)], str(number % 3), rephrases=rephrases, seed=self.made % 4, size=2)

    def do(self, what: str, by: int, number: int, rephrases: tuple[str, ...]) -> None:
        library, ids = self.open[by], [edit.id for edit in self.open[by].edits()]
        chosen = ids[number % len(ids)] if ids else None
        if what in ("add", "off"):
            fact = self.fact(number, rephrases)
            library.add(fact, keys=keys_for(fact), enabled=what == "add")
        elif what == "reopen":
            library.close()
            self.open[by] = self.opened()
        elif chosen is None:
            return
        elif what == "switch":
            library.set_enabled(chosen, not library.get(chosen).enabled)
        elif what == "delete":
            library.delete(chosen)
        elif what == "replace":
            put(library, self.fact(number, rephrases), replace=[chosen])
        else:  # another edit under the id of a deleted one
            library.delete(chosen)
            put(library, self.fact(number, rephrases), edit_id=chosen)


@pytest.mark.slow
@SEVERAL
@given(steps=STEPS)
def test_what_is_kept_is_what_a_new_opening_reads(steps: list[tuple[str, bool, int, tuple[str, ...]]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Two(Path(folder) / "facts.db") as two:
        for what, by, number, rephrases in steps:
            two.do(what, by, number, rephrases)
            with two.opened() as fresh:
                stored, numbers = fresh.edits(), [event.edit_id for event in fresh.events() if event.kind == "taught"]
            for library in two.open:
                assert library.state_digest("enc") == state_digest(stored, "enc")
                assert library.edits() == stored and library.edits() is library.edits()
                assert library.count == len(stored)
                assert library.numbers() == {edit_id: place for place, edit_id in enumerate(numbers, 1)}
                assert [(edit.id, edit.enabled) for edit in library.keyed("enc")] == [(e.id, e.enabled) for e in stored]
                assert {edit.id: edit.keys for edit in library.keyed("enc")} == library.keys("enc")
                for prompt in PROMPTS:
                    same = tuple(edit for edit in stored if canonical(edit.prompt) == canonical(prompt))
                    assert library.edits_of(prompt) == same
        assert two.open[0].state_digest("other") == state_digest(two.open[1].edits(), "other")


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host()


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return tiny_encoder()


@dataclass
class TwoEditors(Two):
    """The same with an editor over each opening."""

    host: HostModel = field(kw_only=True)
    encoder: TextEncoder = field(kw_only=True)
    router: str = field(kw_only=True)

    def opened(self) -> Library:
        return Library.open(self.path, host_name=self.host.name, host_fingerprint=self.host.fingerprint)

    def editor(self, library: Library) -> SolaEditor:
        return SolaEditor(method=Sola(), host=self.host, library=library, router=self.router, encoder=self.encoder)


@pytest.mark.slow
@pytest.mark.parametrize("router", ["scope", "sentence"])
@settings(SEVERAL, max_examples=12)
@given(steps=STEPS)
def test_routes_are_those_of_a_router_that_is_filled_anew(
    host: HostModel, encoder: TextEncoder, router: str, steps: list[tuple[str, bool, int, tuple[str, ...]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "facts.db"
        with TwoEditors(path, host=host, encoder=encoder, router=router) as two:
            editors = [two.editor(library) for library in two.open]
            for what, by, number, rephrases in steps:
                ids = [edit.id for edit in editors[by].edits]
                chosen = ids[number % len(ids)] if ids else None
                if what == "reopen":
                    two.do(what, by, number, rephrases)
                    editors[by] = two.editor(two.open[by])
                elif what in ("add", "off"):  # "off": by a program that makes no keys of this router
                    fact = two.fact(number, rephrases)
                    if what == "add":
                        editors[by]._routed.add(fact)
                    else:
                        two.open[by].add(fact, keys={}, enabled=False)
                elif chosen is not None and what == "switch":
                    editors[by].set_enabled(chosen, not two.open[by].get(chosen).enabled)
                elif chosen is not None and what == "delete":
                    editors[by].delete(chosen)
                elif chosen is not None and what == "replace":
                    editors[by]._routed.add(two.fact(number, rephrases), [chosen])
                else:
                    two.do(what, by, number, rephrases)
            with two.opened() as library:
                fresh = two.editor(library)
                for editor in editors:
                    for prompt in (*PROMPTS, "Who  made it?", "Where is Kenya in Peru?"):
                        assert editor.route(prompt) == fresh.route(prompt)
                        assert editor.scores(prompt) == fresh.scores(prompt)
                    assert editor._routed._router.switches() == fresh._routed._router.switches()
                    assert editor.state_digest == state_digest(fresh.edits, fresh._routed._router.encoder_id)


def test_a_change_that_was_undone_is_followed_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Library.open(tmp_path / "facts.db", **HOST) as library:
        old = put(library, trained("p"))
        before, digest = library.edits(), library.state_digest("enc")

        def full(self: Library) -> str:
            raise LibraryFull("no room")

        with monkeypatch.context() as patched:
            patched.setattr(Library, "_new_id", full)
            with pytest.raises(LibraryFull):
                put(library, trained("q"), replace=[old])
        assert library.edits() is before and library.state_digest("enc") == digest and library.numbers() == {old: 1}
        new = put(library, trained("q"), replace=[old])
        assert [edit.id for edit in library.edits()] == [new] and library.numbers() == {old: 1, new: 2}


def test_the_log_tells_what_to_do_and_doing_it_twice_does_no_harm(tmp_path: Path) -> None:
    with Library.open(tmp_path / "facts.db", **HOST) as library:
        one, two, three = (put(library, trained(text)) for text in "pqr")
        start = library.moment
        library.set_enabled(one, False)
        library.set_enabled(two, False)
        library.delete(two)
        four = put(library, trained("s"), replace=[three])
        changes = library.changes_since(start)
        assert changes.switch == (one,) and changes.take_up == (four,)
        assert set(changes.forget) == {two, three, four}
        assert changes.moment == library.moment and not library.changes_since(changes.moment)
        with library._reading() as db:
            assert changes_since(db, 0).take_up == (one, four)


@pytest.fixture
def version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A library as the first version made them: with larger pages and covers."""
    path = tmp_path / "old.db"
    with monkeypatch.context() as patched:
        patched.setattr(schema, "PAGE_SIZE", 4096)
        patched.setattr(schema, "_TABLES", schema._TABLES.replace("user_version = 2", "user_version = 1"))
        with Library.open(path, **HOST) as library:
            put(library, SECRET)
            put(library, trained("other"))
    assert path.read_bytes()[16:18] == (4096).to_bytes(2, "big")
    return path


def test_a_library_of_the_first_version_is_used_as_it_is(version_1: Path, tmp_path: Path) -> None:
    with Library.open(version_1, **HOST) as library, Library.open(tmp_path / "new.db", **HOST) as new:
        put(new, SECRET)
        put(new, trained("other"))
        assert library.state_digest("enc") == new.state_digest("enc")
        assert library.sizes.keys == new.sizes.keys and library.sizes.pages > new.sizes.pages
        secret, _ = (edit.id for edit in library.edits())
        assert library.keys("enc")[secret] == tuple(keys_for(SECRET)["enc"])
        library.put_keys(secret, "enc", keys_for(SECRET)["enc"])
        third = put(library, trained("third"))
        before = everything(library)
    with Library.open(version_1, **HOST) as library:
        assert everything(library) == before and library.get(third).prompt == "third"
        assert library.delete(secret) == "erased"
    assert b"GEHEIM" not in version_1.read_bytes()
