"""What a Python program has in memory becomes a study that any process can go on with."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from threading import Lock
from types import FunctionType

import numpy as np
import pandas as pd
import polars
import pytest

from hpsearch.arguments import study_file
from hpsearch.core.user_code import load_object
from hpsearch.data import load_dataset
from hpsearch.errors import DataError, ModelError, SpecError
from hpsearch.given import keep
from hpsearch.search.changes import check_unchanged
from hpsearch.spoken import speaking_python
from hpsearch.testing.factories import make_record
from tests.calls import X, Y, spec_of, typed
from tests.raising import raises


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_same_code_and_data_are_the_same_study_wherever_they_were_typed(tmp_path: Path) -> None:
    def named(build: FunctionType, x: np.ndarray = X) -> str:
        return keep(tmp_path / "given", build, {"x": x, "y": Y})[1]

    first = named(typed())
    assert named(typed(above="\n\n\n", name="/tmp/ipykernel_17/2841.py")) == first
    assert named(typed(), X.copy()) == first
    others = {named(typed(width=9)), named(typed(half=3)), named(typed(), X + 1), named(typed(), X.astype("float32"))}
    assert len(others | {first}) == 5
    assert sorted(path.name for path in (tmp_path / "given" / first).iterdir()) == [f"{first}.py", "x.npy", "y.npy"]


def test_a_study_s_name_follows_from_the_call() -> None:
    first = spec_of(x=X, y=Y)
    assert first.name.startswith("build-")
    assert (first.objective.metric, first.objective.direction) == ("val_loss", "minimize")
    assert spec_of(x=X, y=Y).name == first.name
    assert spec_of(x=X, y=Y, folds=4).name != first.name
    assert spec_of(x=X, y=Y, name="mine").name == "mine"


def test_limits_alone_leave_the_objective_what_it_is_by_default() -> None:
    spec = spec_of(x=X, y=Y, objective={"at_most": {"parameters": 5000}})
    assert (spec.objective.metric, spec.objective.direction) == ("val_loss", "minimize")
    assert spec.objective.at_most == {"parameters": 5000}
    other = spec_of(x=X, y=Y, metric="val_accuracy", objective={"at_least": {"val_accuracy": 0.5}})
    assert (other.objective.metric, other.objective.at_least) == ("val_accuracy", {"val_accuracy": 0.5})


def test_arguments_stand_for_keys_of_a_study_file() -> None:
    space = {
        "units": [np.int64(8), 16],
        "learning_rate": (0.001, 0.1),
        "momentum": {"low": 0.0, "high": 0.9},
        "epochs": 3,
    }
    spec = spec_of(
        x=X, y=Y, folds=4, trials=7, metric="val_accuracy", direction="maximize", seed=5, space=space,
        search={"stop": "auto"}, validation={"method": "kfold"},
    )  # fmt: skip
    assert (spec.validation.folds, spec.validation.method) == (4, "kfold")
    assert (spec.search.trials, spec.search.stop, spec.seed) == (7, "auto", 5)
    assert spec.space["units"] == [8, 16]
    assert spec.space["learning_rate"] == {"low": 0.001, "high": 0.1}


def test_one_hot_targets_reach_a_build_function_as_they_are() -> None:
    rows = np.eye(3)[np.arange(20) % 3]
    dataset = load_dataset(spec_of(x=X, y=rows))
    assert (dataset.task, dataset.classes) == ("multiclass", ("0", "1", "2"))
    assert dataset.train.y.tolist() == rows.tolist()
    assert load_dataset(spec_of(x=X, y=rows, data={"labels": "integer"})).train.y.tolist() == rows.argmax(1).tolist()
    assert load_dataset(spec_of(x=X, y=np.eye(2)[Y])).train.y.shape == (20, 2)
    assert load_dataset(spec_of(x=X, y=Y)).train.y.shape == (20,)


def test_a_dict_and_a_file_with_other_values(tmp_path: Path) -> None:
    raw = {
        "data": {"source": "sklearn:iris"},
        "model": {"family": "mlp"},
        "objective": {"metric": "val_accuracy", "direction": "maximize"},
    }
    spec, text = study_file(raw, {}, {"trials": np.int64(3), "name": "flowers", "space": {"units": (4, 8)}})
    assert (spec.name, spec.data.source, spec.search.trials) == ("flowers", "sklearn:iris", 3)
    (tmp_path / "flowers.toml").write_text("# a comment\n" + text)
    again, _ = study_file("flowers.toml", {}, {"trials": 5, "space": {"units": [4]}})
    assert (again.name, again.search.trials, again.space["units"]) == ("flowers", 5, [4])
    assert study_file("flowers.toml", {}, {})[1].startswith("# a comment")
    of_rows, _ = study_file(raw, {"x": X, "y": Y}, {})
    assert of_rows.data.source.endswith(":data")
    assert of_rows.name.startswith("study-")


CATEGORIES = pd.DataFrame(
    {
        "city": pd.Categorical(["Rome", "Oslo"] * 10),
        "size": pd.array([1, 2, None, 4] * 5, dtype="Int64"),
        "open": [True, False] * 10,
    }
)


@pytest.mark.parametrize("table", [CATEGORIES, polars.from_pandas(CATEGORIES), CATEGORIES.to_dict("list")])
def test_tables_keep_their_kinds(table: object) -> None:
    dataset = load_dataset(spec_of(x=table, y=Y))
    kinds = {column.name: column.kind for column in dataset.columns}
    assert (kinds["city"], kinds["size"]) == ("category", "number")
    assert set(kinds) == {"city", "size", "open"}
    assert len(dataset.train) == 20


def test_arrays_tests_groups_and_time() -> None:
    dataset = load_dataset(spec_of(x=X, y=Y, x_test=X[:4], y_test=Y[:4]))
    assert (dataset.train.x.shape, len(dataset.test)) == ((20, 2), 4)
    groups = np.repeat(["a", "b", "c", "d", "e"], 4)
    for x in (X, pd.DataFrame(X, columns=["a", "b"])):
        spec = spec_of(x=x, y=Y, groups=groups)
        assert spec.validation.method == "group"
        assert len(np.unique(load_dataset(spec).train.groups)) == 5
        spec = spec_of(x=x, y=Y, time=np.arange(20)[::-1])
        assert spec.validation.method == "time-series"
        assert load_dataset(spec).train.time.tolist() == list(range(19, -1, -1))
    frame = pd.DataFrame({"a": X[:, 0], "price": X[:, 1]})
    assert load_dataset(spec_of(x=frame, data={"target": "price"})).train.y.tolist() == X[:, 1].tolist()
    with raises("data.uneven-columns", part="groups") as caught:
        load_dataset(spec_of(x=X, y=Y, groups=groups[:7]))
    assert "groups has 7 values, but there are 20 rows" in str(caught.value)


def test_arrays_of_python_s_objects_and_times() -> None:
    def first(name: str, value: object) -> object:
        return dict(given_parts({name: value}))[name][0]

    days = pd.Series(pd.date_range("2024-01-01", periods=20))
    for time in (days, days.dt.tz_localize("UTC"), list(days.dt.date), list(days.dt.to_pydatetime())):
        assert load_dataset(spec_of(x=X, y=Y, time=time)).train.time.argmax() == 19
    assert first("time", days.dt.tz_localize("Asia/Tokyo")) == np.datetime64("2023-12-31T15:00")
    for y in (pd.Series(Y, dtype=object), pd.Series(Y, dtype="Int64"), Y.astype(bool).astype(object)):
        assert load_dataset(spec_of(x=X, y=y)).task == "binary"
    assert load_dataset(spec_of(x=X.astype(object), y=Y)).train.x.tolist() == X.tolist()
    assert first("y", [True, 0.5, Decimal(2)]) == 1.0
    assert first("y", [2**63 + 1, 2]) == 2**63 + 1


def given_parts(parts: dict[str, object]) -> list[tuple[str, np.ndarray]]:
    folder, _ = keep(Path("given"), None, parts)
    return [(path.stem, np.load(path)) for path in folder.glob("*.npy")]


def test_programs_that_keep_the_same_at_once(tmp_path: Path) -> None:
    rows = np.arange(400_000.0).reshape(-1, 2)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: keep(tmp_path / "given", None, {"x": rows, "y": rows[:, 0]}), range(16)))
    ((folder, _),) = found
    assert [*(tmp_path / "given").iterdir()] == [folder]
    assert (np.load(folder / "x.npy") == rows).all()


def test_a_file_of_rows_beside_a_function(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path / "old")
    pd.DataFrame(X, columns=["a", "b"]).assign(t=Y).to_csv("rows.csv", index=False)
    spec = spec_of(data={"source": "rows.csv", "target": "t"})
    assert len(load_dataset(spec).train) == 20
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").rename("new")
    folder = Path(spec.folder.replace("/old/", "/new/"))
    assert (folder / spec.data.source).resolve() == tmp_path / "new" / "rows.csv"


def test_names_of_a_function_s_own_code_do_not_replace_what_is_kept(tmp_path: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    exec("def data(): return 1\ndef build(hp, width): return data() + width\nf = lambda hp: build(hp, 4)", names)
    folder, module = keep(tmp_path / "given", names["f"], {"x": X, "y": Y})
    assert len(load_object(f"{module}:data", folder, DataError)()) == 2
    assert load_object(f"{module}:build", folder, ModelError)(None) == 5


@pytest.mark.parametrize("held", ["1", "open(__file__)"])
def test_modules_beside_the_program_are_kept_with_it_if_they_can_be(tmp_path: Path, monkeypatch, held: str) -> None:
    name = f"beside_{len(held)}"
    (tmp_path / f"{name}.py").write_text(f"HELD = {held}\n\ndef make(width): return width + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    exec(f"import {name} as beside\ndef build(hp): return beside.make(4)", names)
    folder, module = keep(tmp_path / "given", names["build"], {})
    if held == "1":
        (tmp_path / f"{name}.py").unlink()
        monkeypatch.delitem(sys.modules, name)
    assert load_object(f"{module}:build", folder, ModelError)(None) == 5


def test_two_numbers_are_a_range_and_two_others_are_choices() -> None:
    space = spec_of(x=X, y=Y, space={"units": (4, 8), "activation": ("relu", "tanh"), "norm": (True, False)}).space
    assert space["units"] == {"low": 4, "high": 8}
    assert (space["activation"], space["norm"]) == (["relu", "tanh"], [True, False])


def test_other_data_or_code_under_the_same_name_are_told_apart() -> None:
    begun = replace(make_record(), spec=spec_of(x=X, y=Y, name="mine"))

    def said(**other: object) -> str:
        spec = spec_of(**{"build": typed(), "x": X, "y": Y, "name": "mine", **other})
        with raises("study-file.study-changed") as caught, speaking_python(typed()):
            check_unchanged(begun, spec)
        return str(caught.value)

    assert "what is given as data in memory" in said(x=X + 1)
    assert "build function" not in said(x=X + 1)
    assert "the build function, or what it refers to, in memory" in said(build=typed(width=9))
    assert "data.source" not in said(build=typed(width=9))
    assert said(x=X + 1).endswith(
        "give the changed study a name of its own: name=…; or delete the old one with its trials: overwrite=True"
    )


class WithRows:
    """What of ``tf.data.Dataset`` is used."""

    class Spec:
        class shape:
            rank = 1

            def __class_getitem__(cls, axis: int) -> int:
                return 2

    element_spec = (Spec, type("Target", (), {"shape": type("shape", (), {"rank": 0})}))

    def cardinality(self) -> int:
        return len(X)

    def as_numpy_iterator(self):
        return zip(X, Y, strict=True)


def test_rows_of_tf_data_are_kept() -> None:
    dataset = load_dataset(spec_of(x=WithRows()))
    assert dataset.train.x.tolist() == X.tolist()
    with raises("data.targets-twice"):
        spec_of(x=WithRows(), y=Y)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"y": Y}, SpecError, "y is given, but no x"),
        ({"x": X}, SpecError, "x is given, but no y"),
        ({"x": X, "y": Y, "y_test": Y}, SpecError, "y_test is given, but no x_test"),
        ({"x": X, "y": Y, "epoch": 3}, SpecError, "hpsearch.run() got an unknown argument 'epoch'"),
        ({"build": None, "x": X, "y": Y}, SpecError, "takes a study file, a dict or a build function first, but got"),
        ({"build": X, "x": X, "y": Y}, SpecError, "but got ndarray"),
        ({"x": X, "y": Y, "search": 3}, SpecError, "search = 3 is not a dict"),
        ({"x": X, "y": Y, "space": [3]}, SpecError, "space = [3] is not a dict of hyperparameters"),
        ({"x": X, "y": Y, "space": {"units": object}}, SpecError, "a study file holds only numbers, strings"),
        ({"x": X, "y": Y, "metric": "val_mine"}, SpecError, "objective.direction: is required"),
        ({"x": X, "y": Y, "trials": 0}, SpecError, "search.trials"),
        (
            {"x": X, "y": Y, "callbacks": "stop"},
            SpecError,
            "callbacks must be a list of Keras callbacks, or a function",
        ),
        ({"build": {}, "callbacks": []}, SpecError, "callbacks can be given beside a build function"),
        ({"x": X, "y": [1, "a", None] * 6 + [1, 2]}, DataError, "y has values of several types: NoneType, int, str"),
        ({"x": pd.DataFrame({"a": [1, "b"] * 10}), "y": Y}, DataError, "x cannot be kept as a table"),
    ],
)
def test_what_is_wrong_with_a_call_is_said(given: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        spec_of(**{"build": typed(), **given})
    assert said in str(caught.value)


def test_data_beside_a_file_and_code_that_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('name = "a"\n[data]\nsource = "sklearn:iris"\n[model]\nfamily = "mlp"\n'
                                     '[objective]\nmetric = "val_loss"\ndirection = "minimize"\n')  # fmt: skip
    with pytest.raises(SpecError, match=r"x, y: a.toml names its data in \[data\], so none can be given beside it"):
        study_file("a.toml", {"x": X, "y": Y}, {})
    lock = Lock()

    def build(config: object, data: object) -> Lock:
        return lock

    with pytest.raises(ModelError, match=r"build cannot be kept for the workers: TypeError: cannot pickle"):
        spec_of(build, x=X, y=Y)
