"""Score against cost as a Plotly figure."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from hpsearch.analysis import ParetoFront, ParetoInfo, ParetoPoint, words
from hpsearch.core.constraints import said
from hpsearch.errors import StudyError
from hpsearch.report.style import BLUE, GREEN, LIGHT, ORANGE, styled

_DECADES = 20
"""Costs that differ by more than this factor are drawn on a logarithmic axis."""


def pareto(info: ParetoInfo, front: ParetoFront) -> go.Figure:
    """The score of each trial over its cost, with the front as a line and the study's limits as dashed lines.

    Raises:
        StudyError: There is nothing to draw; the message says why.
    """
    if front.reason:
        raise StudyError(
            f"there is no Pareto front over {front.axis} to draw: {front.reason}",
            code="nothing-to-draw",
            figure="pareto",
        )
    on_front = {one.trial for one in front.front}
    others = [info.points[place] for place in info.shown if info.points[place].trial not in on_front]
    figure = go.Figure()
    groups = (
        ("infeasible", [one for one in others if not one.feasible], LIGHT, "x"),
        (
            "keeps the limits" if _is_limited(info) else "trials",
            [one for one in others if one.feasible],
            BLUE,
            "circle",
        ),
    )
    for name, points, color, symbol in groups:
        if points:
            figure.add_scatter(**_dots(points, front.axis), name=name, mode="markers",
                               marker={"color": color, "size": 7, "opacity": 0.75, "symbol": symbol})  # fmt: skip
    figure.add_scatter(
        **_dots(front.front, front.axis),
        name="Pareto front",
        mode="lines+markers",
        line={"color": GREEN, "width": 2, "shape": "hv"},
        marker={"color": GREEN, "size": 10, "symbol": "diamond"},
    )
    if front.limit is not None:
        figure.add_vline(
            x=front.limit, line=_LINE, annotation_text=f"at most {said(front.limit)}", annotation_position="top left"
        )
    for limit in info.score_limits:
        figure.add_hline(y=limit, line=_LINE, annotation_text=f"limit {said(limit)}")
    figure.update_xaxes(title=escape(front.title), type="log" if _is_wide(info, front) else "linear")
    figure.update_yaxes(title=escape(info.metric))
    return styled(figure, height=380)


_LINE = {"color": ORANGE, "width": 1.5, "dash": "dash"}


def _is_limited(info: ParetoInfo) -> bool:
    return any(one.measured for one in info.points)


def _is_wide(info: ParetoInfo, front: ParetoFront) -> bool:
    costs = [cost for one in info.points if (cost := one.cost(front.axis)) is not None]
    return min(costs) > 0 and max(costs) / min(costs) > _DECADES


def _dots(points: Sequence[ParetoPoint], axis: str) -> dict[str, object]:
    return {
        "x": [one.cost(axis) for one in points],
        "y": [one.score for one in points],
        "text": [_said(one) for one in points],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _said(one: ParetoPoint) -> str:
    told = f"trial {one.trial}: {words.score(one.score, one.std)}, {words.whole(one.parameters)} parameters, "
    return escape(f"{told}{words.duration(one.seconds)}{f'; {one.broken}' if one.broken else ''}")
