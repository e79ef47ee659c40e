"""A small class at the page at once; `python -m tests.load_test` is the same with eight browsers."""

from __future__ import annotations

import pytest

from sola_core.workspace import Limits
from tests.load_test import hold
from tests.serving import served


@pytest.mark.long
@pytest.mark.browser
def test_browsers_at_once_lose_nothing_and_never_see_each_others_edits(chromium: str) -> None:
    with served(limits=Limits(answer_tokens=4)) as server:
        figures = hold(server.url, chromium, 3, processes=1)
    assert figures.clean, figures
    assert (figures.facts, figures.questions, figures.switches, figures.deletes) == (9, 18, 6, 3)
