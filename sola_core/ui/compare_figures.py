"""The pictures of the Compare tab: how the first facts fare as more are added, and what taking one back did.

Pure functions that make plotly figures; knows no gradio.
"""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from sola_core.arena_records import MethodOutcome, RetentionPoint, TakenBack, Track
from sola_core.ui import compare_texts as texts
from sola_core.ui import compare_undo_words as undo_words
from sola_core.ui import compare_words as words
from sola_core.ui.figures import AMBER, DEEP, GREY, GRID, TEAL, TEXT, _figure, plain
from sola_core.words import say

LANE = 108  # pixels of one method's curve
MAP = 300  # pixels of one method's small map
ROW = 74  # pixels of one method's signs
TOP = 0.44  # of a lane: where a curve runs when all first facts are answered rightly


def curves_figure(outcomes: Sequence[MethodOutcome], facts: int) -> go.Figure:
    """Return a curve for each method in a lane of its own, so that equal ones can be told apart; `facts` is the last place."""
    figure = _figure(height=LANE * len(outcomes) + 62, left=8, right=16, top=6, bottom=44)
    first = 0.6 if facts > 1 else 0.5
    for row, one in enumerate(outcomes):
        base = len(outcomes) - 1 - row
        for height in (0.0, TOP):
            figure.add_shape(type="line", x0=first, x1=facts + 0.4, y0=base + height, y1=base + height,
                             line={"color": GRID, "width": 1}, layer="below")  # fmt: skip
        figure.add_annotation(
            x=first, y=base + 0.78, text=f"<b>{plain(words.name(one.method))}</b>", xanchor="left", showarrow=False,
            font={"size": 13, "color": TEXT},
        )  # fmt: skip
        figure.add_scatter(
            x=[point.taught for point in one.points],
            y=[base + TOP * _share(point) for point in one.points],
            mode="lines+markers+text",
            name=words.name(one.method),
            line={"color": TEAL, "width": 2.5},
            marker={
                "size": 11,
                "color": [_colour(point) for point in one.points],
                "symbol": ["circle" if point.right == point.asked else "diamond" if point.right else "x"
                           for point in one.points],
            },
            text=[f"{point.right}/{point.asked}" for point in one.points],
            textposition="top center",
            textfont={"size": 12, "color": TEXT},
            cliponaxis=False,
            hovertext=[
                say(
                    "{method}: {right} of the first {asked} after {taught}",
                    method=plain(words.name(one.method)), right=point.right, asked=point.asked, taught=point.taught,
                )
                for point in one.points
            ],
            hoverinfo="text",
        )  # fmt: skip
    longest: tuple[RetentionPoint, ...] = max((one.points for one in outcomes), key=len)
    places = [point.taught for point in longest] or [1]
    figure.update_xaxes(
        title=say("facts taught"), range=[first, facts + 0.4], tickvals=places, ticktext=[str(n) for n in places],
        showgrid=False,
    )  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.14, len(outcomes) - 0.1])
    return figure


def places_figure(outcomes: Sequence[MethodOutcome]) -> go.Figure:
    """Return a small map for each method, one under the other: circles at the beginning and at the end, ways between."""
    figure = _figure(height=MAP * len(outcomes) + 16, left=4, right=4, top=4, bottom=4)
    share = 1.0 / len(outcomes)
    for row, one in enumerate(outcomes):
        place = str(row + 1) if row else ""
        x, y = f"x{place}", f"y{place}"
        top = 1.0 - row * share
        edge = _edge_of(one.tracks)
        for track in one.tracks:
            first, last = track.points[0], track.points[-1]
            for point, dash in ((first, "dot"), (last, "solid")):
                if point.radius is not None and point.radius > 0 and (dash == "solid" or point.radius != last.radius
                                                                      or track.moved > 0):  # fmt: skip
                    figure.add_shape(
                        type="circle", xref=x, yref=y, x0=point.x - point.radius, x1=point.x + point.radius,
                        y0=point.y - point.radius, y1=point.y + point.radius, layer="below",
                        line={"color": GREY if dash == "dot" else TEAL, "width": 1.5, "dash": dash},
                    )  # fmt: skip
            figure.add_scatter(
                x=[point.x for point in track.points], y=[point.y for point in track.points], mode="lines",
                line={"color": AMBER, "width": 2}, hoverinfo="skip", xaxis=x, yaxis=y,
            )  # fmt: skip
        ends = [track.points[-1] for track in one.tracks]
        starts = [track.points[0] for track in one.tracks if track.moved > 0]
        figure.add_scatter(
            x=[point.x for point in starts], y=[point.y for point in starts], mode="markers", xaxis=x, yaxis=y,
            marker={"symbol": "circle-open", "size": 9, "color": GREY, "line": {"width": 2}}, hoverinfo="skip",
        )  # fmt: skip
        figure.add_scatter(
            x=[point.x for point in ends], y=[point.y for point in ends], mode="markers+text", xaxis=x, yaxis=y,
            marker={"size": 19, "color": DEEP, "line": {"color": "white", "width": 1.5}},
            text=[str(track.number) for track in one.tracks], textposition="middle center",
            textfont={"size": 11, "color": "white"},
            hovertext=[say("fact {number}: moved by {distance:.2f}", number=track.number, distance=track.moved) for track in one.tracks], hoverinfo="text",
        )  # fmt: skip
        figure.add_annotation(
            x=0.0, xref="paper", y=top - 0.01, yref="paper", text=f"<b>{plain(words.name(one.method))}</b>",
            xanchor="left", yanchor="top", showarrow=False, font={"size": 13, "color": TEXT},
        )  # fmt: skip
        hidden = {"visible": False, "fixedrange": True}
        figure.update_layout({
            f"xaxis{place}": {**hidden, "domain": [0, 1], "anchor": y, "range": [-edge, edge]},
            f"yaxis{place}": {
                **hidden, "domain": [top - 0.94 * share, top - 0.06 * share], "anchor": x, "range": [-edge, edge],
                "scaleanchor": x,
            },
        })  # fmt: skip
    return figure


def _edge_of(tracks: Sequence[Track]) -> float:
    """Return how far a small map reaches: all places and circles at their ends are in it."""
    far = [
        max(abs(point.x), abs(point.y)) + max(0.0, point.radius or 0.0)
        for track in tracks for point in (track.points[0], track.points[-1])
    ]  # fmt: skip
    return 1.12 * max(far, default=1.0) or 1.0


def undo_figure(found: Sequence[TakenBack]) -> go.Figure:
    """Return a table of signs: a row for each method, a column for each thing that taking back should do."""
    figure = _figure(height=ROW * len(found) + 66, left=4, right=4, top=54, bottom=8)
    places = list(range(len(texts.UNDO_COLUMNS)))
    for row, one in enumerate(found):
        base = len(found) - 1 - row
        signs = undo_words.undo_signs(one)
        figure.add_annotation(
            x=-0.48, y=base + 0.42, text=f"<b>{plain(words.name(one.method))}</b>", xanchor="left", showarrow=False,
            font={"size": 13, "color": TEXT},
        )  # fmt: skip
        figure.add_shape(type="line", x0=-0.48, x1=places[-1] + 0.48, y0=base - 0.42, y1=base - 0.42,
                         line={"color": GRID, "width": 1}, layer="below")  # fmt: skip
        figure.add_scatter(
            x=places,
            y=[base - 0.06] * len(places),
            mode="markers+text",
            marker={
                "size": 32,
                "color": [_fill(sign) for sign in signs],
                "symbol": ["circle" if sign != "–" else "circle-open" for sign in signs],
                "line": {"width": 1.5, "color": [_fill(sign) for sign in signs]},
            },
            text=list(signs),
            textposition="middle center",
            textfont={"size": [15 if len(sign) == 1 else 11 for sign in signs],
                      "color": ["white" if sign != "–" else TEXT for sign in signs]},
            hovertext=[
                f"{plain(words.name(one.method))}, {name.replace('<br>', ' ')}: {plain(sign)}"
                for name, sign in zip(texts.UNDO_COLUMNS, signs, strict=True)
            ],
            hoverinfo="text",
            cliponaxis=False,
        )  # fmt: skip
    figure.update_xaxes(
        side="top", tickvals=places, ticktext=list(texts.UNDO_COLUMNS), range=[-0.5, places[-1] + 0.5], showgrid=False,
        showline=False, tickfont={"size": 12},
    )  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.5, len(found) - 0.3])
    return figure


def _share(point: RetentionPoint) -> float:
    return point.right / point.asked if point.asked else 0.0


def _colour(point: RetentionPoint) -> str:
    return TEAL if point.right == point.asked else AMBER if point.right else GREY


def _fill(sign: str) -> str:
    return {"✓": DEEP, "✕": "#64748b", "–": GREY}.get(sign, "#b45309")
