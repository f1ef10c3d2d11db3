"""`hpsearch doctor`: what it shows of this machine, and what it says of what is broken."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from hpsearch.core.addresses import Uri
from hpsearch.doctor import Health, is_broken
from hpsearch.doctor.machine import workspace
from hpsearch.doctor.storage import ledger_of, mlflow_of, ray_of
from hpsearch.spec import TrackingSection
from tests import postgresql
from tests.command_line import hpsearch, write_study
from tests.executors.fake_gpus import DIVIDED, FIRST, PARTS, SECOND, install

pytestmark = pytest.mark.slow

KEYS = {"name", "health", "detail", "reason", "code", "hint", "values"}


def examined(folder: Path, *arguments: str, code: int = 0) -> dict[str, list[dict[str, Any]]]:
    done = hpsearch("doctor", "--json", *arguments, folder=folder)
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def one(found: dict[str, list[dict[str, Any]]], section: str, name: str) -> dict[str, Any]:
    (finding,) = [finding for finding in found[section] if finding["name"] == name]
    return finding


def refusing_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def with_tracking(study: Path, **lines: str) -> Path:
    study.write_text(study.read_text() + "[tracking]\n" + "".join(f'{key} = "{uri}"\n' for key, uri in lines.items()))
    return study


def test_everything_is_in_the_json_under_stable_keys(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    found = examined(tmp_path)
    assert list(found) == [
        "versions",
        "devices",
        "machine",
        "choices",
        "throughput",
        *(f"hpsearch.{name}" for name in ("tuners", "pruners", "engines", "executors", "families", "sources")),
        "storage",
    ]
    assert all(finding.keys() == KEYS for section in found.values() for finding in section)
    assert {finding["health"] for section in found.values() for finding in section} <= {str(one) for one in Health}
    assert one(found, "devices", "GPUs") == {
        "name": "GPUs",
        "health": "absent",
        "detail": "none (CUDA_VISIBLE_DEVICES)",
        "reason": "",
        "code": "",
        "hint": "",
        "values": {"count": 0},
    }
    cores = one(found, "machine", "cores")["values"]
    assert cores.keys() == {"usable", "machine", "affinity", "control_group"}
    assert 1 <= cores["usable"] <= cores["machine"] == os.cpu_count()
    memory = one(found, "machine", "memory")["values"]
    assert 0 < memory["available_bytes"] <= memory["total_bytes"]
    assert [finding["name"] for finding in found["choices"]] == ["gpus", "workers", "threads", "engine", "backend"]
    assert one(found, "choices", "workers")["values"] == {"workers": 1}
    trained = one(found, "throughput", "training")["values"]
    assert trained["lane_epochs_per_second"] > 1
    assert (trained["engine"], trained["backend"]) == ("fused", "jax")
    assert trained["device"].startswith("cpu")
    room = one(found, "storage", "workspace")["values"]
    assert room["writable"]
    assert not room["exists"]
    assert room["free_bytes"] > 0
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


def test_gpus_are_listed_with_their_memory_and_what_becomes_of_them(tmp_path: Path, monkeypatch) -> None:
    install(tmp_path / "bin", monkeypatch).show(DIVIDED)
    study = write_study(tmp_path, "shared")
    study.write_text(study.read_text() + "gpu_share = 2\n")
    found = examined(tmp_path, str(study), "--no-measure")
    assert one(found, "devices", "GPUs")["detail"] == f"{PARTS[0]}, {PARTS[1]}, 1"
    assert one(found, "devices", "GPU 1")["detail"] == f"NVIDIA H200, 140.4 GiB, {SECOND}"
    assert one(found, "devices", f"GPU {PARTS[0]}")["values"]["memory_bytes"] == 20 << 30
    assert one(found, "choices", "workers")["detail"] == "6"
    assert one(found, "choices", "workers")["reason"] == "2 for each GPU"
    assert one(found, "throughput", "training")["health"] == "skipped"
    study.write_text(study.read_text() + f'gpus = ["{FIRST[:9]}-nothing"]\n')
    broken = examined(tmp_path, str(study), "--no-measure", code=2)
    assert one(broken, "choices", "gpus")["code"] == "study-file.no-such-gpu"


def test_a_server_and_a_database_that_refuse_are_broken_and_the_rest_is_shown(tmp_path: Path) -> None:
    uris = {
        "uri": f"http://127.0.0.1:{refusing_port()}",
        "ledger": f"postgresql+psycopg://hpsearch:geheim@127.0.0.1:{refusing_port()}/ledger",
    }
    study = with_tracking(write_study(tmp_path, "away"), **uris)
    found = examined(tmp_path, str(study), "--no-measure", code=2)
    mlflow, ledger = one(found, "storage", "MLflow"), one(found, "storage", "ledger")
    assert (mlflow["health"], mlflow["code"]) == ("broken", "tracking.unreachable")
    assert mlflow["reason"] == f"MLflow at {uris['uri']} cannot be reached: connection refused"
    assert (ledger["health"], ledger["code"]) == ("broken", "ledger.unreachable")
    assert "onnection refused" in ledger["reason"]
    assert one(found, "study", "file")["values"] == {"study": "away"}
    shown = hpsearch("doctor", str(study), "--no-measure", folder=tmp_path, env={**os.environ, "COLUMNS": "80"})
    assert shown.returncode == 2
    assert "Nothing is broken" not in shown.stdout
    assert "error[tracking.unreachable]" in shown.stdout
    assert "geheim" not in shown.stdout + shown.stderr + json.dumps(found)
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_a_postgresql_that_lets_nobody_in_is_told_apart_from_one_without_tables() -> None:
    with postgresql.serve("geheim") as uri:
        refused = ledger_of(Uri(f"{uri.replace('hpsearch@', 'hpsearch:falsch@')}/postgres"), connect=True)
        assert (refused.health, refused.code) == (Health.BROKEN, "ledger.unreachable")
        assert "password authentication failed" in refused.reason
        assert "falsch" not in str(refused)
        let_in = Uri(f"{uri.replace('hpsearch@', 'hpsearch:geheim@')}/postgres")
        empty = ledger_of(let_in, connect=True)
        assert (empty.health, empty.reason) == (Health.ABSENT, "it has no tables yet; `hpsearch run` creates them")
        section = TrackingSection(uri=let_in, artifacts=Uri("artifacts"))
        assert mlflow_of(section, connect=True).health is Health.OK
        assert ledger_of(let_in, connect=True).health is Health.ABSENT, "looking makes no tables"
        assert ledger_of(let_in, connect=False).health is Health.SKIPPED


def test_a_study_file_with_a_mistake_is_broken(tmp_path: Path) -> None:
    study = write_study(tmp_path, "wrong")
    study.write_text(study.read_text().replace("folds = 3", "folds = 1"))
    found = examined(tmp_path, str(study), "--no-measure", code=2)
    assert "folds" in one(found, "study", "file")["reason"]
    assert one(found, "choices", "workers")["health"] == "ok"


def test_a_folder_that_cannot_be_written_is_broken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = workspace(tmp_path / "file")  # whoever runs the tests may write into any folder
    assert (found.health, found.code) == (Health.BROKEN, "doctor.not-writable")
    assert "nothing can be written in" in found.reason
    assert is_broken({"storage": (found,)})


def test_ray_is_asked_by_its_address_alone(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        assert ray_of(f"127.0.0.1:{port}").health is Health.OK
        assert ray_of(f"ray://127.0.0.1:{port}").values == {"host": "127.0.0.1", "port": port}
    away = ray_of(f"127.0.0.1:{port}")
    assert (away.health, away.code) == (Health.BROKEN, "doctor.ray-unreachable")
    assert away.reason == "nobody answers: Connection refused"
    assert ray_of("127.0.0.1:no-port").health is Health.BROKEN
    assert ray_of("auto").health is Health.SKIPPED
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert ray_of("auto").code == "doctor.ray-missing"
