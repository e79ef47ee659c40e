"""The model of a personal page: its panel, pages that show another model's edits, and shared pages, where there is none."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client
from playwright.sync_api import expect

from sola_core.errors import HostUnavailable, InvalidInput, LibraryExchanged, SwitchRefused
from sola_core.studio import Studio, open_studio
from sola_core.ui import border, model_words
from sola_core.ui.build import build, launch
from sola_core.ui.keep import KeepHandlers
from sola_core.ui.map import MapHandlers
from sola_core.ui.models import ModelsHandlers
from sola_core.ui.routers import RouterHandlers
from sola_core.ui.tools import Tools
from sola_core.words import here
from tests.serving import Served
from tests.test_keep_panel import ROWS, STATUS, TEACH, WAITING
from tests.test_languages import german, left_english
from tests.test_switching import BOOK, FRANCE, editor, hosts, opened, own_cache, studio, teach
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder
from tests.visits import SECONDS, Come

pytestmark = pytest.mark.slow

__all__ = ["german", "hosts", "own_cache", "studio"]
ME, YOU = gr.Request(session_hash="me"), gr.Request(session_hash="you")
NOW, CHOICE, UNFIT, OFFER, OFFERED, BUTTON = range(6)


def page_of(studio: Studio) -> dict[str, str]:
    """Return what the browser of a page keeps that is opened now."""
    return border.kept(studio.registry, "", place=studio.registry.place)


def changed(studio: Studio, model: Path) -> list[Any]:
    return list(ModelsHandlers(studio).load("another", str(model), page_of(studio), ME))


@pytest.fixture
def shared() -> Iterator[Studio]:
    found = open_studio(host=tiny_host(), encoder=tiny_encoder(), use_umap=False)
    yield found
    found.close()


@contextmanager
def served_personal(model: Path, library: Path) -> Iterator[Served]:
    found = opened(model, library)
    page = build(found)
    try:
        yield Served(url=launch(page, found, host="127.0.0.1", block=False), studio=found, page=page)
    finally:
        page.close(verbose=False)
        found.close()


# ---- what it says ----


def test_the_panel_says_which_model_is_in_use_and_offers_those_that_fit(
    studio: Studio, hosts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sola_core.switching.free_memory", lambda device: 3_000_000_000)
    shown = ModelsHandlers(studio).show(page_of(studio), ME)
    assert all(words in str(shown[NOW]) for words in ("one", "in 4 layers", "MB of parameters, float32", "facts.db"))
    assert f"the folder {hosts['one'].resolve()}" in str(shown[NOW])
    choices: dict[str, str] = {name: words for words, name in shown[CHOICE]["choices"]}  # type: ignore[index]
    assert next(iter(choices)) == "smollm2-135m" and list(choices)[-1] == model_words.OTHER
    assert "fetches 93 MB once, needs 1.0 GB of memory" in choices["smollm2-135m"]
    assert "362 million parameters in 32 layers" in choices["HuggingFaceTB/SmolLM2-360M-Instruct"]
    assert "meta-llama/Llama-3.2-1B-Instruct" not in choices  # is not offered
    assert "Llama-3.2-1B-Instruct does not fit: it needs 5.8 GB of memory, and 3.0 GB are free" in str(shown[UNFIT])
    assert shown[OFFER]["visible"] == "hidden" and "3.0 GB of memory free" in shown[CHOICE]["label"]  # type: ignore[index]


def test_what_is_named_in_the_box_is_looked_at_while_it_is_written(
    studio: Studio, hosts: dict[str, Path], tmp_path: Path
) -> None:
    look, mine = ModelsHandlers(studio).look, page_of(studio)
    choice, words = look(str(hosts["two"]), mine, ME)
    assert choice == model_words.OTHER and "in 4 layers, is on this computer, needs" in str(words)
    assert "is the model in use" in str(look(str(hosts["one"]), mine, ME)[1])
    assert "no model called" in str(look("<b>x", mine, ME)[1]) and "<b>" not in str(look("<b>x", mine, ME)[1])
    assert "has to be fetched first, its size is known once" in str(look("owner/name", mine, ME)[1]).lower()
    assert look("  ", mine, ME)[1] == ""
    broken = shutil.copytree(hosts["two"], tmp_path / "broken")
    (broken / "config.json").unlink()
    assert "no config.json" in str(look(str(broken), mine, ME)[1])


@pytest.mark.parametrize(
    ("seconds", "done", "total", "words"),
    [(0.0, 0, 5, "x"), (30.0, 2, 5, "x, 0:45 left"), (0.4, 1, 5, "x"), (60.0, 5, 5, "x"), (60, 1, 10, "x, 9:00 left")],
)
def test_the_time_left_follows_from_what_is_done(seconds: float, done: int, total: int, words: str) -> None:
    assert model_words.with_time_left("x", seconds, done, total) == words


# ---- the change ----


def test_the_facts_of_the_model_before_wait_as_a_list_and_are_taught_like_one(
    studio: Studio, hosts: dict[str, Path]
) -> None:
    teach(studio, FRANCE, BOOK)
    *running, last = changed(studio, hosts["two"])
    assert all("<progress" in one[0] and one[1]["interactive"] is False for one in running)
    assert "two is in use now" in last[0] and studio.about.model == "two"
    handlers, mine = ModelsHandlers(studio), page_of(studio)
    shown = handlers.show(mine, ME)
    assert shown[OFFER]["visible"] is True and "one was in use before and keeps 2 facts" in str(shown[OFFERED])  # type: ignore[index]
    assert shown[BUTTON]["value"] == "Teach these 2 facts to this model too"  # type: ignore[index]
    teach(studio, BOOK)
    listed = handlers.take_along(mine, ME)
    assert "1 fact of one" in str(listed[STATUS]) and "capital of France" in str(listed[ROWS])
    assert listed[TEACH]["visible"] is True  # type: ignore[index]
    *_, taught = KeepHandlers(studio).teach(listed[WAITING], "skip", mine, ME)
    assert "1 fact taught" in str(taught[STATUS])
    assert [edit.request for edit in editor(studio).edits] == [BOOK, FRANCE]
    assert handlers.show(mine, ME)[OFFER]["visible"] == "hidden"  # type: ignore[index]
    with pytest.raises(InvalidInput, match="no fact of another model"):
        handlers.take_along(mine, ME)


def test_a_page_that_shows_the_model_before_can_do_nothing_until_it_is_loaded_anew(
    studio: Studio, hosts: dict[str, Path]
) -> None:
    teach(studio, FRANCE)
    edit, stale = editor(studio).edits[0], page_of(studio)
    changed(studio, hosts["two"])
    registry = studio.registry
    for hold in (registry.visit, registry.claim):
        with pytest.raises(LibraryExchanged, match="another window"), hold(border.visitor(registry, YOU, stale)):
            pass
    with pytest.raises(LibraryExchanged):
        list(ModelsHandlers(studio).load("another", str(hosts["one"]), stale, YOU))
    assert (
        border.kept(registry, stale, "hidden")["place"] == stale["place"]
    )  # choosing a router does not make it a new page
    with pytest.raises(LibraryExchanged):
        list(RouterHandlers(studio).switch("hidden", stale, YOU))
    *drawn, timer = MapHandlers(studio).improve(None, "pca", stale, YOU)  # comes by itself: nobody is told
    assert isinstance(timer, gr.Timer) and not timer.active and all(one == gr.skip() for one in drawn)
    arrived = border.kept(registry, stale, place=registry.place)
    with registry.visit(border.visitor(registry, YOU, arrived)) as workspace:
        assert workspace.edits == ()
    changed(studio, hosts["one"])
    with registry.visit(border.visitor(registry, YOU, stale)) as workspace:  # back again: what it shows is true again
        assert workspace.edits == (edit,)


def test_programs_and_assistants_follow_the_change(studio: Studio, hosts: dict[str, Path]) -> None:
    page = build(studio, mcp=False)
    url = launch(page, studio, host="127.0.0.1", block=False)
    try:
        client, tools = Client(url, verbose=False), Tools(studio)
        own = tools.open_workspace()
        client.predict(FRANCE.prompt, FRANCE.target, api_name="/edit")
        before = client.predict(api_name="/digest")
        with urllib.request.urlopen(f"{url}place", timeout=30) as answer:
            place = json.load(answer)["place"]
        changed(studio, hosts["two"])
        assert client.predict(api_name="/edits") == [] == tools.list_edits(own)
        assert client.predict(api_name="/digest") == tools.state_digest(own) != before
        client.predict(BOOK.prompt, BOOK.target, api_name="/edit")
        assert client.predict(BOOK.prompt, api_name="/ask")["answer"] == BOOK.target
        with urllib.request.urlopen(f"{url}place", timeout=30) as answer:
            assert json.load(answer)["place"] == studio.registry.place != place
        changed(studio, hosts["one"])
        assert client.predict(api_name="/digest") == before
    finally:
        page.close(verbose=False)


@pytest.mark.parametrize(
    ("choice", "other", "error"),
    [
        (None, "", InvalidInput),
        ("another", " ", InvalidInput),
        ("smollm2", "", HostUnavailable),
        (7, "x", InvalidInput),
        (["another"], "x", InvalidInput),
        ("another", 7, InvalidInput),
        ("another", "x" * 2000, HostUnavailable),
        ("x" * 200, "", InvalidInput),
    ],
)
def test_what_names_no_model_changes_nothing(studio: Studio, choice: Any, other: Any, error: type[Exception]) -> None:
    before = editor(studio)
    with pytest.raises(error):
        list(ModelsHandlers(studio).load(choice, other, page_of(studio), ME))
    assert editor(studio) is before
    assert "one is in use as before" in str(ModelsHandlers(studio).unfinished()[0])


def test_a_change_that_is_stopped_on_the_page_changes_nothing(studio: Studio, hosts: dict[str, Path]) -> None:
    before, running = editor(studio), ModelsHandlers(studio).load("another", str(hosts["two"]), page_of(studio), ME)
    next(running)
    next(running)
    running.close()
    assert editor(studio) is before


def test_a_list_that_is_being_taught_keeps_its_model(studio: Studio, hosts: dict[str, Path]) -> None:
    teach(studio, FRANCE)
    changed(studio, hosts["two"])
    handlers, mine = ModelsHandlers(studio), page_of(studio)
    teaching = KeepHandlers(studio).teach(handlers.take_along(mine, ME)[WAITING], "skip", mine, ME)
    next(teaching)
    next(teaching)
    with pytest.raises(SwitchRefused, match="being taught"):
        list(handlers.load("another", str(hosts["one"]), mine, YOU))
    list(teaching)
    assert [edit.request for edit in editor(studio).edits] == [FRANCE]


# ---- shared pages ----


def names_of(studio: Studio) -> set[str]:
    """Return what runs behind the indices of a page."""
    return {str(getattr(one.fn, "__qualname__", one.fn)) for one in build(studio).fns.values()}


def test_nothing_of_it_is_reachable_on_a_shared_page(shared: Studio, studio: Studio) -> None:
    own = {name for name in names_of(studio) if name.startswith("ModelsHandlers.")}
    assert own == {f"ModelsHandlers.{name}" for name in ("show", "look", "load", "unfinished", "take_along")}
    assert not any("ModelsHandlers" in name for name in names_of(shared))
    handlers = ModelsHandlers(shared)
    for act in (
        lambda: handlers.show("", ME),
        lambda: handlers.look("x", "", ME),
        lambda: list(handlers.load("another", "x", "", ME)),
        lambda: handlers.take_along("", ME),
    ):
        with pytest.raises(InvalidInput, match="whoever starts it"):
            act()
    assert "place" not in border.kept(shared.registry, {"place": "x"}, place=shared.registry.place)
    with shared.registry.visit(border.visitor(shared.registry, ME, {"place": "x"})) as workspace:
        assert workspace.edits == ()  # what a page says about its library means nothing here
    page = build(shared)
    url = launch(page, shared, host="127.0.0.1", block=False)
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}place", timeout=30)
        assert refused.value.code == 404
    finally:
        page.close(verbose=False)


# ---- in German ----


def test_the_panel_and_what_it_refuses_are_german(
    german: None, studio: Studio, hosts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sola_core.switching.free_memory", lambda device: 2_100_000_000)
    act, page = ModelsHandlers(studio), page_of(studio)
    teach(studio, FRANCE)
    looked = str(act.look(str(hosts["two"]), page, ME))
    told = [str(done[0]) for done in changed(studio, hosts["two"])]
    shown = act.show(page_of(studio), ME)
    assert "967.680 Parameter in 4 Schichten, ist auf diesem Computer, braucht 404 MB Speicher." in looked
    assert "two ist jetzt in Gebrauch" in told[-1] and "wird geladen" in told[0]
    assert "Bei one, dem Modell davor, ist 1 Fakt gespeichert" in str(shown[OFFERED])
    assert "362 Millionen Parameter" in str(shown[CHOICE]) and "passt nicht: Es braucht" in str(shown[UNFIT])
    with pytest.raises(SwitchRefused) as refused:
        list(act.load(str(hosts["two"]), "", page_of(studio), ME))
    with pytest.raises(LibraryExchanged) as exchanged:
        act.show(page, ME)
    said = [looked, *told, *map(str, shown), *(here(str(one.value)) for one in (refused, exchanged))]
    said.append(model_words.with_time_left("Zeile 1", 4, 1, 3))
    places = (str(tmp_path), str(hosts["two"].parent))
    assert [found for text in said if (found := left_english(text, typed=places))] == []


# ---- in a browser ----


@pytest.mark.long
@pytest.mark.browser
def test_two_windows_and_a_change_of_the_model(come: Come, hosts: dict[str, Path], tmp_path: Path) -> None:
    with served_personal(hosts["one"], tmp_path / "facts.db") as server:
        teach(server.studio, FRANCE)
        one, other = come(server), come(server)
        one.open("Proof")
        one.page.locator("#model-other").locator("textarea, input").fill(str(hosts["two"]))
        expect(one.page.locator("#model-needs")).to_contain_text("is on this computer")
        with one.leaving():
            one.page.get_by_role("button", name="Change to this model").click()
            expect(one.page.locator("#model-now")).to_contain_text("facts.two.db", timeout=90 * SECONDS)
        expect(one.page.get_by_role("tab", name="Proof")).to_have_attribute("aria-selected", "true")
        expect(other.page.get_by_text("The model was changed in another window")).to_be_visible()
        one.page.get_by_role("button", name="Teach this fact to this model too").click()
        expect(one.page.locator("#keep-table")).to_contain_text(FRANCE.prompt)
        one.page.get_by_role("button", name="Teach these facts").click()
        expect(one.page.locator("#keep-status")).to_contain_text("1 fact taught", timeout=90 * SECONDS)
        expect(one.page.locator("#model-teach")).to_be_hidden()
        before, now = other.digest(), editor(server.studio).state_digest
        assert now != before
        with other.leaving():
            other.page.get_by_role("button", name="Load the page anew").click()
            for visit in (one, other):
                expect(visit.page.locator("#sola-digest")).to_have_text(now)
