"""The pictures: the falling loss, the routing scores with their threshold, the routers side by side, the first token's
probabilities, and the map.

Pure functions that make plotly figures; knows no gradio. A visitor's text is escaped, because plotly reads some markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from sola_core.ui.differing import percent
from sola_core.ui.explain import RouterRow, ScoreRow, Why
from sola_core.ui.present import one_line
from sola_core.words import chosen, say, written

if TYPE_CHECKING:
    from sola_core.ui.places import MapPicture

TEAL, AMBER, VIOLET, GREY = "#0d9488", "#d97706", "#8b5cf6", "#94a3b8"
TEXT, GRID = "#7c8796", "rgba(124,135,150,0.25)"
DEEP = "#0f766e"  # under white letters
MAX_BARS = 12
EDGES = (1.15, 1.6, 2.15)  # how far the map's frame may reach, where the references fill -1..1


def plain(text: str, limit: int = 60) -> str:
    """Return a text that plotly draws as it is, on one line."""
    return one_line(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def loss_figure(losses: Sequence[float]) -> go.Figure:
    """Return the loss of each training step as a line."""
    figure = _figure(height=150, left=44, right=12, top=10, bottom=34)
    figure.add_scatter(
        x=list(range(1, len(losses) + 1)),
        y=list(losses),
        mode="lines+markers",
        line={"color": TEAL, "width": 2.5, "shape": "spline", "smoothing": 0.4},
        marker={"size": 5},
        hovertemplate=f"{say('step')} %{{x}}: %{{y:.3f}}<extra></extra>",
    )
    figure.update_xaxes(title=say("step"), range=[0.5, max(12.5, len(losses) + 0.5)], showgrid=False, dtick=2)
    figure.update_yaxes(title=say("loss"), rangemode="tozero")
    return figure


def why_figure(why: Why) -> go.Figure:
    """Return the best scores as bars, best on top, with the threshold as a line."""
    rows = why.rows[:MAX_BARS]
    figure = _figure(height=84 + 48 * max(1, len(rows)), left=8, right=16, top=34, bottom=40)
    lowest = min([0.0, *(row.score for row in rows)])
    highest = max([1.0, why.threshold * 1.05, *(row.score for row in rows)])
    places = [len(rows) - 1 - index for index in range(len(rows))]
    figure.add_bar(
        x=[row.score for row in rows],
        y=places,
        orientation="h",
        width=0.34,
        marker={
            "color": [_bar_colour(row, why.threshold) for row in rows],
            "pattern": {"shape": ["" if row.enabled else "/" for row in rows], "fgcolor": "white", "size": 6},
            "cornerradius": 4,
        },
        hovertext=[
            say("edit {number}: {score:.3f}, {verdict}", number=row.number, score=row.score, verdict=plain(row.verdict))
            for row in rows
        ],
        hoverinfo="text",
    )
    for row, place in zip(rows, places, strict=True):
        sign = "◆ " if row.answers else ("✕ " if not row.enabled else "")
        words = f"{sign}<b>{row.number}</b>  {plain(row.prompt, 38)}"
        figure.add_annotation(x=lowest, y=place + 0.36, text=words, xanchor="left", showarrow=False, font={"size": 12})
        figure.add_annotation(
            x=1.0, xref="paper", y=place, text=written(row.score, ".2f"), xanchor="right", showarrow=False
        )
    figure.add_vline(x=why.threshold, layer="below", line={"color": AMBER, "width": 2, "dash": "dash"})
    figure.add_annotation(
        x=why.threshold, y=1.0, yref="paper", yshift=14, text=say("threshold {threshold:.2f}", threshold=why.threshold), showarrow=False,
        font={"color": AMBER, "size": 12},
    )  # fmt: skip
    figure.update_xaxes(title=why.score_name, range=[lowest, highest * 1.18])
    figure.update_yaxes(visible=False, range=[-0.6, len(rows) - 0.2])
    return figure


def routers_figure(rows: Sequence[RouterRow]) -> go.Figure:
    """Return each router's best score as a bar with its own threshold as a line, under its decision in words."""
    figure = _figure(height=44 + 56 * len(rows), left=8, right=16, top=4, bottom=40)
    scores = [row.score or 0.0 for row in rows]
    lowest, highest = min(0.0, *scores), max(1.0, *scores, *(row.threshold for row in rows))
    places = [len(rows) - 1 - index for index in range(len(rows))]
    figure.add_bar(
        x=scores,
        y=places,
        orientation="h",
        width=0.3,
        marker={"color": [TEAL if row.answers else GREY for row in rows], "cornerradius": 4},
        hovertext=[f"{row.router}: {_outcome(row)}" for row in rows],
        hoverinfo="text",
    )
    for row, place in zip(rows, places, strict=True):
        words = say("{router}, used", router=plain(row.router)) if row.used else plain(row.router)
        words = f"<b>{words}</b>  {'◆' if row.answers else '○'} {_outcome(row)}"
        figure.add_annotation(x=lowest, y=place + 0.4, text=words, xanchor="left", showarrow=False, font={"size": 12})
        figure.add_shape(
            type="line", x0=row.threshold, x1=row.threshold, y0=place - 0.24, y1=place + 0.24,
            line={"color": AMBER, "width": 3},
        )  # fmt: skip
    figure.update_xaxes(title=say("best score; line: threshold"), range=[lowest, highest * 1.05])
    figure.update_yaxes(visible=False, range=[-0.5, len(rows) - 0.35])
    return figure


def first_token_figure(rows: Sequence[tuple[str, float]], colour: str) -> go.Figure:
    """Return the best first tokens, written readably, as bars with their probabilities, best on top."""
    figure = _figure(height=30 + 26 * max(1, len(rows)), left=8, right=8, top=2, bottom=28)
    places = [len(rows) - 1 - index for index in range(len(rows))]
    figure.add_bar(
        x=[chance for _, chance in rows],
        y=places,
        orientation="h",
        width=0.6,
        marker={"color": colour, "cornerradius": 3},
        text=[percent(chance) for _, chance in rows],
        textposition="outside",
        textfont={"size": 12, "color": TEXT},
        cliponaxis=False,
        hovertext=[f"{plain(name)}: {percent(chance)}" for name, chance in rows],
        hoverinfo="text",
    )
    figure.update_xaxes(range=[0, 1.55], tickvals=[0, 0.5, 1], ticktext=["0 %", "50 %", "100 %"])
    figure.update_yaxes(
        tickvals=places, ticktext=[plain(name, 16) for name, _ in rows], automargin=True, showgrid=False,
        range=[-0.6, len(rows) - 0.4],
    )  # fmt: skip
    return figure


def map_figure(picture: MapPicture, *, height: int = 460, legend: bool = True) -> go.Figure:
    """Return the map: reference sentences, keys of edits, questions, lines to the edits that answered or would answer.

    The frame is fixed and grows only when a point lies outside, so nothing moves when one arrives. Each key and question
    carries its kind and its number, the only things that a click tells (see `bridge`).
    """
    figure = _figure(height=height, left=6, right=6, top=6, bottom=6)
    figure.add_scatter(
        x=[x for x, _ in picture.background],
        y=[y for _, y in picture.background],
        mode="markers",
        name=say("everyday sentence"),
        marker={"size": 4, "color": GREY, "opacity": 0.45},
        hoverinfo="skip",
    )
    _add_lines(figure, [(line.start, line.end) for line in picture.lines], VIOLET, "dot", 2.0)
    _add_lines(figure, [(reach.start, reach.end) for reach in picture.reach if reach.end], AMBER, "solid", 1.2)
    size, letters = _sizes(len(picture.points)) if legend else (12, 8)  # a small map has small signs
    for name, kind, marker in (
        (say("edit, on"), "on", {"symbol": "circle", "size": size, "color": DEEP, "line": {"color": "white", "width": 1.5}}),
        (say("edit, off"), "off", {"symbol": "circle-open", "size": size, "color": GREY, "line": {"width": 2}}),
        (say("question"), "question", {"symbol": "diamond-open", "size": 0.6 * size, "color": VIOLET, "line": {"width": 2.5}}),
    ):  # fmt: skip
        points = [point for point in picture.points if point.kind == kind]
        figure.add_scatter(
            x=[point.x for point in points],
            y=[point.y for point in points],
            mode="markers+text",
            name=name,
            marker=marker,
            text=[point.label for point in points],
            textposition="top center" if kind == "question" else "middle center",
            textfont={"size": letters, "color": {"on": "white", "off": TEXT, "question": VIOLET}[kind]},
            hovertext=[plain(point.text, 90) for point in points],
            hoverinfo="text",
            customdata=[[int(kind == "question"), point.number] for point in points],
        )
    if picture.reach:
        figure.add_scatter(
            x=[reach.start[0] for reach in picture.reach],
            y=[reach.start[1] for reach in picture.reach],
            mode="markers",
            name=say("an edit would answer"),
            marker={
                "symbol": "circle-open",
                "size": [12 if reach.what == "sentence" else 1.45 * size for reach in picture.reach],
                "color": AMBER,
                "line": {"width": 2},
            },
            hovertext=[
                say("edit {number} would answer: {text}", number=reach.number, text=plain(reach.text, 90))
                for reach in picture.reach
            ],
            hoverinfo=["text" if reach.what == "sentence" else "skip" for reach in picture.reach],
        )
    edge = _edge(picture)
    figure.update_layout(showlegend=legend, legend={"orientation": "h", "y": 0, "x": 0, "yanchor": "top"})
    figure.update_layout(uirevision=picture.method, hovermode="closest")
    figure.update_xaxes(visible=False, fixedrange=False, range=[-edge, edge])
    figure.update_yaxes(visible=False, fixedrange=False, range=[-edge, edge])
    return figure


def _add_lines(
    figure: go.Figure,
    ends: Sequence[tuple[tuple[float, float], tuple[float, float]]],
    colour: str,
    dash: str,
    width: float,
) -> None:
    """Draw separate lines as one trace: a gap ends each."""
    if ends:
        figure.add_scatter(
            x=[x for start, end in ends for x in (start[0], end[0], None)],
            y=[y for start, end in ends for y in (start[1], end[1], None)],
            mode="lines",
            hoverinfo="skip",
            line={"color": colour, "width": width, "dash": dash},
            showlegend=False,
        )


def _sizes(points: int) -> tuple[int, int]:
    """Return the size of a sign and of its letters: with many points smaller ones, so that they can be told apart."""
    return (24, 12) if points <= 24 else (19, 11) if points <= 60 else (16, 10)


def _edge(picture: MapPicture) -> float:
    """Return how far the frame reaches: as little as the references need, or one of two larger sizes."""
    farthest = max((max(abs(point.x), abs(point.y)) for point in picture.points), default=0.0)
    return next(edge for edge in EDGES if farthest <= edge - 0.08 or edge == EDGES[-1])


def _outcome(row: RouterRow) -> str:
    who = say("edit {number}", number=row.number) if row.answers else say("untouched model")
    if row.score is None:
        return say("{who} (no score)", who=who)
    sign = "≥" if row.score >= row.threshold else "&lt;"
    return f"{who} ({written(row.score, '.2f')} {sign} {written(row.threshold, '.2f')})"


def _bar_colour(row: ScoreRow, threshold: float) -> str:
    if row.answers:
        return TEAL
    return AMBER if row.enabled and row.score >= threshold else GREY


def _figure(*, height: int, left: int, right: int, top: int, bottom: int) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": left, "r": right, "t": top, "b": bottom},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT, "size": 13, "family": "system-ui, sans-serif"},
        showlegend=False,
        dragmode=False,
        hoverlabel={"align": "left"},
    )
    if chosen().decimal != ".":
        figure.update_layout(separators=chosen().decimal + chosen().thousands)
    figure.update_xaxes(gridcolor=GRID, zeroline=False, linecolor=GRID, fixedrange=True)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, linecolor=GRID, fixedrange=True)
    return figure
