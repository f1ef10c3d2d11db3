"""Figures of input columns. Like :mod:`hpsearch.report.figures`, they only draw."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from hpsearch import analysis
from hpsearch.analysis import words
from hpsearch.errors import StudyError
from hpsearch.report.style import BLUE, GREY, LIGHT, ORANGE, styled

_MOST = 20
"""Columns in the figure of their importance; ``report.json`` has all."""


def input_importance(info: analysis.InputsInfo) -> go.Figure:
    """How much worse the metric gets with each column permuted, the most important one at the top.

    Raises:
        StudyError: There is no importance.
    """
    if not info.importance:
        raise StudyError(f"there is no importance to draw: {info.reason or 'no test rows'}", code="nothing-to-draw")
    rows = info.importance[:_MOST][::-1]
    figure = go.Figure(
        go.Bar(
            x=[one.worse for one in rows],
            y=_labels([one.name for one in rows]),
            orientation="h",
            marker={"color": [BLUE if one.told else LIGHT for one in rows]},
            error_x={"type": "data", "array": [one.std for one in rows], "color": GREY, "thickness": 1.2, "width": 3},
            showlegend=False,
            hovertemplate="%{y}: %{x:.4g}<extra></extra>",
        )
    )
    figure.update_xaxes(title=f"{escape(info.metric)} gets worse by")
    styled(figure, height=90 + 26 * max(len(rows), 2), legend=False)
    figure.update_yaxes(showgrid=False, type="category")
    return figure


def errors_by_range(info: analysis.InputsInfo, place: int) -> go.Figure:
    """The error in every range of one column, and over all rows.

    Raises:
        StudyError: There are no such errors.
    """
    if not info.columns:
        raise StudyError(f"there are no errors to draw: {info.reason or 'no predictions'}", code="nothing-to-draw")
    column = info.columns[place]
    rows = column.ranges[::-1]
    figure = go.Figure(
        go.Bar(
            x=[one.error for one in rows],
            y=_labels([one.label for one in rows]),
            orientation="h",
            marker={"color": BLUE if column.told else LIGHT},
            customdata=[words.several(one.rows, "row") for one in rows],
            hovertemplate="%{y}: %{x:.4g} (%{customdata})<extra></extra>",
            showlegend=False,
        )
    )
    if info.error is not None:
        figure.add_vline(x=info.error, line={"color": ORANGE, "dash": "dash", "width": 1.5})
    figure.update_xaxes(title=escape(info.error_name), rangemode="tozero", nticks=5, tickangle=0)
    styled(figure, height=90 + 26 * max(len(rows), 2), legend=False)
    figure.update_yaxes(showgrid=False, type="category")
    return figure


def _labels(texts: Sequence[str]) -> list[str]:
    """Texts cut to fit beside their bars, upwards. Those that then look the same are numbered, or would be one bar."""
    cut = [text if len(text) <= 24 else f"{text[:23]}…" for text in texts]
    return [
        escape(one if cut.count(one) == 1 else f"{one} ({cut[place:].count(one)})") for place, one in enumerate(cut)
    ]
