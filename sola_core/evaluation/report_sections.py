"""What a report shows of each measurement: bench, scope and general, read from the JSON that they write.

Knows the fields of that JSON, and does without those that are absent: a report may be older or newer than this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp

from sola_core.errors import InvalidInput
from sola_core.evaluation.questions import APART
from sola_core.evaluation.report_charts import Chart, bars, heat, interval, lines, scatter
from sola_core.evaluation.report_fields import EDITS, Stored, edits_of, numeric, part, records, text
from sola_core.evaluation.report_parts import Case, browser, charts, note, number, section, settings, table, twin

OUTCOMES = ("right", "wrong", "missed", "untouched", "false fire")
VERDICTS = {
    "right": "the right edit answered",
    "wrong": "another edit answered",
    "missed": "no edit answered",
    "untouched": "no edit answered",
    "false fire": "an edit answered",
}
AGAINST = (  # figures that are drawn against the number of edits
    ("auc", "area", True),
    ("recall", "recall", True),
    ("wrong_edit", "wrong edit", False),
    ("false_fire", "false fires", False),
    ("routing_ms", "milliseconds", False),
)
FLOOR = 0.001  # false fires below are drawn here: the axis is a logarithm
FLOORS = {0.001: "0.1% or less", 0.01: "1%", 0.1: "10%", 1.0: "100%"}
LEVELS = (0.001, 0.01, 0.05, 0.1)


@dataclass(frozen=True, kw_only=True)
class Content:
    """One report, ready to be put on a page."""

    title: str
    body: str
    foot: str = ""
    figures: Mapping[str, object] = field(default_factory=dict)  # those that stand on top
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
    asked = records(report, "asked")
    kinds = list(dict.fromkeys(text(a, "kind") for a in asked))
    by_kind = {kind: [a for a in asked if text(a, "kind") == kind] for kind in kinds}
    good = [
        (kind, _group(kind, here), sum(bool(a.get("good")) for a in here), len(here)) for kind, here in by_kind.items()
    ]
    routed = [[sum(a.get("outcome") == o for a in here) for o in OUTCOMES] for here in by_kind.values()]
    curve = [point for point in records(report, "curve") if edits_of(point) is not None]
    figures = {"shares": bars(good), "router": heat(kinds, OUTCOMES, routed)} if kinds else {}
    if curve:
        series = {
            n: [(edits_of(p) or 0.0, v) for p in curve if (v := numeric(p, n)) is not None] for n in _measured(curve)
        }
        figures["curve"] = lines(
            series, x_title="facts stored", y_title="share", log_x=_wide(curve), share=True, x_ticks=_sizes(curve)
        )
    shares = [
        (k, of, str(t), str(g), f"{g / t:.3f}", "{:.3f} to {:.3f}".format(*interval(g, t))) for k, of, g, t in good
    ]
    counted = [(kind, *map(str, line)) for kind, line in zip(kinds, routed, strict=True)]
    body = [
        section(
            "How answers score",
            note("Free-running answers, exact text and a natural stop; where nothing was taught, the base model's answer. Bars: 95 % intervals."),
            charts("shares", height=100 + 56 * len(kinds), label="Share of good answers by kind"),
            twin(table("Good answers by kind", ["kind", "group", "asked", "good", "share", "95 % interval"], shares, texts=2)),
        ),
        section(
            "What the router did",
            note("Share of each kind's questions. A question about a fact belongs in the first column, any other in the fourth."),
            charts("router", height=90 + 44 * len(kinds), label="What the router did, by kind"),
            twin(table("What the router did, counted", ["kind", *OUTCOMES], counted)),
        ),
    ]  # fmt: skip
    if curve:
        rows = [(number(edits_of(p)), *(number(p.get(n)) for n in _measured(curve))) for p in curve]
        shown = table("Scores by facts stored", ["facts", *_measured(curve)], rows, texts=0)
        body.append(section("As more is taught", charts("curve", label="Scores by facts stored"), twin(shown)))
    body.append(section("What went wrong", browser(_bench_failures(report, asked))))
    title = f"Benchmark: {number(len(records(report, 'taught')))} facts"
    foot = settings(report.get("settings"), report.get("surroundings"), {"seed": stored.get("seed")})
    return Content(title=title, body="".join(body), foot=foot, charts=figures, figures=part(stored, "figures"))


def _scope(stored: Stored, report: Stored) -> Content:
    runs = records(stored, "runs")
    routers = list(dict.fromkeys(text(run, "router") for run in runs))
    largest = {r: max((x for x in runs if text(x, "router") == r), key=lambda x: edits_of(x) or 0) for r in routers}
    figures: dict[str, Chart] = {}
    curves = {r: _roc(run) for r, run in largest.items() if _roc(run)}
    body = []
    if curves:
        shipped = {r: _operating(largest[r]) for r in curves}
        marks = {r: point for r, point in shipped.items() if point is not None}
        figures["roc"] = lines(
            {r: [(max(x, FLOOR), y) for x, y in points] for r, points in curves.items()},
            x_title="false fires", y_title="recall", log_x=True, share=True, marks=marks, x_ticks=FLOORS,
        )  # fmt: skip
        at = [(r, *(number(_recall_at(points, level)) for level in LEVELS)) for r, points in curves.items()]
        head = ["router", *(f"at {level:.1%}" for level in LEVELS)]
        words = f"Recall against false fires as the threshold moves, {number(edits_of(report))} edits stored. The large mark is the shipped threshold."
        shown = table("Recall at a share of false fires", head, at)
        body.append(
            section("Routers at every threshold", note(words), charts("roc", height=380, label="ROC"), twin(shown))
        )
    if len({edits_of(run) for run in runs}) > 1:
        for name, title, share in AGAINST:
            series = {r: _against(runs, r, name) for r in routers}
            if any(series.values()):
                figures[f"by-{name}"] = lines(
                    series, x_title="edits stored", y_title=title, log_x=True, share=share, x_ticks=_sizes(runs)
                )
    small = [name for name in figures if name.startswith("by-")]
    names = [name for name, _, _ in AGAINST]
    head = ["router", "edits", *names]
    rows = [
        (text(run, "router"), number(edits_of(run)), *(number(part(run, "figures").get(n)) for n in names))
        for run in runs
    ]
    shown = table("Figures by router and edits stored", head, rows)
    body.append(section("By router and edits stored", charts(*small, height=260), twin(shown) if small else shown))
    body.append(section("What went wrong", browser(_scope_failures(report))))
    title = f"Routing: {', '.join(routers) or text(report, 'router')}; {number(edits_of(report))} edits"
    kept = part(report, "figures") or part(stored, "figures")  # the table of all runs has the others
    top = {name: value for name, value in part(stored, "figures").items() if name in kept or name == "routing_ms"}
    told = ("router", "encoder_id", "threshold", "edits", "dropped", "unrepresentable")
    plain = {name: report.get(name) for name in told}
    foot = settings(plain, {"seed": stored.get("seed")})
    return Content(title=title, body="".join(body), foot=foot, charts=figures, figures=top)


def _general(stored: Stored, report: Stored) -> Content:
    windows, questions = records(report, "windows"), records(report, "questions")
    figures: dict[str, Chart] = {}
    body = []
    if windows:
        groups: dict[str, list[tuple[float, float]]] = {"no edit answers": [], "routed to an edit": []}
        for w in windows:
            name = "no edit answers" if w.get("edit_id") is None else "routed to an edit"
            groups[name].append((_perplexity(w, "base_nats"), _perplexity(w, "nats")))
        figures["text"] = scatter(
            {name: points for name, points in groups.items() if points},
            x_title="perplexity, untouched model",
            y_title="with the edits stored",
        )
        words = "One point for each piece of text; on the dashed line nothing has changed."
        rows = [
            (
                text(w, "text")[:60],
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
            prompt=text(q, "prompt"),
            verdict="the answer changed" if not q.get("identical") else "the answer is the same, the logits differ",
            details=(("untouched model", text(q, "base_text")), ("with edits", text(q, "text"))),
        )
        for q in questions
        if not (q.get("identical") and q.get("bit_equal"))
    ]
    cases += [
        Case(
            kind="running text",
            prompt=text(w, "text"),
            verdict="an edit answered",
            details=(("edit", text(w, "edit_id")),),
        )
        for w in windows
        if w.get("edit_id") is not None
    ]
    body.append(section("What changed", browser(cases)))
    title = f"Elsewhere: {number(edits_of(report))} edits stored"
    foot = settings(report.get("settings"), report.get("surroundings"), {"seed": stored.get("seed")})
    return Content(title=title, body="".join(body), foot=foot, charts=figures, figures=part(stored, "figures"))


def _bench_failures(report: Stored, asked: Sequence[Stored]) -> list[Case]:
    cases = [
        Case(
            kind=text(a, "kind"),
            prompt=text(a, "prompt"),
            verdict=VERDICTS.get(text(a, "outcome"), text(a, "outcome"))
            + (", cut" if a.get("stopped") == "limit" else ""),
            details=(("wanted", text(a, "wanted")), ("given", text(a, "text"))),
        )
        for a in asked
        if not a.get("good")
    ]
    untaught = [t for t in records(report, "taught") if t.get("edit_id") is None]
    return cases + [
        Case(
            kind="not taught",
            prompt=text(t, "prompt"),
            verdict="not taught",
            details=(("wanted", text(t, "target")), ("reason", text(t, "failure"))),
        )
        for t in untaught
    ]


def _scope_failures(report: Stored) -> list[Case]:
    def wrong(case: Stored) -> bool:
        return case.get("routed") != (case.get("row_id") if case.get("positive") else None)

    cases = [case for case in records(report, "cases") if wrong(case)]
    return [
        Case(
            kind=text(case, "kind"),
            prompt=text(case, "prompt"),
            verdict=("wrong edit" if case.get("routed") else "missed") if case.get("positive") else "false fire",
            details=(
                ("own row" if case.get("positive") else "belongs to", text(case, "row_id")),
                ("routed to", text(case, "routed") or "no edit"),
                ("best score", number(case.get("best_score"))),
            ),
        )
        for case in cases
    ]


def _group(kind: str, here: Sequence[Stored]) -> str:
    if kind == APART:
        return "mentions the old fact"
    outcomes = {a.get("outcome") for a in here}
    return "must stay as it was" if outcomes & {"untouched", "false fire"} else "follows from the facts"


def _measured(curve: Sequence[Stored]) -> list[str]:
    """Return the names of the scores in a curve, at most as many as there are styles of lines."""
    names = dict.fromkeys(name for point in curve for name in point if name not in EDITS)
    return [n for n in names if any(0 <= (v if (v := numeric(p, n)) is not None else -1) <= 1 for p in curve)][:4]


def _sizes(points: Sequence[Stored]) -> dict[float, str]:
    """Return the numbers of edits as the marks of an axis, those that have room."""
    found = sorted({size for point in points if (size := edits_of(point))})
    wide = [size for i, size in enumerate(found) if i == 0 or size >= 2.5 * found[i - 1]]
    return {float(size): number(size) for size in wide}


def _wide(points: Sequence[Stored]) -> bool:
    sizes = [size for point in points if (size := edits_of(point))]
    return bool(sizes) and max(sizes) >= 30 * min(sizes)


def _roc(run: Stored) -> list[tuple[float, float]]:
    points = [(numeric(p, "false_fire"), numeric(p, "recall")) for p in records(run, "roc")]
    return [(x, y) for x, y in points if x is not None and y is not None]


def _operating(run: Stored) -> tuple[float, float] | None:
    figures = part(run, "figures")
    x, y = numeric(figures, "false_fire"), numeric(figures, "recall")
    return None if x is None or y is None else (max(x, FLOOR), y)


def _recall_at(points: Sequence[tuple[float, float]], level: float) -> float:
    return max((y for x, y in points if x <= level), default=0.0)


def _against(runs: Sequence[Stored], router: str, name: str) -> list[tuple[float, float]]:
    here = [(edits_of(run), numeric(part(run, "figures"), name)) for run in runs if text(run, "router") == router]
    return sorted((n, value) for n, value in here if n and value is not None)


def _perplexity(window: Stored, name: str) -> float:
    return exp((numeric(window, name) or 0.0) / max(1.0, numeric(window, "tokens") or 1.0))
