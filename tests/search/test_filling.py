"""Slots come first: no slot waits for suggestions that others will train, nor for results that others have brought."""

from pathlib import Path

from hpsearch.core.events import Bundle, EpochFinished
from hpsearch.core.schedule import Schedule
from hpsearch.core.trial import Trial
from hpsearch.search.observer import Observer
from hpsearch.search.progress import Progress
from hpsearch.testing.synthetic import SyntheticExecutor
from tests.search.drive import drive


class Log(Observer):
    """Writes down what happens in which order."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def trial_started(self, trial: Trial) -> None:
        self.seen.append(f"suggested {trial.number}")


class Executor(SyntheticExecutor):
    def __init__(self, slots: int, log: Log) -> None:
        super().__init__(slots)
        self._log = log

    def submit(self, bundle: Bundle) -> None:
        self._log.seen.append(f"trains {bundle.trials[0]}")
        super().submit(bundle)


def test_a_slot_trains_before_suggestions_are_made_ahead(tmp_path: Path):
    log = Log()
    schedule = Schedule(lag=11)
    uri = f"sqlite:///{tmp_path}/ledger.db"
    drive(uri, Executor(3, log), observer=log, schedule=schedule, algorithm="random", trials=20)
    first = [f"{what} {number}" for number in range(3) for what in ("suggested", "trains")]
    assert log.seen[:6] == first
    assert "suggested 11" in log.seen[: log.seen.index("trains 6")], "others are made ahead while the slots train"


def test_where_trials_share_bundles_all_are_suggested_before_one_is_made(tmp_path: Path):
    log = Log()
    schedule = Schedule(lag=11)
    uri = f"sqlite:///{tmp_path}/ledger.db"
    drive(uri, Executor(2, log), observer=log, schedule=schedule, trials_per_bundle=4, algorithm="random", trials=20)
    assert log.seen[:12] == [f"suggested {number}" for number in range(12)]


class Counted(Progress):
    """Compares what is counted as it goes with the sums."""

    def epoch_finished(self, event: EpochFinished) -> None:
        super().epoch_finished(event)
        assert self._epochs_left == sum(one.left(3) for one in self.running.values())
        assert self._epochs_begun == sum(3 * one.epochs for one in self.running.values())


def test_the_live_view_counts_the_epochs_that_are_left(tmp_path: Path):
    counted = Counted()
    log = [False] * 30 + [True] * 10_000
    uri = f"sqlite:///{tmp_path}/ledger.db"
    record = drive(uri, SyntheticExecutor(1), trials=1)
    counted.open(record)
    drive(
        f"sqlite:///{tmp_path}/other.db",
        SyntheticExecutor(3),
        observer=counted,
        interrupted=lambda: log.pop(0),
        schedule=Schedule(lag=5),
        algorithm="random",
        trials=15,
    )
    assert counted.running, "some were interrupted"
    assert counted._epochs_left > 0
