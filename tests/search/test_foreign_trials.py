"""The ledger is an Optuna study: what other programs enter into it is trained as asked, or told of, and never in the
way. Real ledger and tuner; only the training is synthetic."""

from pathlib import Path

import optuna
import pytest

from hpsearch.core.asked import Asked
from hpsearch.core.space import Config, Constant, Int
from hpsearch.core.trial import Origin, TrialState
from hpsearch.ledger import Ledger, optuna_tables
from hpsearch.search.changes import with_trials
from hpsearch.search.observer import Observer
from hpsearch.testing.synthetic import SyntheticExecutor
from tests.raising import raises
from tests.search.drive import drive


@pytest.fixture(params=["fast", "public"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "public":
        monkeypatch.setattr(optuna_tables, "DATABASE_VERSION", "v0.0.0.a")
    return f"sqlite:///{tmp_path}/ledger.db"


def theirs(ledger: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.load_study(study_name="synthetic", storage=ledger)


def test_an_enqueued_trial_is_trained_as_queued_and_completed_by_the_tuner(ledger: str) -> None:
    drive(ledger, SyntheticExecutor(), trials=2)
    theirs(ledger).enqueue_trial({"learning_rate": 0.02, "units": 40, "dropout": 0}, user_attrs={"epoch": "mine"})
    waiting = Ledger(ledger).load("synthetic").trials[2]
    assert (waiting.origin, waiting.state) == (Origin.QUEUED, TrialState.RUNNING)
    record = drive(ledger, SyntheticExecutor())
    trial = record.trials[2]
    assert (trial.state, trial.origin) == (TrialState.COMPLETE, Origin.SEARCH)
    assert record.space.contains(trial.config)
    assert (trial.config["learning_rate"], trial.config["units"]) == (0.02, 40)
    assert type(trial.config["dropout"]) is float
    shown = theirs(ledger).trials[2]
    searched = {name: one for name, one in trial.config.items() if not isinstance(record.space[name], Constant)}
    assert (shown.state, shown.params, shown.value) == (optuna.trial.TrialState.COMPLETE, searched, trial.score)


def test_one_that_is_not_of_the_space_is_refused_once_and_the_study_goes_on(ledger: str) -> None:
    drive(ledger, SyntheticExecutor(), trials=2)
    for values in ({"units": 10**6}, {"unit": 40}, {"learning_rate": 0.0321}):
        theirs(ledger).enqueue_trial(values)
    with raises("ledger.bad-queued-trial", trials=(2, 3)) as caught:
        drive(ledger, SyntheticExecutor())
    assert "trial 2 was enqueued with units = 1000000, which is outside the space" in caught.value.what
    assert "did you mean 'units'" in caught.value.what
    record = drive(ledger, SyntheticExecutor())
    assert [trial.state for trial in record.trials[2:]] == [TrialState.FAILED, TrialState.FAILED, TrialState.COMPLETE]
    assert record.trials[2].failure is not None
    assert theirs(ledger).trials[2].state is optuna.trial.TrialState.FAIL
    assert record.trials[4].config["learning_rate"] == 0.0321


def test_foreign_trials_are_told_of_and_never_in_the_way(ledger: str) -> None:
    drive(ledger, SyntheticExecutor(), trials=2)
    theirs(ledger).ask()
    theirs(ledger).add_trial(optuna.trial.create_trial(value=1.0))
    book = Ledger(ledger)
    assert book.repair("synthetic") == ()
    book.set_spec("synthetic", with_trials(book.load("synthetic").spec, 6))
    record = drive(ledger, SyntheticExecutor())
    assert [trial.number for trial in record.trials if trial.origin is Origin.FOREIGN] == [2, 3]
    assert [trial.state for trial in record.trials[4:]] == [TrialState.COMPLETE] * 2
    assert record.best is not None
    assert record.best.number != 3
    assert [note.split(":")[0] for note in record.notes] == [
        "trial 2 was entered by another program, where it is running; hpsearch has not trained it, and neither ranks "
        "it nor learns from it",
        "trial 3 was entered by another program, where it is complete; hpsearch has not trained it, and neither ranks "
        "it nor learns from it",
    ]
    assert theirs(ledger).trials[2].state is optuna.trial.TrialState.RUNNING  # its program may still be at work


def test_what_is_enqueued_while_the_search_runs_comes_next(ledger: str) -> None:
    epochs = [0]

    def enqueue() -> None:
        epochs[0] += 1
        if epochs[0] == 6:
            theirs(ledger).enqueue_trial({"learning_rate": 0.0321})
            theirs(ledger).add_trial(optuna.trial.create_trial(value=1.0))

    record = drive(ledger, SyntheticExecutor(on_epoch=enqueue), trials=6)
    assert len(record.trials) == 6
    assert [trial.number for trial in record.trials if trial.config.get("learning_rate") == 0.0321] == [2]
    assert [trial.number for trial in record.trials if trial.origin is Origin.FOREIGN] == [3]
    assert sum(trial.state is TrialState.COMPLETE for trial in record.trials) == 5


class Stopping(Observer):
    """Counts trials, to stop a search after some."""

    ended = 0

    def trial_finished(self, trial: object) -> None:
        self.ended += 1


def deep_if_wide(config: Config) -> Asked:
    """Code that asks for a depth if it is wide."""
    return Asked({"depth": Int(1, 9)} if int(config["units"]) > 24 else {}, frozenset(config) - {"depth"})


def test_the_ledger_keeps_what_a_trial_found_and_used_and_a_resumed_study_goes_on_alike(
    ledger: str, tmp_path: Path
) -> None:
    whole = drive(f"sqlite:///{tmp_path}/whole.db", SyntheticExecutor(), ask=deep_if_wide, trials=12)
    found = [trial.number for trial in whole.trials if trial.found]
    assert len(found) == 1
    assert whole.space["depth"] == Int(1, 9, asked=True)
    wide = [trial for trial in whole.trials if trial.config["units"] > 24]
    assert [trial for trial in whole.trials if "depth" in trial.config] == wide
    assert len({trial.config["depth"] for trial in wide}) > 1
    assert sum("depth" in note for note in whole.notes) == 1
    for stop_after in (1, found[0] + 1, 7):
        book = f"sqlite:///{tmp_path}/stopped{stop_after}.db"
        seen = Stopping()
        drive(
            book,
            SyntheticExecutor(),
            ask=deep_if_wide,
            trials=12,
            observer=seen,
            interrupted=lambda seen=seen, most=stop_after: seen.ended >= most,
        )
        resumed = drive(book, SyntheticExecutor(), ask=deep_if_wide, trials=12)
        assert [trial.config for trial in resumed.trials] == [trial.config for trial in whole.trials]
        assert resumed.space == whole.space
