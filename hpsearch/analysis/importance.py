"""Which hyperparameters matter, by Optuna's fANOVA."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.core.seeds import derive
from hpsearch.core.space import Float, Int, Parameter
from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

METHOD = "fANOVA (Hutter, Hoos & Leyton-Brown, ICML 2014; Optuna's implementation)"
MIN_TRIALS = 8
"""With fewer complete trials, an importance would be noise."""

TREES = 32
"""Half of Optuna's default: the shares change by a few per cent, and the time halves."""

ROUGH_BELOW = 30
"""With fewer complete trials, an importance is marked as rough."""

MAX_TRIALS = 150
"""Maximum number of complete trials; more are thinned out evenly by rank, because the time grows faster than n²."""


@dataclass(frozen=True, slots=True)
class ImportanceRow:
    """One hyperparameter's share of the variance that single hyperparameters explain. All shares sum to 1.

    ``conditional`` is true if some trials do not have the hyperparameter.
    """

    name: str
    share: float
    conditional: bool


@dataclass(frozen=True, slots=True)
class ImportanceInfo:
    """Hyperparameters, most important first.

    Attributes:
        method: The estimator and its source.
        rows: Empty if there is a `reason`.
        reason: Why there is no estimate; empty otherwise.
        trials: Number of complete trials behind the estimate.
        rough: Whether there are too few trials for more than a first idea.
    """

    method: str
    rows: tuple[ImportanceRow, ...]
    reason: str
    trials: int
    rough: bool


def importance_info(record: StudyRecord) -> ImportanceInfo:
    """How much of the score's variance over the space each searched hyperparameter explains by itself.

    fANOVA (F. Hutter, H. Hoos, K. Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance",
    ICML 2014) fits a random forest to the trials and decomposes its variance over the whole space, so a tuner that
    tries some regions more often does not bias it. Constants are left out. If a trial lacks a conditional
    hyperparameter, the middle of its range takes its place, as defaults do in the paper.
    """
    trials = [trial for trial in record.ranked if trial.score is not None and math.isfinite(trial.score)]
    names = [name for name in record.space.searched() if len({trial.config.get(name) for trial in trials}) > 1]
    reason = _reason(record, trials, names)
    if reason:
        return ImportanceInfo(METHOD, (), reason, len(trials), rough=True)
    thinned = _thin(trials)
    shares = _shares(record, thinned, names)
    total = sum(shares.values())
    if not total > 0:
        return ImportanceInfo(METHOD, (), "the scores do not depend on any hyperparameter", len(thinned), rough=True)
    rows = [
        ImportanceRow(name, shares[name] / total, any(name not in trial.config for trial in thinned)) for name in names
    ]
    rows.sort(key=lambda row: -row.share)
    return ImportanceInfo(METHOD, tuple(rows), "", len(thinned), rough=len(thinned) < ROUGH_BELOW)


def _reason(record: StudyRecord, trials: Sequence[Trial], names: Sequence[str]) -> str:
    if len(trials) < MIN_TRIALS:
        return f"it needs at least {MIN_TRIALS} complete trials, but there are {len(trials)}"
    if not record.space.searched():
        return "all hyperparameters are constants"
    if not names:
        return "all complete trials have the same config"
    if len({trial.score for trial in trials}) == 1:
        return "all complete trials have the same score"
    return ""


def _thin(trials: list[Trial]) -> list[Trial]:
    """At most MAX_TRIALS of the ranked trials, taken evenly from the ranks, the best one included."""
    if len(trials) <= MAX_TRIALS:
        return trials
    return [trials[i * len(trials) // MAX_TRIALS] for i in range(MAX_TRIALS)]


def _shares(record: StudyRecord, trials: list[Trial], names: list[str]) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator

    columns = {name: _column(record.space[name], trials, name) for name in names}
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(direction=record.objective.direction)
            study.add_trials(
                [
                    optuna.trial.create_trial(
                        params={name: values[i] for name, (_, values) in columns.items()},
                        distributions={name: distribution for name, (distribution, _) in columns.items()},
                        value=trial.score,
                    )
                    for i, trial in enumerate(trials)
                ]
            )
            forest = FanovaImportanceEvaluator(n_trees=TREES, seed=derive(record.spec.seed, "importance"))
            found = forest.evaluate(study, params=names)
    finally:
        optuna.logging.set_verbosity(level)
    return {name: max(0.0, float(found[name])) for name in names}


def _column(
    parameter: Parameter, trials: Sequence[Trial], name: str
) -> tuple["BaseDistribution", Sequence[float | str]]:
    """The hyperparameter's range in Optuna's terms, wide enough for all values tried, and its value in each trial."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values = [trial.config.get(name) for trial in trials]
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if isinstance(parameter, Float | Int) and len(numbers) == sum(value is not None for value in values):
        low, high = min([float(parameter.low), *numbers]), max([float(parameter.high), *numbers])
        middle = math.sqrt(low * high) if parameter.log else (low + high) / 2
        filled = [middle if value is None else float(value) for value in values]
        return FloatDistribution(low, high, log=parameter.log), filled
    # Optuna takes 1, 1.0 and True for the same choice. Their texts differ.
    texts = ["" if value is None else repr(value) for value in values]
    return CategoricalDistribution(tuple(dict.fromkeys(texts))), texts
