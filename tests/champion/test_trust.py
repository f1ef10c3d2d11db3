"""Whose code runs when a champion is loaded: that of this user, or of somebody who is trusted; never a family's."""

import hashlib
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

from hpsearch.champion.export import export
from hpsearch.champion.files import check_champion
from hpsearch.champion.predict import predict
from hpsearch.core.hardware import processor
from hpsearch.errors import ModelError, StudyError
from hpsearch.ledger import Ledger
from hpsearch.ledger.seals import is_own, key_file, seal_of
from hpsearch.models.saved_file import holds_code
from hpsearch.study import Study
from hpsearch.testing.factories import make_champion, make_record, make_trials

BUILD = """
import pathlib
import keras

pathlib.Path(__file__).with_name("imported.txt").write_text("yes")


class Scale(keras.layers.Layer):
    def call(self, x):
        return x * 2


def build(config, data):
    return keras.Sequential([keras.Input((64,)), Scale(), keras.layers.Dense(10, activation="softmax")])


def lambdas(config, data):
    return keras.Sequential([keras.Input((64,)), keras.layers.Lambda(lambda x: x + 1), keras.layers.Dense(10)])


def stock(config, data):
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
"""

HOSTILE = "lambda x: __import__('pathlib').Path('hostile.txt').write_text('ran') and x"


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Path]:
    """The folder of a study with a build module."""
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "build_for_trust_tests.py").write_text(BUILD)
    before = [*sys.path]
    yield folder
    sys.path[:] = before
    sys.modules.pop("build_for_trust_tests", None)


def enter(folder: Path, function: str | None, *, seal: bool = True, model=None) -> str:
    """A study with a champion in a ledger of `folder`, as a search would leave it; its address."""
    import keras

    if model is None:
        sys.path.insert(0, str(folder))
        import build_for_trust_tests as module

        model = getattr(module, function or "stock")({}, None)
        sys.path.remove(str(folder))
        sys.modules.pop("build_for_trust_tests")
        (folder / "imported.txt").unlink()
    address = f"sqlite:///{folder}/mlruns/ledger.db"
    tracking = {"ledger": address, "uri": f"sqlite:///{folder}/mlruns/mlflow.db"}
    section = {"build": f"build_for_trust_tests:{function}"} if function else {"family": "mlp"}
    trials = make_trials(2)
    file = folder / "mlruns/studies/digits/champion.keras"
    file.parent.mkdir(parents=True)
    model.save(file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    champion = replace(make_champion(trials[1]), path=str(file), sha256=sha256)
    champion = replace(champion, seal=seal_of("digits", sha256) if seal else "")
    record = make_record(trials, champion=champion, tracking=tracking)
    spec = record.spec
    model_section = type(spec.model).model_validate(section)
    record = replace(record, spec=spec.model_copy(update={"model": model_section, "folder": str(folder)}))
    record = replace(record, facts=replace(record.facts, host=replace(record.facts.host, processor=processor())))
    ledger = Ledger(address, create=True)
    ledger.create(record)
    ledger.set_champion("digits", champion)
    keras.backend.clear_session()
    return address


def read(address: str) -> Study:
    return Study(Ledger(address).load("digits"), address)


def moved(folder: Path, to: str) -> str:
    """The address of the ledger after its folder has gone elsewhere."""
    target = folder.with_name(to)
    shutil.move(folder, target)
    return f"sqlite:///{target}/mlruns/ledger.db"


def on_another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody-else"))


def is_refused(study: Study, tmp_path: Path) -> bool:
    """Whether every way to the champion says no, and no code has run."""
    (tmp_path / "rows.npz").write_bytes(b"")
    for use in (
        study.best_model,
        lambda: study.predict([[0.0] * 64]),
        lambda: predict(study.record, tmp_path / "rows.npz"),
        lambda: export(study.record, study.folder, tmp_path / "exported"),
    ):
        with pytest.raises(StudyError) as caught:
            use()
        assert caught.value.code == "study.not-trusted"
    assert not (tmp_path / "exported").exists()
    return not [*tmp_path.rglob("imported.txt"), *tmp_path.rglob("hostile.txt")]


@pytest.mark.parametrize("function", ["build", "lambdas"])
def test_own_code_runs_here_wherever_its_folder_is_and_elsewhere_only_with_trust(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    assert read(enter(made, function)).best_model().count_params() == 650
    sys.modules.pop("build_for_trust_tests", None)
    (made / "imported.txt").unlink(missing_ok=True)
    study = read(moved(made, "moved"))
    check_champion(study.record)
    on_another_machine(monkeypatch, tmp_path)
    assert is_refused(study, tmp_path)
    with pytest.raises(StudyError, match="add trust=True if"):
        study.best_model()
    assert study.best_model(trust=True).count_params() == 650
    assert (tmp_path / "moved/imported.txt").exists()


def test_a_model_of_keras_own_layers_runs_no_code_and_needs_no_trust(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(made, "stock")
    on_another_machine(monkeypatch, tmp_path)
    assert read(moved(made, "moved")).best_model().count_params() == 650
    assert not [*tmp_path.rglob("imported.txt")]


def test_a_champion_without_a_seal_counts_as_made_here_only_where_it_was_made(made: Path, tmp_path: Path) -> None:
    """As those of earlier versions, and of users without a home."""
    address = enter(made, "build", seal=False)
    here = read(address).record
    check_champion(here)
    other = replace(here, facts=replace(here.facts, host=replace(here.facts.host, processor="another one")))
    with pytest.raises(StudyError):
        check_champion(other)
    assert is_refused(read(moved(made, "moved")), tmp_path)


def test_a_changed_file_is_found_although_its_digest_in_the_ledger_was_changed_too(made: Path, tmp_path: Path) -> None:
    import keras

    address = enter(made, "lambdas")
    file = made / "mlruns/studies/digits/champion.keras"
    layer = keras.layers.Lambda(eval(HOSTILE))
    keras.Sequential([keras.Input((64,)), layer, keras.layers.Dense(10)]).save(file)
    (tmp_path / "hostile.txt").unlink(missing_ok=True)
    with pytest.raises(StudyError) as caught:
        read(address).best_model()
    assert caught.value.code == "study.champion-changed"
    with sqlite3.connect(made / "mlruns/ledger.db") as ledger:
        table, where = "study_system_attributes", "WHERE key = 'champion'"
        champion = json.loads(ledger.execute(f"SELECT value_json FROM {table} {where}").fetchone()[0])
        champion["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        ledger.execute(f"UPDATE {table} SET value_json = ? {where}", [json.dumps(champion)])
    assert is_refused(read(address), tmp_path)


def test_a_familys_file_never_runs_code_even_with_trust(made: Path, tmp_path: Path) -> None:
    import keras

    layer = keras.layers.Lambda(eval(HOSTILE))
    model = keras.Sequential([keras.Input((64,)), layer, keras.layers.Dense(10)])
    (tmp_path / "hostile.txt").unlink(missing_ok=True)
    study = read(enter(made, None, model=model))
    assert holds_code(study.record.champion.path)
    for trust in (False, True):
        with pytest.raises(ModelError) as caught:
            study.best_model(trust=trust)
        assert caught.value.code == "model.code-in-family"
    assert not (tmp_path / "hostile.txt").exists()


@pytest.mark.parametrize("names", [(), ("__lambda__",)])
def test_a_registered_model_loads_code_in_its_file_only_if_its_card_says_so(tmp_path: Path, names) -> None:
    """MLflow runs the code beside a model in any case; a family's model has none, and its file may hold none."""
    import keras

    from hpsearch.portable.predictor import CARD, MODEL, Card, _load_pyfunc

    data = tmp_path / "model/data/champion"
    data.mkdir(parents=True)
    layer = keras.layers.Lambda(lambda x: x + 1)
    keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)]).save(data / MODEL)
    (data / CARD).write_text(json.dumps(asdict(Card("jax", (), (), (2,), names=names))))
    if names:
        assert len(_load_pyfunc(str(data)).predict([[1.0, 2.0]])) == 1
        return
    with pytest.raises(ValueError, match="Lambda"):
        _load_pyfunc(str(data))


def test_a_key_is_made_once_and_nobody_else_can_read_it() -> None:
    assert is_own("a", "0" * 64, seal_of("a", "0" * 64))
    assert not is_own("b", "0" * 64, seal_of("a", "0" * 64))
    assert not is_own("a", "0" * 64, "é")
    assert key_file().stat().st_mode & 0o777 == 0o600
    assert key_file().parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in key_file().parent.iterdir()] == ["key"]


def test_without_a_place_for_a_key_there_is_no_seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert seal_of("a", "0" * 64) == ""
    assert not is_own("a", "0" * 64, "0" * 64)
