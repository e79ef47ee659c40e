"""The page of examples is true: its Python and its curl run against a page, and it names every endpoint and field."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sola_core.ui.wire import AskJson, CandidateJson, EditJson, RouteJson
from sola_core.workspace import Limits
from tests.serving import Served, served

pytestmark = pytest.mark.slow

TEXT = (Path(__file__).parent.parent / "assets" / "docs" / "api.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:7860"


def blocks(language: str) -> str:
    """Return the code of a language, one block after another, as one program."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(limits=Limits(answer_tokens=32)) as found:
        yield found


def test_the_python_examples_run_as_they_stand(server: Served) -> None:
    code = blocks("python")
    assert code.count("assert") >= 6 and set(re.findall(r'api_name="(/\w+)"', code)) == set(
        re.findall(r"^\| `(/\w+)`", TEXT, re.M)
    )
    exec(compile(code.replace(ADDRESS, server.url.rstrip("/")), "api.md", "exec"), {})


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")
def test_the_curl_examples_teach_and_ask_in_one_session(server: Served) -> None:
    script = "set -e\n" + blocks("bash").replace(ADDRESS, server.url.rstrip("/"))
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count("event: complete") == 2 and "event: error" not in done.stdout
    assert '"answer": "Ada Brambleworth"' in done.stdout


def test_every_field_is_named() -> None:
    for form in (EditJson, AskJson, RouteJson, CandidateJson):
        for name in form.__annotations__:
            assert f"`{name}`" in TEXT, name
