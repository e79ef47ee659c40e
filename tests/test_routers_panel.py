"""What the page does about routers: asked at once where it is cheap, offered where it is not, never a changed past."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest

from sola_core import EditRequest
from sola_core.errors import InvalidInput
from sola_core.registry import Visitor
from sola_core.steps import finish
from sola_core.studio import Studio, open_studio
from sola_core.ui import routers
from sola_core.ui.routers import Decided, RouterHandlers, waiting
from sola_core.workspace import Limits
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

REQUESTS = (
    EditRequest(prompt="What is the capital of France?", target="Oslo"),
    EditRequest(prompt="Who wrote the book?", target="seven blue"),
)
QUESTION = "What is the capital of Spain?"
WORDS, BUTTON, CHART, TABLE = 1, 2, 3, 5  # places in what the panel shows


@pytest.fixture
def studio() -> Iterator[Studio]:
    found = open_studio(host=tiny_host(), encoder=tiny_encoder(), limits=Limits(answer_tokens=4), use_umap=False)
    yield found
    found.registry.close()


@pytest.fixture
def visitor(studio: Studio) -> Visitor:
    """A visitor with two edits."""
    who = studio.registry.visitor("me")
    for request in REQUESTS:
        with studio.registry.claim(who) as workspace:
            finish(workspace.teach(request))
    return who


ME = gr.Request(session_hash="me")


def decided(studio: Studio, visitor: Visitor) -> Decided:
    with studio.registry.visit(visitor) as workspace:
        return Decided(question=QUESTION, route=workspace.editor.route(QUESTION))


def test_a_comparison_is_made_with_progress_and_then_done_with(studio: Studio, visitor: Visitor) -> None:
    question = decided(studio, visitor)
    *running, last = RouterHandlers(studio).compare_soon(question, "", ME)
    assert all("<progress" in str(one[WORDS]) for one in running) and len(running) == 6  # two edits, two routers
    assert last[0] is question  # it was compared
    assert all(
        part != gr.skip() for one in (*running, last) for part in one
    )  # a message that is lost leaves nothing behind
    assert last[CHART]["visible"] is True and last[BUTTON]["visible"] == "hidden"  # type: ignore[index]
    assert str(last[TABLE]).count("<tr>") == 4 and str(last[TABLE]).count(", used") == 1
    assert len(last) == 1 + len(waiting())


def test_one_that_needs_many_keys_is_offered_and_made_on_demand(
    studio: Studio, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routers, "UNASKED", 1)
    question = decided(studio, visitor)
    (offered,) = RouterHandlers(studio).compare_soon(question, "", ME)
    assert "2 edits" in str(offered[WORDS]) and offered[BUTTON]["visible"] is True  # type: ignore[index]
    *_, last = RouterHandlers(studio).compare(question, "", ME)
    assert str(last[TABLE]).count("<tr>") == 4


def test_a_stopped_answer_offers_the_comparison_once(studio: Studio, visitor: Visitor) -> None:
    handlers, question = RouterHandlers(studio), decided(studio, visitor)
    offered = handlers.offer(question, None)
    assert offered[BUTTON - 1]["visible"] is True  # type: ignore[index]
    for stopped, compared in ((None, question), (question, question)):
        assert set(map(str, handlers.offer(stopped, compared))) == {str(gr.skip())}
    assert list(handlers.compare_soon(None, "", ME)) == []
    assert list(handlers.compare({"question": QUESTION}, "", ME)) == []


def test_what_was_decided_is_shown_as_it_was_though_the_edits_have_changed(studio: Studio, visitor: Visitor) -> None:
    question = decided(studio, visitor)
    assert question.route.edit_id is not None
    with studio.registry.visit(visitor) as workspace:
        workspace.set_enabled(question.route.edit_id, False)
    *_, last = RouterHandlers(studio).compare(question, "", ME)
    row = str(last[TABLE]).split("<tr>")[2]
    assert "scope, used" in row and "edit 1 answers" in row
    assert "as of now" in str(last[WORDS])


def test_the_browser_is_told_to_keep_the_choice_and_the_workspace_follows(studio: Studio, visitor: Visitor) -> None:
    *running, (kept, status) = RouterHandlers(studio).switch("hidden", "", ME)
    assert len(running) == 3 and kept["router"] == "hidden" and "hidden" in str(status)  # type: ignore[index]
    with studio.registry.visit(visitor) as workspace:
        assert workspace.router_name == "hidden"
    with pytest.raises(InvalidInput, match="scope, sentence, hidden"):
        list(RouterHandlers(studio).switch("magic", "", ME))


def test_in_a_personal_library_the_map_keeps_its_space_whatever_the_router(tmp_path: object) -> None:
    studio = open_studio(host=tiny_host(), encoder=tiny_encoder(), library=f"{tmp_path}/facts.db", use_umap=False)
    me = studio.registry.visitor("me")
    with studio.registry.visit(me) as workspace:
        before = workspace.layout.places({"1": QUESTION})
        finish(studio.registry.use_router(me, "hidden"))
        assert workspace.router_name == "hidden"
        assert workspace.layout.empty().places({"1": QUESTION}) == before
    studio.registry.close()
