"""One look for all figures, readable on light and dark pages."""

from typing import Any

import plotly.graph_objects as go

BLUE, ORANGE, GREEN, RED, GREY, PURPLE = "#4c7df0", "#e8871e", "#12a67c", "#e5484d", "#8b95a5", "#9a6ee8"
SCALE = "Viridis"

STATE_COLORS = {"complete": BLUE, "pruned": GREY, "diverged": ORANGE, "failed": RED, "running": PURPLE}
"""Every state of a trial, in the order of legends."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"


def faint(color: str) -> str:
    """A colour of the form ``#rrggbb`` as a light veil, for bands."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def styled(figure: go.Figure, *, height: int, legend: bool = True, top: int = 0) -> go.Figure:
    """The figure with the common look: see-through, a quiet grid, a legend on top.

    Args:
        figure: Changed in place.
        height: Pixels.
        legend: Whether there is one, which needs room on top.
        top: Further pixels on top.
    """
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 70, "r": 40, "t": (40 if legend else 12) + top, "b": 55},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13, "color": "#7b8494"},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0.0, "xanchor": "left"},
        hoverlabel={"font": {"family": FONT}},
    )
    grid: dict[str, Any] = {"gridcolor": "rgba(128,138,154,0.22)", "zeroline": False, "automargin": True}
    figure.update_xaxes(**{**grid, "ticks": "outside", "tickcolor": "rgba(128,138,154,0.5)"})
    figure.update_yaxes(**grid)
    return figure
