"""A whole study without Keras, in a folder: search, refit, registration. Every run of it is a process of its own."""

import hashlib
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hpsearch import report, tracking
from hpsearch.core.schedule import Schedule
from hpsearch.core.trial import Champion, Failure, FailureKind
from hpsearch.executors.base import P, T, WorkerCall
from hpsearch.ledger import workspace
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search import starting
from hpsearch.search.observer import Observer
from hpsearch.search.session import Session
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec

NAME, TRIALS, FOLDS, EPOCHS = "synthetic", 8, 3, 4
LEDGER = "sqlite:///mlruns/ledger.db"
EPOCH_SECONDS = 0.008
"""An epoch sleeps, so that faults meet studies in all their stages."""


class Trainer(SyntheticExecutor):
    """Trains by a formula; some lanes fail. Answers what a worker is asked."""

    def __init__(self) -> None:
        super().__init__(fate=fate, on_epoch=lambda: time.sleep(EPOCH_SECONDS))

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        answer: Any = getattr(self, f"_{method.__name__}")(*args)
        return answer

    def _describe_data(self) -> Any:
        return make_record(make_spec(LEDGER)).facts.data

    def _describe_machine(self) -> Any:
        return make_record(make_spec(LEDGER)).facts.machine

    def _refit(self, order: Any) -> Champion:
        best = order.trials[0]
        time.sleep(0.05)
        order.folder.mkdir(parents=True, exist_ok=True)
        file, folder = order.folder / "champion.keras", order.folder / "champion.mlflow"
        content = repr((best.trial, sorted(best.config.items()))).encode()
        file.write_bytes(content)
        folder.mkdir(exist_ok=True)
        (folder / "MLmodel").write_text("flavors: {}\n")
        return Champion(
            best.trial, best.config, best.epochs, {"loss": (0.5, 0.25)}, {"accuracy": 0.75}, str(file),
            hashlib.sha256(content).hexdigest(), 1, len(content), 0.1, mlflow_model=str(folder),
        )  # fmt: skip

    def _write_mlflow_model(self, champion: Champion, _folder: Path) -> Champion:
        return champion


def fate(trial: int, fold: int) -> Failure | None:
    """What becomes of a lane."""
    if (trial, fold) == (2, 1):
        return Failure(FailureKind.DIVERGED, "loss is nan", fold=1, epoch=2)
    if (trial, fold) == (5, 0):
        return Failure(FailureKind.ERROR, "ValueError: units", fold=0, epoch=2, traceback="Traceback …")
    return None


def run(folder: Path, *, name: str = NAME, uri: str = "sqlite:///mlruns/mlflow.db") -> None:
    """Begin the study in `folder`, or go on with it, as ``hpsearch run`` does."""
    os.chdir(folder)
    report.write_artifacts = _write_report  # a real one takes as long as everything else; real studies write theirs
    spec = make_spec(LEDGER, name=name, trials=TRIALS, folds=FOLDS, epochs=EPOCHS, uri=uri, pruning="median")
    here = folder / "mlruns" / "ledger.db"
    if here.exists() and Ledger(LEDGER).has(name):
        starting.open_executor = _open  # the only way in that is not a user's
        starting.resume(name, LEDGER, observer=Observer())
        return
    with workspace.driving(LEDGER, name), tracking.environment(spec), ExitStack():
        ledger = Ledger(LEDGER, create=True)
        ledger.create(make_record(spec, schedule=Schedule(startup=3, batch=1)))
        Session(ledger.load(name), ledger, Trainer(), Observer()).run()


def _write_report(record: StudyRecord, folder: Path, *_: object) -> list[Path]:
    path = folder / "report.html"
    path.write_text(f"{record.best and record.best.score}\n" * 2_000)
    return [path]


@contextmanager
def _open(*_: object, **__: object) -> Any:
    yield Trainer()


if __name__ == "__main__":
    run(Path(sys.argv[1]), **dict(one.split("=", 1) for one in sys.argv[2:]))  # type: ignore[arg-type]
