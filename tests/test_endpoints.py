"""The six endpoints as callers use them, and the refusals at the border."""

from __future__ import annotations

import json
import logging
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from sola_core.errors import InvalidInput
from sola_core.registry import WorkspaceRegistry
from sola_core.ui import border
from sola_core.ui.ask import FOLLOWING, WHY_PARTS, AskHandlers
from sola_core.ui.build import build, launch
from sola_core.ui.explain import Why
from sola_core.workspace import Limits
from tests.serving import Served, served

pytestmark = pytest.mark.slow

PROMPT, TARGET = "What is the capital of France?", "Oslo"
ENDPOINTS = {"/edit", "/ask", "/edits", "/toggle", "/delete", "/digest"}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(limits=Limits(answer_tokens=8, workspaces=40)) as found:
        yield found


@pytest.fixture
def client(server: Served) -> Client:
    return Client(server.url, verbose=False)


def test_a_fact_is_taught_asked_switched_and_deleted_through_the_endpoints(client: Client) -> None:
    start = client.predict(api_name="/digest")
    edit = client.predict(
        prompt=PROMPT, target=TARGET, subject="France", rephrases="The capital of France is\n\n", api_name="/edit"
    )
    assert edit["prompt"] == PROMPT and edit["target"] == TARGET and edit["enabled"] is True
    assert edit["rephrases"] == ["The capital of France is"]
    assert client.predict(api_name="/edits") == [edit]
    both = client.predict(question=PROMPT, api_name="/ask")
    assert both["answer"] == TARGET != both["base_answer"] and both["route"]["edit_id"] == edit["id"]
    assert client.predict(question="The capital of France is", api_name="/ask")["route"]["edit_id"] == edit["id"]
    taught = client.predict(api_name="/digest")
    (off,) = client.predict(edit_id=edit["id"], enabled=False, api_name="/toggle")
    assert off["enabled"] is False
    asked = client.predict(question=PROMPT, api_name="/ask")
    assert asked["answer"] == asked["base_answer"] and asked["route"]["deferred"] is True
    client.predict(edit_id=edit["id"], enabled=True, api_name="/toggle")
    assert client.predict(api_name="/digest") == taught != start
    assert client.predict(edit_id=edit["id"], api_name="/delete") == []
    assert client.predict(api_name="/digest") == start


def test_arguments_may_be_given_by_position_and_the_optional_ones_left_out(client: Client) -> None:
    assert client.predict(PROMPT, TARGET, api_name="/edit")["subject"] is None


def test_two_clients_never_see_each_others_edits(server: Served) -> None:
    one, two = Client(server.url, verbose=False), Client(server.url, verbose=False)
    edit = one.predict(PROMPT, TARGET, api_name="/edit")
    assert two.predict(api_name="/edits") == []
    assert two.predict(PROMPT, api_name="/ask")["route"]["deferred"] is True
    with pytest.raises(AppError, match=re.escape(edit["id"])):
        two.predict(edit["id"], api_name="/delete")
    assert [found["id"] for found in one.predict(api_name="/edits")] == [edit["id"]]


def test_clients_at_once_each_get_their_own_answer(server: Served) -> None:
    def run(target: str) -> str:
        mine = Client(server.url, verbose=False)
        mine.predict(PROMPT, target, api_name="/edit")
        return str(mine.predict(PROMPT, api_name="/ask")["answer"])

    targets = ["Oslo", "Lyon", "red green", "seven"]
    with ThreadPoolExecutor(len(targets)) as pool:
        assert list(pool.map(run, targets)) == targets


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": "   ", "target": TARGET}, "prompt is empty"),
        ({"prompt": PROMPT, "target": ""}, "new answer is empty"),
        ({"prompt": "x" * 100_000, "target": TARGET}, "100,000 characters"),
        ({"prompt": "bell \u0007", "target": TARGET}, r"control character U\+0007"),
        ({"prompt": PROMPT, "target": "word " * 200}, "token"),
        ({"prompt": 7, "target": TARGET}, "prompt is missing or of the wrong kind"),
        ({"prompt": PROMPT, "target": {"a": 1}}, "new answer is missing or of the wrong kind"),
        (
            {"prompt": PROMPT, "target": TARGET, "rephrases": "\n".join(f"text {n}" for n in range(40))},
            "40 rephrasings",
        ),
    ],
)
def test_a_bad_request_is_refused_with_the_reason_and_stores_nothing(
    client: Client, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(AppError, match=message):
        client.predict(**arguments, api_name="/edit")
    assert client.predict(api_name="/edits") == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"edit_id": "nothing", "enabled": True}, "/toggle"),
        ({"edit_id": "nothing", "enabled": "yes"}, "/toggle"),
        ({"edit_id": ["a"], "enabled": True}, "/toggle"),
        ({"edit_id": "x" * 500}, "/delete"),
        ({"edit_id": None}, "/delete"),
        ({"question": ""}, "/ask"),
        ({"question": 3.5}, "/ask"),
    ],
)
def test_nonsense_is_refused_by_every_endpoint(client: Client, arguments: dict[str, object], name: str) -> None:
    with pytest.raises(AppError):
        client.predict(**arguments, api_name=name)


def post(url: str, body: object) -> tuple[int, str]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("path", ["run/edits", "api/edits", "call/edits"])
def test_a_request_without_a_session_is_refused(server: Served, path: str) -> None:
    base = f"{server.url}gradio_api/{path}"
    status, text = post(base, {"data": []})
    if path.startswith("call"):
        with urllib.request.urlopen(f"{base}/{json.loads(text)['event_id']}", timeout=30) as answer:
            text = answer.read().decode()
            assert "event: error" in text
    else:
        assert status >= 400
    assert "complete" not in text


def join(url: str, fn_index: int, data: list[object]) -> dict[str, object]:
    """Call a queued handler by its number, as any program can, and return how it ended."""
    session = secrets.token_hex(8)
    body = {"data": data, "fn_index": fn_index, "session_hash": session}
    status, said = post(f"{url}gradio_api/queue/join", body)
    if status != 200:
        return {"success": False, "said": said}
    with urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash={session}", timeout=60) as events:
        for line in events:
            message = json.loads(line.removeprefix(b"data: ")) if line.startswith(b"data: ") else {}
            if message.get("msg") == "process_completed":
                found: dict[str, object] = message
                return found
    raise AssertionError("the stream ended without a result")


@pytest.mark.parametrize("junk", [None, "x" * 200_000], ids=["nothing", "endless"])
def test_private_handlers_called_by_number_check_their_inputs_too(server: Served, junk: object) -> None:
    before = len(server.studio.registry)
    config = json.loads(urllib.request.urlopen(f"{server.url}config", timeout=30).read())
    private = [d for d in config["dependencies"] if d["api_visibility"] == "private" and d["backend_fn"]]
    names = {d["api_name"].rstrip("_0123456789") for d in private}
    assert {"teach", "replace", "keep_both", "ask", "after", "draw", "choose", "arrive"} <= names
    assert {"switch", "compare", "compare_soon", "offer"} <= names
    for dependency in private:
        data = [junk] * len(dependency["inputs"])
        if dependency["queue"] is False:
            body = {"data": data, "fn_index": dependency["id"], "session_hash": "junk"}
            text = post(f"{server.url}gradio_api/run/predict", body)[1]
        else:
            ended = join(server.url, dependency["id"], data)
            text = json.dumps(ended)
            if dependency["api_name"].startswith(("teach", "replace", "keep_both", "ask", "switch")):
                assert ended["success"] is False
        assert "Traceback" not in text
    assert len(server.studio.registry) == before


def private(url: str, name: str) -> int:
    """Return the number of a private handler."""
    config = json.loads(urllib.request.urlopen(f"{url}config", timeout=30).read())
    return next(int(d["id"]) for d in config["dependencies"] if d["api_name"] == name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("magic", "There is no router called 'magic'. Choose one of: scope, sentence, hidden."),
        ("<img src=x>", "There is no router called '&lt;img src=x&gt;'."),
        (["hidden"], "the router is missing or of the wrong kind"),
        (None, "the router is missing or of the wrong kind"),
        (True, "the router is missing or of the wrong kind"),
    ],
)
def test_an_unknown_router_is_a_clear_error_that_reaches_no_log(
    server: Served, capfd: pytest.CaptureFixture[str], name: object, message: str
) -> None:
    ended = join(server.url, private(server.url, "switch"), [name, ""])
    assert ended["success"] is False
    assert message in str(ended["output"]["error"])  # type: ignore[index]
    assert "magic" not in "".join(capfd.readouterr())


def test_a_program_that_switches_the_router_of_no_workspace_changes_nobodys(server: Served, client: Client) -> None:
    before = len(server.studio.registry)
    ended = join(server.url, private(server.url, "switch"), ["hidden", {"token": "made up", "router": "sentence"}])
    assert ended["success"] is True
    assert len(server.studio.registry) == before
    assert client.predict(PROMPT, api_name="/ask")["route"]["router"] == "scope"
    kept = border.kept(server.studio.registry, {"token": "made up", "router": "magic"})
    assert kept["router"] == "" and server.studio.registry.is_minted(kept["token"])
    assert border.kept(server.studio.registry, kept, "hidden") == {**kept, "router": "hidden"}


def test_only_the_six_endpoints_are_public_and_they_are_typed(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == ENDPOINTS
    edit = named["/edit"]
    assert [p["parameter_name"] for p in edit["parameters"]] == ["prompt", "target", "subject", "rephrases"]
    assert all(p["type"] == {"type": "string"} for p in edit["parameters"])
    assert {"id", "prompt", "target", "enabled"} <= set(edit["returns"][0]["type"]["properties"])
    assert named["/toggle"]["parameters"][1]["type"] == {"type": "boolean"}
    assert all(endpoint["description"] for endpoint in named.values())


def test_a_full_server_says_so_and_goes_on_answering() -> None:
    with served(limits=Limits(workspaces=1, answer_tokens=4)) as small:
        one, two = Client(small.url, verbose=False), Client(small.url, verbose=False)
        one.predict(PROMPT, TARGET, api_name="/edit")
        with pytest.raises(AppError, match="server is full"):
            two.predict(PROMPT, TARGET, api_name="/edit")
        assert two.predict(PROMPT, api_name="/ask")["route"]["deferred"] is True


def test_a_personal_library_is_one_for_all_and_outlives_the_server(tmp_path: Path) -> None:
    library = str(tmp_path / "facts.db")
    with served(library=library) as first:
        Client(first.url, verbose=False).predict(PROMPT, TARGET, api_name="/edit")
        assert len(Client(first.url, verbose=False).predict(api_name="/edits")) == 1
        assert json.loads(post(f"{first.url}gradio_api/run/digest", {"data": []})[1] or "{}") is not None
    with served(library=library) as second:
        both = Client(second.url, verbose=False).predict(PROMPT, api_name="/ask")
        assert both["answer"] == TARGET


def test_a_personal_library_is_not_served_to_other_computers(tmp_path: Path) -> None:
    with served(library=str(tmp_path / "facts.db")) as found, pytest.raises(InvalidInput, match="this computer only"):
        launch(build(found.studio), found.studio, host="0.0.0.0", block=False)


def test_a_port_that_is_taken_is_told_in_words(server: Served) -> None:
    port = int(server.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(InvalidInput, match="Choose another --port"):
        launch(build(server.studio), server.studio, host="127.0.0.1", port=port, block=False)


def test_monitoring_and_history_are_closed(server: Served) -> None:
    for path in ("monitoring/summary", "gradio_api/runs"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.url}{path}", timeout=30)
        assert refused.value.code in (403, 404)


# ---- the border ----


def test_an_unexpected_error_is_told_without_its_message_and_logged_by_type_and_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @border.guarded
    def breaks() -> None:
        raise KeyError("what the visitor wrote")

    with caplog.at_level(logging.ERROR), pytest.raises(gr.Error) as told:
        breaks()
    assert "what the visitor wrote" not in str(told.value) + caplog.text
    assert "KeyError at" in caplog.text and "test_endpoints.py" in caplog.text


def test_a_message_for_people_passes_without_its_markup() -> None:
    @border.guarded
    def refuses() -> None:
        raise InvalidInput("The <img src=x> is wrong.")

    with pytest.raises(gr.Error) as told:
        refuses()
    assert told.value.message == "The &lt;img src=x&gt; is wrong."
    assert told.value.print_exception is False


def test_closing_a_guarded_generator_closes_what_it_was_doing() -> None:
    seen = []

    @border.guarded_steps
    def works() -> Iterator[int]:  # type: ignore[misc]
        try:
            yield 1
            yield 2
        finally:
            seen.append("closed")

    steps = works()
    assert next(steps) == 1
    steps.close()
    assert seen == ["closed"]


def test_a_session_that_the_queue_made_up_for_one_call_counts_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradio.context import LocalContext

    registry = WorkspaceRegistry.__new__(WorkspaceRegistry)  # only its naming of visitors is used
    registry.personal, registry._secret = False, b"secret"
    request = gr.Request(session_hash="made-up")
    assert border.visitor(registry, request).key == "session made-up"
    mark = LocalContext.event_id.set("made-up")
    try:
        with pytest.raises(Exception, match="no session"):
            border.visitor(registry, request)
    finally:
        LocalContext.event_id.reset(mark)


def test_no_component_waits_to_be_mounted_until_it_is_shown(server: Served) -> None:
    components = build(server.studio).config["components"]
    waiting = [one["props"].get("elem_id") for one in components if one["props"].get("visible") is False]
    assert components and not waiting  # an update that comes while Gradio mounts a component can be lost


def test_why_is_told_again_when_the_answers_have_ended(server: Served) -> None:
    registry, handlers = server.studio.registry, AskHandlers(server.studio)
    messages = list(handlers.ask("where is the river?", border.kept(registry, None), None))  # type: ignore[arg-type]
    first = messages[1]
    told, shown = first[6], first[-FOLLOWING:][:WHY_PARTS]
    assert isinstance(told, Why) and handlers.why_again(told) == shown
    assert handlers.why_again(None) == (gr.skip(),) * WHY_PARTS


def test_the_event_that_tells_why_again_is_not_streamed(server: Served) -> None:
    config = build(server.studio).config
    (chart,) = (one["id"] for one in config["components"] if one["props"].get("elem_id") == "why-chart")
    filling = [event["types"]["generator"] for event in config["dependencies"] if chart in event["outputs"]]
    assert sorted(filling) == [False, True]
