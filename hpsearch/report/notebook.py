"""``study.figures``: the report's figures, one by one, for a notebook."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hpsearch import analysis
from hpsearch.core.objective import aligned, mean_curve
from hpsearch.core.trial import Trial
from hpsearch.core.words import listed
from hpsearch.errors import StudyError
from hpsearch.ledger.record import StudyRecord
from hpsearch.report import figures
from hpsearch.report.artifacts import ReportArtifacts
from hpsearch.report.pareto_figures import pareto

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Rows = Literal["test", "validation"]


@dataclass(frozen=True)
class Figures:
    """Plotly figures of a study, each drawn when its method is called.

    Figures of predictions are of the test rows, or with ``rows="validation"`` of the search's validation rows. If the
    model has several outputs, ``output`` names one.
    """

    record: StudyRecord
    artifacts: ReportArtifacts

    def fold_scores(self) -> "Figure":
        """Every fold's score of the best trials."""
        return figures.fold_scores(analysis.leaderboard_info(self.record))

    def curves(self, trial: int | None = None) -> "Figure":
        """Learning curves of a trial, by default of the best one.

        Raises:
            StudyError: There is no such trial, or none with curves.
        """
        if trial is not None:
            analysis.find_trial(self.record, trial)
        info = analysis.curves_info(self.record, trials=None if trial is None else [trial], top=1)
        if not info.trials:
            raise StudyError(
                f"study {self.record.name!r} has no trial with curves to draw"
                if trial is None
                else f"trial {trial} of study {self.record.name!r} has no curves to draw",
                code="nothing-to-draw",
                figure="curves",
                trial=trial,
            )
        return figures.curves(info, info.trials[0].trial)

    def importance(self) -> "Figure":
        """How much each hyperparameter matters."""
        return figures.importance(analysis.importance_info(self.record))

    def slices(self) -> "Figure":
        """The score over each hyperparameter."""
        return figures.slices(analysis.slice_info(self.record))

    def parallel(self) -> "Figure":
        """All trials as lines through their hyperparameters."""
        return figures.parallel(analysis.parallel_info(self.record), direction=self.record.objective.direction)

    def contour(self) -> "Figure":
        """The score over the two most important hyperparameters."""
        return figures.contour(analysis.contour_info(self.record), direction=self.record.objective.direction)

    def trajectory(self) -> "Figure":
        """The best score so far over time."""
        return figures.trajectory(analysis.trajectory_info(self.record))

    def pareto(self, axis: Literal["parameters", "seconds"] = "parameters") -> "Figure":
        """The score over the number of weights, or over the training time, and its Pareto front.

        Raises:
            StudyError: There are fewer than three trials with a score, or all cost the same.
        """
        info = analysis.pareto_info(self.record)
        return pareto(info, next(one for one in info.fronts if one.axis == axis))

    def cost(self) -> "Figure":
        """Training time of each trial."""
        return figures.cost(analysis.cost_info(self.record))

    def confusion(self, *, rows: Rows = "test", output: str | None = None) -> "Figure":
        """Confusion matrix of the champion on the test rows, or of the best trial on its validation rows."""
        return figures.confusion(self._predictions(rows, output))

    def calibration(self, *, rows: Rows = "test", output: str | None = None) -> "Figure":
        """Predicted probability against the share of rows that are right."""
        return figures.calibration(self._predictions(rows, output))

    def roc(self, *, rows: Rows = "test", output: str | None = None) -> "Figure":
        """ROC curves: of one class against the others."""
        return figures.roc(self._predictions(rows, output))

    def precision_recall(self, *, rows: Rows = "test", output: str | None = None) -> "Figure":
        """Precision over recall: of one class against the others."""
        return figures.precision_recall(self._predictions(rows, output))

    def residuals(self, *, rows: Rows = "test", output: str | None = None) -> "Figure":
        """Errors of a regression champion on the test rows, or of the best trial on its validation rows."""
        return figures.residuals(self._predictions(rows, output))

    def _predictions(self, rows: Rows, output: str | None) -> analysis.PredictionsInfo:
        """Predictions of one output.

        Raises:
            StudyError: `output` does not say which of several, or names none.
        """
        if rows == "validation":
            found = analysis.out_of_fold_info(self.record, self.artifacts.out_of_fold)
        else:
            found = analysis.predictions_info(self.record, self.artifacts.predictions)
        names = [one.name for one in self.record.facts.data.outputs]
        if (output is None and not names) or found.reason:
            return found
        for one in found.outputs:
            if one.output == output:
                return one
        raise StudyError(
            f"study {self.record.name!r} has {f'the outputs {listed(map(repr, names))}' if names else 'one output'}, "
            f"but output={output!r} was asked for",
            code="no-such-output",
            hint=f"output={names[0]!r} draws the first of them" if names else "leave the argument out",
            outputs=names,
            output=output,
        )


_SHOWN = 10
"""Trials in a notebook's view of a study."""

_WIDE, _HIGH = 460, 140


def study_html(record: StudyRecord, title: str) -> str:
    """A study's best trials as a table, and the learning curves of the objective's metric below it."""
    best = record.ranked[:_SHOWN]
    table = analysis.trials_table(record)
    if best:
        table = table.set_index("number").reindex([one.number for one in best])
        shown = [name for name in table if name in ("score", "std", "seconds") or name.startswith("config.")]
        table = table[shown].rename(columns=lambda name: name.removeprefix("config."))
    return f"<p>{html.escape(title)}</p>{table.to_html() if best else ''}{_curves(best, record.objective.metric)}"


def _curves(trials: Sequence[Trial], metric: str) -> str:
    """Mean curves over the folds as a small picture: the best trial's in colour."""
    curves = [mean_curve(aligned(trial.folds), metric) for trial in trials if trial.folds]
    values = [value for curve in curves for value in curve if math.isfinite(value)]
    epochs = max(map(len, curves), default=0)
    if not values or epochs < 2:
        return ""
    low, high = min(values), max(values)
    scale = _HIGH / (high - low) if high > low else 0.0

    def line(curve: Sequence[float], style: str) -> str:
        points = " ".join(
            f"{place * _WIDE / (epochs - 1):.1f},{_HIGH - (value - low) * scale:.1f}"
            for place, value in enumerate(curve)
            if math.isfinite(value)
        )
        return f'<polyline points="{points}" fill="none" vector-effect="non-scaling-stroke" {style}/>'

    others = "".join(line(curve, 'stroke="#9aa5b1" stroke-width="1"') for curve in curves[:0:-1])
    best = line(curves[0], 'stroke="#d9480f" stroke-width="2"')
    said = f"{metric} over {epochs} epochs, from {low:.4g} to {high:.4g}; the best trial in colour"
    return (
        f'<svg width="{_WIDE}" height="{_HIGH}" viewBox="-2 -2 {_WIDE + 4} {_HIGH + 4}" role="img" '
        f'aria-label="{html.escape(said, quote=True)}">{others}{best}</svg><p><small>{html.escape(said)}</small></p>'
    )
