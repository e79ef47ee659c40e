"""Nothing that a visitor types, and no secret of a visitor, reaches the log of a server: all that it prints is read."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
MARK = "hush7391"  # in everything that is sent
LONG = MARK + "x" * 100_000


def send(url: str, body: object = None, headers: dict[str, str] | None = None) -> int:
    """Send anything anywhere; return the status, 0 when the connection broke."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            answer.read(2000)
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def raw(port: int, sent: bytes) -> None:
    """Send bytes that are no HTTP."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(sent)
        line.recv(1000)


def provoke(url: str, port: int) -> None:
    """Do all that a visitor can do wrong, and some that is right."""
    client = Client(url, verbose=False, headers={"x-note": MARK})
    client.session_hash = f"{MARK}session"
    client.predict(f"What does {MARK} mean?", "Oslo", api_name="/edit")
    client.predict(f"What does {MARK} mean?", api_name="/ask")
    for name, arguments in (
        ("/edit", (f"{MARK} \u0007", "Oslo")),
        ("/edit", (LONG, "Oslo")),
        ("/edit", (f"a {MARK}", f"{MARK} " * 300)),
        ("/edit", ({MARK: MARK}, [MARK])),
        ("/ask", ([MARK],)),
        ("/toggle", (MARK, True)),
        ("/toggle", (MARK, MARK)),
        ("/delete", (f"<img src={MARK}>",)),
    ):
        with pytest.raises(AppError):
            client.predict(*arguments, api_name=name)
    token = {"token": MARK, "router": MARK, MARK: MARK}
    config = json.loads(urllib.request.urlopen(f"{url}config", timeout=30).read())
    for dependency in config["dependencies"]:
        for junk in (token, {"path": f"/tmp/{MARK}", "meta": {"_type": "gradio.FileData"}}):
            body = {"data": [junk] * len(dependency["inputs"]), "fn_index": dependency["id"], "session_hash": MARK}
            send(f"{url}gradio_api/{'run/predict' if dependency['queue'] is False else 'queue/join'}", body)
    time.sleep(1)  # what was queued runs
    for path in (
        "",
        "health",
        "config",
        "gradio_api/info",
        "gradio_api/file=",
        "gradio_api/upload",
        "gradio_api/call/",
        "login",
    ):
        send(f"{url}{path}{MARK}?token={MARK}")
        send(f"{url}{path}?{MARK}", {MARK: MARK}, {"Authorization": f"Bearer {MARK}", "Cookie": f"a={MARK}"})
        send(f"{url}{path}", f'{{"{MARK}": '.encode())
    send(f"{url}gradio_api/queue/data?session_hash={MARK}")
    send(f"{url}gradio_api/call/edit", {"data": [MARK]})
    send(f"{url}gradio_api/call/edit", {"data": MARK, "session_hash": MARK})
    send(f"{url}gradio_api/component_server", {"data": MARK, "fn_name": MARK, "component_id": 1, "session_hash": MARK})
    send(f"{url}gradio_api/upload", f"--{MARK}".encode(), {"Content-Type": f"multipart/form-data; boundary={MARK}"})
    raw(port, f"{MARK} {MARK}\r\n\r\n".encode())
    raw(port, f"GET /{MARK} HTTP/1.1\r\n{MARK}\r\n\r\n".encode())


def test_what_visitors_send_is_printed_nowhere(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    around = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path / "files")}
    printed = tmp_path / "printed"
    url = f"http://127.0.0.1:{port}/"
    with printed.open("wb") as out:
        command = [sys.executable, "-m", "tests.slow_page", str(port), str(tmp_path)]
        process = subprocess.Popen(command, cwd=ROOT, env=around, stdout=out, stderr=out)
        try:
            while send(f"{url}{MARK}") == 0:  # the busy page is asked too
                time.sleep(0.1)
            for _ in range(600):
                if send(f"{url}health") == 200:
                    break
                time.sleep(0.1)
            provoke(url, port)
            assert send(f"{url}health") == 200
        finally:
            process.terminate()
            process.wait(30)
    text = printed.read_text(encoding="utf-8", errors="replace")
    assert "Running on local URL" in text  # so what is printed is what is read
    where = [line for line in text.splitlines() if MARK in line]
    assert not where, where[:5]
