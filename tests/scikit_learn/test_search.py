"""A search is an estimator: in pipelines, cloned, pickled, scored, and checked by scikit-learn."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score, r2_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hpsearch
from hpsearch import KerasSearchCV
from hpsearch.core.trial import TrialState
from hpsearch.data import load_dataset
from hpsearch.portable.predictor import _load_pyfunc
from hpsearch.report import ReportArtifacts, model_card
from tests.raising import raises
from tests.scikit_learn.linear import INLINE, SPACE, build, of_logits, search

WINE = load_wine(as_frame=True)
NAMES = WINE.target.map({0: "barolo", 1: "grignolino", 2: "barbera"})

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_a_pipeline_with_a_search_is_an_estimator() -> None:
    found = KerasSearchCV(build, SPACE, cv=2, trials=2, sections=INLINE, name="wine")
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), found)
    pipeline.fit(WINE.data, NAMES)
    assert found.classes_.tolist() == ["barbera", "barolo", "grignolino"]
    assert found.feature_names_in_.tolist() == list(WINE.data.columns)
    assert (found.n_features_in_, found.n_splits_, found.task_) == (13, 2, "classification")
    assert is_classifier(found)
    shares = pipeline.predict_proba(WINE.data)
    assert (pipeline.predict(WINE.data) == found.classes_[shares.argmax(axis=1)]).all()
    assert pipeline.score(WINE.data, NAMES) == (pipeline.predict(WINE.data) == NAMES).mean() > 0.8
    results = pd.DataFrame(found.cv_results_)
    assert results.mean_test_score[found.best_index_] == found.best_score_ == found.study_.best.score
    assert results.params[found.best_index_] == found.best_params_
    assert found.study_.name.startswith("wine-")
    assert len(found.study_.trials) == 2

    copied = pickle.loads(pickle.dumps(pipeline))
    assert (copied.predict(WINE.data) == pipeline.predict(WINE.data)).all()
    again = clone(pipeline).fit(WINE.data, NAMES)[-1]
    assert again.study_.record.created == found.study_.record.created  # the same study: nothing was trained
    with pytest.raises(NotFittedError):
        clone(found).predict(WINE.data)
    with pytest.raises(ValueError, match="feature names should match"):
        found.predict(WINE.data.rename(columns={"ash": "dust"}))


@pytest.mark.slow
def test_every_part_of_a_cross_validation_is_a_study_of_its_own() -> None:
    values = load_diabetes(scaled=False)
    rows, targets = values.data[:120], (values.target[:120] - 150) / 80
    one = search(scoring="neg_mean_squared_error", name="sugar")
    scores = cross_val_score(one, rows, targets, cv=2)
    assert np.isfinite(scores).all()
    assert (scores < 0).all()
    names = [one for one in os.listdir("mlruns/studies") if one.startswith("sugar-")]
    assert len(names) == 2
    found = search(scoring=None).fit(rows, targets)
    assert found.score(rows, targets) == r2_score(targets, found.predict(rows))
    assert is_regressor(found)
    assert not hasattr(found, "predict_proba")


@pytest.mark.slow
def test_one_hot_targets_texts_and_groups() -> None:
    rows = np.eye(3)[WINE.target]
    found = search(scoring="loss").fit(WINE.data.to_numpy(), rows)
    predicted = found.predict(WINE.data.to_numpy())
    assert predicted.shape == rows.shape
    assert (predicted.sum(axis=1) == 1).all()
    assert found.score(WINE.data.to_numpy(), rows) < 0
    ranked = search(scoring="pr_auc").fit(WINE.data, WINE.target)
    assert 0.5 < ranked.score(WINE.data, WINE.target) <= 1
    labels = np.stack([WINE.target != 0, WINE.target != 2], axis=1).astype(int)
    marked = search(scoring=None).fit(WINE.data.to_numpy(), labels)
    assert set(np.unique(marked.predict(WINE.data.to_numpy()))) <= {0, 1}
    assert marked.predict_proba(WINE.data.to_numpy()).shape == labels.shape
    groups = np.arange(len(rows)) % 7
    with raises("study-file.leaking-folds"):
        search().fit(WINE.data, WINE.target, groups=groups)
    grouped = search(cv=2).fit(WINE.data, WINE.target, groups=groups)
    assert grouped.study_.record.spec.validation.method == "group"


def test_a_row_of_logits_is_predicted_alone_as_it_is_among_others() -> None:
    rows = np.linspace(-1, 1, 60, dtype=np.float32)[:, None]
    names = np.where(rows[:, 0] > 0, "yes", "no")
    found = search(build=of_logits).fit(rows, names)
    logits = found.best_estimator_.predict(rows, verbose=0)[:, 0]
    doubtful = int(np.flatnonzero((logits > 0) & (logits < 0.5))[0])  # as a probability, it would be the other class
    alone = found.predict_proba(rows[doubtful : doubtful + 1])
    assert alone[0, 1] == pytest.approx(1 / (1 + np.exp(-logits[doubtful])), rel=1e-4)
    assert found.predict(rows[doubtful : doubtful + 1]) == found.predict(rows)[doubtful] == "yes"
    said = found.study_.predict(rows)
    assert said["prediction"].tolist() == found.predict(rows).tolist()
    assert said[["p(no)", "p(yes)"]].to_numpy() == pytest.approx(found.predict_proba(rows), rel=1e-4)
    with pytest.raises(ValueError, match=r"y has classes that fit has not seen: 'maybe', 'perhaps'$"):
        found.score(rows[:3], ["yes", "perhaps", "maybe"])


def test_amounts_are_predicted_in_the_unit_of_the_data() -> None:
    rows = np.linspace(-1, 1, 60, dtype=np.float32)[:, None]
    prices = 300_000 + 100_000 * rows[:, 0]
    found = search(sections={**INLINE, "data": {"unit": 100_000}}).fit(rows, prices)
    outputs = found.best_estimator_.predict(rows, verbose=0)[:, 0]
    assert 0.5 < outputs.mean() < 5
    wanted = pytest.approx(outputs * 100_000, rel=1e-5)
    study = found.study_
    shipped = _load_pyfunc(str(Path(study.champion.mlflow_model, "data", "champion")))
    assert found.predict(rows) == wanted
    assert study.predict(rows)["prediction"].to_numpy() == wanted
    assert shipped.predict(rows)["prediction"].to_numpy() == wanted
    assert found.score(rows, prices) == pytest.approx(-np.mean((outputs - prices / 100_000) ** 2), rel=1e-3)
    assert "Errors and losses are in units of 100,000 " in model_card(study.record, ReportArtifacts())


def test_what_cannot_be_scored_is_said() -> None:
    with raises("study-file.missing-direction", scoring="dice"):
        search(scoring="dice").fit(WINE.data, WINE.target)
    with raises("study-file.unknown-scoring"):
        search(scoring=["accuracy", "roc_auc"]).fit(WINE.data, WINE.target)
    with pytest.raises(ValueError, match="task = 'binary' must be"):
        search(task="binary").fit(WINE.data, WINE.target)
    with pytest.raises(ValueError, match="one class only, 0"):
        search().fit(WINE.data, WINE.target * 0)


QUICK = (
    "check_estimator_cloneable",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_estimators_nan_inf",
    "check_n_features_in",
    "check_estimators_pickle",
    "check_fit2d_1sample",
    "check_dict_unchanged",
    "check_set_params",
    "check_requires_y_none",
)
"""All of them take some minutes: ``make check-estimator``."""


@pytest.mark.slow
def test_some_of_scikit_learn_s_own_checks() -> None:
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.scikit_learn.linear", "classification", *QUICK]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(QUICK)


@pytest.mark.slow
def test_a_trial_trained_again_is_the_champion() -> None:
    rows = WINE.data.to_numpy()
    study = hpsearch.run(
        build, rows, WINE.target, space=SPACE, folds=2, trials=2,
        metric="val_loss", direction="minimize", verbose=0, **INLINE
    )  # fmt: skip
    champion = study.best_model().predict(rows, verbose=0)
    best, other = (one.predict(rows, verbose=0) for one in study.best_models(2))
    assert np.array_equal(best, champion)
    assert not np.allclose(other, champion)
    assert np.array_equal(study.refit(study.record.ranked[1].number).predict(rows, verbose=0), other)
    with raises("study.no-such-trial", trial=7):
        study.refit(7)
    assert "polyline" in study._repr_html_()
    assert study.best._repr_html_().startswith(f"<p>Trial {study.best.number}: complete, ")
    assert repr(study.best).startswith(f"<Trial {study.best.number}: complete, ")
    assert repr(study.champion).startswith(f"<Champion of trial {study.best.number}: refitted on all training rows")
    assert study.best.state is TrialState.COMPLETE


def test_fit_takes_sample_weights() -> None:
    weights = np.where(WINE.target == 0, 5.0, 1.0)
    weighted = search(cv=2).fit(WINE.data, WINE.target, sample_weight=weights)
    np.testing.assert_allclose(load_dataset(weighted.study_.record.worker_spec).train.weights, weights)
    said = weighted.predict(WINE.data)
    f1 = f1_score(WINE.target, said, average="macro", sample_weight=weights)
    accuracy = np.average(said == WINE.target, weights=weights)
    for scoring, right in (("accuracy", accuracy), ("val_f1_macro", f1)):  # of scikit-learn, and of hpsearch
        weighted.set_params(scoring=scoring)
        assert weighted.score(WINE.data, WINE.target, sample_weight=weights) == pytest.approx(right, abs=1e-6)
