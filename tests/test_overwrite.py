"""Beginning a study anew under the same name: what goes, what stays, and when nothing goes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

import hpsearch as package
from hpsearch.errors import HpsearchError, LedgerError, SpecError, TrackingError
from hpsearch.ledger import workspace
from hpsearch.ledger.store import Ledger
from tests.command_line import hpsearch, mlflow_of, ok, write_study
from tests.raising import raises

pytestmark = pytest.mark.slow

STUDY = {
    "data": {"source": "sklearn:iris"},
    "validation": {"folds": 2},
    "model": {"family": "mlp"},
    "space": {"layers": 1, "units": [4, 8, 16], "epochs": 1, "optimizer": "adam", "batch_size": 32},
    "objective": {"metric": "val_accuracy"},
    "resources": {"engine": "fit", "backend": "jax", "executor": "inline"},
}


class Unwelcoming(BaseHTTPRequestHandler):
    """A server that lets nobody in."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def unwelcoming_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Unwelcoming) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_study_is_begun_anew_once_the_new_one_is_sure_to_begin(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = package.run(STUDY, name="again", trials=2, verbose=0)
    assert len(first.trials) == 2
    changed = {**STUDY, "validation": {"folds": 3}}
    with pytest.raises(SpecError, match="or delete the old one with its trials: overwrite=True"):
        package.run(changed, name="again", trials=1, verbose=0)
    missing = {**STUDY, "data": {"source": "gone.csv", "target": "y"}}
    with pytest.raises(HpsearchError, match=r"gone\.csv"):
        package.run(missing, name="again", trials=1, overwrite=True, verbose=0)
    with workspace.driving(first.ledger_uri, "again"), pytest.raises(LedgerError):
        package.run(changed, name="again", trials=1, overwrite=True, verbose=0)
    with pytest.raises(SpecError, match="a study that others may join cannot be overwritten"):
        package.run(changed, name="again", trials=1, overwrite=True, join=True, verbose=0)
    with unwelcoming_server() as uri, pytest.raises(TrackingError):
        package.run({**changed, "tracking": {"uri": uri}}, name="again", trials=1, overwrite=True, verbose=0)
    assert package.load("again").trials == first.trials
    second = package.run(changed, name="again", trials=1, overwrite=True, verbose=0)
    assert [len(trial.fold_scores) for trial in second.trials] == [3]
    assert second.champion is not None
    assert Ledger(first.ledger_uri).names() == ["again"]
    package.run(changed, name="fresh", trials=1, overwrite=True, verbose=0)
    assert len(package.load("fresh").trials) == 1, "nothing of that name was there"


def test_data_in_memory_that_both_studies_have_stay(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)).astype("float32"), rng.integers(0, 2, 60)
    given = {name: one for name, one in STUDY.items() if name != "data"}
    package.run(given, x, y, name="memory", trials=1, verbose=0)
    study = package.run(given, x, y, name="memory", trials=2, overwrite=True, verbose=0)
    assert len(study.trials) == 2
    assert len(study.predict(x)) == 60


def test_the_command_says_what_it_deleted_and_what_does_not_go_together(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    write_study(tmp_path, "flowers", trials=1, epochs=1)
    ok("run", "flowers.toml", folder=tmp_path)
    again = hpsearch("run", "flowers.toml", "--overwrite", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    told = " ".join(again.stderr.split())
    assert "the study that was called 'flowers' was deleted with its trials; MLflow keeps its own copy" in told
    client = MlflowClient(mlflow_of(tmp_path))
    runs = client.search_runs([client.get_experiment_by_name("flowers").experiment_id])
    assert len([one for one in runs if "mlflow.parentRunId" not in one.data.tags]) == 2
    for other, said in (
        ("--join", "a study that others may join cannot be overwritten"),
        ("--nested=2", "--overwrite cannot go with --nested"),
        ("--null=1", "--overwrite cannot go with --null"),
    ):
        clash = hpsearch("run", "flowers.toml", "--overwrite", other, folder=tmp_path)
        assert clash.returncode == 2
        assert said in clash.stderr


def test_a_word_of_keras_tuner_leads_to_it() -> None:
    with raises("study-file.broken-rules") as caught:
        package.run({**STUDY, "search": {"overwrite": True}}, name="words", verbose=0)
    assert "overwrite=True" in str(caught.value)
