"""What no page would send, sent to everything that a page can call: refused with a message, and nothing else happens.

The handlers are read from the page's own configuration, so one that is added later is tested too.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

import sola_core
from sola_core import EditRequest
from sola_core.ui.build import build
from sola_core.workspace import Limits
from tests.chromium import FLAGS
from tests.hostile import MARK, SCRIPT, Caller, Reply, values
from tests.serving import Served, served
from tests.test_transfer import LIES

SECRET = "the-canary-sings"
FACTS = ("What is the capital of France?", "Who wrote the book?")
TYPED = {"textbox", "api", "radio", "uploadbutton", "dataset"}  # a value of another type is nothing they can take
CHOSEN = {"radio", "uploadbutton"}  # no value below is one of theirs
NAMES = tuple(values(Path("/nowhere/canary.txt")))
# every one in `make long`, every eighth each time
SAMPLED = [name if place % 8 == 0 else pytest.param(name, marks=pytest.mark.long) for place, name in enumerate(NAMES)]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A page, a pupil who has taught something on it, and a stranger."""

    server: Served
    folder: Path
    canary: Path
    uploads: Path
    client: httpx.Client
    pupil: Caller
    stranger: Caller
    taught: list[dict[str, Any]]
    config: dict[str, Any]

    def caller(self) -> Caller:
        """Return somebody who was never here."""
        return Caller(self.server.url, secrets.token_hex(8), self.client, self.pupil.numbers)

    def files(self) -> dict[str, int]:
        """Return every file below the test's folder, with its size."""
        return {str(path): path.stat().st_size for path in self.folder.rglob("*") if path.is_file()}

    def number(self, name: str) -> int:
        """Return the number of a handler."""
        return next(int(d["id"]) for d in self.config["dependencies"] if d["api_name"] == name)

    def handlers(self) -> list[tuple[dict[str, Any], list[str]]]:
        """Return what can be called, and of what kind its inputs are; of handlers that are alike, one."""
        kinds = {one["id"]: one["type"] for one in self.config["components"]}
        found = {}
        for dependency in self.config["dependencies"]:
            inputs = [kinds[number] for number in dependency["inputs"]]
            found.setdefault((dependency["api_name"].rstrip("_0123456789"), *inputs), (dependency, inputs))
        return list(found.values())

    def is_well(self) -> None:
        """Check that the server answers, and that the pupil has what was taught."""
        assert self.caller().named("edits") == []
        assert self.pupil.named("edits") == self.taught


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("attacked")
    home, uploads = folder / "home", folder / "uploads"
    home.mkdir()
    uploads.mkdir()
    canary = home / "canary.txt"
    for name in ("canary.txt", ".hidden", "canary.csv", "canary.safetensors"):
        (home / name).write_text(f"prompt,target\n{SECRET},{SECRET}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        patch.chdir(home)
        with (
            served(limits=Limits(answer_tokens=2, workspaces=80, queue=400)) as server,
            httpx.Client(timeout=60) as client,
        ):
            pupil = Caller(server.url, "pupil", client)
            for prompt in FACTS:
                pupil.named("edit", prompt, "Oslo", "", "")
            yield Site(
                server=server,
                folder=folder,
                canary=canary,
                uploads=uploads,
                client=client,
                pupil=pupil,
                stranger=Caller(server.url, "stranger", client),
                taught=pupil.named("edits"),
                config=build(server.studio).get_config_file(),  # type: ignore[arg-type]
            )


@pytest.fixture(autouse=True)
def nothing_else_happens(site: Site, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """After each test: the server lives, nothing was written, and no log repeats anything."""
    before = site.files()
    yield
    assert site.files() == before
    site.is_well()
    told = "".join(capfd.readouterr())
    assert "Traceback" not in told and MARK not in told and SECRET not in told and "Exception in" not in told, told


def refused(site: Site, reply: Reply) -> None:
    """Check that a reply says why not, in words, and shows nothing of the server."""
    assert not reply.ok
    assert reply.status in (200, 400, 404, 413, 422, 503), (reply.status, reply.text)
    message = json.loads(reply.text.rpartition("data: ")[2])
    words = message.get("detail") or message.get("error") or message["output"]["error"]
    assert isinstance(words, str) and words.endswith(".") and len(words) < 400, words
    assert "<" not in words
    private(site, reply.text)


def private(site: Site, text: str) -> None:
    """Check that a reply shows neither the canary nor a place on the server."""
    shown = text.replace(str(site.uploads), "")  # where a file lies that was uploaded or is to be taken along
    for secret in (SECRET, "site-packages", str(Path(sola_core.__file__).parent), "Traceback", '"pupil"'):
        assert secret not in shown, shown[:2000]


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLED)
def test_what_no_page_sends_is_refused_by_every_handler_in_every_field(site: Site, name: str) -> None:
    value = values(site.canary)[name]
    ways = []
    for dependency, kinds in site.handlers():
        places = [place for place, kind in enumerate(kinds) if kind != "state"]
        data = [[value if place == here else "" for place in range(len(kinds))] for here in places]
        ways += [(dependency, kinds[here], one) for here, one in zip(places, data, strict=True)]
        if not isinstance(value, str):  # a text in every field would be taught; the browser does that
            ways.append(
                (dependency, "", [value] * (len(kinds) or 1))
            )  # States too: what is sent for them does not count
    waiting = [(dependency["id"], data) for dependency, _, data in ways if dependency["queue"] is not False]
    queued = iter(site.stranger.queue(waiting))
    for dependency, kind, data in ways:
        direct = site.stranger.run(dependency["id"], data)
        if dependency["queue"] is not False:
            assert not direct.ok and direct.status == 404  # there is no way round the queue
            reply = next(queued)
        else:
            reply = direct
        must = (kind in TYPED and not isinstance(value, str)) or kind in CHOSEN or not dependency["backend_fn"]
        if dependency["api_name"] == "choose" and value == 0 and value is not False:
            must = False  # the number of an example
        if must or not reply.ok:
            refused(site, reply)
        private(site, reply.text)


@pytest.mark.parametrize("route", ["run", "api", "call", "call/v2"])
def test_the_plain_routes_refuse_whoever_brings_no_session(site: Site, route: str) -> None:
    for name in ("edits", "edit", "ask", "teach", "load", "nothing", "..", "%00", SCRIPT.replace("/", "")):
        body = {"data": [f"{MARK} who?", "Oslo", "", ""][: 0 if name == "edits" else 4]}
        answer = site.stranger.post(f"{route}/{name}", body if route != "call/v2" else {"question": MARK})
        if answer.status_code == 200 and "event_id" in answer.text:
            number = answer.json()["event_id"]
            answer = site.client.get(f"{site.server.url}gradio_api/call/{name}/{number}")
            assert "event: error" in answer.text and "complete" not in answer.text
        else:
            assert 400 <= answer.status_code < 500, (name, answer.status_code, answer.text)
        private(site, answer.text)


BODIES: dict[str, Callable[[int], object]] = {
    "nothing": lambda edits: b"",
    "no JSON": lambda edits: b"{" + MARK.encode(),
    "a list": lambda edits: [MARK],
    "no data": lambda edits: {"fn_index": edits, "session_hash": "s"},
    "data that are a dictionary": lambda edits: {"data": {"0": MARK}, "fn_index": edits, "session_hash": "s"},
    "a handler by text": lambda edits: {"data": [], "fn_index": MARK, "session_hash": "s"},
    "a handler of no page": lambda edits: {"data": [], "fn_index": 10**9, "session_hash": "s"},
    "a handler below all": lambda edits: {"data": [], "fn_index": -1, "session_hash": "s"},
    "no handler": lambda edits: {"data": [], "session_hash": "s"},
    "a session that is a number": lambda edits: {"data": [], "fn_index": edits, "session_hash": 7},
    "a session that is a list": lambda edits: {"data": [], "fn_index": edits, "session_hash": ["s"]},
    "an empty session": lambda edits: {"data": [], "fn_index": edits, "session_hash": ""},
    "an endless session": lambda edits: {"data": [], "fn_index": edits, "session_hash": "s" * 5000},
    "a session of half a character": lambda edits: {"data": [], "fn_index": edits, "session_hash": "s\ud800"},
    "too few data": lambda edits: {"data": [MARK], "fn_index": edits + 1, "session_hash": "s"},
    "a batch": lambda edits: {"data": [[MARK]], "fn_index": edits, "session_hash": "s", "batched": True},
    "a trigger of no page": lambda edits: {"data": [], "fn_index": edits, "session_hash": "s", "trigger_id": 10**9},
    "a nest": lambda edits: b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b', "session_hash": "s"}',
    "no UTF-8": lambda edits: b'{"data": ["\xff\xfe"], "session_hash": "s"}',
    "two megabytes": lambda edits: {"data": [MARK * 300_000], "fn_index": edits, "session_hash": "s"},
}


@pytest.mark.parametrize("path", ["queue/join", "run/predict", "call/edits", "cancel", "component_server", "upload"])
def test_a_body_that_is_none_is_refused(site: Site, path: str) -> None:
    for name, body in BODIES.items():
        made = body(site.number("edits"))
        if isinstance(made, bytes):
            headers = {"Content-Type": "application/json"}
            answer = site.client.post(f"{site.server.url}gradio_api/{path}", content=made, headers=headers)
        else:
            answer = site.stranger.post(path, made)
        # the handler then says why not; and a cancel of nothing does nothing
        harmless = path in ("queue/join", "call/edits", "cancel") and answer.status_code == 200
        assert harmless or 400 <= answer.status_code < 500, (name, answer.status_code, answer.text)
        private(site, answer.text.replace(MARK, ""))


def places(site: Site) -> list[str]:
    """Return addresses under which a file of the server might be had."""
    secret = str(site.canary)
    upwards = "../" * 14
    found = [
        f"gradio_api/file={name}" for name in (secret, secret[1:], f"/{secret}", "canary.txt", ".hidden", "/etc/passwd")
    ]
    found += [
        f"gradio_api/file={site.uploads}/../home/canary.txt",
        f"gradio_api/file={site.uploads}/%2e%2e/home/canary.txt",
    ]
    found += [f"gradio_api/file={secret}%00.png", f"gradio_api/file=file://{secret}", f"gradio_api/file/{secret}"]
    found += [
        "gradio_api/file=http://127.0.0.1:9/",
        "gradio_api/file=HTTPS://127.0.0.1:9/",
        f"gradio_api/proxy={secret}",
    ]
    found += [
        f"gradio_api/file={site.uploads}",
        "gradio_api/file=",
        "gradio_api/file=/dev/zero",
        "gradio_api/file=/proc/self/environ",
    ]
    for base in ("static", "assets", "svelte", "gradio_api/custom_component/1/client/component", "pwa_icon"):
        found += [f"{base}/{upwards}{secret[1:]}", f"{base}/{secret}", f"{base}/..%2f..%2f..%2fcanary.txt"]
    found += ["gradio_api/deep_link?session_hash=pupil", "?deep_link=../../canary.txt", "config?deep_link=..%2fcanary"]
    found += ["gradio_api/stream/pupil/0/1/playlist.m3u8", "gradio_api/startup-events/../file=canary.txt"]
    found += ["gradio_api/runs", "monitoring", "monitoring/summary", "gradio_api/dev/reload", "gradio_api/vibe-code"]
    return [*found, f"theme.css?x={'y' * 9000}", "gradio_api/heartbeat/" + "x" * 5000]


def test_no_address_gives_a_file_of_the_server_away(site: Site) -> None:
    for address in places(site):
        answer = site.client.get(httpx.URL(f"{site.server.url}{address}"))
        assert answer.status_code < 500, (address, answer.status_code)
        assert SECRET not in answer.text and "root:" not in answer.text and "PATH=" not in answer.text, address


def test_a_fetch_from_elsewhere_is_never_made(site: Site) -> None:
    for address in (
        "gradio_api/file=http://127.0.0.1:9/x",
        "gradio_api/file/https://127.0.0.1:9/x",
        "gradio_api/proxy=http://a/",
    ):
        assert site.client.get(f"{site.server.url}{address}").status_code == 404


def test_a_session_that_nobody_opened_has_no_messages(site: Site) -> None:
    answer = site.client.get(f"{site.server.url}gradio_api/queue/data?session_hash=nobody")
    assert '"success":true' not in answer.text.replace(" ", "")


# ---- another visitor's edits -----------------------------------------------------------------------------------------


def test_ids_and_sessions_of_another_change_and_show_nothing(site: Site) -> None:
    mine = site.caller()
    for edit in site.taught:
        calls = [
            (site.number("toggle"), [edit["id"], False]),
            (site.number("delete"), [edit["id"]]),
        ]
        for reply in mine.queue(calls):
            refused(site, reply)
            assert edit["prompt"] not in reply.text and edit["target"] not in reply.text
    for token in (
        "pupil",
        "session pupil",
        {"token": "session pupil"},
        {"token": "pupil" * 16},
        {"key": "session pupil"},
    ):
        for name in ("save", "draw"):
            reply = mine.run(site.number(name), [None, token][-len(dependency(site, name)["inputs"]) :])
            assert FACTS[0] not in reply.text
    assert mine.named("edits") == []


@pytest.mark.slow
def test_the_buttons_of_anothers_rows_cannot_be_pressed(site: Site) -> None:
    one, other = site.caller(), site.caller()
    one.named("edit", "Where was the ship built?", "Turin", "", "")
    (after,) = one.queue([(site.number("after"), [None, ""])])
    assert after.ok
    numbers = []
    for render in (d for d in site.config["dependencies"] if d["api_name"].startswith("apply")):
        (drawn,) = one.queue([(render["id"], [None] * len(render["inputs"]))])
        assert drawn.ok, drawn.text
        made = json.loads(drawn.text.rpartition("data: ")[2])["output"]["render_config"]
        numbers += [d["id"] for d in made["dependencies"]]
    assert numbers
    for number in numbers:
        for reply in (*other.queue([(number, [False, None, ""])]), *other.queue([(number, [])])):
            refused(site, reply)
        assert not other.run(number, [False, None, ""]).ok
    assert [edit["enabled"] for edit in one.named("edits")] == [True]
    one.named("delete", one.named("edits")[0]["id"])


def dependency(site: Site, name: str) -> dict[str, Any]:
    """Return a handler's words in the configuration."""
    return next(d for d in site.config["dependencies"] if d["api_name"] == name)


def test_what_is_sent_for_a_state_counts_for_nothing(site: Site) -> None:
    waiting = [{"line": 1, "request": {"prompt": MARK, "target": "Oslo"}}]
    for reply in site.stranger.queue([(site.number("teach_1"), [waiting, "skip", ""])]):
        refused(site, reply)
        assert "no list waiting" in reply.text
    for reply in site.stranger.queue([(site.number("replace"), [{"answers_now": site.taught[0]["id"]}, ""])]):
        refused(site, reply)


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(site: Site) -> bytes:
    """What the pupil saved."""
    with site.server.studio.registry.visit(site.server.studio.registry.visitor("pupil")) as workspace:
        return workspace.export()


def load(site: Site, path: object, who: Caller) -> Reply:
    """Have a file loaded that lies at a path on the server."""
    words = {"path": path, "meta": {"_type": "gradio.FileData"}}
    (reply,) = who.queue([(site.number("load"), [words, "skip", ""])])
    return reply


@pytest.mark.slow
def test_files_that_lie_are_refused_and_do_not_stay(site: Site, saved: bytes) -> None:
    assert len(LIES) >= 50
    for name, lie in LIES.items():
        reply = load(site, site.stranger.upload(lie(saved), "x.safetensors"), site.stranger)
        refused(site, reply)
        assert not list(site.uploads.rglob("*.safetensors")), name


@pytest.mark.parametrize(
    "name", ["../../x.csv", "/etc/x.csv", ".hidden", "a\\b.csv", "x" * 3000, "\u202ex.csv", f"{MARK}<b>.csv"]
)
def test_a_file_is_kept_in_its_place_whatever_its_name(site: Site, name: str) -> None:
    answer = site.client.post(f"{site.server.url}gradio_api/upload", files={"files": (name, b"prompt,target\na,\n")})
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500
        return
    path = Path(answer.json()[0]).resolve()
    assert path.is_relative_to(site.uploads)
    words = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    site.stranger.queue([(site.number("choose_1"), [words])])
    assert not path.exists()


def test_an_upload_is_no_larger_than_it_may_be_and_leaves_nothing(site: Site) -> None:
    for content in (b"x" * 4_000_001, b"x" * 9_000_000):
        answer = site.client.post(f"{site.server.url}gradio_api/upload", files={"files": ("x.csv", content)})
        assert answer.status_code == 413
    many = [("files", (f"{n}.csv", b"x" * 100_000)) for n in range(60)]
    assert site.client.post(f"{site.server.url}gradio_api/upload", files=many).status_code == 413
    pieces = (b"x" * 100_000 for _ in range(60))
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = site.client.post(f"{site.server.url}gradio_api/upload", content=pieces, headers=headers)
    assert answer.status_code in (400, 413)
    for headers in ({"Content-Type": "multipart/form-data"}, {"Content-Type": "text/plain"}):
        answer = site.client.post(f"{site.server.url}gradio_api/upload", content=b"x", headers=headers)
        assert answer.status_code == 400


@pytest.mark.slow
def test_two_visitors_who_upload_the_same_list_each_have_it_read(site: Site) -> None:
    content = b"prompt,target\nWhere?,Oslo\n"
    pupils = [site.caller() for _ in range(4)]
    paths = [pupil.upload(content) for pupil in pupils]
    assert len(set(paths)) == 4
    for pupil, path in zip(pupils, paths, strict=True):
        (reply,) = pupil.queue([(site.number("choose_1"), [{"path": path, "meta": {"_type": "gradio.FileData"}}])])
        assert reply.ok and "1 fact can be taught" in reply.text


@pytest.mark.slow
def test_saving_again_and_again_fills_no_disk(site: Site) -> None:
    def kept() -> list[Path]:
        return [path for path in site.uploads.rglob("*.safetensors") if path.is_file()]

    paths = []
    for _ in range(12):
        reply = site.pupil.run(site.number("save"), [""])
        paths.append(Path(json.loads(reply.text)["data"][1]["value"]["path"]))
    assert len(kept()) <= 4 and paths[-1].is_file() and not paths[0].exists()
    assert "pupil" not in str(paths[0])
    for path in kept():
        path.unlink()


# ---- in the browser --------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.browser
def test_no_script_of_a_visitors_text_runs(site: Site, chromium: str, tmp_path: Path) -> None:
    texts = [text for text in values(site.canary).values() if isinstance(text, str) and "hacked" in text]
    assert len(texts) >= 6
    registry = site.server.studio.registry
    with registry.claim(registry.visitor("writer")) as workspace:
        for text in texts:
            workspace.edit(EditRequest(prompt=f"{text} who?", target="Oslo", subject=text[:200], rephrases=(text,)))
        (tmp_path / "edits.safetensors").write_bytes(workspace.export())
    rows = [{"prompt": text, "target": ""} for text in texts] + [{"prompt": f"Where? {SCRIPT}", "target": SCRIPT}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda a: complaints.append(f"{a.url}: {a.request.post_data}") if a.status >= 400 else None)
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(site.server.url)
        expect(page.get_by_role("button", name="Teach this fact")).to_be_enabled(timeout=60_000)
        page.get_by_role("tab", name="Proof").click()
        with page.expect_file_chooser() as chooser:
            page.locator("#load").click()
        chooser.value.set_files(tmp_path / "edits.safetensors")
        expect(page.locator("#keep-status")).to_contain_text(f"{len(texts)} edits stored", timeout=60_000)
        with page.expect_file_chooser() as chooser:
            page.locator("#list").click()
        chooser.value.set_files(tmp_path / "list.jsonl")
        expect(page.locator("#keep-table")).to_contain_text("onerror", timeout=30_000)
        page.get_by_role("tab", name="Studio").click()
        expect(page.locator(".sola-row")).to_have_count(len(texts), timeout=30_000)
        for text in (texts[0], f"{texts[1]} who?"):
            page.get_by_label("Your question").fill(text)
            page.get_by_role("button", name="Ask both").click()
            expect(page.locator("#stop")).to_be_disabled(timeout=60_000)
            expect(page.locator("#compared")).to_contain_text("answers", timeout=60_000)
        page.locator("#delete-1").click()
        expect(page.locator("#yes-1")).to_be_visible(timeout=30_000)
        page.locator("#map-table button").first.click()
        page.wait_for_timeout(500)
        assert page.evaluate("window.hacked") is None
        browser.close()
    assert not complaints
