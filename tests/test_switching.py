"""Many models on a personal page: what each needs, the change from one to another, and nothing lost whatever fails."""

from __future__ import annotations

import gc
import shutil
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from sola_core import EditRequest, HostError, SolaEditor
from sola_core.errors import HostCorrupt, HostUnavailable, LibraryCorrupt, LibraryMismatch, SwitchRefused
from sola_core.host import needs as needs_module
from sola_core.host.memory import free_memory, memory_needed
from sola_core.host.model import HostModel
from sola_core.host.needs import menu_needs, needs_of
from sola_core.library_files import files_for, root_of
from sola_core.registry import WorkspaceRegistry
from sola_core.steps import finish
from sola_core.studio import Studio, open_studio
from sola_core.switching import HostSwitch
from sola_core.teaching_lists import ListedOutcome
from sola_core.workspace import Limits
from tests.tiny import Family, tiny_model, tiny_tokenizer
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo", subject="France", rephrases=("Capital?",))
BOOK = EditRequest(prompt="Who wrote the book?", target="seven blue")
AGAIN = EditRequest(prompt="Who wrote the book?", target="red")
MODEL = "model.safetensors"


def saved(folder: Path, family: Family = "llama", seed: int = 0) -> Path:
    """Save a tiny host as a folder."""
    tokenizer = tiny_tokenizer(chat=family == "llama")
    tiny_model(family, len(tokenizer), seed=seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("hosts")
    return {"one": saved(home / "one"), "two": saved(home / "two", "gpt2", seed=1)}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOLA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def studio(hosts: dict[str, Path], tmp_path: Path) -> Iterator[Studio]:
    found = opened(hosts["one"], tmp_path / "facts.db")
    yield found
    found.close()


def opened(model: Path, library: Path) -> Studio:
    return open_studio(
        model=str(model),
        library=str(library),
        encoder=tiny_encoder(),
        limits=Limits(answer_tokens=4),
        use_umap=False,
        device="cpu",
    )


def switch_of(studio: Studio) -> HostSwitch:
    assert studio.switch is not None
    return studio.switch


def change(studio: Studio, model: Path | str) -> None:
    finish(switch_of(studio).steps(str(model)))


def editor(studio: Studio) -> SolaEditor:
    with studio.registry.visit(studio.registry.visitor(None)) as workspace:
        return workspace.editor


def teach(studio: Studio, *requests: EditRequest) -> None:
    with studio.registry.claim(studio.registry.visitor(None)) as workspace:
        for request in requests:
            workspace.edit(request)


# ---- what a host needs ----


def test_what_a_folder_needs_is_read_from_its_configuration_and_the_headers_of_its_weights(
    hosts: dict[str, Path],
) -> None:
    found = needs_of(str(hosts["two"]), "cpu")
    host = HostModel.load(str(hosts["two"]), "cpu")
    assert (found.parameters, found.layers) == (host.size[0], host.n_layers) and host.size[1] == 4 * host.size[0]
    assert (found.origin, found.here, found.download) == ("folder", True, 0)
    assert found.memory == memory_needed(host.size[0], "cpu") > host.size[1]
    assert memory_needed(10**9, "cuda:0") < memory_needed(10**9, "cpu")


def test_the_catalogue_knows_the_sizes_of_hosts_that_are_not_here() -> None:
    menu = {needs.model: needs for needs in menu_needs("cpu")}
    packaged = menu["smollm2-135m"]
    assert not packaged.here and packaged.download == 92_871_040 and packaged.layers == 30
    assert all(n.parameters and n.layers and n.memory and n.download and not n.here for n in menu.values())
    assert menu["meta-llama/Llama-3.2-1B-Instruct"].memory == memory_needed(1_235_814_400, "cpu") > 4 * 1_235_814_400


def test_nothing_is_known_of_an_id_on_the_hub_before_it_is_fetched() -> None:
    found = needs_of("somebody/something", "cpu")
    assert (found.origin, found.here, found.parameters, found.memory, found.download) == (
        "hub",
        False,
        None,
        None,
        None,
    )


@pytest.mark.parametrize("name", ["", "no-such-model", "/no/such/folder", "a/b/c", "../x y"])
def test_what_names_no_model_is_told_so(studio: Studio, name: str) -> None:
    with pytest.raises(HostUnavailable):
        switch_of(studio).look(name)


def test_a_folder_that_holds_no_model_says_what_is_missing(hosts: dict[str, Path], tmp_path: Path) -> None:
    broken = shutil.copytree(hosts["one"], tmp_path / "broken")
    (broken / MODEL).rename(broken / "pytorch_model.bin")
    with pytest.raises(HostCorrupt, match="only pickled weights"):
        needs_of(str(broken), "cpu")
    (broken / "config.json").write_text("[]")
    (broken / "pytorch_model.bin").rename(broken / MODEL)
    with pytest.raises(HostCorrupt, match=r"config\.json"):
        needs_of(str(broken), "cpu")
    (broken / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(HostError, match="not supported"):
        needs_of(str(broken), "cpu")
    with pytest.raises(HostUnavailable, match="is a file"):
        needs_of(str(broken / MODEL), "cpu")


def test_free_memory_is_measured_here() -> None:
    free = free_memory()
    assert free is None or 10_000_000 < free < 10**14


def test_a_host_fits_when_what_it_needs_is_free(
    studio: Studio, hosts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = switch_of(studio).look(str(hosts["two"])).needs.memory
    for free, fits in ((needed, True), ((needed or 0) - 1, False), (None, None)):
        monkeypatch.setattr("sola_core.switching.free_memory", lambda device, free=free: free)
        assert switch_of(studio).look(str(hosts["two"])).fits is fits
    assert [offer.loaded for offer in (switch_of(studio).look(str(h)) for h in hosts.values())] == [True, False]


# ---- which file ----


def test_each_host_has_a_file_beside_the_first_that_bears_its_name(tmp_path: Path) -> None:
    facts = tmp_path / "facts.db"
    assert root_of(facts, "one") == facts == root_of(tmp_path / "facts.one.db", "one")
    assert [f.name for f in files_for(facts, facts, "owner/My Model", "ab" * 32)] == [
        "facts.owner--My--Model.db",
        "facts.owner--My--Model-abababab.db",
    ]
    facts.touch()
    assert next(files_for(facts, tmp_path / "facts.one.db", "two", "ab" * 32)) == facts
    assert [f.name for f in files_for(tmp_path / "facts", facts, "../..", "ab" * 32)][1:] == [
        "facts.model",
        "facts.model-abababab",
    ]


def test_a_library_of_another_host_says_whose_it_is_and_what_to_do(hosts: dict[str, Path], tmp_path: Path) -> None:
    opened(hosts["one"], tmp_path / "facts.db").close()
    with pytest.raises(LibraryMismatch, match=r"belongs to the model one .* use is two .*--model.*--library"):
        opened(hosts["two"], tmp_path / "facts.db")


# ---- the change ----


def test_there_and_back_again_leaves_the_first_library_as_it_was_bit_for_bit(
    studio: Studio, hosts: dict[str, Path], tmp_path: Path
) -> None:
    teach(studio, FRANCE, BOOK)
    first = editor(studio)
    off = first.edits[1].id
    first.set_enabled(off, False)
    digest, weights, logits = (
        first.state_digest,
        first.host.parameters_digest(),
        first.next_token_logits(FRANCE.prompt).clone(),
    )
    change(studio, hosts["two"])
    assert studio.about.model == "two" == editor(studio).host.name and editor(studio).edits == ()
    assert switch_of(studio).in_use.library == tmp_path / "facts.two.db"
    teach(studio, BOOK)
    second = editor(studio).state_digest
    change(studio, hosts["one"])
    back = editor(studio)
    assert back is not first and switch_of(studio).in_use.library == tmp_path / "facts.db"
    assert (back.state_digest, back.host.parameters_digest()) == (digest, weights)
    assert back.next_token_logits(FRANCE.prompt).equal(logits)
    assert [edit.enabled for edit in back.edits] == [True, False]
    change(studio, hosts["two"])
    assert editor(studio).state_digest == second
    assert sorted(p.name for p in tmp_path.glob("facts*.db")) == ["facts.db", "facts.two.db"]


def test_the_facts_left_behind_are_offered_and_taught_with_their_switches(
    studio: Studio, hosts: dict[str, Path]
) -> None:
    assert switch_of(studio).left_behind() is None
    teach(studio, AGAIN, FRANCE, BOOK)  # the newest of two with one question answers it
    editor(studio).set_enabled(editor(studio).edits[1].id, False)
    change(studio, hosts["two"])
    left = switch_of(studio).left_behind()
    assert left is not None and left.model == "one" and left.library.name == "facts.db"
    assert [(fact.request, fact.enabled) for fact in left.facts] == [(FRANCE, False), (BOOK, True)]
    with studio.registry.claim(studio.registry.visitor(None)) as workspace:
        outcomes: tuple[ListedOutcome, ...] = finish(workspace.teach_list(left.facts, "skip"))
    assert [one.outcome for one in outcomes] == ["taught", "taught"]
    assert [(edit.request, edit.enabled) for edit in editor(studio).edits] == [(FRANCE, False), (BOOK, True)]
    assert switch_of(studio).left_behind() is None  # all of them are here now


def test_the_old_host_leaves_the_memory_when_the_last_answer_of_it_has_ended(
    studio: Studio, hosts: dict[str, Path]
) -> None:
    with studio.registry.visit(studio.registry.visitor(None)) as workspace:
        old = weakref.ref(workspace.editor.host)
        rounds = workspace.ask(FRANCE.prompt)
        next(rounds)
        change(studio, hosts["two"])
        assert old() is not None
        *_, last = rounds  # goes on to its end where it began
        assert last.edited is not None and last.edited.stopped in ("end", "limit")
    del workspace, rounds, last
    gc.collect()
    assert old() is None


# ---- what keeps the old one ----


def same_as(studio: Studio) -> tuple[object, ...]:
    found = editor(studio)
    return (found, studio.about, found.state_digest, switch_of(studio).in_use, studio.registry.place)


def test_no_change_while_something_is_being_taught(studio: Studio, hosts: dict[str, Path]) -> None:
    before = same_as(studio)
    with studio.registry.claim(studio.registry.visitor(None)) as workspace:
        steps = workspace.teach(FRANCE)
        next(steps)
        with pytest.raises(SwitchRefused, match="being taught"):
            change(studio, hosts["two"])
        finish(steps)
    assert same_as(studio)[0] is before[0] and len(editor(studio).edits) == 1
    change(studio, hosts["two"])


def test_what_is_begun_while_the_host_is_loaded_is_finished_first(studio: Studio, hosts: dict[str, Path]) -> None:
    steps = switch_of(studio).steps(str(hosts["two"]))
    next(steps)
    with studio.registry.claim(studio.registry.visitor(None)) as workspace:
        said = next(step.text for step in steps if "Waiting" in step.text)
        assert "being taught" in said and studio.about.model == "one"
        workspace.edit(FRANCE)
    finish(steps)
    assert studio.about.model == "two"
    left = switch_of(studio).left_behind()
    assert left is not None and [fact.request for fact in left.facts] == [FRANCE]


def test_a_change_that_is_stopped_leaves_all_as_it_was(studio: Studio, hosts: dict[str, Path], tmp_path: Path) -> None:
    before, files = same_as(studio), sorted(tmp_path.glob("facts*"))
    steps = switch_of(studio).steps(str(hosts["two"]))
    next(steps)
    steps.close()
    assert same_as(studio) == before and sorted(tmp_path.glob("facts*")) == files
    for thread in threading.enumerate():
        if thread.name == "loading":
            thread.join(30)
    change(studio, hosts["two"])  # and it can be tried again


def test_two_changes_at_once_are_one_too_many(studio: Studio, hosts: dict[str, Path]) -> None:
    steps = switch_of(studio).steps(str(hosts["two"]))
    next(steps)
    with pytest.raises(SwitchRefused, match="being loaded already"):
        change(studio, hosts["two"])
    finish(steps)


def test_whatever_cannot_be_had_leaves_all_as_it_was(
    studio: Studio, hosts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach(studio, FRANCE)
    before, files = same_as(studio), sorted(tmp_path.glob("facts*"))
    hollow = shutil.copytree(hosts["two"], tmp_path / "hollow")
    (hollow / "tokenizer.json").write_text("{}")
    (hollow / "tokenizer_config.json").unlink(missing_ok=True)
    twin = shutil.copytree(hosts["one"], tmp_path / "twin")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for model, error, words in (
        ("somebody/something", HostUnavailable, "cannot be reached"),
        (tmp_path / "gone", HostUnavailable, "no model called"),
        (hollow, HostCorrupt, "no model can be made"),
        (hosts["one"], SwitchRefused, "in use already"),
        (twin, SwitchRefused, "its weights are the same"),
    ):
        with pytest.raises(error, match=words):
            change(studio, model)
        assert same_as(studio) == before and sorted(tmp_path.glob("facts*")) == files


def test_a_host_that_does_not_fit_is_refused_before_it_is_fetched_and_again_before_it_is_loaded(
    studio: Studio, hosts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = same_as(studio)
    monkeypatch.setattr("sola_core.switching.free_memory", lambda device: 1000)
    with pytest.raises(SwitchRefused, match=r"does not fit.*needs 0\.4 GB, and 0\.0 GB are free"):
        change(studio, hosts["two"])
    unknown = needs_module.HostNeeds(model="two", origin="hub", place="two", here=False)
    monkeypatch.setattr("sola_core.switching.needs_of", lambda name, device: unknown)
    with pytest.raises(SwitchRefused, match="does not fit"):
        change(studio, hosts["two"])
    monkeypatch.undo()
    assert same_as(studio)[:3] == before[:3]


def test_a_file_of_that_name_that_is_no_library_keeps_the_old_host(
    studio: Studio, hosts: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "facts.two.db").write_text("shopping list, which is long enough to be looked at as a file\n" * 99)
    before = same_as(studio)
    with pytest.raises(LibraryCorrupt, match="not a SoLA library"):
        change(studio, hosts["two"])
    assert same_as(studio) == before


def test_another_host_of_the_same_name_gets_a_file_of_its_own(
    studio: Studio, hosts: dict[str, Path], tmp_path: Path
) -> None:
    change(studio, hosts["two"])
    other = saved(tmp_path / "elsewhere" / "two", seed=5)
    change(studio, other)
    assert switch_of(studio).in_use.library.name.startswith("facts.two-") and studio.about.model == "two"


def test_a_shared_server_has_no_change_of_hosts(hosts: dict[str, Path]) -> None:
    shared = open_studio(model=str(hosts["one"]), encoder=tiny_encoder(), use_umap=False, device="cpu")
    assert shared.switch is None and shared.registry.place == ""
    with pytest.raises(AssertionError):
        shared.registry.exchange(lambda: pytest.fail("made a workspace"), "x", lambda: None)
    shared.close()


def test_a_workspace_that_was_exchanged_is_closed_once_nobody_is_in_it(studio: Studio, hosts: dict[str, Path]) -> None:
    registry: WorkspaceRegistry = studio.registry
    closed: list[str] = []
    with registry.visit(registry.visitor("a")) as workspace:
        workspace.editor.close, close = lambda: closed.append("old") or close(), workspace.editor.close  # type: ignore[func-returns-value, method-assign]
        change(studio, hosts["two"])
        assert closed == [] and workspace.edits == ()
    assert closed == ["old"]
