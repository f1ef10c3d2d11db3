"""Which hyperparameters mattered, by Optuna's PED-ANOVA."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.analysis.words import several
from hpsearch.record import StudyRecord
from hpsearch.space import Choice, Float, Int, Parameter
from hpsearch.trial import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

METHOD = "PED-ANOVA (Watanabe, Bansal & Hutter, IJCAI 2023; Optuna's implementation)"
MIN_TRIALS = 8
"""With fewer complete trials an importance would be noise."""

ROUGH_BELOW = 30
"""With fewer complete trials an importance is called rough."""

MAX_TRIALS = 2000
"""More than so many complete trials are thinned out evenly by rank: the answer no longer changes."""


@dataclass(frozen=True, slots=True)
class ImportanceRow:
    """One hyperparameter's share in reaching the top trials; the shares of all sum to 1.

    ``conditional`` is true where some trials do not have it.
    """

    name: str
    share: float
    conditional: bool


@dataclass(frozen=True, slots=True)
class ImportanceInfo:
    """Hyperparameters, most important first.

    Attributes:
        method: The estimator and its source.
        rows: Empty where there is a `reason`.
        reason: Why nothing can be said; empty otherwise.
        trials: Number of complete trials that the estimate rests on.
        top_share: The share of trials that counts as the top ones; the importance is that of getting among them.
        rough: Whether there are too few trials for more than a first idea.
    """

    method: str
    rows: tuple[ImportanceRow, ...]
    reason: str
    trials: int
    top_share: float
    rough: bool


def importance_info(record: StudyRecord) -> ImportanceInfo:
    """How much each searched hyperparameter decides whether a trial is among the best.

    PED-ANOVA (S. Watanabe, A. Bansal, F. Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
    Arbitrary Subspaces", IJCAI 2023) compares the values of the top trials with those of all trials, so that a tuner
    which tries some values more often than others does not bias it. Constants are left out; a hyperparameter that only
    some trials have is judged among those. The top trials are the best tenth, or five where a tenth is fewer.
    """
    trials = [trial for trial in record.ranked if trial.score is not None and math.isfinite(trial.score)]
    names = [name for name in record.space.searched() if len({trial.config.get(name) for trial in trials}) > 1]
    reason = _reason(record, trials, names)
    if reason:
        return ImportanceInfo(METHOD, (), reason, len(trials), 0.0, rough=True)
    thinned = _thin(trials)
    top_share = max(0.1, min(0.5, 5 / len(thinned)))
    shares = _shares(record, thinned, names, top_share=top_share)
    total = sum(shares.values())
    if total <= 0:
        reason = "the top trials have the same values as all others"
        return ImportanceInfo(METHOD, (), reason, len(thinned), top_share, rough=True)
    rows = [
        ImportanceRow(name, shares[name] / total, any(name not in trial.config for trial in thinned)) for name in names
    ]
    rows.sort(key=lambda row: -row.share)
    return ImportanceInfo(METHOD, tuple(rows), "", len(thinned), top_share, rough=len(thinned) < ROUGH_BELOW)


def _reason(record: StudyRecord, trials: Sequence[Trial], names: Sequence[str]) -> str:
    if len(trials) < MIN_TRIALS:
        return f"needs at least {MIN_TRIALS} complete trials, but there {_are(len(trials))}"
    if not record.space.searched():
        return "the space has constants only"
    if not names:
        return "all complete trials have the same config"
    if len({trial.score for trial in trials}) == 1:
        return "all complete trials have the same score"
    return ""


def _are(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {several(count, 'trial')}"


def _thin(trials: list[Trial]) -> list[Trial]:
    """At most MAX_TRIALS of the ranked trials, evenly over the ranks, the best always among them."""
    if len(trials) <= MAX_TRIALS:
        return trials
    return [trials[i * len(trials) // MAX_TRIALS] for i in range(MAX_TRIALS)]


def _shares(record: StudyRecord, trials: list[Trial], names: list[str], *, top_share: float) -> dict[str, float]:
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    distributions = {name: _distribution(record.space[name], trials, name) for name in names}
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(direction=record.objective.direction)
            study.add_trials([_frozen(trial, distributions) for trial in trials])
            found = PedAnovaImportanceEvaluator(target_quantile=top_share).evaluate(study, params=names)
    finally:
        optuna.logging.set_verbosity(level)
    return {name: max(0.0, float(found[name])) for name in names}


def _frozen(trial: Trial, distributions: dict[str, "BaseDistribution"]) -> Any:
    import optuna

    present = {name: one for name, one in distributions.items() if name in trial.config}
    return optuna.trial.create_trial(
        params={name: _plain(trial.config[name], one) for name, one in present.items()},
        distributions=present,
        value=trial.score,
    )


def _plain(value: object, distribution: "BaseDistribution") -> object:
    from optuna.distributions import CategoricalDistribution

    return repr(value) if isinstance(distribution, CategoricalDistribution) else value


def _distribution(parameter: Parameter, trials: Sequence[Trial], name: str) -> "BaseDistribution":
    """The range as Optuna knows it, wide enough for every value tried."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = [trial.config[name] for trial in trials if name in trial.config]
    if isinstance(parameter, Float | Int) and all(isinstance(value, int | float) for value in values):
        numbers = [float(value) for value in values]
        if isinstance(parameter, Int) and all(value.is_integer() for value in numbers):
            low, high = min(parameter.low, int(min(numbers))), max(parameter.high, int(max(numbers)))
            return IntDistribution(low, high, log=parameter.log)
        return FloatDistribution(min(parameter.low, *numbers), max(parameter.high, *numbers), log=parameter.log)
    # Values are told apart by their text: Optuna takes 1, 1.0 and True for one choice.
    options = parameter.options if isinstance(parameter, Choice) else ()
    return CategoricalDistribution(tuple(dict.fromkeys(repr(value) for value in (*options, *values))))
