"""A study of labels, from its rehearsal to its report; and the task's own metrics as the objective of any model."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpsearch import analysis
from hpsearch.core.events import Bundle, Lane, LaneFinished
from hpsearch.core.facts import Task
from hpsearch.core.metrics import values_of
from hpsearch.ledger.record import with_task_as_begun
from hpsearch.report import load_artifacts
from hpsearch.report.content import gather
from hpsearch.report.markdown import render_markdown
from hpsearch.report.page import render_page
from hpsearch.search import preparation
from hpsearch.search.changes import check_unchanged, with_defaults_as_begun
from hpsearch.spec import parse_spec
from hpsearch.testing.factories import make_record
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.protocol import RefitOrder, ToRefit
from hpsearch.training.worker import Worker

STUDY = """
name = "songs"
[data]
source = "songs.csv"
target = ["rock", "jazz", "folk"]
test_fraction = 0.3
[validation]
folds = 2
[model]
{model}
[space]
epochs = 2
[objective]
metric = "{metric}"
direction = "maximize"
"""

CONFIG = {"layers": 1, "units": 8, "dropout": 0.0, "optimizer": "adam", "learning_rate": 0.02, "batch_size": 16,
          "epochs": 2, "activation": "relu", "batch_norm": False}  # fmt: skip

OWN = """
import keras

class Half(keras.metrics.Mean):
    def update_state(self, y, p, sample_weight=None):
        return super().update_state(keras.ops.full_like(p, 0.5))

def build(config, data):
    inputs = {c.name: keras.Input((), name=c.name) for c in data.columns}
    x = keras.ops.stack([inputs[name] for name in inputs], axis=-1)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=[Half(name="auc")])
    return model
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    labels = np.stack([x[:, 0] > 0, x[:, 1] + x[:, 0] > 0.5, rng.random(120) < 0.1], 1).astype(int)
    rows = [",".join([*map("{:.3f}".format, a), *map(str, b)]) for a, b in zip(x, labels, strict=True)]
    (found / "songs.csv").write_text("\n".join(["a,b,rock,jazz,folk", *rows]) + "\n")
    (found / "own_songs.py").write_text(OWN)
    return found


def worker(folder: Path, metric: str, model: str = 'family = "mlp"') -> Worker:
    return Worker(parse_spec(STUDY.format(metric=metric, model=model), folder=folder), predictions=str(folder / "kept"))


@pytest.mark.slow
def test_a_family_learns_labels_and_both_engines_score_them_alike(folder: Path) -> None:
    one = worker(folder, "val_exact_match")
    told = one.rehearse(CONFIG)
    assert {"val_accuracy", "val_loss", "val_exact_match"} <= set(told.metrics)
    assert told.baselines[0].rule in ("the more frequent value of each label", "the shares of the labels")
    assert told.baselines[0].metrics["auc"] == 0.5
    problem = one.problem
    assert problem.dataset.task is Task.MULTILABEL
    lanes = tuple(Lane(0, fold, CONFIG) for fold in range(2))
    fit, fused = (
        {event.result.fold: event.result.curves for event in engine.train(Bundle(0, lanes), frozenset)
         if isinstance(event, LaneFinished)}
        for engine in (FitEngine(problem), FusedEngine(problem, jobs_at_once=1))
    )  # fmt: skip
    for fold in range(2):
        for curve in ("val_exact_match", "val_accuracy", "val_loss"):
            assert fused[fold][curve] == pytest.approx(fit[fold][curve], rel=1e-4, abs=1e-6)
    with np.load(folder / "kept" / "0" / "1.npz") as kept:
        found = values_of(Task.MULTILABEL, kept["y"], kept["predicted"][-1])
    assert found["exact_match"] == pytest.approx(fused[1]["val_exact_match"][-1])
    assert found["accuracy"] == pytest.approx(fused[1]["val_accuracy"][-1], abs=1e-6)
    assert found["log_loss"] == pytest.approx(fused[1]["val_loss"][-1], rel=1e-4)


@pytest.mark.slow
def test_the_champions_test_has_all_metrics_their_intervals_and_a_report_for_each_label(folder: Path) -> None:
    one = worker(folder, "val_f1_macro")
    champion = one.refit(RefitOrder((ToRefit(0, CONFIG, 2),), folder / "study"))
    wanted = {"loss", "accuracy", "exact_match", "f1_macro", "auc", "pr_auc", "log_loss"}
    assert set(champion.test) == wanted
    assert set(champion.baseline) == wanted
    assert champion.baseline["auc"] == 0.5
    facts = replace(make_record().facts, data=one.describe_data())
    record = replace(make_record(), spec=one.spec, champion=champion, facts=facts)
    artifacts = load_artifacts(record, folder / "study")
    intervals = analysis.test_intervals(record, artifacts.predictions)
    assert set(intervals) == wanted
    assert all(one.low < champion.test[name] < one.high for name, one in intervals.items())
    content = gather(record, artifacts)
    info = content.predictions
    assert [score.name for score in info.class_scores] == ["rock", "jazz", "folk"]
    assert [row.value for row in info.metrics] == pytest.approx(
        [champion.test[name] for name in ("accuracy", "exact_match", "f1_macro", "auc", "pr_auc", "log_loss")], rel=1e-4
    )
    assert info.sentence.startswith("All labels are right in ")
    assert "| label | rows | predicted |" in render_markdown(content)
    assert "Scores of each label" in render_page(content)


@pytest.mark.slow
def test_a_metric_of_the_model_with_a_tasks_name_comes_first(folder: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    one = worker(folder, "val_auc", 'build = "own_songs:build"')
    assert one.rehearse({"epochs": 1}).metrics.count("val_auc") == 1
    events = FitEngine(one.problem).train(Bundle(0, (Lane(0, 0, {"epochs": 1}),)), frozenset)
    (event,) = [event for event in events if isinstance(event, LaneFinished)]
    assert event.result.curves["val_auc"] == (0.5,)
    champion = one.refit(RefitOrder((ToRefit(0, {"epochs": 1}, 1),), folder / "own"))
    assert champion.test["auc"] == 0.5
    assert champion.test["pr_auc"] != 0.5
    other = worker(folder, "val_pr_auc", 'build = "own_songs:build"').rehearse({"epochs": 1})
    assert "val_pr_auc" in other.metrics


def test_a_study_that_began_as_several_regressions_goes_on_so(folder: Path, monkeypatch) -> None:
    spec = parse_spec(STUDY.format(metric="val_mse", model='family = "mlp"'), folder=folder)
    record = replace(make_record(), spec=spec)
    facts = replace(record.facts, data=replace(record.facts.data, task=Task.REGRESSION))
    begun = replace(record, facts=replace(facts, plan=replace(facts.plan, engine="fit")))
    assert (begun.worker_spec.data.task, begun.worker_spec.resources.engine) == ("regression", "fit")
    assert Worker(begun.worker_spec).problem.dataset.task is Task.REGRESSION
    assert record.worker_spec.data.task is None
    monkeypatch.setattr(preparation, "_try_backend", lambda spec, *_: spec)
    assert preparation.prepare_study(spec, ExitStack(), begun.facts).data.task == "regression", "a null search"
    named = with_task_as_begun(spec, begun.facts)  # of an outer fold's search
    check_unchanged(begun, with_defaults_as_begun(begun, named, ""))
