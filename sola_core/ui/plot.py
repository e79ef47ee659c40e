"""Hands a plotly figure to gradio, without plotly's tool bar and logo.

Knows only the two libraries' forms.
"""

from __future__ import annotations

import json

import plotly.graph_objects as go
from gradio.components.plot import PlotData

CONFIG = {"displayModeBar": False, "displaylogo": False, "doubleClick": False, "doubleClickDelay": 500}


def shown(figure: go.Figure) -> PlotData:
    """Return a figure as a `gr.Plot` takes it."""
    return PlotData(type="plotly", plot=json.dumps({**json.loads(figure.to_json()), "config": CONFIG}))
