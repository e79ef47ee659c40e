"""Inputs that no page would send, by name, and a caller that sends them as any program can.

Knows gradio's routes and nothing of the page's panels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

MARK = "zqxmark"  # stands in every text below: it may come back to who sent it, and must stand in no log
SCRIPT = f"<img src=x onerror=window.hacked=1><script>window.hacked=1</script>{MARK}"


def file_words(path: object, **more: object) -> dict[str, object]:
    """Return the words by which gradio's page names a file."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": f"{MARK}.csv", **more}


def nested(depth: int) -> list[Any]:
    """Return a list in a list in a list."""
    found: list[Any] = [MARK]
    for _ in range(depth):
        found = [found]
    return found


def values(canary: Path) -> dict[str, object]:
    """Return hostile values by name; `canary` is a file that nobody may read."""
    secret = str(canary)
    return {
        "nothing": None,
        "true": True,
        "zero": 0,
        "minus one": -1,
        "a large number": 10**30,
        "a fraction": 0.5,
        "not a number": float("nan"),
        "infinity": float("inf"),
        "an empty text": "",
        "white space": " \t\n",
        "markup": SCRIPT,
        "a template literal": f"${{window.hacked=1}}{MARK}",
        "a template of braces": f"{{{{window.hacked=1}}}} {{% raw %}} {{0.__class__}} %s %n {MARK}",
        "a link": f"[{MARK}](javascript:window.hacked=1)",
        "an svg": f"<svg onload=window.hacked=1>{MARK}</svg>",
        "a closing tag": f"</textarea></style></script><script>window.hacked=1</script>{MARK}",
        "attributes": f"\" onmouseover=\"window.hacked=1\" ' onfocus='window.hacked=1' {MARK}",
        "an entity": f"&lt;script&gt;{MARK}&#60;b&#62;",
        "sql": f"'; DROP TABLE edits; -- {MARK}",
        "a shell": f"$(touch {canary.parent}/shell) `touch {canary.parent}/shell` {MARK}",
        "a pickle": f"\x80\x04cos\nsystem\n(S'true'\ntR.{MARK}",
        "a path": secret,
        "a path upwards": "../" * 12 + secret.lstrip("/"),
        "a path of windows": f"..\\..\\{MARK}",
        "a device": "/dev/zero",
        "a file address": f"file://{secret}",
        "the page's own file route": f"/gradio_api/file={secret}",
        "an address": f"http://127.0.0.1:9/{MARK}",
        "control characters": f"{MARK}\x00\x07\x1b[31m",
        "directions": f"\u202e{MARK}\u2066\u200b\ufeff",
        "half a character": f"{MARK}\ud800",
        "many combining marks": MARK + "\u0301" * 3000,
        "an endless text": MARK + "x" * 300_000,
        "many lines": f"{MARK}\n" * 5000,
        "a list": [MARK],
        "an empty list": [],
        "a list of lists": [[MARK, [None, {MARK: [1]}]]],
        "a deep list": nested(200),
        "an empty dictionary": {},
        "a dictionary": {MARK: {MARK: MARK}},
        "a dictionary with enormous keys": {MARK + "k" * 50_000: 1},
        "prototype": {"__proto__": {"hacked": 1}, "constructor": MARK, "__class__": MARK},
        "an update": {"__type__": "update", "value": SCRIPT, "visible": True},
        "an update of old": {"_type": "update", "value": SCRIPT},
        "a component": {"_type": "component", "props": {"value": MARK}},
        "bytes": {"_type": "bytes", "data": [1, 2, 3]},
        "a stream": {"is_stream": True, "path": secret, "meta": {"_type": "gradio.FileData"}},
        "a file": file_words(secret),
        "a file upwards": file_words("../" * 12 + secret.lstrip("/")),
        "a file relative": file_words("canary.txt"),
        "a file hidden": file_words(".hidden"),
        "a file of the system": file_words("/etc/passwd"),
        "a folder": file_words(str(canary.parent)),
        "a file by address": file_words(f"http://127.0.0.1:9/{MARK}"),
        "a file with an address": file_words(secret, url=f"http://127.0.0.1:9/{MARK}"),
        "a file of numbers": file_words(7),
        "a file of no name": file_words(""),
        "a file with a zero": file_words(f"/tmp/{MARK}\x00.csv"),
        "a file far inside": {"a": [{"b": file_words(secret)}]},
        "files": [file_words(secret), file_words(secret)],
        "base64": f"data:text/csv;base64,cHJvbXB0LHRhcmdldA=={MARK}",
        "a forged token": {"token": "0" * 64, "router": "hidden"},
        "a token of the wrong kind": {"token": ["x"], "router": {"a": MARK}},
        "a router of markup": {"token": "", "router": SCRIPT},
        "a question of the map": {"number": 1, "text": SCRIPT, "edit_id": MARK},
        "a waiting fact": {"request": {"prompt": MARK, "target": MARK}, "answers_now": MARK},
        "a waiting list": [{"line": 1, "request": {"prompt": MARK, "target": MARK}}],
    }


@dataclass
class Reply:
    """What came back for one request."""

    ok: bool
    status: int
    text: str
    data: list[Any] = field(default_factory=list)


@dataclass
class Caller:
    """A program that calls the page's handlers by their numbers."""

    url: str
    session: str
    client: httpx.Client
    numbers: dict[str, int] = field(default_factory=dict)  # of the handlers, by name

    def post(self, path: str, body: object, **more: Any) -> httpx.Response:
        """Send JSON as Python writes it, NaN and halves of characters included."""
        content = json.dumps(body).encode("utf-8")
        headers = {"Content-Type": "application/json"}
        return self.client.post(f"{self.url}gradio_api/{path}", content=content, headers=headers, **more)

    def run(self, number: int, data: list[object], **more: object) -> Reply:
        """Call a handler at once."""
        answer = self.post("run/predict", {"data": data, "fn_index": number, "session_hash": self.session, **more})
        return Reply(ok=answer.status_code == 200, status=answer.status_code, text=answer.text)

    def queue(self, calls: Iterable[tuple[int, list[object]]]) -> list[Reply]:
        """Call queued handlers side by side and wait for all of them."""
        waiting: dict[str, int] = {}
        replies: list[Reply] = []
        for number, data in calls:
            answer = self.post("queue/join", {"data": data, "fn_index": number, "session_hash": self.session})
            replies.append(Reply(ok=False, status=answer.status_code, text=answer.text))
            if answer.status_code == 200:
                waiting[answer.json()["event_id"]] = len(replies) - 1
        if not waiting:
            return replies
        path = f"{self.url}gradio_api/queue/data?session_hash={self.session}"
        with self.client.stream("GET", path) as events:
            for line in events.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") in ("process_completed", "process_generating") and message.get("event_id"):
                    reply = replies[waiting[message["event_id"]]]
                    reply.text += line
                    if message["msg"] == "process_completed":
                        reply.ok = bool(message["success"])
                        reply.data = (message.get("output") or {}).get("data") or []
                        del waiting[message["event_id"]]
                if not waiting:
                    break
        assert not waiting, "the stream ended without all answers"
        return replies

    def named(self, name: str, *data: object) -> Any:
        """Call an endpoint by its name and return what it gives; it must succeed."""
        if not self.numbers:
            config = self.client.get(f"{self.url}config").json()
            self.numbers.update({d["api_name"]: int(d["id"]) for d in config["dependencies"]})
        (reply,) = self.queue([(self.numbers[name], list(data))])
        assert reply.ok, reply.text
        return reply.data[0]

    def upload(self, content: bytes, name: str = "x.csv") -> str:
        """Upload a file and return the path that the server gives it."""
        answer = self.client.post(f"{self.url}gradio_api/upload", files={"files": (name, content)})
        assert answer.status_code == 200, answer.text
        return str(answer.json()[0])
