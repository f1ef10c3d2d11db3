"""Two trials or two studies side by side, told apart by a paired test where their folds are the same."""

from dataclasses import dataclass

from hpsearch.analysis import words
from hpsearch.analysis.leaderboard import validation_ratio
from hpsearch.analysis.statistics import ALPHA, PairedTest, corrected_t_test
from hpsearch.core.space import Value
from hpsearch.core.trial import Trial
from hpsearch.errors import StudyError
from hpsearch.ledger.record import StudyRecord


@dataclass(frozen=True, slots=True)
class Side:
    """One trial's facts; see :class:`~hpsearch.core.trial.Trial`."""

    study: str
    trial: int
    state: str
    score: float | None
    std: float | None
    fold_scores: tuple[float, ...]
    epoch: int | None
    parameters: int | None
    seconds: float
    config: dict[str, Value]


@dataclass(frozen=True, slots=True)
class CompareInfo:
    """Two trials side by side.

    Attributes:
        metric: The metric of the first one's study.
        direction: ``"minimize"`` or ``"maximize"``.
        a: The first.
        b: The second.
        test: First minus second over the same folds; None where they cannot be paired.
        reason: Why they cannot; empty otherwise.
        sentence: The outcome in words.
        differences: (hyperparameter, first's value, second's value) where they differ; None where one has it not.
    """

    metric: str
    direction: str
    a: Side
    b: Side
    test: PairedTest | None
    reason: str
    sentence: str
    differences: tuple[tuple[str, Value | None, Value | None], ...]


def compare_info(
    a: StudyRecord, b: StudyRecord, *, trial_a: int | None = None, trial_b: int | None = None
) -> CompareInfo:
    """Compare two trials of one study or of two.

    Args:
        a: The first study.
        b: The second study; may be the first.
        trial_a: Trial of the first; None for its best.
        trial_b: Trial of the second; None for its best.

    Raises:
        StudyError: There is no such trial, or no ranked one.
    """
    first, second = find_trial(a, trial_a), find_trial(b, trial_b)
    reason = _unpaired(a, b, first, second)
    test = None
    if not reason:
        ratio = validation_ratio(a, len(first.fold_scores))
        test = corrected_t_test(first.fold_scores, second.fold_scores, ratio=ratio)
    names = dict.fromkeys([*first.config, *second.config])
    return CompareInfo(
        metric=a.objective.metric,
        direction=a.objective.direction,
        a=side_of(a, first),
        b=side_of(b, second),
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
        StudyError: There is no such trial, or no ranked one.
    """
    if number is None:
        if record.best is None:
            raise StudyError(
                f"study {record.name!r} has no complete trial",
                hint=f"`{record.command('show')}` shows what there is",
            )
        return record.best
    for trial in record.trials:
        if trial.number == number:
            return trial
    last = f"its trials are 0 to {record.trials[-1].number}" if record.trials else "it has no trials yet"
    raise StudyError(f"study {record.name!r} has no trial {number}", hint=last)


def _unpaired(a: StudyRecord, b: StudyRecord, first: Trial, second: Trial) -> str:
    """Why two trials cannot be paired fold by fold; empty where they can."""
    if a.objective.metric != b.objective.metric:
        return f"they were scored by {a.objective.metric} and {b.objective.metric}"
    if not first.fold_scores or not second.fold_scores:
        return "one of them has no score"
    if len(first.fold_scores) != len(second.fold_scores):
        return f"they have {len(first.fold_scores)} and {len(second.fold_scores)} folds"
    if len(first.fold_scores) < 2:
        return "one validation split gives no spread to judge by"
    if a is b or a.name == b.name:
        return ""
    data_a, data_b = a.facts.get("data", {}), b.facts.get("data", {})
    if data_a.get("fingerprint") != data_b.get("fingerprint"):
        return "they saw different data"
    if (a.spec.seed, a.spec.validation, data_a.get("folds")) != (b.spec.seed, b.spec.validation, data_b.get("folds")):
        return "their folds differ: give both studies the same seed and [validation]"
    return ""


def side_of(record: StudyRecord, trial: Trial) -> Side:
    """A trial's facts as plain values."""
    return Side(
        study=record.name,
        trial=trial.number,
        state=str(trial.state),
        score=trial.score,
        std=trial.std,
        fold_scores=trial.fold_scores,
        epoch=trial.epoch,
        parameters=trial.parameters,
        seconds=trial.seconds,
        config=dict(trial.config),
    )


def _sentence(a: StudyRecord, b: StudyRecord, first: Trial, second: Trial, test: PairedTest | None) -> str:
    name_a, name_b = _name(a, b, a, first), _name(a, b, b, second)
    if first.score is None or second.score is None:
        return f"{name_a} and {name_b} cannot be compared: one of them has no score."
    metric = a.objective.metric
    if metric != b.objective.metric:
        return f"{name_a} and {name_b} were scored by different metrics."
    if first.score == second.score:
        return f"{name_a} and {name_b} have the same {metric}, {words.number(first.score)}."
    ahead = a.objective.better(first.score, second.score)
    better, worse = (name_a, name_b) if ahead else (name_b, name_a)
    gap = words.number(abs(first.score - second.score))
    start = f"{better} has the better {metric}, by {gap}"
    if test is None:
        return f"{start} over {worse}; whether that is more than chance cannot be said."
    p = f"p {words.probability(test.p)}" if test.p < 0.001 else f"p = {words.probability(test.p)}"
    told = "more than chance" if test.p < ALPHA else "within chance"
    return f"{start} over {worse}: {told} ({p}, paired over {len(first.fold_scores)} folds)."


def _name(a: StudyRecord, b: StudyRecord, record: StudyRecord, trial: Trial) -> str:
    return f"trial {trial.number}" if a.name == b.name else f"{record.name} (trial {trial.number})"
