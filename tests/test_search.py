"""What follows a search: refit, registration, report, and signals at each of these moments."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from hpsearch.core.trial import Champion, TrialState
from hpsearch.errors import Interrupted, TrackingError
from hpsearch.ledger.record import StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.observer import Observer
from hpsearch.search.session import drive
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec


class Signalled(SyntheticExecutor):
    """Gets a signal while it refits."""

    def request(self, method: str, *args: Any) -> Any:
        assert method == "refit"
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
        raise AssertionError("the signal was not heeded")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    # Nothing listens at port 1: MLflow is out of reach, which the search must not mind.
    book.create(make_record(make_spec(book.uri, trials=2, uri="http://127.0.0.1:1")))
    return book


def test_one_ctrl_c_stops_a_refit_at_once(ledger: Ledger) -> None:
    with pytest.raises(Interrupted, match="study 'synthetic' was stopped at once") as caught:
        drive(ledger.load("synthetic"), ledger, Signalled(), Observer())
    assert f"`hpsearch resume synthetic --ledger {ledger.uri}` goes on" in caught.value.hint
    record = ledger.load("synthetic")
    assert record.state is StudyState.INTERRUPTED
    assert [trial.state for trial in record.trials] == [TrialState.COMPLETE] * 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Refitting(SyntheticExecutor):
    """Refits by writing a file, and cannot reach MLflow."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file, self.refits = file, 0

    def request(self, method: str, *args: Any) -> Any:
        if method == "call":
            raise TrackingError("MLflow is down")
        self.refits += 1
        self.file.write_text("model")
        trial, config, epochs, *_ = args
        return Champion(trial, config, epochs, {}, {}, str(self.file), "sha", 1, 5, 0.1)


def test_a_champion_is_kept_on_resume_and_made_again_once_its_file_is_gone(ledger: Ledger, tmp_path: Path) -> None:
    executor = Refitting(tmp_path / "champion.keras")
    refits = []
    for then_gone in (False, True, False):
        drive(ledger.load("synthetic"), ledger, executor, Observer())
        refits.append(executor.refits)
        if then_gone:
            executor.file.unlink()
    assert refits == [1, 1, 2]
    assert any("the champion is not in MLflow yet: MLflow is down" in n for n in ledger.load("synthetic").notes)


def test_the_first_ctrl_c_of_a_search_is_answered_and_waits_for_the_epochs_in_flight(ledger: Ledger) -> None:
    said: list[str] = []

    class Listening(Observer):
        def note(self, text: str) -> None:
            said.append(text)

    executor = SyntheticExecutor(on_epoch=lambda: None if said else os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match="was stopped; finished folds are kept"):
        drive(ledger.load("synthetic"), ledger, executor, Listening())
    assert said == ["stopping after the epochs in flight; Ctrl-C again stops at once"]
    assert [trial.state for trial in ledger.load("synthetic").trials] == [TrialState.RUNNING]
