"""Figures of predictions. Like :mod:`hpsearch.report.figures`, they only draw."""

from collections.abc import Sized
from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hpsearch import analysis
from hpsearch.analysis import words
from hpsearch.errors import StudyError
from hpsearch.report.style import BLUE, CYCLE, GREY, faint, styled

_GUESS = {"color": GREY, "dash": "dash", "width": 1}


def confusion(info: analysis.PredictionsInfo) -> go.Figure:
    """True classes against predicted classes, in counts.

    Raises:
        StudyError: There are no class predictions; the message says why.
    """
    _need(info.confusion, info)
    names = [escape(name) for name in info.classes]
    figure = go.Figure(
        go.Heatmap(
            x=names,
            y=names,
            z=info.confusion,
            colorscale=[[0, faint(BLUE)], [0.02, "#93b4f0"], [1, "#1e40af"]],
            showscale=False,
            xgap=1,
            ygap=1,
            text=[[str(count) if count else "" for count in row] for row in info.confusion],
            texttemplate="%{text}",
            hovertemplate="true %{y}, predicted %{x}: %{z}<extra></extra>",
        )
    )
    figure.update_xaxes(title="predicted", type="category", showgrid=False)
    figure.update_yaxes(title="true", type="category", autorange="reversed", showgrid=False)
    return styled(figure, height=110 + 30 * max(len(names), 4), legend=False)


def calibration(info: analysis.PredictionsInfo) -> go.Figure:
    """Predicted probability against the share of rows that are right. The area of a dot is its number of rows.

    Raises:
        StudyError: There are no class predictions; the message says why.
    """
    _need(info.calibration, info)
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": GREY, "dash": "dash", "width": 1},
        name="perfect calibration",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[one.claimed for one in info.calibration],
        y=[one.right for one in info.calibration],
        text=[words.several(one.rows, "row") for one in info.calibration],
        mode="lines+markers",
        marker={
            "color": BLUE,
            "size": [one.rows for one in info.calibration],
            "sizemode": "area",
            "sizeref": max(one.rows for one in info.calibration) / 500,
            "sizemin": 4,
        },
        line={"color": BLUE, "width": 1.5},
        cliponaxis=False,
        name="model",
        hovertemplate="probability %{x:.2f}, right %{y:.2f} (%{text})<extra></extra>",
    )
    figure.update_xaxes(title="predicted probability", range=[0, 1.03])
    figure.update_yaxes(title="share of rows that are right", range=[0, 1.05])
    return styled(figure, height=360)


def roc(info: analysis.PredictionsInfo) -> go.Figure:
    """Recall against false alarms at every threshold, for each class or label.

    Raises:
        StudyError: There are no such curves; the message says why.
    """
    _need(info.thresholds, info)
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=_GUESS, name="guessing", hoverinfo="skip")
    for color, one in zip(CYCLE, info.thresholds, strict=False):
        figure.add_scatter(
            x=one.false_positive_rate,
            y=one.recall,
            mode="lines",
            line={"color": color, "width": 1.8},
            name=escape(_short(one.name)),
            hovertemplate="false alarms %{x:.3f}, recall %{y:.3f}",
        )
    figure.update_xaxes(title="false positive rate", range=[0, 1.02])
    figure.update_yaxes(title="recall", range=[0, 1.03])
    return styled(figure, height=360)


def precision_recall(info: analysis.PredictionsInfo) -> go.Figure:
    """Precision against recall at every threshold, for each class or label.

    Raises:
        StudyError: There are no such curves; the message says why.
    """
    _need(info.thresholds, info)
    figure = go.Figure()
    for color, one in zip(CYCLE, info.thresholds, strict=False):
        figure.add_scatter(
            x=one.recall,
            y=one.precision,
            mode="lines",
            line={"color": color, "width": 1.8, "shape": "vh"},
            name=escape(_short(one.name)),
            legendgroup=one.name,
            hovertemplate="recall %{x:.3f}, precision %{y:.3f}",
        )
        figure.add_scatter(
            x=[0, 1],
            y=[one.share, one.share],
            mode="lines",
            line={**_GUESS, "color": color},
            legendgroup=one.name,
            showlegend=False,
            hoverinfo="skip",
        )
    figure.update_xaxes(title="recall", range=[0, 1.02])
    figure.update_yaxes(title="precision", range=[0, 1.03])
    return styled(figure, height=360)


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"


def residuals(info: analysis.PredictionsInfo) -> go.Figure:
    """Predicted against true values, and a histogram of the differences.

    Raises:
        StudyError: There are no predicted values; the message says why.
    """
    _need(info.truth, info)
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.1)
    _add_values(figure, info)
    _add_differences(figure, info, column=2)
    return styled(figure, height=360, legend=False)


def against_truth(info: analysis.PredictionsInfo) -> go.Figure:
    """The left half of :func:`residuals`, for narrow pages.

    Raises:
        StudyError: There are no predicted values; the message says why.
    """
    _need(info.truth, info)
    figure = make_subplots(rows=1, cols=1)
    _add_values(figure, info)
    return styled(figure, height=360, legend=False)


def residual_histogram(info: analysis.PredictionsInfo) -> go.Figure:
    """The right half of :func:`residuals`, for narrow pages.

    Raises:
        StudyError: There are no predicted values; the message says why.
    """
    _need(info.truth, info)
    figure = make_subplots(rows=1, cols=1)
    _add_differences(figure, info, column=1)
    return styled(figure, height=360, legend=False)


def _add_values(figure: go.Figure, info: analysis.PredictionsInfo) -> None:
    marker = {"color": BLUE, "size": 5, "opacity": 0.5}
    ends = [min(info.truth), max(info.truth)]
    figure.add_scatter(x=info.truth, y=info.predicted, mode="markers", marker=marker, showlegend=False, row=1, col=1)
    figure.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": GREY, "dash": "dash", "width": 1}, showlegend=False, row=1, col=1
    )
    figure.update_xaxes(title="true value", row=1, col=1)
    figure.update_yaxes(title="predicted value", row=1, col=1)


def _add_differences(figure: go.Figure, info: analysis.PredictionsInfo, *, column: int) -> None:
    off = [predicted - true for predicted, true in zip(info.predicted, info.truth, strict=True)]
    figure.add_histogram(x=off, marker={"color": BLUE}, nbinsx=40, showlegend=False, row=1, col=column)
    figure.add_vline(x=0, line={"color": GREY, "dash": "dash", "width": 1}, row=1, col=column)
    figure.update_xaxes(title="prediction − truth", row=1, col=column)
    figure.update_yaxes(title="rows", row=1, col=column)


def _need(what: Sized, info: analysis.PredictionsInfo) -> None:
    if not what:
        other = "the task is regression" if info.kind == "values" else "the task is classification"
        raise StudyError(f"there are no predictions to draw: {info.reason or other}", code="nothing-to-draw")
