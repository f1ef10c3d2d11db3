"""What follows a search: refit, registration, report, and signals at each of these moments."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch import tracking
from hpsearch.core.events import BundleFinished, Event
from hpsearch.core.facts import NestedScores
from hpsearch.core.out_of_fold import lane_file, predictions_folder
from hpsearch.core.trial import Champion, TrialState
from hpsearch.errors import Interrupted
from hpsearch.executors.base import P, T, WorkerCall
from hpsearch.ledger.places import study_folder
from hpsearch.ledger.record import StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.observer import Observer
from hpsearch.search.session import Session, has_wanted_champion
from hpsearch.spec import ChampionSection
from hpsearch.testing.factories import make_champion, make_trials
from hpsearch.testing.factories import make_record as record_of
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec
from hpsearch.training.protocol import WorkerProtocol
from tests.raising import raises


class Signalled(SyntheticExecutor):
    """Gets a signal while it refits."""

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        assert method is WorkerProtocol.refit
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
        raise AssertionError("the signal was not heeded")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db", create=True)
    # Nothing listens at port 1: MLflow is out of reach, which the search must not mind.
    spec = make_spec(book.uri, trials=2, uri="http://127.0.0.1:1")
    book.create(make_record(spec))
    with tracking.environment(spec):
        yield book


def test_one_ctrl_c_stops_a_refit_at_once(ledger: Ledger) -> None:
    with pytest.raises(Interrupted, match="study 'synthetic' was stopped at once") as caught:
        Session(ledger.load("synthetic"), ledger, Signalled(), Observer()).run()
    assert f"`hpsearch resume synthetic --ledger {ledger.uri}` continues it" in caught.value.hint
    record = ledger.load("synthetic")
    assert record.state is StudyState.INTERRUPTED
    assert [trial.state for trial in record.trials] == [TrialState.COMPLETE] * 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Refitting(SyntheticExecutor):
    """Refits by writing a file, and cannot reach MLflow."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file, self.refits = file, 0

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        assert method is WorkerProtocol.refit
        (order,) = args
        best = order.trials[0]
        self.refits += 1
        order.folder.mkdir(parents=True, exist_ok=True)
        self.file = order.folder / self.file.name
        self.file.write_text("model")
        folder = self.file.with_suffix(".mlflow")
        folder.mkdir(exist_ok=True)
        (folder / "MLmodel").touch()
        return Champion(
            best.trial, best.config, best.epochs, {}, {}, str(self.file), "sha", 1, 5, 0.1, mlflow_model=str(folder)
        )


def test_a_champion_is_kept_on_resume_and_made_again_once_its_file_is_gone(ledger: Ledger, tmp_path: Path) -> None:
    executor = Refitting(tmp_path / "champion.keras")
    refits = []
    for then_gone in (False, True, False):
        Session(ledger.load("synthetic"), ledger, executor, Observer()).run()
        refits.append(executor.refits)
        if then_gone:
            executor.file.unlink()
    assert refits == [1, 1, 2]
    assert any("the champion is not in MLflow yet: " in n for n in ledger.load("synthetic").notes)


def test_a_study_that_begins_has_no_predictions_of_one_that_had_its_name(ledger: Ledger, tmp_path: Path) -> None:
    """Its ledger was deleted by hand, and its folder was not."""
    folder = predictions_folder(study_folder(ledger.uri, "synthetic"))
    kept = lane_file(folder, 0, 0)
    for trials, there in ((0, False), (2, True)):
        assert len(ledger.load("synthetic").trials) == trials
        kept.parent.mkdir(parents=True)
        kept.touch()
        Session(ledger.load("synthetic"), ledger, Refitting(tmp_path / "champion.keras"), Observer()).run()
        assert kept.exists() is there


def test_the_first_ctrl_c_of_a_search_is_answered_and_waits_for_the_epochs_in_flight(ledger: Ledger) -> None:
    said: list[str] = []

    class Listening(Observer):
        def note(self, text: str) -> None:
            said.append(text)

    executor = SyntheticExecutor(on_epoch=lambda: None if said else os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match="was stopped; finished folds are kept"):
        Session(ledger.load("synthetic"), ledger, executor, Listening()).run()
    awaited = "the running epochs of trial 0 to end, 30 s at most"
    assert said[0] == f"stopping: waiting for {awaited}; Ctrl-C again stops at once"
    assert [trial.state for trial in ledger.load("synthetic").trials] == [TrialState.RUNNING]


@pytest.mark.parametrize("nohup", [False, True])
def test_a_closed_terminal_stops_the_search_unless_nohup_has_started_it(ledger: Ledger, nohup: bool) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    sent: list[int] = []

    def close_terminal() -> None:
        if not sent:
            sent.append(1)
            os.kill(os.getpid(), signal.SIGHUP)

    executor = Refitting(Path("champion.keras"))
    executor._on_epoch = close_terminal
    try:
        with nullcontext() if nohup else pytest.raises(Interrupted):
            Session(ledger.load("synthetic"), ledger, executor, Observer()).run()
        assert signal.getsignal(signal.SIGHUP) is (signal.SIG_IGN if nohup else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ledger.load("synthetic").state is (StudyState.FINISHED if nohup else StudyState.INTERRUPTED)


def test_facts_that_others_add_during_a_session_are_kept(ledger: Ledger) -> None:
    record = ledger.load("synthetic")
    nested = NestedScores("accuracy", (0.9, 0.92), (0.95, 0.94))

    class Compiling(Refitting):
        def events(self, timeout_s: float) -> Sequence[Event]:
            found = list(super().events(timeout_s))
            ledger.set_facts(record.name, replace(ledger.load(record.name).facts, nested=nested))
            return [replace(one, compile_seconds=1.0) if isinstance(one, BundleFinished) else one for one in found]

    file = Path(ledger.uri.reveal().removeprefix("sqlite:///")).parent / "c.keras"
    Session(record, ledger, Compiling(file), Observer()).run()
    facts = ledger.load("synthetic").facts
    assert (facts.nested, facts.compile_seconds) == (nested, 2.0)


def test_a_report_promises_no_address_that_the_champion_did_not_get(ledger: Ledger, tmp_path: Path) -> None:
    Session(ledger.load("synthetic"), ledger, Refitting(tmp_path / "champion.keras"), Observer()).run()
    text = (tmp_path / "studies" / "synthetic" / "report.md").read_text()
    assert "models:/" not in text


@pytest.mark.parametrize(("section", "key"), [("search", "tuner"), ("pruning", "method")])
def test_a_name_that_is_not_installed_leaves_the_study_as_it_is(ledger: Ledger, section: str, key: str) -> None:
    record = ledger.load("synthetic")
    ledger.set_state("synthetic", StudyState.INTERRUPTED)
    other = record.spec.model_copy(update={section: getattr(record.spec, section).model_copy(update={key: "gone"})})
    with raises("study-file.unknown-name", name="gone"):
        Session(replace(record, spec=other), ledger, SyntheticExecutor(), Observer())
    assert ledger.load("synthetic").state is StudyState.INTERRUPTED


def test_a_mean_of_the_best_trials_is_made_anew_when_other_trials_are_the_best() -> None:
    record = record_of(make_trials(4))
    best, second, third = (trial.number for trial in record.ranked[:3])
    spec = record.spec.model_copy(update={"champion": ChampionSection(kind="top-2")})

    def wanted(**made: object) -> bool:
        champion = replace(make_champion(record.ranked[0]), **made)
        return has_wanted_champion(replace(record, spec=spec, champion=champion))

    assert wanted(kind="top-2", models=2, trials=(best, second))
    assert not wanted(kind="top-2", models=2, trials=(best, third))
    assert not wanted(kind="top-2", models=1, trials=(best,))  # there was no other trial then
    assert not wanted()
