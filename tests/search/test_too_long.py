"""What the driver does with bundles that take too long; the training is synthetic, and so is the time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hpsearch.core.events import Bundle, BundleStarted, Event, WorkerDied
from hpsearch.core.schedule import Schedule
from hpsearch.core.trial import FailureKind, TrialState
from hpsearch.errors import StudyError
from hpsearch.ledger.record import StudyRecord
from hpsearch.search.observer import Observer
from hpsearch.search.watchdog import Watchdog
from hpsearch.spec import ResourcesSection
from hpsearch.testing.synthetic import SyntheticExecutor
from tests.search.drive import drive


class Hanging(SyntheticExecutor):
    """Bundles with some trials train an epoch and then nothing. A second passes whenever somebody looks."""

    ends_workers: ClassVar[bool] = True

    def __init__(self, trials: set[int], **options: Any) -> None:
        super().__init__(**options)
        self._hang, self._now = trials, 0.0
        self._begun: list[Event] = []
        self._ended: list[Event] = []
        self.seconds: list[float] = []

    def clock(self) -> float:
        return self._now

    def submit(self, bundle: Bundle) -> None:
        super().submit(bundle)
        self._begun.append(BundleStarted(bundle.id))

    def end(self, bundle: int, reason: str) -> None:
        (slot,) = (i for i, queue in enumerate(self._queues) if queue and queue[0].bundle.id == bundle)
        self._ended.append(WorkerDied(self._queues[slot][0].bundle, reason, ended=True, traceback="model.py, line 3"))
        self._queues[slot] = None
        self.seconds.append(self._now)

    def events(self, timeout_s: float) -> Sequence[Event]:
        self._now += 1.0
        found, self._begun, self._ended = [*self._begun, *self._ended], [], []
        if found:
            return found
        waiting = [queue[0] for queue in self._queues if queue]
        if waiting and waiting[0].epoch >= 1 and self._hang & set(waiting[0].bundle.trials):
            return ()
        return super().events(timeout_s)


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


def search(ledger: str, executor: Hanging, **options: Any) -> StudyRecord:
    limits = ResourcesSection(**options.pop("limits", {}))
    return drive(ledger, executor, watchdog=Watchdog(limits, clock=executor.clock), **options)


TOGETHER: dict[str, Any] = {"schedule": Schedule(batch=4), "trials_per_bundle": 4, "trials": 8}


@pytest.mark.parametrize("limits", [{"epoch_timeout": 10.0}, {"trial_timeout": 10.0}])
def test_of_trials_together_each_is_trained_again_alone_and_only_the_one_that_hangs_fails(
    ledger: str, tmp_path: Path, limits: dict[str, float]
) -> None:
    whole = drive(f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor(), **TOGETHER)
    executor = Hanging({2})
    record = search(ledger, executor, limits=limits, **TOGETHER)
    assert [len(bundle.trials) for bundle in executor.bundles] == [4, 1, 1, 1, 1, 4]
    assert [str(trial.state) for trial in record.trials] == ["failed" if n == 2 else "complete" for n in range(8)]
    for number in (0, 1, 3):  # later configs were suggested without the score of trial 2
        assert record.trials[number].score == whole.trials[number].score
    failure = record.trials[2].failure
    assert (failure.kind, failure.traceback) == (FailureKind.TIMEOUT, "model.py, line 3")
    (note,) = record.notes
    assert note.endswith("; trials 0, 1, 2, 3: trained again, each alone")
    if "epoch_timeout" in limits:
        assert failure.message == "no epoch has ended for 11 s since epoch 1 of fold 2; [resources] epoch_timeout = 10"
    else:
        assert note.startswith("it has trained for 41 s together with 3 others; [resources] trial_timeout = 10")
        assert failure.message == "it has trained for 11 s; [resources] trial_timeout = 10"


def test_trials_that_hang_in_a_row_end_the_study(ledger: str) -> None:
    with pytest.raises(StudyError, match=r"3 trials failed in a row .* trial 4: no epoch has ended for 11 s") as caught:
        search(ledger, Hanging({2, 3, 4}), limits={"epoch_timeout": 10.0})
    assert caught.value.exit_code == 8


def test_the_first_trial_may_take_too_long_without_ending_the_study(ledger: str) -> None:
    record = search(ledger, Hanging({0}), limits={"epoch_timeout": 10.0}, trials=4)
    assert [trial.state for trial in record.trials] == [TrialState.FAILED, *[TrialState.COMPLETE] * 3]


def test_without_limits_silence_is_told_and_nothing_is_ended(ledger: str) -> None:
    executor = Hanging({2})
    interrupted = iter(range(10_000))
    record = search(ledger, executor, interrupted=lambda: next(interrupted) > 2000)
    assert executor.seconds == []
    assert record.notes[0] == (
        "the worker of trial 2 has reported nothing for 2 min 01 s since epoch 1 of fold 2; "
        "[resources] epoch_timeout would end it"
    )
    assert [trial.state for trial in record.trials] == [TrialState.COMPLETE] * 2 + [TrialState.RUNNING]


def test_a_stop_does_not_wait_for_ever_and_resume_trains_the_trial(ledger: str) -> None:
    said: list[str] = []

    class Listening(Observer):
        def note(self, text: str) -> None:
            said.append(text)

    executor = Hanging({2})
    halfway = search(ledger, executor, interrupted=lambda: executor.clock() > 60, observer=Listening())
    assert said == [
        "stopping: waiting for the running epochs of trial 2 to end, 30 s at most; Ctrl-C again stops at once",
        "trial 2 did not end an epoch in time: the search stops at once",
    ]
    assert executor.clock() < 100
    assert halfway.trials[-1].state is TrialState.RUNNING
    assert {trial.state for trial in drive(ledger, SyntheticExecutor()).trials} == {TrialState.COMPLETE}
