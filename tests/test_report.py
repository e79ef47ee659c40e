"""The page of a result: complete, without a network, and no text of the data is ever markup."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sola_core.__main__ import main
from sola_core.errors import InvalidInput
from sola_core.evaluation.report import report_page
from sola_core.evaluation.report_charts import interval, plain, wrapped
from sola_core.evaluation.report_parts import LISTED
from sola_core.evaluation.report_sections import content_of

EVIL = "<script>document.title='taken'</script><img src=https://example.org/x.png onerror=alert(1)>"


def asked(kind: str, outcome: str, good: bool, text: str = "Oslo") -> dict[str, object]:
    return {
        "row_id": "a",
        "kind": kind,
        "prompt": f"{kind} of France?",
        "text": text,
        "stopped": "end",
        "good": good,
        "outcome": outcome,
        "wanted": "Turin",
    }


BENCH: dict[str, Any] = {
    "figures": {"reliability": 0.5, "locality_nq": 1.0},
    "seed": 3,
    "report": {
        "taught": [
            {"prompt": "Capital?", "target": "Turin", "edit_id": "1", "failure": ""},
            {"prompt": "Too long?", "target": "red red", "edit_id": None, "failure": "it has too many tokens"},
        ],
        "asked": [
            asked("reliability", "right", True),
            asked("reliability", "wrong", False, "Madrid"),
            asked("generality", "missed", False),
            asked("nq", "untouched", True),
            asked("Forgetfulness", "false fire", False),
        ],
        "settings": {"router": "scope"},
        "surroundings": {"host": "tiny-host"},
    },
}
RUN: dict[str, Any] = {
    "router": "scope",
    "edits": 10,
    "counts": {"rephrase": 4},
    "figures": {"recall": 0.75, "false_fire": 0.02, "auc": 0.9},
    "roc": [
        {"threshold": 0.9, "false_fire": 0.0, "recall": 0.5},
        {"threshold": 0.1, "false_fire": 0.05, "recall": 1.0},
    ],
}
SCOPE: dict[str, Any] = {
    "figures": {"recall": 0.75},
    "report": {
        "router": "scope",
        "edits": 100,
        "cases": [
            {"row_id": "a", "prompt": "right?", "kind": "rephrase", "positive": True, "routed": "a", "best_score": 1.0},
            {
                "row_id": "a",
                "prompt": "gone?",
                "kind": "rephrase",
                "positive": True,
                "routed": None,
                "best_score": None,
            },
            {"row_id": "a", "prompt": "fired?", "kind": "nq", "positive": False, "routed": "b", "best_score": 0.7},
            {"row_id": "a", "prompt": "quiet?", "kind": "nq", "positive": False, "routed": None, "best_score": 0.1},
        ],
    },
    "runs": [RUN, {**RUN, "edits": 100}, {**RUN, "router": "hidden"}, {**RUN, "router": "hidden", "edits": 100}],
}
GENERAL: dict[str, Any] = {
    "figures": {"perplexity": 20.5},
    "report": {
        "edits": 2,
        "windows": [
            {"text": "A river.", "tokens": 2, "edit_id": None, "nats": 6.0, "base_nats": 6.0},
            {"text": "A city.", "tokens": 2, "edit_id": "7", "nats": 7.0, "base_nats": 6.0},
        ],
        "questions": [
            {"prompt": "who?", "text": "x", "base_text": "y", "identical": False, "bit_equal": False},
            {"prompt": "same?", "text": "x", "base_text": "x", "identical": True, "bit_equal": True},
        ],
    },
}


def listed(stored: object) -> list[str]:
    """Return the text of every case that the page lists."""
    items = re.findall(r"<li data-kind=.*?</li>", report_page(stored), re.DOTALL)
    return [re.sub(r"<[^>]+>", " ", item) for item in items]


def test_every_failure_is_listed_and_nothing_else() -> None:
    found = listed(BENCH)
    assert len(found) == 4
    assert "another edit answered" in found[0] and "Madrid" in found[0] and "Turin" in found[0]
    assert "it has too many tokens" in found[-1]
    assert [("gone?" in text, "fired?" in text) for text in listed(SCOPE)] == [(True, False), (False, True)]
    assert len(listed(GENERAL)) == 2
    right = copy.deepcopy(BENCH)
    right["report"]["asked"], right["report"]["taught"] = right["report"]["asked"][:1], []
    assert listed(right) == [] and "None." in report_page(right)


def test_charts_and_their_tables_have_the_same_numbers() -> None:
    content = content_of(BENCH)
    heat = content.charts["router"]["data"][0]
    assert heat["y"] == ["reliability", "generality", "nq", "Forgetfulness"]
    assert heat["customdata"][0] == [1, 1, 0, 0, 0] and heat["z"][0] == [0.5, 0.5, 0.0, 0.0, 0.0]
    bars = {
        name: x for trace in content.charts["shares"]["data"] for name, x in zip(trace["y"], trace["x"], strict=True)
    }
    assert bars == {"reliability": 0.5, "generality": 0.0, "nq": 1.0, "Forgetfulness": 0.0}
    counted = '<td class="number"><bdi>2</bdi></td><td class="number"><bdi>1</bdi></td>'
    assert f"<bdi>reliability</bdi></td><td><bdi>follows from the facts</bdi></td>{counted}" in content.body
    ticks = content.charts["shares"]["layout"]["yaxis"]
    assert ticks["ticktext"][ticks["tickvals"].index("reliability")] == "reliability<br>1 of 2"


def test_a_forgetting_curve_is_drawn_where_there_is_one() -> None:
    assert "curve" not in content_of(BENCH).charts
    curved = copy.deepcopy(BENCH)
    curved["report"]["curve"] = [{"n": 10, "reliability": 1.0, "generality": 0.9}, {"n": 1000, "reliability": 0.8}]
    chart = content_of(curved).charts["curve"]
    assert {t["name"]: list(zip(t["x"], t["y"], strict=True)) for t in chart["data"]} == {
        "reliability": [(10, 1.0), (1000, 0.8)],
        "generality": [(10, 0.9)],
    }
    assert chart["layout"]["xaxis"]["type"] == "log"


def test_the_routers_page_has_curves_and_figures_against_the_number_of_edits() -> None:
    charts = content_of(SCOPE).charts
    assert [t["name"] for t in charts["roc"]["data"]] == ["scope", "scope, as shipped", "hidden", "hidden, as shipped"]
    assert charts["by-recall"]["data"][1]["x"] == [10, 100]
    assert "by-routing_ms" not in charts  # no such figure here
    single = {**SCOPE, "runs": [RUN]}
    assert list(content_of(single).charts) == ["roc"]
    page = report_page({**single, "figures": {"recall": 0.75, "hidden_recall": 0.1, "routing_ms": 3.0}})
    assert "by-recall" not in page and ">recall<" in page
    assert "hidden_<wbr>recall" in page and "routing_<wbr>ms" in page
    assert "hidden_<wbr>recall" not in report_page(
        {
            **SCOPE,
            "report": {**SCOPE["report"], "figures": {"recall": 0.75}},
            "figures": {"recall": 1, "hidden_recall": 1},
        }
    )


@pytest.mark.parametrize("stored", [BENCH, SCOPE, GENERAL])
def test_no_text_of_the_data_is_markup_wherever_it_stands(stored: dict[str, Any]) -> None:
    def poisoned(value: object) -> object:
        if isinstance(value, dict):
            return {name: poisoned(item) for name, item in value.items()}
        if isinstance(value, list):
            return [poisoned(item) for item in value]
        return EVIL + value if isinstance(value, str) else value

    evil = {
        **stored,
        "report": poisoned(stored["report"]),
        "figures": {EVIL: 1.0},
        "runs": poisoned(stored.get("runs", [])),
    }
    page = report_page(evil)
    assert "<img" not in page
    assert page.count("<script") == report_page(stored).count("<script")
    for chart in content_of(evil).charts.values():
        assert "<" not in "".join(str(t.get(name, "")) for t in chart["data"] for name in ("name", "y"))


@pytest.mark.parametrize("stored", [BENCH, SCOPE, GENERAL])
def test_plotly_knows_every_field_of_every_chart(stored: dict[str, Any]) -> None:
    go = pytest.importorskip("plotly.graph_objects")
    charts = content_of(stored).charts
    assert charts
    for chart in charts.values():
        data = [{**t, **({"colorscale": "Greys"} if t["type"] == "heatmap" else {})} for t in chart["data"]]
        go.Figure({"data": data, "layout": chart["layout"]})


def test_reports_with_fewer_fields_still_give_a_page() -> None:
    for report in (
        {"asked": []},
        {"cases": []},
        {"windows": []},
        {"asked": [{"kind": "x"}], "curve": [{"n": None}, 3]},
    ):
        assert "<main>" in report_page({"report": report})
    report_page(
        {"report": {"cases": []}, "runs": [{"router": "scope"}, {"router": "scope", "figures": {"recall": None}}]}
    )


@pytest.mark.parametrize("stored", [[], 3, {}, {"report": {}}, {"report": {"checks": []}, "figures": {}}])
def test_another_json_is_refused_in_words(stored: object) -> None:
    with pytest.raises(InvalidInput, match="no result"):
        report_page(stored)


def test_a_long_list_says_how_much_is_left_out() -> None:
    many = copy.deepcopy(BENCH)
    many["report"]["asked"] = [asked("nq", "false fire", False)] * (LISTED + 5)
    page = report_page(many)
    assert page.count("<li data-kind") == LISTED
    assert "6 more are in the JSON" in page  # with the fact that could not be taught


def test_intervals_hold_their_share_and_stay_within_0_and_1() -> None:
    for good, total in ((0, 1), (1, 1), (99, 100), (0, 300), (5, 10)):
        low, high = interval(good, total)
        assert 0.0 <= low <= good / total <= high <= 1.0
    assert interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wrapped("portability_Subject_Aliasing") == "portability_Subject_<br>Aliasing"
    assert wrapped("<b> " * 40).count("&lt;b&gt;") == 20
    assert plain("a <b> & " + "c" * 90).startswith("a &lt;b&gt; &amp; cc")


def test_the_command_makes_a_page_of_a_stored_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, page = tmp_path / "bench.json", tmp_path / "bench.html"
    result.write_text(json.dumps(BENCH), encoding="utf-8")
    assert main(["report", str(result), "--html", str(page)]) == 0
    assert "Madrid" in page.read_text(encoding="utf-8")
    result.write_text("{", encoding="utf-8")
    assert main(["report", str(result), "--html", str(page)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", ["bench", "scope", "general"])
def test_a_page_that_cannot_be_written_is_refused_before_any_work(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [command, "--data", "nothere.jsonl", "--html"]
    with pytest.raises(SystemExit):
        main([*words, str(tmp_path / "nofolder" / "a.html")])
    assert "no place for a file" in capsys.readouterr().err
    monkeypatch.setattr("sola_core.__main__.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        main([*words, str(tmp_path / "a.html")])
    assert "pip install" in capsys.readouterr().err


@pytest.mark.browser
def test_the_page_draws_filters_and_asks_no_network(chromium: str, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    path = tmp_path / "report.html"
    evil = copy.deepcopy(BENCH)
    evil["report"]["asked"].append(asked(EVIL, "missed", False, EVIL))
    path.write_text(report_page(evil), encoding="utf-8")
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(120_000)  # for a busy machine
        requests: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(path.as_uri())
        page.locator("#router .main-svg").first.wait_for()
        assert page.locator("#shares .point").count() == 5
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_label("Search").fill("madrid")
        assert page.locator("#cases > li:visible").count() == 1
        page.get_by_label("Search").fill("")
        page.locator("#kind").select_option("generality")
        assert page.locator("#shown").inner_text() == "1 of 5 shown"
        assert page.title() == "Benchmark: 2 facts"
        browser.close()
    assert requests == [path.as_uri()] and not wrong
