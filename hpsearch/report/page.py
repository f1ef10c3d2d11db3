"""The self-contained HTML page. Jinja escapes every text; plotly.js is included once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from hpsearch.analysis import words
from hpsearch.core.words import utc_minute
from hpsearch.report import figures, input_figures
from hpsearch.report.content import Content
from hpsearch.report.images import data_uri
from hpsearch.report.pareto_figures import pareto

HERE = Path(__file__).parent
TOP_ROWS = 25
"""Maximum number of trials in the page's leaderboard; ``report.json`` has all."""

TOP_FAILURES = 50
TOP_LAYERS = 200


@dataclass(frozen=True, slots=True)
class Picture:
    """One of the most wrong rows: an image and its caption."""

    address: str
    caption: str


def render_page(content: Content, samples: Mapping[int, NDArray[np.generic]] | None = None) -> str:
    """The report as one HTML page that needs no network.

    Args:
        content: The numbers.
        samples: Number of a test row → small image, for the most wrong rows.
    """
    drawn = _figures(content)
    blocks = {name: _block(name, figure) for name, figure in drawn.items()}
    template = _environment().get_template("page.html")
    return template.render(
        content=content,
        verdict=content.verdict,
        words=words,
        figures=blocks,
        first_curves=_first_curves(content),
        pictures=_pictures(content, samples or {}),
        rows=content.leaderboard.rows[:TOP_ROWS],
        failures=content.failures[:TOP_FAILURES],
        layers=content.model.layers[:TOP_LAYERS],
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs() if blocks else ""),
        created=utc_minute(content.provenance.created),
        written=utc_minute(content.written),
    )


@cache
def _environment() -> Environment:
    # Strict, so that a misspelt name in the template is an error and not a gap in a report.
    return Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _figures(content: Content) -> dict[str, go.Figure]:
    direction = content.verdict.direction
    drawn: dict[str, go.Figure] = {}
    if content.leaderboard.rows and content.verdict.n_folds > 1:
        drawn["fold_scores"] = figures.fold_scores(content.leaderboard)
    for one in content.curves.trials:
        drawn[f"curves_{one.trial}"] = figures.curves(content.curves, one.trial)
    if content.importance.rows:
        drawn["importance"] = figures.importance(content.importance)
    if content.slices.slices:
        drawn["slices"] = figures.slices(content.slices)
    if content.parallel.trials and content.parallel.axes:
        drawn["parallel"] = figures.parallel(content.parallel, direction=direction)
    if not content.contour.reason:
        drawn["contour"] = figures.contour(content.contour, direction=direction)
    if content.trajectory.steps and any(best is not None for best in content.trajectory.best):
        drawn["trajectory"] = figures.trajectory(content.trajectory)
    for front in content.pareto.fronts:
        if not front.reason:
            drawn[f"pareto_{front.axis}"] = pareto(content.pareto, front)
    if content.cost.epochs:
        drawn["cost"] = figures.cost(content.cost)
    for part, found in [
        (f"{part}_{place}" if place else part, one)
        for part, info in (("test", content.predictions), ("search", content.out_of_fold))
        for place, one in enumerate(info.parts)
    ]:
        if found.confusion:
            drawn[f"{part}_confusion"] = figures.confusion(found)
        if found.calibration:
            drawn[f"{part}_calibration"] = figures.calibration(found)
        if found.thresholds:
            drawn[f"{part}_roc"] = figures.roc(found)
            drawn[f"{part}_precision_recall"] = figures.precision_recall(found)
        if found.truth:
            drawn[f"{part}_values"] = figures.against_truth(found)
            drawn[f"{part}_residuals"] = figures.residual_histogram(found)
    if content.inputs.importance:
        drawn["input_importance"] = input_figures.input_importance(content.inputs)
    for place in range(len(content.inputs.columns)):
        drawn[f"errors_{place}"] = input_figures.errors_by_range(content.inputs, place)
    return drawn


def _first_curves(content: Content) -> Markup | None:
    """The winner's learning curves, smaller than in their own section."""
    if all(one.trial != content.verdict.winner for one in content.curves.trials):
        return None
    assert content.verdict.winner is not None
    figure = figures.curves(content.curves, content.verdict.winner)
    figure.update_layout(height=300)
    return _block("first_curves", figure)


def _block(name: str, figure: go.Figure) -> Markup:
    """A placeholder for a figure, and its data for the page's script."""
    data = figure.to_json()
    # Inside a script element only "</" and "<!--" can do harm. To JSON, the escaped "<" is the same text.
    safe = data.replace("<", "\\u003c")
    height = int(figure.layout.height)
    return Markup(
        f'<div class="figure" id="figure-{name}" style="height:{height}px"></div>'
        f'<script type="application/json" data-figure="figure-{name}">{safe}</script>'
    )


def _pictures(content: Content, samples: Mapping[int, NDArray[np.generic]]) -> list[Picture]:
    pictures = []
    for wrong in content.predictions.most_wrong:
        array = samples.get(wrong.row)
        if array is not None and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3))):
            pictures.append(Picture(data_uri(array), f"{wrong.truth}, predicted as {wrong.said} (row {wrong.row})"))
    return pictures
