"""Two trials or two studies side by side, with a paired test if they share their folds."""

from dataclasses import dataclass

from hpsearch.analysis import words
from hpsearch.analysis.statistics import ALPHA, PairedTest, corrected_t_test
from hpsearch.core.space import Value
from hpsearch.core.trial import Trial
from hpsearch.errors import StudyError
from hpsearch.ledger.record import StudyRecord


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """One trial without its curves; see :class:`~hpsearch.core.trial.Trial`.

    Attributes:
        scored_folds: Number of the fold of each fold score.
        epochs: Epochs that each fold has trained.
        stopped: Whether a callback has ended a fold.
    """

    study: str
    trial: int
    state: str
    score: float | None
    std: float | None
    fold_scores: tuple[float, ...]
    scored_folds: tuple[int, ...]
    epoch: int | None
    parameters: int | None
    seconds: float
    config: dict[str, Value]
    measured: dict[str, float]
    epochs: tuple[int, ...] = ()
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class CompareInfo:
    """Two trials side by side.

    Attributes:
        metric: The metric of the first trial's study.
        direction: ``"minimize"`` or ``"maximize"``.
        a: The first trial.
        b: The second trial.
        test: First minus second over the same folds; None if the trials cannot be paired.
        reason: Why they cannot be paired; empty otherwise.
        sentence: The outcome in words.
        differences: (hyperparameter, first value, second value) for each one that differs; None if a trial lacks it.
    """

    metric: str
    direction: str
    a: TrialSummary
    b: TrialSummary
    test: PairedTest | None
    reason: str
    sentence: str
    differences: tuple[tuple[str, Value | None, Value | None], ...]


def compare_info(
    a: StudyRecord, b: StudyRecord, *, trial_a: int | None = None, trial_b: int | None = None
) -> CompareInfo:
    """Compare two trials of one study or of two studies.

    Args:
        a: The first study.
        b: The second study; may be the first.
        trial_a: Number of a trial of the first study; None for its best.
        trial_b: Number of a trial of the second study; None for its best.

    Raises:
        StudyError: There is no such trial, or no complete one.
    """
    first, second = find_trial(a, trial_a), find_trial(b, trial_b)
    reason = _unpaired(a, b, first, second)
    test = None
    if not reason:
        test = corrected_t_test(
            first.fold_scores, second.fold_scores, ratio=a.facts.validation_ratio(a.objective.metric)
        )
    names = dict.fromkeys([*first.config, *second.config])
    return CompareInfo(
        metric=a.objective.metric,
        direction=a.objective.direction,
        a=trial_summary(a, first),
        b=trial_summary(b, second),
        test=test,
        reason=reason,
        sentence=_sentence(a, b, first, second, test),
        differences=tuple(
            (name, first.config.get(name), second.config.get(name))
            for name in names
            if first.config.get(name) != second.config.get(name)
        ),
    )


def find_trial(record: StudyRecord, number: int | None) -> Trial:
    """A trial by its number, or the best one.

    Raises:
        StudyError: There is no such trial, or no complete one.
    """
    if number is None:
        if record.best is None:
            raise StudyError(
                f"study {record.name!r} has no complete trial",
                code="no-complete-trial",
                hint=f"`{record.command('show')}` shows its trials",
                study=record.name,
            )
        return record.best
    for trial in record.trials:
        if trial.number == number:
            return trial
    raise StudyError(
        f"study {record.name!r} has no trial {number}",
        code="no-such-trial",
        hint=f"its trials are 0 to {record.trials[-1].number}" if record.trials else "it has no trials yet",
        study=record.name,
        trial=number,
        n_trials=len(record.trials),
    )


def trial_summary(record: StudyRecord, trial: Trial) -> TrialSummary:
    """A trial as plain values."""
    return TrialSummary(
        study=record.name,
        trial=trial.number,
        state=str(trial.state),
        score=trial.score,
        std=trial.std,
        fold_scores=trial.fold_scores,
        scored_folds=tuple(trial.scores_by_fold(record.objective.metric)),
        epoch=trial.epoch,
        epochs=tuple(fold.epochs for fold in trial.folds),
        stopped=bool(trial.stopped_epochs),
        parameters=trial.parameters,
        seconds=trial.seconds,
        config=dict(trial.config),
        measured=dict(trial.measured),
    )


def _unpaired(a: StudyRecord, b: StudyRecord, first: Trial, second: Trial) -> str:
    """Why two trials cannot be paired fold by fold; empty if they can."""
    if a.objective.metric != b.objective.metric:
        return f"they were scored by {a.objective.metric} and {b.objective.metric}"
    if not first.fold_scores or not second.fold_scores:
        return "one of them has no score"
    if len(first.fold_scores) != len(second.fold_scores):
        return f"they have {len(first.fold_scores)} and {len(second.fold_scores)} folds"
    if len(first.fold_scores) < 2:
        return "a single validation split has no spread"
    if a is b or a.name == b.name:
        return ""
    if a.spec.scores_in_other_units(b.spec):
        return "their losses are in different units: one study has standardize_targets"
    data_a, data_b = a.facts.data, b.facts.data
    if data_a.fingerprint != data_b.fingerprint:
        return "they used different data"
    of_a, of_b = (one.spec.validation.model_copy(update={"seeds": 1}) for one in (a, b))
    if (a.spec.seed, of_a, data_a.folds) != (b.spec.seed, of_b, data_b.folds):
        return "their folds differ: give both studies the same seed and [validation]"
    return ""


def _sentence(a: StudyRecord, b: StudyRecord, first: Trial, second: Trial, test: PairedTest | None) -> str:
    name_a, name_b = _name(a, b, a, first), _name(a, b, b, second)
    if first.score is None or second.score is None:
        return f"{name_a} and {name_b} cannot be compared: one of them has no score."
    metric = a.objective.metric
    if metric != b.objective.metric:
        return f"{name_a} and {name_b} were scored by different metrics."
    if a.spec.scores_in_other_units(b.spec):
        return f"The {metric} of {name_a} and {name_b} are in different units: one study has standardize_targets."
    if first.score == second.score:
        return f"{name_a} and {name_b} have the same {metric}, {words.number(first.score)}."
    ahead = a.objective.better(first.score, second.score)
    better, worse = (name_a, name_b) if ahead else (name_b, name_a)
    gap = words.number(abs(first.score - second.score))
    start = f"{better} beats {worse} by {gap} in {metric}"
    if test is None:
        return f"{start}; without a paired test this may be chance."
    p = f"p {words.probability(test.p)}" if test.p < 0.001 else f"p = {words.probability(test.p)}"
    outcome = "more than chance" if test.p < ALPHA else "within chance"
    return f"{start}: {outcome} ({p}, paired over {len(first.fold_scores)} folds)."


def _name(a: StudyRecord, b: StudyRecord, record: StudyRecord, trial: Trial) -> str:
    return f"trial {trial.number}" if a.name == b.name else f"{record.name} (trial {trial.number})"
