import base64
import json
import math
import zlib
from dataclasses import replace

import pytest

from hpsearch.core.objective import Objective, mean_curve
from hpsearch.core.trial import TrialState
from hpsearch.ledger.record import StudyState
from hpsearch.testing.factories import OBJECTIVE, make_champion, make_record, make_trial, make_trials
from hpsearch.testing.searched import make_searched
from hpsearch.tracking.mlflow import saved_view, study_view, trial_view


@pytest.mark.parametrize(
    ("state", "name", "status"),
    [
        (TrialState.RUNNING, "t007", "RUNNING"),
        (TrialState.COMPLETE, "t007 · 0.9019", "FINISHED"),
        (TrialState.PRUNED, "t007 · pruned", "KILLED"),
        (TrialState.DIVERGED, "t007 · diverged", "FAILED"),
        (TrialState.FAILED, "t007 · failed", "FAILED"),
    ],
)
def test_run_names_are_short_and_tell_the_fate(state: TrialState, name: str, status: str) -> None:
    trial = make_trial(7, state)
    assert trial_view.run_name(trial) == name
    assert trial_view.STATUS[state] == status


def test_params_give_every_value_back_exactly() -> None:
    trial = make_trial(3, config={"learning_rate": 0.1 + 0.2, "units": 64, "nesterov": True, "optimizer": "sgd"})
    texts = trial_view.params(trial.config)
    assert float(texts["learning_rate"]) == 0.1 + 0.2
    assert texts == {"learning_rate": "0.30000000000000004", "units": "64", "nesterov": "True", "optimizer": "sgd"}


def test_keys_that_mlflow_would_refuse_are_mended_and_stay_apart() -> None:
    assert trial_view.legal_key("f1(macro)") == "f1_macro_"
    assert trial_view.legal_key("../up//down/.") == "_/up/down"
    assert trial_view.legal_key("") == "_"
    assert trial_view.legal_keys(["units[0]", "units(0)", "units_0_"]) == {
        "units[0]": "units_0_",
        "units(0)": "units_0__2",
        "units_0_": "units_0__3",
    }


def test_points_are_a_function_of_the_trial_and_times_lie_within_the_fold() -> None:
    trial = make_trial(2)
    fold = trial.folds[1]
    points = trial_view.fold_points(fold)
    assert points == trial_view.fold_points(fold)
    curve = [point for point in points if point.key == "fold_1/val_loss"]
    assert [point.value for point in curve] == list(fold.curves["val_loss"])
    assert [point.step for point in curve] == list(range(1, 21))
    assert [point.step for point in trial_view.fold_points(fold, 0) if point.key == curve[0].key] == list(range(20))
    assert curve[0].timestamp_ms > fold.started * 1000
    assert curve[-1].timestamp_ms == round((fold.started + fold.seconds) * 1000)


def test_mean_curves_of_scored_trials_only() -> None:
    complete, diverged = make_trial(2), make_trial(2, TrialState.DIVERGED)
    means = [point.value for point in trial_view.mean_points(complete) if point.key == "val_accuracy"]
    assert means == list(mean_curve([fold.curves for fold in complete.folds], "val_accuracy"))
    assert means[(complete.epoch or 1) - 1] == complete.score
    assert diverged.folds
    assert trial_view.mean_points(diverged) == []


def test_infinities_become_nan_so_that_charts_stay_readable() -> None:
    assert math.isnan(trial_view.finite_or_nan(math.inf))
    assert math.isnan(trial_view.finite_or_nan(-math.inf))
    assert math.isnan(trial_view.finite_or_nan(math.nan))
    assert trial_view.finite_or_nan(1e300) == 1e300


def test_a_user_metric_named_score_does_not_mix_with_the_score() -> None:
    trial = make_trial(1, metrics=("loss", "score", "val_score", "val_loss"))
    keys = [point.key for point in (*trial_view.mean_points(trial), *trial_view.summary_points(trial, "val_score"))]
    assert keys.count("score") == 1
    assert keys.count("mean/score") == 20


def test_digest_changes_with_what_is_shown_and_with_nothing_else() -> None:
    trial = make_trial(5)
    assert trial_view.digest(trial) == trial_view.digest(make_trial(5))
    backwards = dict(reversed(list(trial.config.items())))
    assert trial_view.digest(trial) == trial_view.digest(replace(trial, config=backwards))
    for change in ({"score": 0.5}, {"state": TrialState.PRUNED}, {"folds": trial.folds[:4]}, {"parameters": 1}):
        assert trial_view.digest(trial) != trial_view.digest(replace(trial, **change))  # type: ignore[arg-type]


def test_best_so_far_waits_for_earlier_trials_whatever_the_order() -> None:
    trials = make_trials(10)
    in_order = trial_view.BestSoFar(OBJECTIVE)
    expected = [point for trial in trials for point in in_order.add(trial)]
    shuffled = trial_view.BestSoFar(OBJECTIVE)
    assert shuffled.add(trials[1]) == []
    assert shuffled.add(trials[1]) == []
    assert [point.step for point in shuffled.add(trials[0])] == [0, 1]
    rest = [point for number in (9, 8, 7, 6, 5, 4, 3, 2) for point in shuffled.add(trials[number])]
    assert rest == expected[2:]
    best = max(trial.score for trial in trials if trial.state is TrialState.COMPLETE and trial.score is not None)
    assert expected[-1].value == best
    assert [point.value for point in expected] == sorted(point.value for point in expected)


def test_best_so_far_of_a_loss_goes_down() -> None:
    trajectory = trial_view.BestSoFar(Objective("val_loss", "minimize"))
    scores = [0.5, 0.7, 0.3]
    points = [p for n, s in enumerate(scores) for p in trajectory.add(replace(make_trial(n), score=s))]
    assert [point.value for point in points] == [0.5, 0.5, 0.3]


def test_leaderboard_ranks_complete_trials_and_lists_the_others() -> None:
    record = make_record(make_trials(10))
    table = study_view.leaderboard(record)
    ranks = [row[0] for row in table["data"]]
    assert ranks == [1, 2, 3, 4, 5, 6, 7, None, None, None]
    assert [row[1] for row in table["data"][:7]] == [trial.number for trial in record.ranked]
    assert table["data"][0][table["columns"].index("score")] == record.ranked[0].score
    assert {row[2] for row in table["data"][7:]} == {"pruned", "diverged", "failed"}


def test_description_says_where_the_study_stands_and_escapes_what_users_wrote() -> None:
    trials = [make_trial(0, config={"act|ivation": "<script>alert(1)</script>", "epochs": 20})]
    record = make_record(trials, state=StudyState.FINISHED, champion=make_champion(trials[0]))
    text = study_view.describe(record)
    assert "State: **finished**, 1 complete." in text
    assert "| act\\|ivation | &lt;script&gt;alert(1)&lt;/script&gt; |" in text
    assert "test: loss 0.1235, accuracy 0.9778" in text
    assert len(study_view.study_tags(make_record(trials, notes=("x" * 9000,)))["mlflow.note.content"]) <= 5000


def test_the_view_of_a_study_shows_what_was_searched_and_fits_into_a_tag() -> None:
    record = make_searched(40)
    text = saved_view.saved_view(record)
    assert len(text) < trial_view.TAG_LENGTH
    envelope = json.loads(text)
    assert (envelope["name"], envelope["state"][:8]) == ("Study", "deflate;")
    state = json.loads(zlib.decompress(base64.b64decode(envelope["state"][8:])))
    assert state["orderByAsc"] is False
    columns = state["selectedColumns"]
    assert columns[:3] == ["metrics.`score`", "metrics.`score_std`", "params.`learning_rate`"]
    assert "params.`momentum`" in columns
    assert "params.`epochs`" not in columns  # a constant
    charts = {chart["displayName"]: chart for chart in state["compareRunCharts"]}
    # Only some trials have a momentum, and MLflow's parallel plot would leave out the others.
    assert sorted(charts["axes"]["selectedParams"]) == [
        *("batch_size", "dropout", "learning_rate", "optimizer", "units"),
    ]
    folds = [chart for chart in charts.values() if chart["metricSectionId"] == "folds"]
    assert folds[0]["selectedMetricKeys"] == [f"fold_{fold}/val_accuracy" for fold in range(5)]
    assert {chart["metricSectionId"] for chart in charts.values()} <= {"score", "mean", "folds"}
    before = saved_view.saved_view(make_record())  # no trial yet
    assert len(before) < trial_view.TAG_LENGTH
