"""The charts of a report, as the plain figures that plotly.js draws; the page gives them its colours for light and dark.

Knows numbers and names, no measurement and no page. Names are escaped, because plotly reads some markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Chart = dict[str, Any]
Points = Sequence[tuple[float, float]]

TEAL, AMBER, VIOLET, GREY = "#0d9488", "#d97706", "#8b5cf6", "#7c8796"
STYLES = (  # colour, dash and mark: none of them says a thing alone
    (TEAL, "solid", "circle"),
    (AMBER, "dash", "square"),
    (VIOLET, "dot", "diamond"),
    (GREY, "dashdot", "cross"),
)
MAX_LABEL = 26


def plain(text: str, limit: int = MAX_LABEL) -> str:
    """Return a short text that plotly draws as it is."""
    short = " ".join(text.split())
    short = short if len(short) <= limit else short[: limit - 1] + "…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def wrapped(text: str, width: int = 20) -> str:
    """Return a name on as many lines as it needs; it breaks behind spaces and underscores."""
    lines = [""]
    for word in re.findall(r"[^_ ]*[_ ]?", " ".join(text.split())[: 4 * width]):
        if lines[-1] and len(lines[-1] + word) > width:
            lines.append("")
        lines[-1] += word
    return "<br>".join(plain(line) for line in lines)


def bars(rows: Sequence[tuple[str, str, int, int]]) -> Chart:
    """Return shares as bars with 95 % intervals; rows are (name, group, how many are good, of how many)."""
    groups = list(dict.fromkeys(group for _, group, _, _ in rows))
    traces = []
    for number, group in enumerate(groups):
        here = [(name, good, total) for name, of, good, total in rows if of == group]
        shares = [good / total for _, good, total in here]
        spans = [interval(good, total) for _, good, total in here]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": plain(group, 40),
                "x": shares,
                "y": [plain(name) for name, _, _ in here],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [high - share for share, (_, high) in zip(shares, spans, strict=True)],
                    "arrayminus": [share - low for share, (low, _) in zip(shares, spans, strict=True)],
                    "thickness": 1.5,
                    "width": 4,
                },
                "marker": {"color": STYLES[number % len(STYLES)][0]},
                "customdata": [[good, total] for _, good, total in here],
                "hovertemplate": "%{y}: %{x:.3f} (%{customdata[0]} of %{customdata[1]})<extra></extra>",
            }
        )
    layout = _layout(x={"range": [0, 1.03], "tickformat": ".0%", "title": {"text": "share that is good"}})
    names = [plain(name) for name, _, _, _ in rows]
    layout["yaxis"].update(autorange="reversed", categoryorder="array", categoryarray=names, tickvals=names)
    layout["yaxis"]["ticktext"] = [f"{wrapped(name)}<br>{good:,} of {total:,}" for name, _, good, total in rows]
    return {"data": traces, "layout": {**layout, "showlegend": len(groups) > 1, "barmode": "overlay", "bargap": 0.35}}


def heat(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]]) -> Chart:
    """Return counts as a heat map of each row's shares, the first row on top; empty cells stay empty."""
    shares = [[count / max(1, sum(line)) for count in line] for line in counts]
    data = {
        "type": "heatmap",
        "x": list(columns),
        "y": [plain(row) for row in rows],
        "z": shares,
        "zmin": 0,
        "zmax": 1,
        "text": [[_percent(share) if share else "" for share in line] for line in shares],
        "texttemplate": "%{text}",
        "customdata": [list(line) for line in counts],
        "hovertemplate": "%{y}, %{x}: %{customdata} (%{z:.1%})<extra></extra>",
        "xgap": 3,
        "ygap": 3,
        "showscale": False,
        "colorscale": "theme",  # the page puts its own in
    }
    layout = _layout(
        x={"side": "top", "showgrid": False, "tickangle": 0}, y={"showgrid": False, "autorange": "reversed"}
    )
    layout["yaxis"].update(tickvals=[plain(row) for row in rows], ticktext=[wrapped(row) for row in rows])
    return {"data": [data], "layout": layout}


def lines(
    series: Mapping[str, Points],
    *,
    x_title: str,
    y_title: str,
    log_x: bool = False,
    share: bool = False,
    marks: Mapping[str, tuple[float, float]] | None = None,
    x_ticks: Mapping[float, str] | None = None,
) -> Chart:
    """Return one line for each name; `share` keeps the y axis at 0..1, `marks` are single points beside their lines.

    `x_ticks` are the only places that the x axis names.
    """
    traces: list[Chart] = []
    longest = max((len(points) for points in series.values()), default=0)
    for number, (name, points) in enumerate(series.items()):
        colour, dash, symbol = STYLES[number % len(STYLES)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines" if longest > 40 else "lines+markers",
                "name": plain(name),
                "x": [x for x, _ in points],
                "y": [y for _, y in points],
                "line": {"color": colour, "dash": dash, "width": 2.5},
                "marker": {"symbol": symbol, "size": 8},
                "cliponaxis": False,
                "hovertemplate": f"{plain(name)}: %{{x:.4g}}, %{{y:.4g}}<extra></extra>",
            }
        )
        if marks and name in marks:
            x, y = marks[name]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": f"{plain(name)}, as shipped",
                    "showlegend": False,
                    "x": [x],
                    "y": [y],
                    "marker": {"symbol": symbol, "size": 13, "color": colour, "line": {"color": "white", "width": 2}},
                    "cliponaxis": False,
                    "hovertemplate": f"{plain(name)}, as shipped: %{{x:.4g}}, %{{y:.4g}}<extra></extra>",
                }
            )
    layout = _layout(
        x={"title": {"text": x_title}, **({"type": "log"} if log_x else {})},
        y={"title": {"text": y_title}, **({"range": [-0.02, 1.04]} if share else {"rangemode": "tozero"})},
    )
    if x_ticks:
        layout["xaxis"].update(tickvals=list(x_ticks), ticktext=list(x_ticks.values()))
    return {"data": traces, "layout": {**layout, "showlegend": len(series) > 1}}


def scatter(groups: Mapping[str, Points], *, x_title: str, y_title: str) -> Chart:
    """Return points with the diagonal on which nothing changes."""
    traces: list[Chart] = []
    for number, (name, points) in enumerate(groups.items()):
        colour, _, symbol = STYLES[number % len(STYLES)]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plain(name),
                "x": [x for x, _ in points],
                "y": [y for _, y in points],
                "marker": {"color": colour, "symbol": symbol, "size": 10, "opacity": 0.85},
                "hovertemplate": "%{x:.4g} to %{y:.4g}<extra></extra>",
            }
        )
    ends = [value for points in groups.values() for point in points for value in point]
    low, high = (min(ends) * 0.95, max(ends) * 1.05) if ends else (0.0, 1.0)
    layout = _layout(
        x={"title": {"text": x_title}, "range": [low, high]}, y={"title": {"text": y_title}, "range": [low, high]}
    )
    layout["shapes"] = [
        {"type": "line", "x0": low, "y0": low, "x1": high, "y1": high, "layer": "below", "line": {"color": GREY, "width": 1, "dash": "dash"}}
    ]  # fmt: skip
    return {"data": traces, "layout": {**layout, "showlegend": len(traces) > 1}}


def interval(good: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson's score interval)."""
    z2 = 1.96**2
    share = good / total
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = 1.96 * (share * (1 - share) / total + z2 / (4 * total**2)) ** 0.5 / (1 + z2 / total)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def _layout(x: Chart | None = None, y: Chart | None = None) -> Chart:
    return {
        "margin": {"l": 12, "r": 14, "t": 12, "b": 12},
        "xaxis": {"automargin": True, "zeroline": False, "fixedrange": True, **(x or {})},
        "yaxis": {"automargin": True, "zeroline": False, "fixedrange": True, **(y or {})},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "dragmode": False,
        "showlegend": False,
    }


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share in (0.0, 1.0) else f"{100 * share:.1f}%"
