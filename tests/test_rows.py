"""The rows of edits as a browser gets them: their listeners outlive a redrawing, and go with their row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sola_core.ui.build import build
from sola_core.workspace import Limits
from tests.hostile import Caller
from tests.serving import Served, served

pytestmark = pytest.mark.slow

FACTS = ("What is the capital of France?", "Who wrote the book?")


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(limits=Limits(answer_tokens=2)) as found:
        yield found


class Browser:
    """What a browser does with the rows: it has them drawn, and presses what it was given."""

    def __init__(self, server: Served, client: httpx.Client) -> None:
        self.caller = Caller(server.url, "pupil", client)
        config: dict[str, Any] = build(server.studio).get_config_file()  # type: ignore[assignment]
        self._dependencies = config["dependencies"]
        self._numbers = {d["api_name"]: int(d["id"]) for d in self._dependencies}

    def follow(self) -> None:
        """Have the list of edits told to the page, as after every change."""
        (told,) = self.caller.queue([(self._numbers["after"], [None, ""])])
        assert told.ok, told.text

    def draw(self) -> dict[str, int]:
        """Have both halves of the rows drawn; return the listeners' numbers by the names of the buttons."""
        found = {}
        for render in (d for d in self._dependencies if d["api_name"].startswith("apply")):
            (drawn,) = self.caller.queue([(render["id"], [None] * len(render["inputs"]))])
            made = json.loads(drawn.text.rpartition("data: ")[2])["output"]["render_config"]
            names = {one["id"]: one["props"].get("elem_id") for one in made["components"]}
            found.update({names[target]: d["id"] for d in made["dependencies"] for target, _ in d["targets"]})
        return found

    def press(self, number: int) -> bool:
        """Press a button that takes nothing, and say whether it did something."""
        (reply,) = self.caller.queue([(number, [])])
        return reply.ok


def test_a_button_pressed_while_its_row_is_drawn_anew_still_does_what_it_says(server: Served) -> None:
    with httpx.Client(timeout=60) as client:
        browser = Browser(server, client)
        for prompt in FACTS:
            browser.caller.named("edit", prompt, "Oslo", "", "")
        browser.follow()
        before = browser.draw()
        assert {"delete-1", "delete-2", "open-1", "open-2"} <= set(before)
        browser.follow()
        after = browser.draw()

        assert after == before
        assert browser.press(before["delete-2"])
        asked = browser.draw()
        assert {"yes-2", "no-2", "delete-1"} <= set(asked) and "delete-2" not in asked
        assert asked["delete-1"] == before["delete-1"]
        browser.caller.named("delete", browser.caller.named("edits")[0]["id"])
        browser.follow()
        browser.draw()
        assert not browser.press(before["delete-1"])  # its row is gone, and so is what it did
