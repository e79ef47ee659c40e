"""What a report shows of each measurement: bench, scope and general, read from the JSON that they write.

Knows the fields of that JSON, and does without those that are absent: a report may be older or newer than this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Any

from sola_core.errors import InvalidInput
from sola_core.evaluation.questions import APART
from sola_core.evaluation.report_charts import Chart, bars, heat, interval, lines, scatter
from sola_core.evaluation.report_parts import Case, browser, charts, note, number, section, settings, table, twin

Stored = Mapping[str, Any]
OUTCOMES = ("right", "wrong", "missed", "untouched", "false fire")
VERDICTS = {
    "right": "the right edit answered",
    "wrong": "another edit answered",
    "missed": "no edit answered",
    "untouched": "no edit answered",
    "false fire": "an edit answered",
}
CURVE = ("n", "edits", "stored")  # names of the number of edits in a forgetting curve
AGAINST = (  # figures that are drawn against the number of edits
    ("auc", "area", True),
    ("recall", "recall", True),
    ("wrong_edit", "wrong edit", True),
    ("false_fire", "false fires", True),
    ("routing_ms", "milliseconds", False),
)
FLOOR = 0.001  # false fires below are drawn here: the axis is a logarithm
LEVELS = (0.001, 0.01, 0.05, 0.1)


@dataclass(frozen=True, kw_only=True)
class Content:
    """One report, ready to be put on a page."""

    title: str
    body: str
    foot: str = ""
    charts: Mapping[str, Chart] = field(default_factory=dict)


def content_of(stored: Stored) -> Content:
    """Return what a report shows; raise InvalidInput for a JSON of another kind."""
    report = stored.get("report")
    if isinstance(report, Mapping):
        for name, make in (("asked", _bench), ("cases", _scope), ("windows", _general)):
            if isinstance(report.get(name), Sequence):
                return make(stored, report)
    raise InvalidInput("This is no result of bench, scope or general. Give a file that one of them wrote with --json.")


def _bench(stored: Stored, report: Stored) -> Content:
    asked = _records(report, "asked")
    kinds = list(dict.fromkeys(_text(a, "kind") for a in asked))
    by_kind = {kind: [a for a in asked if _text(a, "kind") == kind] for kind in kinds}
    good = [
        (kind, _group(kind, here), sum(bool(a.get("good")) for a in here), len(here)) for kind, here in by_kind.items()
    ]
    routed = [[sum(a.get("outcome") == o for a in here) for o in OUTCOMES] for here in by_kind.values()]
    curve = [point for point in _records(report, "curve") if _edits(point) is not None]
    figures = {"shares": bars(good), "router": heat(kinds, OUTCOMES, routed)} if kinds else {}
    if curve:
        series = {
            n: [(_edits(p) or 0.0, v) for p in curve if (v := _number(p, n)) is not None] for n in _measured(curve)
        }
        figures["curve"] = lines(series, x_title="facts stored", y_title="share", log_x=_wide(curve), share=True)
    shares = [(k, str(t), str(g), f"{g / t:.3f}", "{:.3f} to {:.3f}".format(*interval(g, t))) for k, _, g, t in good]
    counted = [(kind, *map(str, line)) for kind, line in zip(kinds, routed, strict=True)]
    body = [
        section(
            "How answers score",
            note("Free-running answers, exact text and a natural stop; where nothing was taught, the base model's answer. Bars: 95 % intervals."),
            charts("shares", height=90 + 44 * len(kinds), label="Share of good answers by kind"),
            twin(table("Good answers by kind", ["kind", "asked", "good", "share", "95 % interval"], shares)),
        ),
        section(
            "What the router did",
            note("Share of each kind's questions. A question about a fact belongs in the first column, any other in the fourth."),
            charts("router", height=90 + 44 * len(kinds), label="What the router did, by kind"),
            twin(table("What the router did, counted", ["kind", *OUTCOMES], counted)),
        ),
    ]  # fmt: skip
    if curve:
        rows = [(number(_edits(p)), *(number(p.get(n)) for n in _measured(curve))) for p in curve]
        shown = table("Scores by facts stored", ["facts", *_measured(curve)], rows, texts=0)
        body.append(section("As more is taught", charts("curve", label="Scores by facts stored"), twin(shown)))
    body.append(section("What went wrong", browser(_bench_failures(report, asked))))
    title = f"Benchmark: {number(len(_records(report, 'taught')))} facts"
    foot = settings(report.get("settings"), report.get("surroundings"), {"seed": stored.get("seed")})
    return Content(title=title, body="".join(body), foot=foot, charts=figures)


def _scope(stored: Stored, report: Stored) -> Content:
    runs = _records(stored, "runs")
    routers = list(dict.fromkeys(_text(run, "router") for run in runs))
    largest = {r: max((x for x in runs if _text(x, "router") == r), key=lambda x: _edits(x) or 0) for r in routers}
    figures: dict[str, Chart] = {}
    curves = {r: _roc(run) for r, run in largest.items() if _roc(run)}
    body = []
    if curves:
        shipped = {r: _operating(largest[r]) for r in curves}
        marks = {r: point for r, point in shipped.items() if point is not None}
        figures["roc"] = lines(
            {r: [(max(x, FLOOR), y) for x, y in points] for r, points in curves.items()},
            x_title="false fires (0.001: that or less)", y_title="recall", log_x=True, share=True, marks=marks,
        )  # fmt: skip
        at = [(r, *(number(_recall_at(points, level)) for level in LEVELS)) for r, points in curves.items()]
        head = ["router", *(f"at {level:.1%}" for level in LEVELS)]
        words = f"Recall against false fires as the threshold moves, {number(_edits(report))} edits stored. The large mark is the shipped threshold."
        shown = table("Recall at a share of false fires", head, at)
        body.append(
            section("Routers at every threshold", note(words), charts("roc", height=380, label="ROC"), twin(shown))
        )
    if len({_edits(run) for run in runs}) > 1:
        for name, title, share in AGAINST:
            series = {r: _against(runs, r, name) for r in routers}
            if any(series.values()):
                figures[f"by-{name}"] = lines(series, x_title="edits stored", y_title=title, log_x=True, share=share)
    small = [name for name in figures if name.startswith("by-")]
    names = [name for name, _, _ in AGAINST]
    head = ["router", "edits", *names]
    rows = [
        (_text(run, "router"), number(_edits(run)), *(number(run.get("figures", {}).get(n)) for n in names))
        for run in runs
    ]
    shown = table("Figures by router and edits stored", head, rows)
    body.append(section("With more edits stored", charts(*small, height=260), twin(shown) if small else shown))
    body.append(section("What went wrong", browser(_scope_failures(report))))
    title = f"Routing: {', '.join(routers) or _text(report, 'router')}; {number(_edits(report))} edits"
    plain = {
        name: report.get(name) for name in ("router", "encoder_id", "threshold", "edits", "dropped", "unrepresentable")
    }
    foot = settings(plain, {"seed": stored.get("seed")})
    return Content(title=title, body="".join(body), foot=foot, charts=figures)


def _general(stored: Stored, report: Stored) -> Content:
    windows, questions = _records(report, "windows"), _records(report, "questions")
    figures: dict[str, Chart] = {}
    body = []
    if windows:
        groups: dict[str, list[tuple[float, float]]] = {}
        for w in windows:
            name = "no edit answers" if w.get("edit_id") is None else "routed to an edit"
            groups.setdefault(name, []).append((_perplexity(w, "base_nats"), _perplexity(w, "nats")))
        figures["text"] = scatter(groups, x_title="perplexity, untouched model", y_title="with the edits stored")
        words = "One point for each piece of text; on the dashed line nothing has changed."
        rows = [
            (
                _text(w, "text")[:60],
                number(w.get("tokens")),
                number(_perplexity(w, "base_nats")),
                number(_perplexity(w, "nats")),
            )
            for w in windows
        ]
        shown = table("Perplexity by piece of text", ["text", "tokens", "untouched", "with edits"], rows)
        body.append(section("Running text", note(words), charts("text", height=400, label="Perplexity"), twin(shown)))
    cases = [
        Case(
            kind="unrelated question",
            prompt=_text(q, "prompt"),
            verdict="the answer changed" if not q.get("identical") else "the answer is the same, the logits differ",
            details=(("untouched model", _text(q, "base_text")), ("with edits", _text(q, "text"))),
        )
        for q in questions
        if not (q.get("identical") and q.get("bit_equal"))
    ]
    cases += [
        Case(
            kind="running text",
            prompt=_text(w, "text"),
            verdict="an edit answered",
            details=(("edit", _text(w, "edit_id")),),
        )
        for w in windows
        if w.get("edit_id") is not None
    ]
    body.append(section("What changed", browser(cases)))
    title = f"Elsewhere: {number(_edits(report))} edits stored"
    foot = settings(report.get("settings"), report.get("surroundings"), {"seed": stored.get("seed")})
    return Content(title=title, body="".join(body), foot=foot, charts=figures)


def _bench_failures(report: Stored, asked: Sequence[Stored]) -> list[Case]:
    cases = [
        Case(
            kind=_text(a, "kind"),
            prompt=_text(a, "prompt"),
            verdict=VERDICTS.get(_text(a, "outcome"), _text(a, "outcome"))
            + (", cut" if a.get("stopped") == "limit" else ""),
            details=(("wanted", _text(a, "wanted")), ("given", _text(a, "text"))),
        )
        for a in asked
        if not a.get("good")
    ]
    untaught = [t for t in _records(report, "taught") if t.get("edit_id") is None]
    return cases + [
        Case(
            kind="not taught",
            prompt=_text(t, "prompt"),
            verdict="not taught",
            details=(("wanted", _text(t, "target")), ("reason", _text(t, "failure"))),
        )
        for t in untaught
    ]


def _scope_failures(report: Stored) -> list[Case]:
    def wrong(case: Stored) -> bool:
        return case.get("routed") != (case.get("row_id") if case.get("positive") else None)

    cases = [case for case in _records(report, "cases") if wrong(case)]
    return [
        Case(
            kind=_text(case, "kind"),
            prompt=_text(case, "prompt"),
            verdict=("wrong edit" if case.get("routed") else "missed") if case.get("positive") else "false fire",
            details=(
                ("own row" if case.get("positive") else "belongs to", _text(case, "row_id")),
                ("routed to", _text(case, "routed") or "no edit"),
                ("best score", number(case.get("best_score"))),
            ),
        )
        for case in cases
    ]


def _group(kind: str, here: Sequence[Stored]) -> str:
    if kind == APART:
        return "mentions the old fact: not counted"
    outcomes = {a.get("outcome") for a in here}
    return "must stay as it was" if outcomes & {"untouched", "false fire"} else "follows from the facts"


def _measured(curve: Sequence[Stored]) -> list[str]:
    """Return the names of the scores in a curve, at most as many as there are styles of lines."""
    names = dict.fromkeys(name for point in curve for name in point if name not in CURVE)
    return [n for n in names if any(0 <= (v if (v := _number(p, n)) is not None else -1) <= 1 for p in curve)][:4]


def _wide(points: Sequence[Stored]) -> bool:
    sizes = [size for point in points if (size := _edits(point))]
    return bool(sizes) and max(sizes) >= 30 * min(sizes)


def _edits(record: Stored) -> int | None:
    found = next((record[name] for name in CURVE if isinstance(record.get(name), int)), None)
    return None if found is None else int(found)


def _roc(run: Stored) -> list[tuple[float, float]]:
    points = [(_number(p, "false_fire"), _number(p, "recall")) for p in _records(run, "roc")]
    return [(x, y) for x, y in points if x is not None and y is not None]


def _operating(run: Stored) -> tuple[float, float] | None:
    figures = run.get("figures", {})
    x, y = _number(figures, "false_fire"), _number(figures, "recall")
    return None if x is None or y is None else (max(x, FLOOR), y)


def _recall_at(points: Sequence[tuple[float, float]], level: float) -> float:
    return max((y for x, y in points if x <= level), default=0.0)


def _against(runs: Sequence[Stored], router: str, name: str) -> list[tuple[float, float]]:
    here = [(_edits(run), _number(run.get("figures", {}), name)) for run in runs if _text(run, "router") == router]
    return sorted((n, value) for n, value in here if n and value is not None)


def _perplexity(window: Stored, name: str) -> float:
    return exp((_number(window, name) or 0.0) / max(1.0, _number(window, "tokens") or 1.0))


def _records(holder: Stored, name: str) -> list[Stored]:
    found = holder.get(name)
    return [r for r in found if isinstance(r, Mapping)] if isinstance(found, Sequence) else []


def _text(record: Stored, name: str) -> str:
    found = record.get(name)
    return "" if found is None else str(found)


def _number(record: Stored, name: str) -> float | None:
    found = record.get(name)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
