"""Several trainings of each fold: their mean is what is known of it, in both engines, and it counts once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hpsearch as package
from hpsearch.analysis import verdict_info
from hpsearch.analysis.optimism import OVER_FOLDS, optimism_info
from hpsearch.core.events import Bundle, EpochFinished, Event, Lane, LaneFailed, LaneFinished, LaneStopped
from hpsearch.core.facts import EnginePlan
from hpsearch.core.measured import MeasuredConfig
from hpsearch.core.trial import Failure, FailureKind, FoldResult
from hpsearch.spec import parse_spec
from hpsearch.training.engines import make_engine
from hpsearch.training.engines.base import Engine, Stopped
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.seeds import SeedsEngine, with_copies
from hpsearch.training.measuring import with_seeds
from hpsearch.training.problem import Problem
from hpsearch.training.rehearsal import rehearse
from tests.raising import raises

from .conftest import results

STUDY = """
name = "seeds"
seed = 3
[data]
source = "sklearn:iris"
test_fraction = 0.0
[validation]
folds = 3
seeds = {seeds}
[model]
family = "mlp"
[space]
layers = 1
units = 8
dropout = 0.0
optimizer = "adam"
learning_rate = 0.01
batch_size = 32
epochs = 3
[objective]
metric = "val_accuracy"
[resources]
engine = "{engine}"
{more}
"""

CONFIG = {"layers": 1, "units": 8, "dropout": 0.0, "optimizer": "adam", "learning_rate": 0.01, "batch_size": 32,
          "epochs": 3, "activation": "relu"}  # fmt: skip


def problem_of(seeds: int, engine: str, *, predictions: str = "", more: str = "") -> Problem:
    return Problem.load(parse_spec(STUDY.format(seeds=seeds, engine=engine, more=more)), predictions=predictions)


def lanes_of(folds: int) -> list[Lane]:
    return [Lane(4, fold, CONFIG) for fold in range(folds)]


@pytest.mark.slow
def test_what_is_told_of_a_fold_is_the_mean_of_trainings_that_have_its_rows(tmp_path: Path) -> None:
    found = {}
    for name in ("fit", "fused"):
        problem = problem_of(2, name, predictions=str(tmp_path / name))
        engine = make_engine(problem)
        assert isinstance(engine, SeedsEngine)
        assert engine.plan().engine == name
        found[name] = results(engine, lanes_of(3))
        files = sorted(path.name for path in (tmp_path / name).rglob("*.npz"))
        assert files == ["0.npz", "1.npz", "2.npz"], "of the first training only"
    single = results(make_engine(problem_of(1, "fit")), lanes_of(3))
    every = results(make_engine(replace(with_copies(problem_of(2, "fit")), spec=problem_of(1, "fit").spec)),
                    lanes_of(6))  # fmt: skip
    for fold in range(3):
        mine = found["fit"][4, fold]
        assert every[4, fold].curves == single[4, fold].curves, "the first is that of a study without seeds"
        assert every[4, fold + 3].curves["val_loss"] != single[4, fold].curves["val_loss"]
        for curve, values in mine.curves.items():
            both = [every[4, fold].curves[curve], every[4, fold + 3].curves[curve]]
            assert values == pytest.approx(np.mean(both, axis=0), rel=1e-6)
            assert found["fused"][4, fold].curves[curve] == pytest.approx(values, rel=1e-3)


class Scripted(Engine):
    """Says what it is told to."""

    def __init__(self, problem: Problem, events: list[Event]) -> None:
        self._events = events
        self.asked: tuple[Lane, ...] = ()

    def plan(self) -> EnginePlan:
        raise NotImplementedError

    def train(self, bundle: Bundle, stopped: Stopped) -> Iterator[Event]:
        self.asked = bundle.lanes
        yield from self._events


def told_by(events: list[Event], folds: tuple[int, ...] = (0,)) -> list[Event]:
    problem = problem_of(2, "fit")
    inner = Scripted(problem, events)
    lanes = tuple(Lane(4, fold, CONFIG) for fold in folds)
    found = list(SeedsEngine(problem, inner).train(Bundle(7, lanes), frozenset))
    assert [lane.fold for lane in inner.asked] == [one for fold in folds for one in (fold, fold + 3)]
    return found


def epoch(fold: int, number: int, value: float) -> EpochFinished:
    return EpochFinished(4, fold, number, {"val_loss": value})


def result(fold: int, *values: float, stopped: bool = False) -> FoldResult:
    return FoldResult(fold, {"val_loss": values}, 10.0 + fold, 2.0, stopped)


def test_an_epoch_is_told_when_all_trainings_have_reached_it() -> None:
    one_by_one = told_by([epoch(0, 0, 1.0), epoch(0, 1, 3.0), LaneFinished(4, result(0, 1.0, 3.0), 9),
                          epoch(3, 0, 2.0), epoch(3, 1, 4.0), LaneFinished(4, result(3, 2.0, 4.0), 9)])  # fmt: skip
    assert one_by_one == [
        epoch(0, 0, 1.5),
        epoch(0, 1, 3.5),
        LaneFinished(4, FoldResult(0, {"val_loss": (1.5, 3.5)}, 10.0, 4.0), 9),
    ]


def test_a_training_that_ends_itself_stays_as_it_was_left() -> None:
    early = told_by([epoch(0, 0, 1.0), LaneFinished(4, result(0, 1.0, stopped=True), 9),
                     epoch(3, 0, 3.0), epoch(3, 1, 5.0), LaneFinished(4, result(3, 3.0, 5.0), 9)])  # fmt: skip
    assert early == [
        epoch(0, 0, 2.0),
        epoch(0, 1, 3.0),
        LaneFinished(4, FoldResult(0, {"val_loss": (2.0, 3.0)}, 10.0, 4.0), 9),
    ]


def test_a_trial_that_is_stopped_has_the_epochs_of_all_its_trainings() -> None:
    ended = told_by([epoch(0, 0, 1.0), epoch(0, 1, 2.0), LaneFinished(4, result(0, 1.0, 2.0), 9),
                     epoch(3, 0, 3.0), LaneStopped(4, result(3, 3.0), None)])  # fmt: skip
    assert ended == [epoch(0, 0, 2.0), LaneStopped(4, FoldResult(0, {"val_loss": (2.0,)}, 10.0, 4.0), 9)]
    at_once = told_by([LaneStopped(4, FoldResult(0, {}, 10.0, 0.0)), LaneStopped(4, FoldResult(3, {}, 11.0, 0.0))])
    assert at_once == [LaneStopped(4, FoldResult(0, {}, 10.0, 0.0), None)]


def test_a_lane_fails_once_and_as_itself_and_others_go_on() -> None:
    failure = Failure(FailureKind.DIVERGED, "val_loss = nan in epoch 1", fold=3, epoch=1)
    found = told_by([epoch(0, 0, 1.0), LaneFailed(4, 3, failure), LaneFinished(4, result(0, 1.0), 9),
                     epoch(1, 0, 1.0), LaneFailed(4, 0, failure), epoch(4, 0, 3.0),
                     LaneFinished(4, result(1, 1.0), 9), LaneFinished(4, result(4, 3.0), 9)], folds=(0, 1))  # fmt: skip
    assert found == [
        LaneFailed(4, 0, replace(failure, fold=0)),
        epoch(1, 0, 2.0),
        LaneFinished(4, FoldResult(1, {"val_loss": (2.0,)}, 11.0, 4.0), 9),
    ]


def test_folds_that_end_by_themselves_are_refused_and_together_are_not() -> None:
    rule = '[[training.callbacks]]\nkind = "EarlyStopping"\nmonitor = "val_loss"\npatience = 1\n'
    with raises("model.seeds-end-apart", seeds=2) as caught:
        rehearse(problem_of(2, "fit", more=rule), CONFIG)
    assert "with [validation] seeds = 2 one is 2 trainings" in str(caught.value)
    assert 'set scope = "mean"' in str(caught.value)
    rehearse(problem_of(2, "fit", more=f'{rule}scope = "mean"\n'), CONFIG)


@pytest.mark.slow
def test_a_study_counts_each_fold_once_and_says_how_often_it_was_trained(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = package.run(
        parse_and_write(tmp_path, more='trials_per_bundle = 2\n[search]\ntrials = 3\nalgorithm = "random"\n'), verbose=0
    )
    best = study.best
    assert len(best.fold_scores) == 3
    assert study.record.facts.data.n_folds == 3
    report = " ".join(verdict_info(study.record).sentences)
    assert "mean ± sd over 3 folds, each the mean of 2 trainings, read at epoch" in report
    assert study.champion is not None
    assert optimism_info(study.record).method == OVER_FOLDS
    page = (study.folder / "report.html").read_text()
    assert "Each fold was trained 2 times; these are the first training" in page


def parse_and_write(folder: Path, *, more: str) -> Path:
    path = folder / "seeds.toml"
    path.write_text(STUDY.format(seeds=2, engine="fused", more=more).replace("units = 8", "units = [4, 8, 16]"))
    return path


@pytest.mark.slow
def test_keras_fit_reports_an_epoch_once_all_trainings_have_it_and_not_at_the_end() -> None:
    problem = problem_of(3, "fit")
    told = [
        (event.fold, event.epoch) if isinstance(event, EpochFinished) else "end"
        for event in make_engine(problem).train(Bundle(0, tuple(lanes_of(2))), frozenset)
    ]
    assert told == [(0, 0), (0, 1), (0, 2), "end", (1, 0), (1, 1), (1, 2), "end"]
    inner = FitEngine(with_copies(problem))
    lanes = (Lane(0, 0, CONFIG), Lane(0, 3, CONFIG), Lane(0, 1, CONFIG))
    order = [event.fold for event in inner.train(Bundle(0, lanes), frozenset) if isinstance(event, EpochFinished)]
    assert order == [0, 3, 0, 3, 0, 3, 1, 1, 1], "a watchdog hears of every epoch"


def test_a_forecast_counts_every_training() -> None:
    once = MeasuredConfig(CONFIG, compile_seconds=2.0, step_seconds=0.5, programs=3, lockstep=False)
    assert with_seeds(once, 4) == replace(once, compile_seconds=8.0, step_seconds=2.0, programs=12)
    together = replace(once, lockstep=True)
    assert with_seeds(together, 4) == replace(together, step_seconds=2.0)
