"""The map in a real Chromium: clicks on points, a zoom that stays, a new layout, what edits reach, and the spaces."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import Page, TimeoutError, expect

from tests.visits import HOSTILE, PROMPT, SECONDS, TARGET, Come

pytestmark = pytest.mark.browser


OTHER = "Who wrote the book?"
PLOT = "document.querySelector('#map-chart .js-plotly-plot')"
RANGES = f"() => [...{PLOT}.layout.xaxis.range, ...{PLOT}.layout.yaxis.range].map(end => Number(end.toFixed(6)))"
POINTS = f"""() => Object.fromEntries({PLOT}.data.flatMap(t => (t.customdata || []).map(
    (c, i) => [c.join(' '), [t.x[i], t.y[i]]])))"""


def wait_for_points(page: Page, count: int) -> dict[str, Any]:
    """Wait until so many edits' keys and questions are on the map; return their places."""
    page.wait_for_function(f"count => Object.keys(({POINTS})()).length === count", arg=count, timeout=30 * SECONDS)
    found: dict[str, Any] = page.evaluate(POINTS)
    return found


def click_point(page: Page, name: str, told: str) -> None:
    """Click a sign on the map with the mouse, as a visitor does, until it is told; `name` is its kind and its number."""
    for _ in range(5):  # panels above may still grow, and push the map from under the mouse
        page.locator("#map-chart").scroll_into_view_if_needed()
        x, y = page.evaluate(
            f"""name => {{ const plot = {PLOT}, [x, y] = ({POINTS})()[name], box = plot.getBoundingClientRect();
                const {{ xaxis, yaxis }} = plot._fullLayout;
                return [box.x + xaxis._offset + xaxis.d2p(x), box.y + yaxis._offset + yaxis.d2p(y)]; }}""",
            name,
        )
        page.mouse.move(x - 3, y)
        page.mouse.move(x, y, steps=3)
        page.wait_for_timeout(300)  # plotly needs to see the mouse over the point first
        page.mouse.click(x, y)
        with suppress(AssertionError):
            expect(page.locator("#map-details")).to_contain_text(told, timeout=4 * SECONDS)
            return
    expect(page.locator("#map-details")).to_contain_text(told)


def double_click(page: Page, wanted: list[float]) -> None:
    """Click twice on an empty spot of the map, until it shows these ranges."""
    same = f"wanted => String(({RANGES})()) === String(wanted)"
    for _ in range(5):
        page.locator("#map-chart").scroll_into_view_if_needed()
        x, y = page.evaluate(f"(() => {{ const b = {PLOT}.getBoundingClientRect(); return [b.x + 20, b.y + 20]; }})()")
        page.mouse.dblclick(x, y)
        with suppress(TimeoutError):
            page.wait_for_function(same, arg=wanted, timeout=4 * SECONDS)
            return
    page.wait_for_function(same, arg=wanted)


def test_a_zoom_stays_when_a_question_is_asked_and_a_click_tells_what_a_point_is(come: Come) -> None:
    visit = come(viewport={"width": 1440, "height": 1000})
    page = visit.page
    visit.teach(HOSTILE, "red")
    visit.ask(OTHER)
    before = wait_for_points(page, 2)
    whole = page.evaluate(RANGES)

    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_function(f"whole => ({RANGES})()[0] > whole[0]", arg=whole)
    zoomed = page.evaluate(RANGES)
    visit.ask(PROMPT)
    after = wait_for_points(page, 3)
    assert {name: after[name] for name in before} == before
    page.wait_for_function(f"wanted => String(({RANGES})()) === String(wanted)", arg=zoomed)

    double_click(page, whole)

    click_point(page, "0 1", "<img src=x onerror")
    expect(page.locator("#map-details")).to_contain_text("→ red")
    page.get_by_role("button", name="Show it in the list").click()
    expect(page.locator(".sola-marked")).to_contain_text("Delete edit 1")
    click_point(page, "1 1", "Question ?1")
    expect(page.get_by_label("Your question")).to_have_value(OTHER)
    assert page.evaluate("window.hacked") is None


@pytest.mark.long
def test_a_new_layout_what_edits_would_answer_and_the_three_spaces_can_be_asked_for(come: Come) -> None:
    visit, other = come(viewport={"width": 1440, "height": 1000}), come(viewport={"width": 390, "height": 844})
    page = visit.page
    other.page.get_by_role("button", name="Lay out anew").click()
    expect(other.page.locator("#map-status")).to_contain_text("Teach a fact first")
    visit.teach(PROMPT, TARGET)
    visit.ask("What is the capital of Spain?")
    before = wait_for_points(page, 2)
    page.get_by_role("button", name="Lay out anew").click()
    expect(page.locator("#map-status")).to_contain_text("Laid out anew", timeout=30 * SECONDS)
    new = wait_for_points(page, 2)
    assert new != before
    visit.ask(OTHER)
    assert {name: place for name, place in wait_for_points(page, 3).items() if name in new} == new

    page.get_by_label("Show what each edit would answer").check()
    expect(page.locator("#map-note")).to_contain_text("was asked about all", timeout=60 * SECONDS)
    visit.teach("Which company makes the engine of the ship?", "blue")
    expect(page.locator("#map-note")).to_contain_text("have changed since the count")
    page.get_by_role("button", name="Count again").click()
    expect(page.locator("#map-note")).to_contain_text("was asked about all", timeout=60 * SECONDS)
    page.get_by_label("Show what each edit would answer").uncheck()
    expect(page.locator("#map-note")).not_to_contain_text("was asked about")

    for found in (visit, other):
        if found is other:
            found.teach(PROMPT, TARGET)
        found.page.get_by_role("button", name="Compare the three spaces").click()
        for name in ("hidden", "sentence", "scope"):
            expect(found.page.locator(f"#space-{name} .main-svg").first).to_be_visible(timeout=90 * SECONDS)
        width = found.page.viewport_size["width"]  # type: ignore[index]
        found.page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
    expect(page.locator("#space-hidden-note")).to_contain_text("Cosine between two different facts")
    tops = [page.locator(f"#space-{name}").bounding_box()["y"] for name in ("hidden", "sentence", "scope")]  # type: ignore[index]
    assert len(set(tops)) == 1  # side by side
    page.locator("#spaces-table").get_by_role("button", name="The same as a table").click()
    expect(page.locator("#spaces-table table").last).to_contain_text("capital of Spain")
