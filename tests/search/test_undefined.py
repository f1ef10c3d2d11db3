"""A metric that has no value in some folds: they are left out of curves, scores, pruning and statistics."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hpsearch import analysis
from hpsearch.core.events import EpochFinished
from hpsearch.core.rehearsed import Baseline, Undefined
from hpsearch.core.trial import TrialState
from hpsearch.errors import DataError
from hpsearch.ledger.store import Ledger
from hpsearch.report import terminal
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.preparation import _undefined
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec
from hpsearch.tracking.mlflow import study_view, trial_view
from tests.search.drive import drive

SPEC = make_spec("sqlite:///nowhere.db")
OF_LOSS = SPEC.model_copy(update={"objective": SPEC.objective.model_copy(update={"metric": "val_loss"})})

LEFT_OUT = (Undefined("val_accuracy", (1, 3), "rows of class 'a' only"),)


@pytest.fixture(scope="module", params=["none", "racing"])
def searched(request, tmp_path_factory):
    """A study of five folds, two of which have no value of the objective."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('undefined')}/ledger.db"
    changes = {"folds": 5, "trials": 6, "algorithm": "random", "pruning": request.param}
    record = make_record(make_spec(uri, **changes))
    Ledger(uri, create=True).create(replace(record, facts=replace(record.facts, undefined=LEFT_OUT)))
    return drive(uri, SyntheticExecutor(), **changes)


def test_the_score_is_the_mean_of_the_other_folds(searched) -> None:
    assert searched.facts.undefined == LEFT_OUT
    assert searched.best is not None
    for trial in searched.ranked:
        assert len(trial.folds) == 5
        assert ["val_accuracy" in fold.curves for fold in trial.folds] == [True, False, True, False, True]
        assert all("val_loss" in fold.curves for fold in trial.folds)
        assert trial.scores_by_fold("val_accuracy").keys() == {0, 2, 4}
        assert trial.score == pytest.approx(sum(trial.fold_scores) / 3)


def test_statistics_and_views_count_three_folds(searched) -> None:
    board = analysis.leaderboard_info(searched)
    assert board.rows[0].scored_folds == (0, 2, 4)
    assert analysis.verdict_info(searched).n_folds == 3
    ties = analysis.ties_info(searched)
    assert ties.standard_error == pytest.approx(searched.best.std / 3**0.5)
    assert ties.tests
    assert "fold_2" in analysis.trials_table(searched).columns
    assert "fold_1" not in analysis.trials_table(searched).columns
    table = study_view.leaderboard(searched)
    assert [one for one in table["columns"] if str(one).startswith("fold_")] == ["fold_0", "fold_2", "fold_4"]
    best = searched.best
    keys = {point.key for point in trial_view.summary_points(best, "val_accuracy")}
    assert {"fold_0/score", "fold_2/score", "fold_4/score"} <= keys
    assert "fold_1/score" not in keys
    assert analysis.curves_info(searched).trials[0].curves["val_accuracy"].mean
    console = Console(width=100)
    with console.capture() as captured:
        console.print(terminal.trial(analysis.trial_summary(searched, best)))
    assert [fold in captured.get() for fold in ("(fold 0)", "(fold 1)", "(fold 4)")] == [True, False, True]


def test_the_monitor_compares_as_soon_as_the_folds_with_a_value_have_an_epoch() -> None:
    record = make_record(make_spec("sqlite:///x.db", folds=3, pruning="median"))
    facts = replace(record.facts, undefined=(Undefined("val_accuracy", (1,), "…"),))
    monitor = PruningMonitor(replace(record, facts=facts))
    asked: list[int] = []

    class Rule:
        def stop_reason(self, own, others):
            asked.append(len(own.folds))

    monitor._pruner = Rule()
    monitor._curves[0] = {}
    for fold, metrics in ((0, {"val_accuracy": 0.5}), (1, {"val_loss": 1.0}), (2, {"val_accuracy": 0.5})):
        monitor.epoch(EpochFinished(0, fold, 0, metrics), 5)
    assert asked == [2]


@pytest.mark.parametrize(
    ("mean", "scores", "place", "said"),
    [
        (0.7, (0.5, 0.6, 0.55), 0, "is no better than guessing: its val_accuracy is 0.6000, and always"),
        (0.5, (0.95, 0.2, 0.7), 0, "is not clearly better than guessing: its val_accuracy is 0.6000"),
        (0.11, (0.1, 0.11, 0.12), 1, "Always saying 'no' scores 0.11"),
    ],
)
def test_the_verdict_compares_with_a_model_that_always_says_the_same(tmp_path: Path, mean, scores, place, said) -> None:
    uri = f"sqlite:///{tmp_path}/ledger.db"
    record = drive(uri, SyntheticExecutor(), folds=3, trials=1, algorithm="random")
    best = replace(record.trials[0], score=0.6, fold_scores=(0.59, 0.6, 0.61), state=TrialState.COMPLETE)
    found = replace(record, trials=(best,), facts=replace(record.facts, baselines=(Baseline("'no'", mean, scores),)))
    sentences = analysis.verdict_info(found).sentences
    assert said in sentences[place]
    assert "always saying 'no'" in study_view.study_tags(found)["hpsearch.baseline"]


def test_a_note_names_the_folds_and_an_objective_without_any_value_does_not_start() -> None:
    (some,) = LEFT_OUT
    assert _undefined(SPEC, some, 5) == (
        "val_accuracy has no value in some folds: folds 1, 3 validate on rows of class 'a' only and are left out; the "
        "score is the mean of the other 3"
    )
    assert _undefined(OF_LOSS, some, 5).endswith("only and are left out")
    with pytest.raises(DataError) as caught:
        _undefined(SPEC, some, 2)
    assert caught.value.code == "data.undefined-metric"
    assert caught.value.values["folds"] == (1, 3)
    assert _undefined(OF_LOSS, some, 2).startswith("val_accuracy has no value in any fold")
    limits = OF_LOSS.objective.model_copy(update={"at_least": {"val_accuracy": 0.9}})
    with pytest.raises(
        DataError, match=r"objective\.at_least: val_accuracy has no value in any fold, with rows of class"
    ):
        _undefined(OF_LOSS.model_copy(update={"objective": limits}), some, 2)
