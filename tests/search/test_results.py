"""Whatever a later trial records can end that trial only: curves that the objective cannot be read from."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpsearch.core.events import EpochFinished, Event, LaneFinished, LaneStopped
from hpsearch.core.trial import Failure, FailureKind, FoldResult, Trial, TrialState
from hpsearch.errors import ModelError, StudyError
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search.observer import Observer
from hpsearch.search.results import Live, Results
from hpsearch.testing.synthetic import SyntheticExecutor, make_spec
from tests.search.drive import drive

METRIC = "val_accuracy"

Alter = Callable[[int, int, Mapping[str, Any]], Mapping[str, Any] | None]
"""Of (fold, epoch, metrics): what is recorded instead."""


class Altered(SyntheticExecutor):
    """Some trials record something else."""

    def __init__(self, trials: set[int], alter: Alter, **options: Any) -> None:
        super().__init__(**options)
        self._altered, self._alter = trials, alter

    def events(self, timeout_s: float) -> Sequence[Event]:
        return [event for one in super().events(timeout_s) if (event := self._seen(one)) is not None]

    def _seen(self, event: Event) -> Event | None:
        if getattr(event, "trial", None) not in self._altered:
            return event
        match event:
            case EpochFinished():
                metrics = self._alter(event.fold, event.epoch, event.metrics)
                return None if metrics is None else replace(event, metrics=metrics)
            case LaneFinished() | LaneStopped():
                return replace(event, result=self._result(event.result))
        return event

    def _result(self, result: FoldResult) -> FoldResult:
        curves: dict[str, tuple[Any, ...]] = {}
        for epoch in range(result.epochs):
            row = {name: values[epoch] for name, values in result.curves.items()}
            for name, value in (self._alter(result.fold, epoch, row) or {}).items():
                curves[name] = (*curves.get(name, ()), value)
        return replace(result, curves=curves)


def without(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in metrics.items() if name != METRIC}


NOT_RECORDED = f"the model records no {METRIC!r}; it records loss, accuracy, val_loss"
CASES: dict[str, tuple[Alter, TrialState, str]] = {
    "missing": (lambda _fold, _epoch, m: without(m), TrialState.FAILED, NOT_RECORDED),
    "missing in the last fold": (
        lambda fold, _epoch, m: without(m) if fold == 2 else m,
        TrialState.FAILED,
        NOT_RECORDED,
    ),
    "missing from the third epoch on": (
        lambda _fold, epoch, m: without(m) if epoch > 1 else m,
        TrialState.FAILED,
        NOT_RECORDED,
    ),
    "nothing recorded": (
        lambda *_: {},
        TrialState.FAILED,
        f"the model records no {METRIC!r}; it records nothing",
    ),
    "no epoch reported": (lambda *_: None, TrialState.FAILED, f"the model records no {METRIC!r}; it records nothing"),
    "None": (lambda _f, _e, m: {**m, METRIC: None}, TrialState.FAILED, f"{METRIC!r} is None, which is no number"),
    "a text": (lambda _f, _e, m: {**m, METRIC: "0.9"}, TrialState.FAILED, f"{METRIC!r} is '0.9', which is no number"),
    "a list": (
        lambda _f, _e, m: {**m, METRIC: [0.9] * 1000},
        TrialState.FAILED,
        f"{METRIC!r} is {repr([0.9] * 1000)[:80]}, which is no number",
    ),
    "a number beyond floats": (
        lambda _f, _e, m: {**m, METRIC: 10**400},
        TrialState.FAILED,
        f"{METRIC!r} is {10**79}, which is no number",
    ),
    "NaN": (lambda _f, _e, m: {**m, METRIC: math.nan}, TrialState.DIVERGED, f"{METRIC} is nan in every epoch"),
    "infinite in one fold": (
        lambda fold, _e, m: {**m, METRIC: -math.inf if fold == 1 else 0.5},
        TrialState.DIVERGED,
        f"{METRIC} is -inf in every epoch",
    ),
}


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


def states(record: StudyRecord) -> list[str]:
    return [str(trial.state) for trial in record.trials]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("pruning", ["none", "median", "folds"])
def test_what_cannot_be_used_ends_its_trial_and_the_study_goes_on(ledger: str, case: str, pruning: str) -> None:
    alter, state, message = CASES[case]
    rule = {"fold_rule": "aggressive"} if pruning == "folds" else {"pruning": pruning}
    record = drive(ledger, Altered({2, 7}, alter), trials=9, **rule)
    ended = states(record)
    assert len(ended) == 9
    for number in (2, 7):
        trial = record.trials[number]
        if trial.state is TrialState.PRUNED:  # by the folds or epochs that can be used
            assert pruning != "none"
            continue
        assert trial.state is state
        assert trial.failure.message == message
        assert not trial.fold_scores
    assert {one for number, one in enumerate(ended) if number not in (2, 7)} <= {"complete", "pruned"}
    assert states(Ledger(ledger).load("synthetic")) == ended, "and all of it can be read again"


def test_a_trial_without_the_metric_trains_no_epoch_in_vain(ledger: str) -> None:
    executor = Altered({2}, CASES["missing"][0])
    record = drive(ledger, executor, trials=4)
    (failed,) = [trial for trial in record.trials if trial.state is TrialState.FAILED]
    assert (failed.failure.kind, failed.failure.epoch) == (FailureKind.ERROR, 1)
    assert {lane for lane in executor.trained if lane[0] == 2} == set()


def test_the_first_trial_tells_it_at_once_and_too_many_in_a_row_end_the_study(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"the first trial failed: {NOT_RECORDED}") as first:
        drive(f"sqlite:///{tmp_path}/first.db", Altered({0}, CASES["missing"][0]))
    assert first.value.exit_code == 4
    with pytest.raises(StudyError, match="3 trials failed in a row") as later:
        drive(f"sqlite:///{tmp_path}/later.db", Altered({2, 3, 4}, CASES["missing"][0]))
    assert later.value.exit_code == 8


def test_a_resumed_trial_fails_for_it_too_whether_it_trains_on_or_has_all_its_folds(ledger: str) -> None:
    done = [0]
    executor = Altered(set(), CASES["missing"][0], on_epoch=lambda: done.append(done[-1] + 1))
    halfway = drive(ledger, executor, interrupted=lambda: done[-1] >= 9, trials=6)
    running = halfway.trials[-1]
    assert running.state is TrialState.RUNNING
    resumed = drive(ledger, Altered({running.number}, CASES["missing"][0]), trials=6)
    assert states(resumed) == ["failed" if number == running.number else "complete" for number in range(6)]


def test_a_fold_that_an_earlier_version_has_entered_without_the_metric_fails_its_trial(ledger: str) -> None:
    done = [0]
    executor = SyntheticExecutor(on_epoch=lambda: done.append(done[-1] + 1))
    halfway = drive(ledger, executor, interrupted=lambda: done[-1] >= 9, trials=6)
    running = halfway.trials[-1]
    book = Ledger(ledger)
    for fold in range(3):
        curves = {"loss": (0.3, 0.2, 0.1, 0.1), METRIC: (0.5, 0.5)}
        book.add_fold("synthetic", running.number, FoldResult(fold, curves, 0.0, 1.0), None)
    resumed = drive(ledger, SyntheticExecutor(), trials=6)
    failed = resumed.trials[running.number]
    assert failed.state is TrialState.FAILED
    assert failed.failure.message == f"{METRIC!r} has a value in 2 of 4 epochs only"
    assert states(resumed).count("complete") == 5


def test_another_metric_that_is_no_number_is_left_out(ledger: str) -> None:
    seen: list[object] = []

    class Watching(Observer):
        def epoch_finished(self, event: EpochFinished) -> None:
            seen.extend(event.metrics.values())

    executor = Altered({2}, lambda _fold, epoch, m: {**m, "aux": None if epoch else 1, "top": 3})
    record = drive(ledger, executor, trials=4, observer=Watching())
    assert states(record) == ["complete"] * 4
    assert record.trials[2].folds[0].curves.keys() == {"loss", "accuracy", "val_loss", METRIC, "top"}
    assert states(Ledger(ledger).load("synthetic")) == ["complete"] * 4
    assert {type(one) for one in seen} == {float}


@pytest.mark.parametrize(("state", "kind"), [("PRUNED", "PRUNED"), ("FAILED", "ERROR"), ("DIVERGED", "DIVERGED")])
def test_a_trial_ends_where_it_was_decided_however_late_its_lanes_hear_of_it(state: str, kind: str) -> None:
    objective = make_spec("sqlite:///ledger.db").make_objective()
    failure = Failure(FailureKind[kind], "in the worse half at epoch 2", epoch=2)

    def ended(*epochs: int) -> Trial:
        curve = (0.5, 0.6, 0.9, 0.95)
        partial = {fold: FoldResult(fold, {objective.metric: curve[:n]}, 0.0, 1.0) for fold, n in enumerate(epochs)}
        live = Live(waiting=set(), partial=partial, ending=TrialState[state], failure=failure)
        return replace(Results(objective, 2, {}).ended(Trial(0, {}), live), finished=0.0)

    assert ended(2, 2) == ended(3, 2) == ended(4, 3)
    assert ended(4, 4).score == (0.6 if state == "PRUNED" else None)
