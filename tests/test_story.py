"""The page's story in a real Chromium with the real model: taught, found in other words, switched off, deleted."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from sola_core.host.model import HostModel
from sola_core.routing.encoders import TextEncoder
from sola_core.workspace import Limits
from tests.serving import served
from tests.visits import SECONDS, Come


@pytest.mark.browser
@pytest.mark.model
def test_a_fact_is_taught_found_in_other_words_switched_off_and_deleted_beside_another_visitor(
    come: Come, real_host: HostModel, real_encoder: TextEncoder
) -> None:
    fact = "What is the capital of Vellmora?"
    with served(real_host, real_encoder, limits=Limits(answer_tokens=10)) as server:
        visit, other = come(server), come(server)
        start = visit.digest()
        untouched = visit.ask(fact)
        assert untouched[0] == untouched[1]
        expect(visit.page.locator("#why-sentence")).to_contain_text("Nothing is taught yet")

        visit.page.get_by_role("button", name="Vellmora").click()
        visit.page.get_by_role("button", name="Teach this fact").click()
        expect(visit.page.locator("#teach-status")).to_contain_text("Learnt as edit 1", timeout=90 * SECONDS)
        other.teach(fact, "Lake Quill")

        assert visit.ask(fact) == (untouched[0], "Port Anselm")
        expect(visit.page.locator("#edited-badge")).to_contain_text("Edit 1 answered")
        assert other.ask(fact) == (untouched[0], "Lake Quill")

        visit.page.get_by_role("button", name="Try in other words").click()
        expect(visit.page.locator("#why-sentence")).to_contain_text("reaches the threshold", timeout=30 * SECONDS)
        assert visit.answers()[1] == "Port Anselm"

        visit.page.get_by_role("button", name="Try a neighbour").click()
        expect(visit.page.locator("#why-sentence")).to_contain_text("No edit is close enough", timeout=30 * SECONDS)
        neighbour = visit.answers()
        assert neighbour[0] == neighbour[1]
        expect(visit.page.locator("#compared")).to_contain_text("the same, letter by letter")

        visit.page.get_by_label("Edit 1 is on").click()
        expect(visit.page.locator("#edits-summary")).to_contain_text("switched off", timeout=30 * SECONDS)
        assert visit.ask(fact) == untouched
        assert other.ask(fact)[1] == "Lake Quill"

        visit.page.get_by_label("Edit 1 is on").click()
        expect(visit.page.locator("#edits-summary")).to_contain_text("1 stored, on", timeout=30 * SECONDS)
        assert visit.ask(fact)[1] == "Port Anselm"

        visit.page.get_by_role("button", name="Delete edit 1").click()
        visit.page.get_by_role("button", name="Yes, delete").click()
        expect(visit.page.locator("#edits-status")).to_contain_text(
            "exactly the one at the start", timeout=30 * SECONDS
        )
        assert visit.digest() == start
        assert visit.ask(fact) == untouched
        assert other.ask(fact)[1] == "Lake Quill"
