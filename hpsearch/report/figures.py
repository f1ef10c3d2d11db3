"""Plotly figures for reports and notebooks. They only draw: every number comes from ``hpsearch.analysis``."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hpsearch import analysis
from hpsearch.analysis import words
from hpsearch.analysis.curves import Curve
from hpsearch.analysis.landscape import Axis
from hpsearch.errors import StudyError
from hpsearch.report.prediction_figures import (
    against_truth,
    calibration,
    confusion,
    precision_recall,
    residual_histogram,
    residuals,
    roc,
)
from hpsearch.report.style import BLUE, GREEN, GREY, LIGHT, ORANGE, RED, SCALE, STATE_COLORS, faint, styled

__all__ = [
    "against_truth",
    "calibration",
    "confusion",
    "contour",
    "cost",
    "curves",
    "fold_scores",
    "importance",
    "parallel",
    "precision_recall",
    "residual_histogram",
    "residuals",
    "roc",
    "slices",
    "trajectory",
]


def fold_scores(info: analysis.LeaderboardInfo, *, top: int = 15) -> go.Figure:
    """Every fold's score of the best trials, with mean and standard deviation."""
    rows = info.rows[:top]
    names = [f"trial {row.trial}" for row in rows]
    figure = go.Figure()
    dots = [
        (name, fold, value)
        for name, row in zip(names, rows, strict=True)
        for fold, value in zip(row.scored_folds, row.fold_scores, strict=True)
    ]
    figure.add_scatter(
        x=[value for _, _, value in dots],
        y=[name for name, _, _ in dots],
        mode="markers",
        marker={"color": GREY, "size": 7, "opacity": 0.7},
        name="one fold",
        text=[f"fold {fold}" for _, fold, _ in dots],
        hovertemplate="%{y}, %{text}: %{x:.5g}<extra></extra>",
    )
    for tied, color, label in ((True, BLUE, "mean ± sd, tied with the best"), (False, ORANGE, "mean ± sd")):
        shown = [(name, row) for name, row in zip(names, rows, strict=True) if row.tied is tied]
        if shown:
            figure.add_scatter(
                x=[row.score for _, row in shown],
                y=[name for name, _ in shown],
                error_x={"type": "data", "array": [row.std or 0.0 for _, row in shown], "thickness": 1.5, "width": 4},
                mode="markers",
                marker={"color": color, "size": 10, "symbol": "diamond"},
                name=label,
                hovertemplate="%{y}: %{x:.5g}<extra></extra>",
            )
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    figure.update_xaxes(title=escape(info.metric))
    return styled(figure, height=110 + 26 * len(rows))


def curves(info: analysis.CurvesInfo, trial: int) -> go.Figure:
    """One trial's curves: loss on the left axis, the objective's metric on the right, bands of ± 1 sd over folds."""
    shown = next(one for one in info.trials if one.trial == trial)
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    epochs = list(shown.epochs)
    colors = (ORANGE, BLUE)
    for place, pair in enumerate(info.pairs):
        color = colors[0] if pair[0] == "loss" else colors[1]
        second = pair[0] != "loss" and len(info.pairs) > 1
        for name, dash in zip(pair, ("dot", "solid"), strict=True):
            if name in shown.curves:
                _curve(figure, epochs, shown.curves[name], color=color, dash=dash, second=second)
        title = escape(pair[0])
        figure.update_yaxes(
            title={"text": title, "font": {"color": color}}, secondary_y=second, showgrid=place == 0, tickmode="auto"
        )
    if shown.score_epoch is not None:
        figure.add_vline(x=shown.score_epoch, line={"color": GREY, "dash": "dash", "width": 1})
    few = shown.trained <= 12
    figure.update_xaxes(title="epoch (dashed line: epoch of the score)", dtick=1 if few else None)
    return styled(figure, height=380)


def _curve(figure: go.Figure, epochs: list[int], curve: Curve, *, color: str, dash: str, second: bool) -> None:
    name = escape(curve.name)
    if curve.std:
        upper = [mean + std for mean, std in zip(curve.mean, curve.std, strict=True)]
        lower = [mean - std for mean, std in zip(curve.mean, curve.std, strict=True)]
        figure.add_scatter(
            x=[*epochs, *epochs[::-1]],
            y=[*upper, *lower[::-1]],
            fill="toself",
            fillcolor=faint(color),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
            secondary_y=second,
        )
    figure.add_scatter(
        x=epochs,
        y=curve.mean,
        mode="lines" if len(epochs) > 1 else "markers",
        line={"color": color, "dash": dash, "width": 2},
        name=name,
        legendgroup=name,
        hovertemplate="epoch %{x}: %{y:.5g}<extra>" + name + "</extra>",
        secondary_y=second,
    )


def importance(info: analysis.ImportanceInfo) -> go.Figure:
    """Each hyperparameter's share, the most important one at the top, and what chance alone reaches.

    Raises:
        StudyError: There is no importance; the message says why.
    """
    if not info.rows:
        raise StudyError(f"there is no importance to draw: {info.reason}", code="nothing-to-draw", figure="importance")
    bars = info.bars[::-1]
    figure = go.Figure(
        go.Bar(
            x=[100 * bar.share for bar in bars],
            y=[escape(bar.label) for bar in bars],
            orientation="h",
            marker={"color": [BLUE if bar.told else LIGHT for bar in bars]},
            text=[escape(bar.text) for bar in bars],
            textfont={"color": [BLUE if bar.told else GREY for bar in bars]},
            textposition="outside",
            cliponaxis=False,
            showlegend=False,
            hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
        )
    )
    floors = [(bar.floor, escape(bar.label)) for bar in bars if bar.floor is not None]
    figure.add_scatter(
        x=[100 * floor for floor, _ in floors],
        y=[label for _, label in floors],
        mode="markers",
        marker={"symbol": "line-ns", "size": 16, "line": {"color": ORANGE, "width": 2}},
        name="what chance alone reaches",
        hovertemplate="%{y}: chance reaches %{x:.1f} %<extra></extra>",
    )
    figure.update_xaxes(ticksuffix=" %", title="share of the variance of the scores' ranks", rangemode="tozero")
    styled(figure, height=112 + 30 * len(bars))
    figure.update_yaxes(showgrid=False)  # its lines would strike out the words beside the bars
    return figure


def slices(info: analysis.SlicesInfo) -> go.Figure:
    """The score over each hyperparameter. A star marks the best trial."""
    columns = min(3, max(1, len(info.slices)))
    n_rows = -(-len(info.slices) // columns) or 1
    figure = make_subplots(
        rows=n_rows, cols=columns, shared_yaxes=True, horizontal_spacing=0.03, vertical_spacing=0.36 / n_rows
    )
    for place, one in enumerate(info.slices):
        row, column = place // columns + 1, place % columns + 1
        best = [trial == info.best for trial in one.trials]
        for starred, marker in (
            (False, {"color": BLUE, "size": 6, "opacity": 0.55}),
            (True, {"color": RED, "size": 15, "symbol": "star"}),
        ):
            chosen = [i for i, is_best in enumerate(best) if is_best is starred]
            figure.add_scatter(
                x=[one.positions[i] for i in chosen],
                y=[one.scores[i] for i in chosen],
                text=[one.trials[i] for i in chosen],
                mode="markers",
                marker=marker,
                showlegend=False,
                hovertemplate="trial %{text}: %{x:.4g} → %{y:.5g}<extra></extra>",
                row=row,
                col=column,
            )
        figure.update_xaxes(**_axis(one.axis), row=row, col=column)
        if column == 1:
            figure.update_yaxes(title=escape(info.metric), row=row, col=column)
    return styled(figure, height=70 + 250 * n_rows, legend=False)


def parallel(info: analysis.ParallelInfo, *, direction: str = "maximize") -> go.Figure:
    """Trials as lines through all hyperparameters and the score. Drag along an axis to select lines."""
    dimensions = []
    for place, axis in enumerate(info.axes):
        column = [line[place] for line in info.positions]
        dimensions.append(_dimension(axis, column))
    dimensions.append({"label": escape(info.metric), "values": list(info.scores)})
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions,
            line={
                "color": list(info.scores),
                "colorscale": SCALE,
                "reversescale": direction == "minimize",
                "showscale": False,
            },
        )
    )
    return styled(figure, height=400, legend=False, top=50)


def _dimension(axis: Axis, column: Sequence[float | None]) -> dict[str, object]:
    low, high = axis.ends
    # Lines of trials without this hyperparameter pass below the axis.
    absent = low - 0.12 * ((high - low) or 1.0)
    has_gaps = any(value is None for value in column)
    ticks = list(zip(axis.ticks, axis.tick_labels, strict=True))
    if has_gaps:
        ticks = [(absent, "none"), *ticks]
    return {
        "label": escape(axis.name),
        "values": [absent if value is None else value for value in column],
        "range": [absent if has_gaps else low, high if high > low else low + 1],
        "tickvals": [value for value, _ in ticks],
        "ticktext": [escape(text) for _, text in ticks],
    }


def contour(info: analysis.ContourInfo, *, direction: str = "maximize") -> go.Figure:
    """The smoothed score over two hyperparameters, with the trials as dots. A star marks the best trial.

    Raises:
        StudyError: There is no contour; the message says why.
    """
    if info.x is None or info.y is None:
        raise StudyError(f"there is no contour to draw: {info.reason}", code="nothing-to-draw", figure="contour")
    figure = go.Figure()
    minimize = direction == "minimize"
    figure.add_contour(
        x=info.grid_x,
        y=info.grid_y,
        z=info.grid,
        colorscale=SCALE,
        reversescale=minimize,
        colorbar={"title": {"text": escape(info.metric)}, "thickness": 14},
        contours={"showlines": False},
        ncontours=18,
        hovertemplate="%{x:.4g}, %{y:.4g}: %{z:.5g}<extra></extra>",
    )
    figure.add_scatter(
        x=[x for x, _ in info.positions],
        y=[y for _, y in info.positions],
        text=[f"trial {trial}: {words.number(score)}" for trial, score in zip(info.trials, info.scores, strict=True)],
        mode="markers",
        marker={"color": "white", "size": 6, "line": {"color": "#1f2937", "width": 1}, "opacity": 0.85},
        showlegend=False,
        hovertemplate="%{text}<extra></extra>",
    )
    if info.best in info.trials:
        star = info.positions[info.trials.index(info.best)]
        figure.add_scatter(
            x=[star[0]],
            y=[star[1]],
            mode="markers",
            marker={"color": RED, "size": 16, "symbol": "star", "line": {"color": "white", "width": 1}},
            showlegend=False,
            hovertemplate=f"best: trial {info.best}<extra></extra>",
        )
    figure.update_xaxes(**_axis(info.x), showgrid=False)
    figure.update_yaxes(**_axis(info.y), showgrid=False)
    return styled(figure, height=440, legend=False)


def trajectory(info: analysis.TrajectoryInfo) -> go.Figure:
    """The best score so far over time. Each dot is a trial with a score."""
    unit, divisor = ("hours", 3600.0) if info.seconds and info.seconds[-1] > 7200 else ("minutes", 60.0)
    if info.seconds and info.seconds[-1] < 120:
        unit, divisor = "seconds", 1.0
    times = [second / divisor for second in info.seconds]
    figure = go.Figure()
    for state, color in STATE_COLORS.items():
        chosen = [i for i in info.shown if info.states[i] == state and info.scores[i] is not None]
        if chosen:
            figure.add_scatter(
                x=[times[i] for i in chosen],
                y=[info.scores[i] for i in chosen],
                text=[f"trial {info.trials[i]}" for i in chosen],
                mode="markers",
                marker={"color": color, "size": 6, "opacity": 0.6},
                name=state,
                hovertemplate="%{text}: %{y:.5g}<extra></extra>",
            )
    steps = [i for i in info.steps if info.best[i] is not None]
    figure.add_scatter(
        x=[times[i] for i in steps],
        y=[info.best[i] for i in steps],
        mode="lines",
        line={"color": GREEN, "width": 2.5, "shape": "hv"},
        name="best so far",
        hovertemplate="%{x:.4g}: %{y:.5g}<extra>best so far</extra>",
    )
    if info.baseline is not None and times:
        figure.add_scatter(
            x=[0, times[-1]],
            y=[info.baseline] * 2,
            mode="lines",
            line={"color": GREY, "width": 1.5, "dash": "dash"},
            name=f"without a model: {words.number(info.baseline)}",
            hovertemplate="without a model: %{y:.5g}<extra></extra>",
        )
    figure.update_xaxes(title=f"{unit} since the first trial started")
    figure.update_yaxes(title=escape(info.metric), range=info.score_range)
    return styled(figure, height=300)


def cost(info: analysis.CostInfo) -> go.Figure:
    """Training seconds of each trial, by how it ended."""
    figure = go.Figure()
    for state, color in STATE_COLORS.items():
        chosen = [trial for trial in info.trials if trial.state == state]
        if chosen:
            figure.add_scatter(
                x=[trial.trial for trial in chosen],
                y=[trial.seconds for trial in chosen],
                text=[f"{trial.epochs:,} epochs" for trial in chosen],
                mode="markers",
                marker={"color": color, "size": 6, "opacity": 0.7},
                name=state,
                hovertemplate="trial %{x}: %{y:.3g} s, %{text}<extra></extra>",
            )
    figure.update_xaxes(title="trial")
    figure.update_yaxes(title="training seconds, all folds", rangemode="tozero")
    return styled(figure, height=320)


def _axis(axis: Axis) -> dict[str, object]:
    settings: dict[str, object] = {"title": escape(axis.name)}
    if axis.labels:
        settings |= {
            "tickmode": "array",
            "tickvals": list(range(len(axis.labels))),
            "ticktext": [escape(label) for label in axis.labels],
            "range": [-0.5, len(axis.labels) - 0.5],
        }
    elif axis.log:
        settings |= {
            "type": "log",
            "tickmode": "array",
            "tickvals": [10**tick for tick in axis.ticks],
            "ticktext": list(axis.tick_labels),
        }
    return settings
