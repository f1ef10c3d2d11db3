"""A real MLflow server that lets only its users in: whoever may not is told before anything trains."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import hpsearch, write_study

from .conftest import Server, free_port

pytestmark = pytest.mark.slow

PASSWORD = "geheim-geheim-1"
GOOD = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
WRONG = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "falsch-falsch-2"}

CONFIG = """
[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/users.db
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@pytest.fixture(scope="module")
def guarded(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("flask_wtf", reason="mlflow[auth] is not installed")
    folder = tmp_path_factory.mktemp("guarded")
    shutil.copy(migrated, folder / "mlflow.db")
    (folder / "auth.ini").write_text(CONFIG.format(folder=folder))
    settings = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only for this test",
    }
    one = Server(folder, free_port(), settings=settings, options=("--app-name", "basic-auth"))
    one.start()
    yield one
    one.stop()


def call(*arguments: str, folder: Path, **credentials: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING_")}
    return hpsearch(*arguments, folder=folder, env={**kept, **credentials})


def write(folder: Path, name: str, uri: str) -> Path:
    path = write_study(folder, name, trials=2, epochs=1)
    path.write_text(f'{path.read_text()}[tracking]\nuri = "{uri}"\nsystem_metrics = false\n')
    return path


def test_a_user_of_the_server_has_a_study_there_and_syncs_it(guarded: Server, tmp_path: Path) -> None:
    write(tmp_path, "let-in", guarded.uri)
    done = call("run", "let-in.toml", folder=tmp_path, **GOOD)
    assert done.returncode == 0, done.stderr
    assert "cannot be reached" not in done.stderr
    assert call("sync", "let-in", folder=tmp_path, **GOOD).returncode == 0
    refused = call("sync", "let-in", folder=tmp_path, **WRONG)
    assert refused.returncode == 6
    assert f"MLflow at {guarded.uri} does not let you in: the user or password in MLFLOW" in refused.stderr
    assert "falsch" not in refused.stdout + refused.stderr
    shown = call("ui", "let-in", folder=tmp_path, **GOOD)
    assert f"{guarded.uri}/#/experiments/1/runs?" in shown.stdout
    hidden = call("ui", "let-in", folder=tmp_path)
    assert hidden.returncode == 6
    assert "does not let you in: it wants a user and a password" in hidden.stderr


def test_a_password_in_the_address_does_as_well(guarded: Server, tmp_path: Path) -> None:
    write(tmp_path, "in-the-address", guarded.uri.replace("//", "//admin:${MLFLOW_PASSWORD}@"))
    done = call("run", "in-the-address.toml", folder=tmp_path, MLFLOW_PASSWORD=PASSWORD)
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("credentials", "why"),
    [
        ({}, "it wants a user and a password"),
        (WRONG, "the user or password in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD is wrong"),
        ({"MLFLOW_TRACKING_TOKEN": "no-such-token"}, "the token in MLFLOW_TRACKING_TOKEN is wrong"),
    ],
)
def test_whoever_is_not_let_in_is_told_before_anything_is_trained(
    guarded: Server, tmp_path: Path, credentials: dict[str, str], why: str
) -> None:
    study = write(tmp_path, "shut-out", guarded.uri)
    done = call("run", "shut-out.toml", folder=tmp_path, **credentials)
    assert done.returncode == 6
    assert f"MLflow at {guarded.uri} does not let you in: {why}" in " ".join(done.stderr.split())
    assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN" in " ".join(
        done.stderr.split()
    )
    assert not (tmp_path / "mlruns" / "ledger.db").exists(), "nothing has been written, so nothing was trained"
    assert "Traceback" not in done.stderr
    found = json.loads(call("doctor", str(study), "--json", "--no-measure", folder=tmp_path, **credentials).stdout)
    (mlflow,) = [one for one in found["storage"] if one["name"] == "MLflow"]
    assert (mlflow["health"], mlflow["code"]) == ("broken", "tracking.not-allowed")
