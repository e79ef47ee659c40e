"""The busy page: there at once, honest while it loads and when it fails, and replaced by the studio on the same port."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gradio_client import Client
from playwright.sync_api import expect, sync_playwright

import app
from sola_core.errors import HostUnavailable, InvalidInput
from sola_core.settings import Settings
from sola_core.studio import OnProgress, Studio, open_studio
from sola_core.ui import texts
from sola_core.ui.build import build, launch
from sola_core.ui.lobby import Health, Lobby
from sola_core.ui.serve import serve
from tests.chromium import FLAGS
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

ROOT = Path(__file__).parent.parent
SECONDS = 1000  # milliseconds in one
FETCHING = "Fetching a <b>tiny</b> model (7 MB)"
REASON = "There is no room left on the disk for the model. Free some <b>space</b>, then start again."


@dataclass
class Starting:
    """A server that waits to be let go or to be failed."""

    process: subprocess.Popen[str]
    url: str
    folder: Path

    def go(self) -> None:
        (self.folder / "go").touch()

    def until(self, status: str) -> tuple[int, dict[str, object]]:
        """Wait for a status of the health endpoint and return it with its HTTP code."""
        for _ in range(600):
            code, text = get(f"{self.url}health")
            if code and json.loads(text)["status"] == status:
                return code, json.loads(text)
            assert self.process.poll() is None or status == "failed", "the server has ended"
            time.sleep(0.1)
        raise AssertionError(f"the server never was {status}")


def get(url: str) -> tuple[int, str]:
    """Return status and text; 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Starting]:
    port = free_port()
    command = [sys.executable, "-m", "tests.slow_page", str(port), str(tmp_path)]
    around = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path / "files")}
    process = subprocess.Popen(command, cwd=ROOT, env=around, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Starting(process, f"http://127.0.0.1:{port}/", tmp_path)
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.slow
def test_the_page_is_busy_until_it_is_the_studio_and_health_says_which(starting: Starting) -> None:
    code, health = starting.until("loading")
    assert code == 503
    for _ in range(300):
        if health["message"] == FETCHING:
            break
        time.sleep(0.1)
        code, health = starting.until("loading")
    assert health == {"status": "loading", "message": FETCHING, "progress": 0.25} and code == 503
    code, page = get(starting.url)
    assert code == 503 and "SoLA Studio is starting" in page and "http-equiv" in page
    assert get(f"{starting.url}gradio_api/info")[0] == 503
    with pytest.raises(Exception):
        Client(starting.url, verbose=False)
    starting.go()
    code, health = starting.until("ready")
    assert code == 200 and health == {"status": "ready", "message": "Ready.", "progress": None}
    assert "gradio" in get(starting.url)[1]
    assert Client(starting.url, verbose=False).predict(api_name="/edits") == []


@pytest.mark.slow
def test_a_failed_start_is_told_to_those_who_watch_and_ends_with_an_error() -> None:
    heard: list[tuple[int, str]] = []
    watchers: list[threading.Thread] = []

    def watch(url: str) -> None:
        for _ in range(100):
            heard.append(get(url))
            time.sleep(0.05)

    def load(settings: Settings, on_progress: OnProgress) -> Studio:
        watchers.append(threading.Thread(target=watch, args=(f"http://127.0.0.1:{port}/health",)))
        watchers[0].start()
        time.sleep(0.3)
        raise HostUnavailable(REASON)

    port = free_port()
    with pytest.raises(HostUnavailable, match="no room left"):
        serve(load, port=port)
    watchers[0].join()
    told = [json.loads(text) for code, text in heard if code]
    assert told[0]["status"] == "loading" and told[-1] == {"status": "failed", "message": REASON, "progress": None}
    assert {code for code, _ in heard} == {503, 0}  # and then the server is gone


def test_a_start_that_breaks_shows_no_insides() -> None:
    def load(settings: Settings, on_progress: OnProgress) -> Studio:
        raise RuntimeError("a secret of the server")

    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(Lobby, "fail", lambda self, text: told.append(text))
        serve(load, port=free_port())
    assert told == [texts.NOT_LOADED]


def test_an_unknown_model_ends_the_app_with_one_sentence_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--model", "no such model", "--port", str(free_port())]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("SoLA Studio cannot start: There is no model called 'no such model'")


@pytest.mark.long
@pytest.mark.browser
def test_a_browser_sees_a_failed_start_keeps_its_reason_and_becomes_the_studio_after_the_next(chromium: str) -> None:
    expect.set_options(timeout=60 * SECONDS)
    port = free_port()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page()
        lobby = Lobby(port=port)
        lobby.say(FETCHING, 0.256)
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.get_by_role("heading", name="SoLA Studio is starting")).to_be_visible()
        expect(page.get_by_role("status")).to_have_text(f"{FETCHING}: 25 %")  # as text, not as markup
        assert page.get_by_role("progressbar").get_attribute("value") == "0.256"
        lobby.fail(REASON)
        lobby.close()
        expect(page.get_by_role("heading", name="SoLA Studio could not start")).to_be_visible()
        page.wait_for_timeout(4 * SECONDS)  # it asks again and finds nobody
        expect(page.get_by_role("status")).to_have_text(REASON)
        lobby = Lobby(port=port)
        expect(page.get_by_role("status")).to_have_text(texts.STARTING)
        studio = open_studio(host=tiny_host(), encoder=tiny_encoder(), use_umap=False)
        built = build(studio)
        lobby.close()
        try:
            launch(built, studio, port=port, block=False)
            expect(page.get_by_role("button", name="Ask both")).to_be_enabled()
        finally:
            built.close(verbose=False)
            studio.registry.close()
        browser.close()


# ---- the lobby by itself ----


def test_nobody_watching_a_failure_is_not_waited_for() -> None:
    lobby = Lobby(port=0)
    try:
        began = time.monotonic()
        lobby.fail("No.")
        assert time.monotonic() - began < 1.0
    finally:
        lobby.close()


def test_the_port_is_free_again_at_once() -> None:
    lobby = Lobby(port=0)
    get(f"http://127.0.0.1:{lobby.port}/")
    lobby.close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", lobby.port))


def test_a_port_that_is_taken_is_told_in_words_and_without_one_the_next_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InvalidInput, match="Choose another --port"):
            Lobby(port=port)
        monkeypatch.setenv("GRADIO_SERVER_PORT", str(port))
        lobby = Lobby()
        assert lobby.port > port
        lobby.close()
    monkeypatch.setenv("GRADIO_SERVER_PORT", "one")
    with pytest.raises(InvalidInput, match="GRADIO_SERVER_PORT is 'one'"):
        Lobby()


def test_a_personal_library_is_refused_to_other_computers_before_anything_is_loaded() -> None:
    with pytest.raises(InvalidInput, match="this computer only"):
        Lobby("0.0.0.0", 0, personal=True)


def test_only_ready_is_a_success() -> None:
    assert [Health(status=status).code for status in ("loading", "failed", "ready")] == [503, 503, 200]  # type: ignore[arg-type]
