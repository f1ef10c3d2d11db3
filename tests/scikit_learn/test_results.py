"""``cv_results_`` has the keys and the meaning that scikit-learn gives them."""

from dataclasses import replace

import numpy as np

from hpsearch.core.trial import TrialState
from hpsearch.scikit_learn.results import cv_results
from hpsearch.spec.sections import ObjectiveSection
from hpsearch.testing.factories import make_record, make_trials


def test_trials_are_entries_and_greater_scores_are_better() -> None:
    record = make_record(make_trials(10))
    found = cv_results(record)
    count, folds = len(record.trials), record.facts.data.n_folds
    assert all(len(values) == count for values in found.values())
    assert {f"split{fold}_test_score" for fold in range(folds)} <= found.keys()
    assert found["params"] == [dict(trial.config) for trial in record.trials]
    best = record.trials.index(record.best)
    assert found["rank_test_score"][best] == 1
    assert np.nanargmax(found["mean_test_score"]) == best
    complete = [trial.state is TrialState.COMPLETE for trial in record.trials]
    assert 0 < sum(complete) < count
    assert np.isfinite(found["mean_test_score"]).tolist() == complete
    assert set(found["rank_test_score"][~np.array(complete)]) == {sum(complete) + 1}
    splits = np.array([found[f"split{fold}_test_score"][best] for fold in range(folds)])
    assert np.isclose(splits.mean(), found["mean_test_score"][best])
    assert np.isclose(splits.std(), found["std_test_score"][best])
    assert found["mean_fit_time"][best] == np.mean([fold.seconds for fold in record.best.folds])


def test_a_metric_that_is_minimised_is_negated() -> None:
    record = make_record(make_trials(10))
    objective = ObjectiveSection(metric="val_loss", direction="minimize")
    trials = tuple(replace(trial, score=None if trial.score is None else 1 - trial.score) for trial in record.trials)
    losses = replace(record, spec=record.spec.model_copy(update={"objective": objective}), trials=trials)
    found, best = cv_results(losses), losses.trials.index(losses.best)
    assert found["mean_test_score"][best] == -losses.best.score
    assert found["rank_test_score"][best] == 1


def test_hyperparameters_that_are_not_active_are_masked() -> None:
    record = make_record(make_trials(10))
    config = {name: value for name, value in record.trials[0].config.items() if name != "units"}
    found = cv_results(replace(record, trials=(replace(record.trials[0], config=config), *record.trials[1:])))
    assert found["param_units"].mask.tolist() == [True, *[False] * (len(record.trials) - 1)]
    assert found["param_units"][1] == record.trials[1].config["units"]
