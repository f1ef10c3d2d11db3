"""The study in a few sentences, with the numbers behind them."""

import math
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from hpsearch.analysis import words
from hpsearch.analysis.crowned import crowned_sentences
from hpsearch.analysis.intervals import Interval
from hpsearch.analysis.learnt import beaten_baseline, beats_baseline, doubt_about_learning
from hpsearch.analysis.limits import limits_info
from hpsearch.analysis.null_control import NullInfo, null_info
from hpsearch.analysis.optimism import OptimismInfo
from hpsearch.analysis.predictions import Predictions, PredictionsInfo
from hpsearch.analysis.shown import predictions_info
from hpsearch.analysis.statistics import ALPHA, corrected_t_test
from hpsearch.analysis.tested import test_intervals
from hpsearch.analysis.ties import TiesInfo, ties_info
from hpsearch.core.facts import NestedScores
from hpsearch.core.space import Value
from hpsearch.core.trial import Champion, Trial, TrialState
from hpsearch.ledger.record import StudyRecord, StudyState


@dataclass(frozen=True, slots=True)
class VerdictInfo:
    """The result of a study.

    Attributes:
        study: Its name.
        state: ``running``, ``interrupted``, ``failed`` or ``finished``.
        sentences: The verdict in plain words, the winner first.
        metric: The objective's metric.
        direction: ``"minimize"`` or ``"maximize"``.
        counts: See :attr:`~hpsearch.ledger.record.StudyRecord.counts`.
        winner: The winner's number; None without a complete trial, and the fields below are then None or empty.
        config: The hyperparameter values of the champion, or of the winner as long as there is none.
        crowned: The trial that was made the champion by hand; None if the winner is, or no trial.
        score: Mean over folds at the scoring epoch.
        std: Sample standard deviation over folds; None with one fold.
        n_folds: Number of folds behind the score.
        epoch: The scoring epoch, from 1.
        baseline: The score of a model that says the same for all rows; None if the metric has no such value.
        baseline_rule: What that model says.
        beats_baseline: Whether the winner is better; None if the folds cannot tell, or without a baseline.
        never_predicted: Classes or labels that the winner never predicts, though rows have them.
        null: The best score among those of searches with permuted targets; None without them.
        simplest: See :class:`~hpsearch.analysis.ties.TiesInfo`; may be the winner itself.
        n_tied: Number of trials that are statistically tied with the winner, the winner included.
        test: Test metrics of the refitted winner; empty without a refit or without test rows.
        test_metric: The test metric that matches the objective; empty if there is none.
        test_interval: Its interval; None without the champion's predictions.
        test_intervals: Interval of every test metric that has one.
        interval_problem: Why others may have none or rest on fewer values: what a metric said when it failed on some of
            the test rows; empty if none did.
        test_rows: Number of test rows; None if there are none.
        train_seconds: Training time of the refit; without a refit, of all the winner's folds.
        parameters: Number of weights.
        size_bytes: Size of the saved model; None if there is none.
        model_uri: ``models:/…`` in MLflow's registry; empty until registered.
        model_path: The saved ``.keras`` file; empty until saved.
        predict: Command that predicts new rows with the champion; empty without one.
        reproduce: Commands that run the study again, under another name.
    """

    study: str
    state: str
    sentences: tuple[str, ...]
    metric: str
    direction: str
    counts: Mapping[TrialState, int]
    winner: int | None
    config: dict[str, Value]
    crowned: int | None
    score: float | None
    std: float | None
    n_folds: int
    epoch: int | None
    baseline: float | None
    baseline_rule: str
    beats_baseline: bool | None
    never_predicted: tuple[str, ...]
    null: NullInfo | None
    simplest: int | None
    n_tied: int
    test: dict[str, float]
    test_metric: str
    test_interval: Interval | None
    test_intervals: dict[str, Interval]
    interval_problem: str
    test_rows: int | None
    train_seconds: float | None
    parameters: int | None
    size_bytes: int | None
    model_uri: str
    model_path: str
    predict: str
    reproduce: str


def verdict_info(
    record: StudyRecord,
    *,
    predictions: Predictions | None = None,
    ties: TiesInfo | None = None,
    optimism: OptimismInfo | None = None,
    out_of_fold: PredictionsInfo | None = None,
) -> VerdictInfo:
    """The result of the study.

    Args:
        record: The study.
        predictions: The champion's predictions of the test rows, for the interval of its test score.
        ties: The ties, if they are already known; computed otherwise.
        optimism: How much picking the winner overstates its score, for a sentence about it.
        out_of_fold: The winner on its validation rows, for a sentence about classes that it never predicts.
    """
    if out_of_fold is None or out_of_fold.reason:
        out_of_fold = predictions_info(record, predictions)
    best, champion, baseline = record.best, record.champion, record.facts.baseline
    shown = champion if champion is not None and champion.crowned is not None else best
    ties, null = ties or ties_info(record), null_info(record)
    metric, intervals = test_metric(record), test_intervals(record, predictions)
    return VerdictInfo(
        study=record.name,
        state=str(record.state),
        sentences=tuple(_sentences(record, ties, metric, intervals.get(metric), optimism, null, out_of_fold)),
        metric=record.objective.metric,
        direction=record.objective.direction,
        counts=record.counts,
        winner=best.number if best else None,
        config=dict(shown.config) if shown else {},
        crowned=champion.trial if champion and champion.crowned is not None else None,
        score=best.score if best else None,
        std=best.std if best else None,
        n_folds=len(best.fold_scores) if best else 0,
        epoch=best.epoch if best else None,
        baseline=baseline.value if baseline else None,
        baseline_rule=baseline.rule if baseline else "",
        beats_baseline=beats_baseline(record, best, baseline) if best and baseline else None,
        never_predicted=tuple(one.name for one in out_of_fold.never_predicted),
        null=null,
        simplest=ties.simplest,
        n_tied=len(ties.tied),
        test=dict(champion.test) if champion else {},
        test_metric=metric,
        test_interval=intervals.get(metric),
        test_intervals=intervals,
        interval_problem=predictions.left_out_problem if predictions else "",
        test_rows=record.facts.data.test_rows or None,
        train_seconds=champion.seconds if champion else best.seconds if best else None,
        parameters=champion.parameters if champion else best.parameters if best else None,
        size_bytes=champion.size_bytes if champion else None,
        model_uri=champion.model_uri if champion else "",
        model_path=champion.path if champion else "",
        predict=record.command("predict", "data.csv") if champion else "",
        reproduce=_again(record),
    )


def _again(record: StudyRecord) -> str:
    """The study file goes where it was, because its relative paths start there."""
    name = f"{record.name}-again"
    there = Path(os.path.relpath(record.spec.folder))
    file = shlex.quote(str((Path(record.spec.folder) if ".." in there.parts else there) / f"{name}.toml"))
    return f"{record.command('show', '--file')} > {file}\nhpsearch run {file} --name {shlex.quote(name)}"


def test_metric(record: StudyRecord) -> str:
    """The champion's test metric that matches the objective, else its first one other than the loss; empty if none."""
    test = record.champion.test if record.champion else {}
    wanted = record.objective.metric.removeprefix("val_")
    if wanted in test:
        return wanted
    return next((name for name in test if name != "loss"), "")


def _sentences(
    record: StudyRecord,
    ties: TiesInfo,
    test_metric: str,
    interval: Interval | None,
    optimism: OptimismInfo | None,
    null: NullInfo | None,
    seen: PredictionsInfo,
) -> list[str]:
    best, limits = record.best, limits_info(record).sentences
    if best is None:
        nothing = limits if record.infeasible else [_nothing(record)]
        return [*nothing, *_of_champion(record, test_metric, interval)]
    sentences = [_winner(record, best), *limits, *_unit(record), *_ended_apart(record, best)]
    sentences += [*_corrected(record, best, optimism), _tied(record, ties)]
    if gained := _gained(record, best, ties):
        sentences.append(gained)
    if (doubt := doubt_about_learning(record, best, seen)) != "":
        sentences.insert(0, doubt)
    elif record.facts.baseline is not None:
        sentences.insert(1, beaten_baseline(record, record.facts.baseline))
    if null is not None:
        sentences.append(" ".join(null.sentences))
    if record.spec.is_null:
        how = f" ({record.facts.data.permuted})" if record.facts.data.permuted else ""
        return [f"This is a null search, with permuted targets{how}: its scores are what chance gives.", *sentences]
    if record.champion is not None:
        sentences += _of_champion(record, test_metric, interval)
    elif record.state is StudyState.FINISHED:
        sentences.append("The winner has not been refitted, so there is no model and no test score.")
    else:
        sentences.append(f"The study is {record.state}, so the winner may still change.")
    if record.facts.nested is not None:
        sentences.append(_nested(record.facts.nested))
    return sentences


def _of_champion(record: StudyRecord, test_metric: str, interval: Interval | None) -> list[str]:
    if record.champion is None:
        return []
    return [*crowned_sentences(record), _tested(record, record.champion, test_metric, interval)]


def _unit(record: StudyRecord) -> list[str]:
    unit = record.spec.data.unit
    if record.spec.data.standardize_targets:
        return ["Losses are of standardized targets, other metrics and predictions in the targets' own unit."]
    if unit is None or unit == 1:
        return []
    return [f"Errors and losses are in units of {unit:,.6g} ([data] unit), predictions in the data's own unit."]


def _gained(record: StudyRecord, best: Trial, ties: TiesInfo) -> str:
    """The winner against trial 0 if that has the model's default config; empty if there is nothing to compare.

    The comparison of all trials and a paired test of two of them may differ: which of the two says what is told.
    """
    first = record.trials[0]
    if not record.facts.default or first.score is None or first.state is not TrialState.COMPLETE:
        return ""
    if first.number == best.number:
        return f"Trial {best.number} is the model's default config: searching has found nothing better."
    if len(best.fold_scores) < 2 or len(best.fold_scores) != len(first.fold_scores) or best.score is None:
        return ""
    ratio = record.facts.validation_ratio(record.objective.metric)
    test = corrected_t_test(best.fold_scores, first.fold_scores, ratio=ratio)
    if ties.reason:
        return ""
    default = f"Trial 0, the model's default config, scores {words.number(first.score)}"
    low, high = sorted(abs(one) for one in test.interval())
    gain = f"{words.number(low)} to {words.number(high)}"
    if not test.p < ALPHA:
        if first.number in ties.tied:
            return f"{default} and is one of those tied: searching has shown no gain over it."
        return (
            f"{default}. The comparison of all trials finds it worse; a paired test of the two alone, which has only "
            "these two to judge chance by, does not."
        )
    if first.number in ties.tied:
        return (
            f"{default} and is one of those tied: the luck of the best of {len(record.ranked)} may explain the "
            f"difference. A paired test of the two alone finds one of {gain} (95 % interval), but does not count that "
            "luck."
        )
    return (
        f"{default}: searching has improved {record.objective.metric} by {gain} (95 % interval of a paired test of the "
        f"two alone; a bit too good, as the best of {len(record.ranked)} is picked)."
    )


def _nested(nested: NestedScores) -> str:
    measured, promised = fmean(nested.scores), fmean(nested.searched)
    return (
        f"Nested validation repeated the search without each of {len(nested.scores)} outer folds: on the fold left "
        f"out, the winners reach a test {nested.metric} of {words.score(measured, stdev(nested.scores))} (mean ± sd). "
        f"Their searches reported {words.number(promised)}, a difference of {words.number(abs(promised - measured))}."
    )


def _nothing(record: StudyRecord) -> str:
    if not record.trials:
        return "No trial has started yet."
    states = words.joined([f"{count:,} {state}" for state, count in record.counts.items()])
    return f"No trial is complete, so there is no winner: {states}."


def _winner(record: StudyRecord, best: Trial) -> str:
    n_folds = len(best.fold_scores)
    over = f"mean ± sd over {n_folds} folds" if n_folds > 1 else "on one validation split"
    if (seeds := record.spec.validation.seeds) > 1:
        over += f", {'each ' if n_folds > 1 else ''}the mean of {seeds} trainings"
    epoch = f", read {best.read_at}" if best.epoch is not None else ""
    return (
        f"Trial {best.number} is the best of {words.several(len(record.ranked), 'complete trial')}: "
        f"{record.objective.metric} {words.score(best.score, best.std)} ({over}{epoch})."
    )


def _ended_apart(record: StudyRecord, best: Trial) -> list[str]:
    """What callbacks that look at a fold's own validation rows do to the score."""
    if not (best.stopped_epochs or best.has_restored) or record.spec.training.together(best.config) is not None:
        return []
    return [
        f"Its folds have trained for {best.epochs_trained} epochs: a callback chose the epoch of each fold by its own "
        "validation rows, which also score it, so the score is a little too good."
    ]


def _corrected(record: StudyRecord, best: Trial, optimism: OptimismInfo | None) -> list[str]:
    """What to expect of the winner on new rows, if the rows' predictions tell."""
    if optimism is None or optimism.low is None or optimism.high is None:
        return []
    low, high, expected = map(words.number, (optimism.low, optimism.high, optimism.corrected))
    picked = f"Trial {best.number} was picked for its score"
    epoch = ", and so was its epoch" if record.objective.epoch == "best" and not best.has_restored else ""
    said = f"{picked}{epoch}: expect {expected} on new rows (95 % range {low} to {high})"
    baseline = record.facts.baseline
    if baseline is not None and optimism.low <= baseline.value <= optimism.high:
        said += (
            f", a range in which a model that always says {baseline.rule} lies too, with {words.number(baseline.value)}"
        )
    return [f"{said}."]


def _tied(record: StudyRecord, ties: TiesInfo) -> str:
    if ties.reason:
        return f"How certain that is remains unknown: {ties.reason}."
    if len(record.ranked) < 2:
        return "There is no other trial to compare with."
    return " ".join([f"{tied_words(ties)}.", *_too_few(record, ties), *_simplest(record, ties)])


def tied_words(ties: TiesInfo) -> str:
    """How many trials are tied with the winner, and what that promises, without a full stop."""
    others = len(ties.tied) - 1
    who = words.several(others, "other trial") if others else "No other trial"
    promise = f"at most {words.percent(ties.level)} of studies miss the truly best trial"
    return f"{who} {'are' if others > 1 else 'is'} statistically tied with it ({promise})"


def _too_few(record: StudyRecord, ties: TiesInfo) -> list[str]:
    if not ties.too_few_folds or len(ties.tied) < 2:
        return []
    folds = len(record.ranked[0].fold_scores)
    return [
        f"{folds} folds are too few to tell most trials from it: they show only differences of "
        f"{words.number(ties.visible)} or more, and the median trial is {words.number(ties.median_gap)} behind."
    ]


def _simplest(record: StudyRecord, ties: TiesInfo) -> list[str]:
    if ties.simplest == ties.best:
        return []
    simplest = next(trial for trial in record.ranked if trial.number == ties.simplest)
    size = f"{words.whole(simplest.parameters)} parameters, " if simplest.parameters is not None else ""
    return [
        f"The smallest within one standard error is trial {simplest.number} ({size}"
        f"{words.score(simplest.score, simplest.std)}): smaller, but not shown to be as good."
    ]


def _tested(record: StudyRecord, champion: Champion, metric: str, interval: Interval | None) -> str:
    name = f"trial {champion.trial}"
    value = champion.test.get(metric)
    if value is None or not math.isfinite(value):
        who = name.capitalize() if champion.models == 1 else "The champion"
        return f"{who} {'was' if champion.models == 1 else 'is'} {champion.made}; it has no test score."
    rows = record.facts.data.test_rows
    on = f" on {words.several(rows, 'held-out row')}" if rows else ""
    within = f" (95 % interval {words.number(interval.low)} to {words.number(interval.high)})" if interval else ""
    made = champion.made[0].upper() + champion.made[1:]
    subject = f"{made}, {name}" if champion.models == 1 else f"The champion, {champion.made},"
    return f"{subject} reaches a test {metric} of {words.number(value)}{within}{on}.{_other_kinds(champion, metric)}"


def _other_kinds(champion: Champion, metric: str) -> str:
    """What the other kinds of champion reach, and whether the test had a part in choosing this one."""
    others = {kind: test.get(metric) for kind, test in champion.compared.items() if kind != champion.kind}
    reached = words.joined([f"{kind} {words.number(value)}" for kind, value in others.items()])
    comparison = f" For comparison: {reached}." if others else ""
    if champion.rechosen and champion.crowned is None:
        return (
            f"{comparison} This kind was asked for after another had been tested: its score may be the best of several."
        )
    return comparison
