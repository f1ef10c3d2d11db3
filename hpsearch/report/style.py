"""One style for all figures, readable on light and dark pages."""

import pandas as pd  # noqa: F401 - plotly looks at it in sys.modules, where another thread's import may be half done
import plotly.graph_objects as go

BLUE, ORANGE, GREEN, RED, GREY, PURPLE = "#4c7df0", "#e8871e", "#12a67c", "#e5484d", "#8b95a5", "#9a6ee8"
CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, GREY)
"""Colors of several curves in one figure."""

LIGHT = "#c5cbd5"
"""For what cannot be told from chance, on light and dark pages."""

SCALE = "Viridis"

STATE_COLORS = {
    "complete": BLUE,
    "infeasible": LIGHT,
    "pruned": GREY,
    "diverged": ORANGE,
    "failed": RED,
    "running": PURPLE,
}
"""State of a trial → color, in the order of legends."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"


def faint(color: str) -> str:
    """A translucent version of a color ``#rrggbb``, for bands."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def styled(figure: go.Figure, *, height: int, legend: bool = True, top: int = 0) -> go.Figure:
    """The figure in the common style: a transparent background, a faint grid, the legend at the top.

    Args:
        figure: Changed in place.
        height: In pixels.
        legend: Whether the figure has a legend.
        top: Additional margin at the top, in pixels.
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
    grid = {"gridcolor": "rgba(128,138,154,0.22)", "zeroline": False, "automargin": True}
    figure.update_xaxes(**{**grid, "ticks": "outside", "tickcolor": "rgba(128,138,154,0.5)"})
    figure.update_yaxes(**grid)
    return figure
