"""Learning curves of the best trials, averaged over folds, and what they show, in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis import words
from hpsearch.analysis.statistics import Floats
from hpsearch.core.objective import Objective, aligned, mean_curves
from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord

MAX_POINTS = 400
"""Maximum number of points per curve; longer curves are thinned out evenly, the last epoch included."""

MIN_EPOCHS = 4
"""Fewer epochs show no trend."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric over the epochs of ``TrialCurves.epochs``.

    Attributes:
        name: As recorded, such as ``val_loss``.
        mean: Average over folds.
        std: Sample standard deviation over folds; empty with one fold.
        folds: Each fold's own values, in fold order.
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folds: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class TrialCurves:
    """One trial's curves.

    Attributes:
        trial: Its number.
        state: Its state.
        epochs: Epoch numbers of the values, from 1; thinned out if there are many.
        trained: Number of epochs that all folds have.
        score_epoch: Epoch of the score, from 1; None without a score.
        curves: By name.
        reading: What the curves show, one sentence each.
    """

    trial: int
    state: str
    epochs: tuple[int, ...]
    trained: int
    score_epoch: int | None
    curves: dict[str, Curve]
    reading: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CurvesInfo:
    """Curves of some trials.

    Attributes:
        metric: The objective's metric.
        pairs: (training name, validation name) of the curves to draw: the loss first, then the objective's metric.
        trials: In the order asked for.
        reason: Why there are none; empty otherwise.
    """

    metric: str
    pairs: tuple[tuple[str, str], ...]
    trials: tuple[TrialCurves, ...]
    reason: str


def curves_info(record: StudyRecord, *, trials: Sequence[int] | None = None, top: int = 3) -> CurvesInfo:
    """Learning curves over folds.

    Args:
        record: The study.
        trials: Numbers of the trials; None for the `top` best ones or, if none is complete, the latest with curves.
        top: How many of the best trials.
    """
    if trials is None:
        chosen = list(record.ranked[:top]) or [trial for trial in record.trials if trial.folds][-top:]
    else:
        by_number = {trial.number: trial for trial in record.trials}
        chosen = [by_number[number] for number in trials]
    shown = tuple(_trial_curves(record.objective, trial) for trial in chosen if trial.folds)
    return CurvesInfo(
        metric=record.objective.metric,
        pairs=_pairs(record.objective.metric, shown),
        trials=shown,
        reason="" if shown else "no fold has finished its training",
    )


def _pairs(metric: str, trials: Sequence[TrialCurves]) -> tuple[tuple[str, str], ...]:
    plain = metric.removeprefix("val_")
    wanted = [("loss", "val_loss"), (plain, f"val_{plain}")]
    known = {name for trial in trials for name in trial.curves}
    return tuple(dict.fromkeys(pair for pair in wanted if known & set(pair)))


def _trial_curves(objective: Objective, trial: Trial) -> TrialCurves:
    folds = aligned(trial.folds)
    names = list(mean_curves(folds))
    trained = min((len(curve) for fold in folds for curve in fold.values()), default=0)
    full = {name: np.array([fold[name][:trained] for fold in folds if name in fold], dtype=float) for name in names}
    scored = [fold.fold for fold in trial.folds if objective.metric in fold.curves]
    step = max(1, math.ceil(trained / MAX_POINTS))
    shown = sorted({*range(0, trained, step), *([trained - 1] if trained else [])})
    return TrialCurves(
        trial=trial.number,
        state=str(trial.state),
        epochs=tuple(epoch + 1 for epoch in shown),
        trained=trained,
        score_epoch=trial.epoch,
        curves={name: _curve(name, values[:, shown]) for name, values in full.items()},
        reading=tuple(_reading(objective, full, trial.epoch, scored)),
    )


def _curve(name: str, values: Floats) -> Curve:
    std = tuple(values.std(axis=0, ddof=1).tolist()) if len(values) > 1 else ()
    return Curve(name, tuple(values.mean(axis=0).tolist()), std, tuple(tuple(row) for row in values.tolist()))


def _reading(
    objective: Objective, curves: dict[str, Floats], score_epoch: int | None, scored: Sequence[int]
) -> list[str]:
    """What the curves show.

    Args:
        objective: The study's.
        curves: Name → values of shape ``(n_folds, n_epochs)``.
        score_epoch: From 1; None without a score.
        scored: The folds in the objective's curve.
    """
    values = curves.get(objective.metric)
    if values is None or not np.isfinite(values).all():
        return ["The objective's curve has gaps, so it shows no trend."]
    n_epochs = values.shape[1]
    if n_epochs < MIN_EPOCHS:
        return [f"Too few epochs ({n_epochs}) to show a trend."]
    rising = values if objective.direction == "maximize" else -values
    mean = rising.mean(axis=0)
    gain = float(mean.max() - mean[0])
    sentences = [_trend(rising, gain)]
    sentences += _overfitting(curves)
    sentences += _folds(rising, gain, n_epochs - 1 if score_epoch is None else score_epoch - 1, scored)
    sentences += _jumps(mean, gain)
    return sentences


def _trend(rising: Floats, gain: float) -> str:
    """Still improving, levelled off, or past its best. `rising` has shape ``(n_folds, n_epochs)``; higher is better."""
    mean = rising.mean(axis=0)
    n = len(mean)
    best = int(mean.argmax())
    if gain <= 0:
        return "It never improved after its first epoch: check the learning rate and the data."
    if _still_improving(mean):
        return f"Still improving at its last epoch ({n}): more epochs may help."
    drops = rising[:, best] - rising[:, -1]
    if best < n - 1 - n // 10 and drops.mean() > max(_noise(drops), 0.05 * gain):
        return f"Past its best: it peaked at epoch {best + 1} of {n}."
    level = int(np.argmax(mean >= mean.max() - 0.02 * gain))
    return f"Levelled off: 98 % of the improvement was reached by epoch {level + 1} of {n}."


def still_improving(objective: Objective, trial: Trial) -> bool:
    """Whether a trial's mean curve of the objective was still getting better at its last epoch."""
    curve = mean_curves(aligned(trial.folds)).get(objective.metric, ())
    if len(curve) < MIN_EPOCHS or not np.isfinite(curve).all():
        return False
    return _still_improving(np.array(curve) * (1.0 if objective.direction == "maximize" else -1.0))


def _still_improving(mean: Floats) -> bool:
    """Whether the best epoch is in the last tenth, and the last eighth beats the eighth before by over 1 % of the
    total improvement. In `mean`, higher is better."""
    n = len(mean)
    quarter = max(2, n // 4)
    half = max(1, quarter // 2)
    late, before = mean[-half:].mean(), mean[-quarter:-half].mean()
    return bool(mean.argmax() >= n - 1 - n // 10 and late - before > 0.01 * (mean.max() - mean[0]))


def _overfitting(curves: dict[str, Floats]) -> list[str]:
    """Overfitting: the validation loss rises across folds while the training loss keeps falling."""
    validation, training = curves.get("val_loss"), curves.get("loss")
    if validation is None or training is None or not np.isfinite(validation).all():
        return []
    mean = validation.mean(axis=0)
    low = int(mean.argmin())
    if low > len(mean) - 3 or training[:, -1].mean() >= training[:, low].mean():
        return []
    rises = validation[:, -1] - validation[:, low]
    if rises.mean() <= max(_noise(rises), 0.05 * (mean[0] - mean[low])):
        return []
    return [
        f"Overfitting from epoch {low + 2}: the validation loss rises from {words.number(float(mean[low]))} to "
        f"{words.number(float(mean[-1]))} while the training loss keeps falling."
    ]


def _noise(differences: Floats) -> float:
    """Two standard errors of a mean over folds; 0 with one fold."""
    return 2 * float(differences.std(ddof=1)) / math.sqrt(len(differences)) if len(differences) > 1 else 0.0


def _folds(rising: Floats, gain: float, epoch: int, scored: Sequence[int]) -> list[str]:
    """Whether one fold is an outlier at the scoring epoch, or the folds differ widely."""
    values = rising[:, min(epoch, rising.shape[1] - 1)]
    if len(values) < 2:
        return []
    if len(values) >= 4:
        for fold, value in enumerate(values):
            others = np.delete(values, fold)
            away = abs(value - others.mean())
            if away > 5 * others.std(ddof=1) and away > 0.05 * gain:
                shown, rest = words.number(abs(float(value))), words.number(abs(float(others.mean())))
                return [f"Unstable folds: fold {scored[fold]} is an outlier ({shown}; the others average {rest})."]
    std = float(values.std(ddof=1))
    if gain > 0 and std > 0.1 * gain:
        return [
            f"Unstable folds: their standard deviation ({words.number(std)}) is over a tenth of the total improvement."
        ]
    return []


def _jumps(mean: Floats, gain: float) -> list[str]:
    """Whether the second half goes up and down by a tenth of the gain: a curve that only bends does not jump."""
    steps = np.diff(mean[len(mean) // 2 :])
    turns = int((np.sign(steps[1:]) * np.sign(steps[:-1]) < 0).sum())
    if gain > 0 and len(steps) >= 4 and turns >= 2 and np.abs(steps - steps.mean()).mean() > 0.1 * gain:
        return ["It jumps from epoch to epoch: a lower learning rate or a larger batch size may help."]
    return []
