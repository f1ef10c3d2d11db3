"""What is imported when: the driver knows no Keras, and asking for help costs nothing."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hpsearch.core import imports

HEAVY = ("keras", "tensorflow", "jax", "torch", "keras_tuner")


def modules_after(code: str, folder: Path | None = None) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sys.modules))"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_the_driver_imports_no_keras_tensorflow_or_jax() -> None:
    code = (
        "import hpsearch.cli.main, hpsearch.live, hpsearch.cli.show, hpsearch.study, hpsearch.search.driver\n"
        "import hpsearch.executors.processes, hpsearch.champion.export, hpsearch.ledger.store\n"
        "import hpsearch.tracking.mlflow.tracker, hpsearch.tracking.mlflow.catching_up\n"
        "import hpsearch.tracking.mlflow.tables\n"
        "import hpsearch.tuners.optuna, hpsearch.tuners.keras_tuner"
    )
    assert not modules_after(code) & set(HEAVY)


def test_import_hpsearch_and_its_help_import_next_to_nothing() -> None:
    loaded = modules_after("import hpsearch, hpsearch.cli.main")
    assert not loaded & {*HEAVY, "numpy", "pandas", "optuna", "mlflow", "sklearn", "pydantic", "plotly", "sqlalchemy"}


def test_the_package_offers_its_api_and_nothing_by_accident() -> None:
    loaded = modules_after("import hpsearch; hpsearch.run; hpsearch.resume; hpsearch.load; hpsearch.Study")
    assert "hpsearch.study" in loaded


def test_the_tracking_room_imports_no_mlflow_until_it_is_used() -> None:
    code = "import hpsearch.tracking.base, hpsearch.tracking.mlflow.tracker, hpsearch.tracking.mlflow.ui"
    assert "mlflow" not in modules_after(code)


STUDY = """\
name = "iris"
[data]
source = "sklearn:iris"
[validation]
folds = 2
[model]
family = "mlp"
[space]
epochs = 1
[objective]
metric = "val_accuracy"
direction = "maximize"
[search]
trials = 1
[resources]
backend = "tensorflow"
"""


def test_checking_a_study_imports_no_mlflow(tmp_path: Path) -> None:
    (tmp_path / "iris.toml").write_text(STUDY)
    code = "from hpsearch.spec import load_spec; from hpsearch.study import prepare; prepare(load_spec('iris.toml')[0])"
    assert "mlflow" not in modules_after(code, tmp_path)


IMPATIENT = """
import os, sys, threading, time
import hpsearch.study
from hpsearch.errors import SpecError
from hpsearch.search import starting
from hpsearch.tracking.settings import SETTINGS

os.environ["_MLFLOW_TELEMETRY_SESSION_ID"] = "inherited"
strangers = []

def watched(change):
    def watching(self, *arguments):
        if threading.current_thread() is not threading.main_thread():
            strangers.append((threading.current_thread().name, arguments))
        change(self, *arguments)
    return watching

for name in ("__setitem__", "__delitem__"):
    setattr(type(os.environ), name, watched(getattr(type(os.environ), name)))

def wait(spec, stack, like, note):
    # A worker that is started now gets all of the settings.
    assert SETTINGS.items() <= os.environ.items()
    while not {awaited} and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {awaited}
    raise SpecError("enough")

starting.prepare_study, before, deadline = wait, dict(os.environ), time.monotonic() + 60
{given}
try:
    hpsearch.study.run("iris.toml")
except SpecError as error:
    assert error.what == "enough"
assert threading.active_count() == 1
assert not strangers, strangers
changed = set(os.environ.items()) ^ set(before.items())
assert not changed, changed
"""


@pytest.mark.parametrize(
    ("given", "awaited"),
    [
        ("pass", "'hpsearch.tracking.mlflow.tables' in sys.modules"),
        ("sys.modules['mlflow'] = None", "threading.active_count() == 1"),
    ],
    ids=["there", "broken"],
)
def test_a_study_imports_mlflow_while_it_waits_for_its_workers_and_changes_nothing(
    tmp_path: Path, given: str, awaited: str
) -> None:
    (tmp_path / "iris.toml").write_text(STUDY)
    loaded = modules_after(IMPATIENT.format(given=given, awaited=awaited), tmp_path)
    assert ("hpsearch.tracking.mlflow.tables" in loaded) == (given == "pass")
    assert not list(tmp_path.rglob("*.db"))


def test_a_study_whose_worker_is_its_own_process_leaves_mlflow_for_later(tmp_path: Path) -> None:
    (tmp_path / "iris.toml").write_text(STUDY + 'executor = "inline"\n')
    assert "mlflow" not in modules_after(IMPATIENT.format(given="pass", awaited="True"), tmp_path)


HURRIED = """
import sys
from functools import partial
from hpsearch.core.imports import mlflow_ahead
from hpsearch.spec import TrackingSection
from hpsearch.tracking.mlflow.client import import_mlflow, quiet

sys.setswitchinterval(1e-5)
uri = "http://127.0.0.1:9"
with mlflow_ahead(partial(import_mlflow, TrackingSection(uri="{tracked}"))), quiet():
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    assert MlflowClient(uri, uri)._tracking_client.store
"""


@pytest.mark.parametrize("tracked", ["http://127.0.0.1:9", "sqlite:///mlflow.db"], ids=["server", "file"])
def test_who_uses_mlflow_while_a_thread_imports_it_finds_all_of_it(tracked: str, tmp_path: Path) -> None:
    assert "mlflow.models" in modules_after(HURRIED.format(tracked=tracked), tmp_path)


def test_who_waits_while_an_import_is_about_to_begin_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    about_to, done, errors = threading.Event(), threading.Event(), list[Exception]()

    class Starting(threading.Thread):
        def start(self) -> None:
            about_to.set()
            waiting.join(0.2)  # which must not come to its end here
            super().start()

    def wait() -> None:
        about_to.wait(30)
        try:
            imports.wait_for_imports()
            assert done.is_set()
        except (RuntimeError, AssertionError) as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    monkeypatch.setattr(imports.threading, "Thread", Starting)
    imports.import_ahead(done.set, "importing").join()
    waiting.join(30)
    assert not errors


SLOW = """
import time
time.sleep(2)
version_info = (9, 0, 0)
def get_ipython():
    return None
"""

DRAWN = """
import sys, time
import matplotlib.figure
from functools import partial
from pathlib import Path
from hpsearch.core.imports import mlflow_ahead
from hpsearch.report import write_artifacts
from hpsearch.report.write import gather
from hpsearch.spec import TrackingSection
from hpsearch.testing.searched import make_searched
from hpsearch.tracking.mlflow.client import import_mlflow

record = make_searched(6)
gather(record, None)
with mlflow_ahead(partial(import_mlflow, TrackingSection(uri="http://127.0.0.1:9"))):
    deadline = time.monotonic() + 60
    while "IPython" not in sys.modules:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    paths = write_artifacts(record, Path("study"))
assert any(path.name == "curves.png" for path in paths)
"""


def test_a_report_is_written_while_a_thread_imports_mlflow_and_what_its_first_request_imports(tmp_path: Path) -> None:
    (tmp_path / "IPython.py").write_text(SLOW)
    assert "matplotlib.figure" in modules_after(DRAWN, tmp_path)
