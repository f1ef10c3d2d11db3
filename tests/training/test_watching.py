"""Predictions for validation rows: kept by both engines, epoch by epoch, for the best trials."""

from dataclasses import replace

import numpy as np
import pytest

from hpsearch.core.events import Bundle, Lane
from hpsearch.core.out_of_fold import BEST, lane_file
from hpsearch.core.trial import Trial, TrialState
from hpsearch.search import best_predictions
from hpsearch.spec import parse_spec
from hpsearch.testing.factories import make_record
from hpsearch.training.engines import watching
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.problem import Problem

STUDY = """
name = "kept"
seed = 3
[data]
source = "sklearn:wine"
[validation]
folds = 3
[model]
family = "mlp"
[space]
layers = 1
units = 8
dropout = 0.0
optimizer = "adam"
learning_rate = 0.01
batch_size = 32
epochs = 2
[objective]
metric = "val_accuracy"
direction = "maximize"
"""
CONFIG = {"layers": 1, "units": 8, "dropout": 0.0, "optimizer": "adam", "learning_rate": 0.01, "batch_size": 32,
          "epochs": 2, "activation": "relu"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("engine", [FitEngine, FusedEngine])
def test_every_epoch_of_every_fold_is_kept(engine, tmp_path):
    problem = Problem.load(parse_spec(STUDY), predictions=str(tmp_path))
    lanes = tuple(Lane(4, fold, CONFIG) for fold in range(3))
    results = [one.result for one in engine(problem).train(Bundle(0, lanes), frozenset) if hasattr(one, "parameters")]
    for result in results:
        with np.load(lane_file(tmp_path, 4, result.fold)) as file:
            assert np.array_equal(file["rows"], problem.folds[result.fold].validation)
            assert file["predicted"].shape == (2, len(file["rows"]), 3)
            shares = (file["predicted"].argmax(axis=2) == file["y"]).mean(axis=1)
        assert shares == pytest.approx(result.curves["val_accuracy"], abs=1e-6)


def test_too_many_predictions_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "MOST_BYTES", 1000)
    problem = Problem.load(parse_spec(STUDY), predictions=str(tmp_path))
    watch = watching.watch_of(problem, Lane(0, 0, CONFIG), (), note=print)
    assert watch(np.ones((len(problem.folds[0].validation), 3)), ()) == {}
    watch.finish()
    assert not list(tmp_path.iterdir())
    assert watching.watch_of(replace(problem, predictions=""), Lane(0, 0, CONFIG), (), note=print) is None


def test_a_folder_that_cannot_be_written_costs_a_note_only(tmp_path):
    (tmp_path / "file").write_text("")
    problem = Problem.load(parse_spec(STUDY), predictions=str(tmp_path / "file"))
    notes: list[str] = []
    watch = watching.watch_of(problem, Lane(0, 0, CONFIG), (), note=notes.append)
    watch(np.ones((len(problem.folds[0].validation), 3)), ())
    watch.finish()
    (note,) = notes
    assert note == f"predictions for validation rows cannot be kept in {tmp_path / 'file'}: Not a directory"


def test_half_precision_keeps_the_most_probable_class():
    shares = np.array([[0.33331, 0.33332, 0.33337], [0.5, 0.50001, 0.0], [0.50001, 0.5, 0.0], [1.0, 0.0, 0.0]])
    half = watching.in_half_precision(shares)
    assert half.dtype == np.float16
    assert half.argmax(axis=1).tolist() == [2, 1, 0, 0]
    assert half == pytest.approx(shares, abs=1e-3)


def test_only_the_best_trials_stay_once_there_is_no_room(tmp_path, monkeypatch):
    def keep(folder, room, begun=0):
        monkeypatch.setattr(best_predictions, "ROOM", room)
        keeper = best_predictions.BestPredictions(folder, make_record().objective)
        numbers = range(BEST + 5)
        trials = [
            Trial(number, {}, TrialState.PRUNED if number == 3 else TrialState.COMPLETE, score=float(number))
            for number in numbers
        ]
        for number in numbers:
            path = lane_file(folder, number, 0)
            path.parent.mkdir(parents=True)
            path.write_bytes(b"0" * 100)
        keeper.open(replace(make_record(), trials=tuple(trials[:begun])))
        for trial in trials[begun:]:
            keeper.trial_finished(trial)
        return sorted(int(one.name) for one in folder.iterdir())

    best, complete = list(range(5, BEST + 5)), [one for one in range(BEST + 5) if one != 3]
    assert keep(tmp_path / "full", 0) == best
    assert keep(tmp_path / "resumed", 0, begun=BEST + 5) == best  # after a kill that left some behind
    assert keep(tmp_path / "one more", 100 * (BEST + 1)) == [4, *best]
    assert keep(tmp_path / "roomy", 1 << 20) == complete
