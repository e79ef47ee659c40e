"""The page in other languages: every sentence is translated, nothing of the page stays English, and the rest of the
program goes on speaking English."""

from __future__ import annotations

import ast
import dataclasses
import json
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import gradio as gr
import pytest
from playwright.sync_api import Browser, expect

import app
from sola_core import words
from sola_core.errors import InvalidInput, SolaError
from sola_core.precedence import covers, uncovered_by
from sola_core.records import EditRequest
from sola_core.resources import asset
from sola_core.settings import Limits, settings_from
from sola_core.steps import finish
from sola_core.studio import open_studio
from sola_core.text import checked_prompt
from sola_core.ui import (
    border,
    compare_texts,
    history_words,
    kept_words,
    lesson_texts,
    lobby,
    model_texts,
    present,
    row_words,
    texts,
)
from sola_core.ui.build import build
from sola_core.ui.explain import why
from sola_core.ui.figures import loss_figure, map_figure, why_figure
from sola_core.ui.history_figure import history_figure
from sola_core.ui.places import picture
from sola_core.ui.why import show_why
from sola_core.words import Sentence, here, say, say_many, written
from tests.serving import served
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder
from tests.visits import PROMPT, SECONDS, TARGET

PACKAGE = Path(__file__).parent.parent / "sola_core"
OTHERS = words.languages()[1:]
FIELD = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}")
# Texts with words in them that no visitor reads, or that the terminal alone shows.
NOT_SAID = re.compile(
    r"^<|=>|^[.a-z0-9 -]*sola-|^%s at %s$|^(text/html; |system-ui, |(top|middle) center$|question \{|maximum allowed size$)"
    r"|^(The page cannot be served|The environment variable GRADIO|no port is free$|from 7860 on$)|^%Y|^Segoe UI$|^Helvetica Neue$"
)


@pytest.fixture
def german() -> Iterator[None]:
    words.choose("de")
    yield
    words.choose(words.ENGLISH)


# ---- the sentences in the code ----


def sentences() -> set[tuple[str, str]]:
    """Return every sentence that is to be translated, as (pattern, pattern of other counts or nothing)."""
    found: set[tuple[str, str]] = set()
    for path in PACKAGE.rglob("*.py"):
        for call in calls(ast.parse(path.read_text(encoding="utf-8"))) if path.name != "words.py" else ():
            counted = len(call.args) > 2
            patterns = call.args[: 1 + counted]
            assert all(isinstance(p, ast.Constant) and isinstance(p.value, str) for p in patterns), (
                f"{path}:{call.lineno}: only a text as it stands can be looked up"
            )
            one, *many = (str(p.value) for p in patterns if isinstance(p, ast.Constant))
            found.add((one, "".join(many)))
    for module in (texts, lesson_texts, compare_texts, model_texts):
        found |= {(text, "") for name, value in vars(module).items() if name.isupper() for text in strings(value)}
    return found


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that make a sentence."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"say", "say_many", "Sentence", "Sentence.counted"}:
            yield node


def strings(value: object) -> Iterator[str]:
    """Yield the texts in a constant."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from strings(one)
    elif dataclasses.is_dataclass(value):
        for part in dataclasses.fields(value):
            yield from strings(getattr(value, part.name))


def translations(name: str) -> list[words.Entry]:
    text = (asset(words.FOLDER) / f"{name}.po").read_text(encoding="utf-8")
    return [entry for entry in words.entries(text) if entry.pattern]


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_sentence_is_translated_once_and_none_is_left_over(name: str) -> None:
    there = [(entry.pattern, entry.many) for entry in translations(name)]
    assert sorted(sentences() - set(there)) == [], "these are not translated"
    assert sorted(set(there) - sentences()) == [], "these are said nowhere"
    assert len(there) == len(set(there))


@pytest.mark.parametrize("name", OTHERS)
def test_a_translation_has_the_placeholders_of_its_sentence_and_the_space_around_it(name: str) -> None:
    for entry in translations(name):
        for said, pattern in zip(
            entry.said, [entry.pattern, entry.many] if entry.many else [entry.pattern], strict=True
        ):
            assert said.strip(), entry
            assert sorted(FIELD.findall(said)) == sorted(FIELD.findall(pattern)), entry
            assert said.count("%") == pattern.count("%"), entry
            assert said.endswith(" ") == pattern.endswith(" "), entry
            assert said.startswith((" ", ",", ":")) or not pattern.startswith(" "), entry


@pytest.mark.slow
def test_no_sentence_of_the_page_is_written_where_it_cannot_be_translated() -> None:
    unmarked = []
    for path in (PACKAGE / "ui").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.stem in ("texts", "lesson_texts", "compare_texts", "model_texts"):
            continue
        seen = {id(part) for call in calls(tree) for part in ast.walk(call)}
        seen |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                seen |= {id(part) for part in node.values if isinstance(part, ast.Constant)}
            if id(node) in seen or not isinstance(node, ast.JoinedStr | ast.Constant):
                continue
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
            if isinstance(node, ast.Constant) and not isinstance(node.value, str):
                continue
            if re.search(r"[A-Za-z’]{2,}[,:;]? (\{\}|[A-Za-z]{2,})|\{\} [a-z]{2,}", text) and not NOT_SAID.search(text):
                unmarked.append(f"{path.name}:{node.lineno}: {text[:60]}")
    assert unmarked == []


# ---- how they are said ----


def test_a_sentence_is_english_text_to_everything_but_the_page(german: None) -> None:
    made = Sentence("Edit {number} is on", number=3)
    assert made == "Edit 3 is on" and json.dumps([made]) == '["Edit 3 is on"]' and f"{made}!" == "Edit 3 is on!"
    error = pickle.loads(pickle.dumps(InvalidInput(made)))  # as a worker in another process sends it
    assert f"{error}" == "Edit 3 is on" and here(str(error)) == "Änderung 3 ist an"


def test_counts_and_numbers_are_written_as_in_the_language(german: None) -> None:
    assert say_many("{count:,} fact taught.", "{count:,} facts taught.", 1) == "1 Fakt beigebracht."
    assert say_many("{count:,} fact taught.", "{count:,} facts taught.", 1234) == "1.234 Fakten beigebracht."
    assert written(0.5, ".2f") == "0,50" and written(0.5, ".0%") == "50 %"
    assert say("{size:,.1f} kB", size=1234.5) == "1.234,5 kB"
    words.choose(words.ENGLISH)
    assert say("{size:,.1f} kB", size=1234.5) == "1,234.5 kB" and written(0.5, ".0%") == "50%"


def test_what_a_visitor_typed_is_never_translated_nor_read_as_a_pattern(german: None) -> None:
    assert say("the model answered {answer!r}", answer="on {answer}") == "das Modell antwortete 'on {answer}'"
    assert here("on") == "on"


def test_a_language_that_is_not_there_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput, match="one of en, de"):
        settings_from({"SOLA_LANGUAGE": "tlh"})
    assert app.main(["--language", "../de"]) == 1
    assert "Choose one of: en, de." in capsys.readouterr().err
    assert settings_from({"SOLA_LANGUAGE": "de"}).language == "de" and words.chosen().name == "en"


# ---- the page ----


def left_english(shown: str, *, typed: tuple[str, ...] = ()) -> list[str]:
    """Return the English words of a text that is to be German, apart from what was typed."""
    for text in typed:
        shown = shown.replace(text, "")
    shown = re.sub(r"<[^>]*>", " ", shown)
    return re.findall(r"\b(?:the|edits?|of|and|with|is|it|model|question|answers?|untouched|step)\b", shown)


@pytest.mark.slow
def test_the_german_page_holds_no_english_sentence(german: None) -> None:
    page = build(open_studio(host=tiny_host(), encoder=tiny_encoder(), use_umap=False))
    # an example of what may be typed stays in its translation
    english = {e.pattern for e in translations("de") if e.pattern not in e.said[0] and not e.pattern.islower()}
    long = [pattern for pattern in english if pattern.count(" ") > 2 and "{" not in pattern]
    shown = [
        text
        for component in page.get_config_file()["components"]
        for name in ("label", "placeholder", "value", "info", "choices", "description")
        for text in strings(tuplified(component["props"].get(name)))
    ]
    assert "Diesen Fakt beibringen" in shown and len(shown) > 100
    assert [text for text in shown if text in english or any(one in text for one in long)] == []


def tuplified(value: object) -> object:
    return tuple(map(tuplified, value)) if isinstance(value, list | tuple) else value


def test_an_error_reaches_a_german_visitor_in_german(german: None) -> None:
    @border.guarded
    def core(text: str) -> str:
        return checked_prompt(text)

    with pytest.raises(gr.Error) as told:
        core("")
    assert told.value.message == "„Frage“ ist leer. Schreib etwas und versuch es noch einmal."
    with pytest.raises(gr.Error) as told:
        border.guarded(border.id_field)(3)
    assert "„Kennung der Änderung“ fehlt" in told.value.message
    assert isinstance(SolaError("unknown to the catalogue"), Exception) and here("unknown") == "unknown"


def test_the_busy_page_is_german(german: None) -> None:
    english, page = asset("lobby.html").read_text(encoding="utf-8"), lobby.busy_page()
    assert '<html lang="de">' in page and "SoLA Studio startet" in page
    for sentence in lobby.BUSY:
        assert sentence in english and sentence not in page
        assert not set(here(sentence)) & set('"<>&\\`$'), "it stands in markup and in a script"
    words.choose(words.ENGLISH)
    assert lobby.busy_page() == english


@pytest.mark.slow
def test_what_is_said_of_records_is_german(german: None) -> None:
    studio = open_studio(host=tiny_host(), encoder=tiny_encoder(), limits=Limits(answer_tokens=8), use_umap=False)
    visitor = studio.registry.visitor("somebody")
    typed = (PROMPT, TARGET, "Lyon", studio.about.router)
    with studio.registry.claim(visitor) as workspace:
        first = finish(workspace.teach(EditRequest(prompt=PROMPT, target=TARGET)))
        said = [present.taught(first, 1)]
        second = finish(workspace.teach(EditRequest(prompt=PROMPT, target="Lyon")))
        numbers, route = workspace.numbers(), workspace.editor.route(PROMPT)
        said += [present.conflict(second, 2, route), present.who_answered(route, numbers)]
        both = finish(workspace.ask(PROMPT))
        said += [present.comparison(both), *map(str, show_why(why(PROMPT, both.route, workspace.edits, numbers)))]
        rows = present.edit_rows(workspace.edits, numbers, covers(workspace.edits), uncovered_by(workspace.edits))
        said += [*(line for row in rows for line in (row.detail, *row.notes)), present.edits_summary(rows)]
        said += [present.delete_question(rows[0]), *(cell for fact in row_words.facts_of(
            workspace.details(first.id), rows[1], numbers) for cell in (fact[0], *fact[1]))]  # fmt: skip
        probed = finish(workspace.probe(first.id, None, ("red green",), ("blue seven",)))
        said += [row_words.probe_verdict(probed), *(c for row in row_words.probe_rows(probed, numbers) for c in row)]
        certificate = finish(workspace.certify())
        said += [kept_words.certified(certificate), *(here(check.name) for check in certificate.checks)]
        workspace.set_enabled(second.id, False)
        said.append(present.switched(2, False, workspace.same_state()))
        erasure = workspace.delete(first.id)
        said.append(present.deleted(1, erasure == "erased", workspace.same_state()))
        history, clock = workspace.history(), history_words.Clock.of("UTC", 0.0)
        said += [history_words.moment_words(history, number, clock) for number in range(history.now + 1)]
        said += [c for row in history_words.edits_table(history, workspace.edits, clock) for c in row]
        said += [c for row in history_words.moments_table(history, clock) for c in row]
        said += [history_words.lost_words(history.at(2), clock), history_words.undo_words(workspace.undoable(history))]
    studio.registry.close()
    assert "Änderung 1 ist gelöscht." in " ".join(said)
    assert [(text, found) for text in said if (found := left_english(text, typed=typed))] == []


@pytest.mark.slow
def test_the_pictures_are_german(german: None) -> None:
    studio = open_studio(host=tiny_host(), encoder=tiny_encoder(), use_umap=False)
    visitor = studio.registry.visitor("somebody")
    with studio.registry.claim(visitor) as workspace:
        edit = finish(workspace.teach(EditRequest(prompt=PROMPT, target=TARGET)))
        drawn = picture(workspace.layout, workspace.edits, workspace.numbers(), workspace.questions)
        decided = why(PROMPT, workspace.editor.route(PROMPT), workspace.edits, workspace.numbers())
        past = history_words.timeline(workspace.history(), workspace.edits, history_words.Clock.of("UTC", 0.0))
        figures = [loss_figure(edit.training.losses), map_figure(drawn), why_figure(decided), history_figure(past, 1)]
    studio.registry.close()
    for figure in figures:
        found = figure.to_dict()
        assert found["layout"]["separators"] == ",."
        shown = json.dumps({"layout": found["layout"] | {"template": None}, "data": [
            {name: trace.get(name) for name in ("name", "hovertext", "hovertemplate")} for trace in found["data"]
        ]}, default=str)  # fmt: skip
        assert not [one for one in left_english(shown, typed=(PROMPT, TARGET)) if one not in ("x", "y")], shown[:2000]


# ---- in a browser ----


@pytest.mark.browser
def test_a_german_visitor_teaches_and_asks_on_a_phone(german: None, browser: Browser) -> None:
    with served() as server:
        page = browser.new_page(viewport={"width": 390, "height": 844}, locale="de-DE")
        page.goto(server.url)
        expect(page.get_by_role("button", name="Diesen Fakt beibringen")).to_be_enabled(timeout=60 * SECONDS)
        assert page.evaluate("document.documentElement.lang") == "de"
        page.locator("#prompt textarea").fill(PROMPT)
        page.locator("#target textarea, #target input").first.fill(TARGET)
        page.get_by_role("button", name="Diesen Fakt beibringen").click()
        expect(page.locator("#teach-status")).to_contain_text("Gelernt als Änderung 1", timeout=60 * SECONDS)
        expect(page.locator("#edits-summary")).to_contain_text("1 gespeichert, an", timeout=30 * SECONDS)
        page.locator("#question textarea").fill(PROMPT)
        page.get_by_role("button", name="Beide fragen").click()
        expect(page.locator("#why-sentence")).to_contain_text("Änderung 1 antwortet", timeout=60 * SECONDS)
        expect(page.locator("#compared")).to_contain_text("Antworten", timeout=60 * SECONDS)
        for tab in texts.TABS.values():
            page.get_by_role("tab", name=tab).click()
            page.wait_for_function("document.documentElement.scrollWidth <= 390", timeout=20 * SECONDS)
        page.close()
