"""Both ways of reading a ledger give the same study: rows of Optuna's tables, and Optuna's own trials."""

from pathlib import Path

import optuna
import pytest

from hpsearch.core.trial import Failure, FailureKind
from hpsearch.ledger import optuna_tables
from hpsearch.ledger.fast_reader import Texts
from hpsearch.ledger.store import Ledger
from hpsearch.testing.synthetic import SyntheticExecutor
from tests.search.drive import drive


def fate(trial: int, fold: int) -> Failure | None:
    kind = {2: FailureKind.DIVERGED, 5: FailureKind.ERROR}.get(trial)
    return Failure(kind, "as the test wants it", fold=fold) if kind and fold == 1 else None


def read(uri: str) -> object:
    record = Ledger(uri).load("synthetic")
    return record.trials, record.space, record.state, record.facts


@pytest.mark.parametrize("older", [False, True], ids=["today", "before format 5"])
def test_rows_and_optunas_trials_are_the_same_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: bool):
    uri = f"sqlite:///{tmp_path}/ledger.db"
    left = [60]

    def interrupted() -> bool:
        left[0] -= 1
        return left[0] < 0

    drive(uri, SyntheticExecutor(2, fate=fate), trials=12, pruning="median", interrupted=interrupted)
    study = optuna.load_study(study_name="synthetic", storage=uri)
    study.enqueue_trial({"units": 16}, user_attrs={"by": "hand"})
    study.add_trial(optuna.trial.create_trial(value=0.5, params={}, distributions={}))
    if older:  # attributes were user attributes
        with study._storage._backend.engine.begin() as connection:
            moved = "INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT trial_id, key, value_json"
            connection.exec_driver_sql(f"{moved} FROM trial_system_attributes WHERE key LIKE 'fold:%'")
            connection.exec_driver_sql("DELETE FROM trial_system_attributes WHERE key LIKE 'fold:%'")
    rows = read(uri)
    monkeypatch.setattr(optuna_tables, "find_difference", lambda _: "the test wants it so")
    assert Ledger(uri).remarks
    assert read(uri) == rows
    trials = rows[0]  # type: ignore[index]
    assert len({trial.state for trial in trials}) >= 4
    assert any(trial.folds for trial in trials)


def test_a_text_is_decoded_when_it_is_asked_for():
    texts = Texts()
    texts.put("bad", "{")
    texts.put("good", "[1, 2.5, NaN]")
    assert "bad" in texts
    assert list(texts) == ["bad", "good"]
    assert str(texts["good"]) == "[1, 2.5, nan]"
