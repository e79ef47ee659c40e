"""The picture of a history: one row for each edit, filled while it was on, hollow while off, with a line at the moment shown.

Pure function that makes a plotly figure; knows no gradio.
"""

from __future__ import annotations

import plotly.graph_objects as go

from sola_core.ui import texts
from sola_core.ui.figures import AMBER, GREY, TEAL, TEXT, _figure, plain
from sola_core.ui.history_words import Bar, Piece, Timeline
from sola_core.words import Sentence, here, say

ROW = 44  # pixels of one edit's row
Note = dict[str, object]  # an annotation or a shape, as plotly takes it
HOLLOW = "rgba(0,0,0,0)"
LOOKS = (  # name, erased, on, fill, border
    (Sentence("on"), False, True, TEAL, TEAL),
    (Sentence("off"), False, False, HOLLOW, TEAL),
    (Sentence("erased since: was on"), True, True, GREY, GREY),
    (Sentence("erased since: was off"), True, False, HOLLOW, GREY),
)


def history_figure(timeline: Timeline, shown: int) -> go.Figure:
    """Return the timeline with a line at the moment `shown`; a moment is a column as wide as every other."""
    bars = timeline.bars
    figure = _figure(height=64 + ROW * max(1, len(bars)), left=8, right=12, top=32, bottom=32)
    places = {bar.number: len(bars) - 1 - row for row, bar in enumerate(bars)}
    for name, erased, on, fill, border in LOOKS:
        pieces = [(places[bar.number], p) for bar in bars if bar.erased is erased for p in bar.pieces if p.on is on]
        if pieces:
            _add_pieces(figure, here(name), pieces, fill, border)
    _add_ends(figure, [(bar.ended - 0.5, places[bar.number]) for bar in bars if bar.ended is not None])
    middle = (timeline.first + timeline.now) / 2
    notes = [_label(bar, places[bar.number], timeline.first, timeline.now) for bar in bars]
    notes.append(_moment_label(shown, right=shown > middle) if bars else _empty_label(middle))
    figure.update_layout(  # in one go: each addition by itself makes plotly check the whole layout again
        barmode="overlay",
        annotations=notes,
        shapes=[_line(shown)] if bars else [],
        xaxis={
            "range": [timeline.first - 0.5, timeline.now + 0.5],
            "showgrid": False,
            "tickvals": [place for place, _ in timeline.ticks],
            "ticktext": [plain(words) for _, words in timeline.ticks],
        },
        yaxis={"visible": False, "range": [-0.5, max(1, len(bars)) - 0.25]},
    )
    return figure


def _add_pieces(figure: go.Figure, name: str, pieces: list[tuple[int, Piece]], fill: str, border: str) -> None:
    figure.add_bar(
        x=[piece.end - piece.start for _, piece in pieces],
        base=[piece.start - 0.5 for _, piece in pieces],
        y=[place for place, _ in pieces],
        orientation="h",
        width=0.3,
        name=name,
        marker={"color": fill, "line": {"color": border, "width": 2}, "cornerradius": 5},
        hovertext=[plain(piece.hint, 90) for _, piece in pieces],
        hoverinfo="text",
    )


def _add_ends(figure: go.Figure, ends: list[tuple[float, int]]) -> None:
    if ends:
        figure.add_scatter(
            x=[x for x, _ in ends],
            y=[y for _, y in ends],
            mode="markers",
            name=say("deleted"),
            marker={"symbol": "x", "size": 10, "color": AMBER},
            hoverinfo="skip",
        )


def _label(bar: Bar, place: int, first: int, now: int) -> Note:
    """Write an edit's name over its bar so that it ends within the picture: on a phone it takes most of the width."""
    start = bar.pieces[0].start - 0.5 if bar.pieces else first
    end = max(bar.pieces[-1].end - 0.5 if bar.pieces else first, first + 0.8 * (now - first))
    words = plain(bar.label, 40) if bar.erased else f"<b>{bar.number}</b>  {plain(bar.label, 40)}"
    right = start > first + 0.1 * (now - first)
    return {
        "x": end if right else start, "y": place + 0.36, "text": words, "xanchor": "right" if right else "left",
        "showarrow": False, "font": {"size": 12, "color": TEXT},
    }  # fmt: skip


def _moment_label(shown: int, *, right: bool) -> Note:
    return {
        "x": shown, "y": 1.0, "yref": "paper", "yshift": 14, "text": plain(texts.HISTORY_MOMENT), "showarrow": False,
        "xanchor": "right" if right else "left", "font": {"size": 12, "color": AMBER},
    }  # fmt: skip


def _empty_label(middle: float) -> Note:
    return {"x": middle, "y": 0.1, "text": plain(texts.HISTORY_NO_BARS), "showarrow": False}


def _line(shown: int) -> Note:
    line = {"color": AMBER, "width": 2, "dash": "dash"}
    return {"type": "line", "x0": shown, "x1": shown, "y0": 0, "y1": 1, "yref": "paper", "layer": "below", "line": line}
