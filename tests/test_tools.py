"""The MCP tools without MCP: as endpoints they know a caller by the workspace id alone, and a made-up id opens nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from sola_core.errors import InvalidInput
from sola_core.studio import Studio, open_studio
from sola_core.ui import serve as serving
from sola_core.ui.build import build, launch
from sola_core.workspace import Limits
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

PROMPT, TARGET = "What is the capital of France?", "Oslo"


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    found = open_studio(host=tiny_host(), encoder=tiny_encoder(), limits=Limits(answer_tokens=4), use_umap=False)
    yield found
    found.close()


@pytest.fixture(scope="module")
def url(studio: Studio) -> Iterator[str]:
    page = build(studio, mcp=True)
    yield launch(page, studio, host="127.0.0.1", block=False)  # without the MCP server, whose packages are an extra
    page.close(verbose=False)


@pytest.fixture
def client(url: str) -> Client:
    return Client(url, verbose=False)


def test_a_fact_is_taught_asked_switched_and_deleted_in_the_workspace_that_is_named(client: Client, url: str) -> None:
    mine = client.predict(api_name="/open_workspace")
    edit = client.predict(mine, PROMPT, TARGET, api_name="/teach_fact")
    other = Client(url, verbose=False)  # another session with the same id: it is the id that counts
    assert other.predict(mine, api_name="/list_edits") == [edit]
    assert other.predict(mine, PROMPT, api_name="/ask_question")["answer"] == TARGET
    assert client.predict(api_name="/edits") == []
    (off,) = client.predict(mine, edit["id"], False, api_name="/switch_edit")
    assert off["enabled"] is False
    taught = client.predict(mine, api_name="/state_digest")
    assert client.predict(mine, edit["id"], api_name="/delete_edit") == []
    assert client.predict(mine, api_name="/state_digest") != taught


@pytest.mark.parametrize("forged", ["", "0" * 64, "x" * 10_000, None, 7, ["a"], {"token": "a"}])
def test_an_id_that_this_server_did_not_give_out_opens_nothing(client: Client, studio: Studio, forged: object) -> None:
    before = len(studio.registry)
    for name, rest in (
        ("/list_edits", ()),
        ("/state_digest", ()),
        ("/teach_fact", (PROMPT, TARGET)),
        ("/ask_question", (PROMPT,)),
        ("/switch_edit", ("an id", True)),
        ("/delete_edit", ("an id",)),
    ):
        with pytest.raises(AppError, match="not the id of a workspace here"):
            client.predict(forged, *rest, api_name=name)
    assert len(studio.registry) == before


def test_two_ids_never_see_each_others_edits_and_a_changed_id_is_none(client: Client) -> None:
    one, two = client.predict(api_name="/open_workspace"), client.predict(api_name="/open_workspace")
    edit = client.predict(one, PROMPT, TARGET, api_name="/teach_fact")
    assert client.predict(two, api_name="/list_edits") == []
    with pytest.raises(AppError, match=edit["id"]):
        client.predict(two, edit["id"], api_name="/delete_edit")
    changed = one[:-1] + ("0" if one[-1] != "0" else "1")
    with pytest.raises(AppError, match="not the id"):
        client.predict(changed, api_name="/list_edits")


def test_what_comes_through_mcp_has_no_session(url: str) -> None:
    """Gradio sends the calls of all MCP clients through one client of its own, with this header: one session for all."""
    through = Client(url, verbose=False, headers={"x-gradio-user": "mcp"})
    with pytest.raises(AppError, match="no session"):
        through.predict(PROMPT, TARGET, api_name="/edit")
    assert through.predict(through.predict(api_name="/open_workspace"), api_name="/list_edits") == []


def test_mcp_without_its_packages_is_told_in_words_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOLA_MCP", "1")
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match="pip install"):
        serving.serve(lambda settings, tell: pytest.fail("loaded"), port=0)
