"""Study files for data files: what is chosen, why, and that hpsearch itself reads what is written."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hpsearch.cli.init import write_for
from hpsearch.cli.main import app
from hpsearch.core.space import Choice, Float
from hpsearch.data import load_dataset
from hpsearch.proposal.study import propose
from hpsearch.proposal.text import spec_of, study_file
from hpsearch.proposal.values import Proposal
from hpsearch.spec import load_spec, make_space
from tests.raising import raises

N = 120
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2)).round(3)
PLAIN = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "city": RNG.choice(["Wien", "Graz", "Linz"], N)})
DAYS = pd.date_range("2023-01-01", periods=N)
MIXED = RNG.permutation(N)


@pytest.fixture
def proposed(tmp_path: Path, monkeypatch) -> Callable[..., Proposal]:
    monkeypatch.chdir(tmp_path)

    def of(columns: Mapping[str, object], *targets: str, without: tuple[str, ...] = (), **csv: object) -> Proposal:
        frame = PLAIN.assign(**columns).drop(columns=list(without))  # type: ignore[arg-type]
        frame.to_csv("rows.csv", **{"index": False, **csv})
        found = propose("rows.csv", Path("rows.toml"), targets=targets)
        spec = spec_of(found, Path())  # it is a study file, and its space is one
        assert make_space(spec)
        return found

    return of


def test_ids_dates_constants_texts_and_copies_are_left_out_with_their_reasons(proposed) -> None:
    found = proposed(
        {
            "row": range(N),
            "customer_id": [f"C{i}" for i in MIXED],
            "born": DAYS[MIXED].strftime("%Y-%m-%d"),
            "seen": DAYS[MIXED].strftime("%d.%m.%Y"),
            "left": DAYS[MIXED].strftime("%b %d, %Y"),
            "paid": [day.strftime(("%Y-%m-%d", "%m/%d/%Y", "%d %b %Y")[i % 3]) for i, day in enumerate(DAYS[MIXED])],
            "coded_date": DAYS[MIXED].strftime("%Y%m%d").astype(int),
            "country": "AT",
            "note": [f"some text {i}" for i in MIXED],
            "nothing": None,
            "churn": np.where(X[:, 0] > 1, "yes", "no"),
            "churn_code": (X[:, 0] > 1).astype(int),
            "humid": X[:, 1] ** 2,
        }
    )
    assert found.data["target"] == "churn"
    why = dict(found.roles.ignore)
    assert why.pop("churn_code").startswith("says the same as churn in every row")
    assert why.pop("note").startswith("a different text in every row, such as some text")
    dates = {name: why.pop(name) for name in ("born", "seen", "left", "paid", "coded_date")}
    assert all(text.startswith("dates, such as ") for text in dates.values())
    assert why == {
        "row": "numbers the rows",
        "customer_id": "an id: different in every row",
        "country": "one value only, AT",
        "nothing": "empty",
    }
    assert (found.roles.group, found.roles.time) == (None, None)


@pytest.mark.parametrize(
    ("target", "metric", "direction"),
    [
        (X[:, 0] > 1.2, "val_auc", "maximize"),
        (X[:, 0] > 0, "val_accuracy", "maximize"),
        (np.digitize(X[:, 0], [-0.4, 0.4]), "val_accuracy", "maximize"),
        (np.digitize(X[:, 0], [-1.3, 1.3]), "val_balanced_accuracy", "maximize"),
        (X[:, 0] ** 2, "val_mae", "minimize"),
    ],
)
def test_the_metric_fits_the_task_and_the_shares_of_the_classes(proposed, target, metric, direction) -> None:
    found = proposed({"target": target})
    assert (found.goal.metric, found.goal.direction) == (metric, direction)


def test_a_target_that_is_called_like_none_is_asked_for_and_may_be_named(proposed) -> None:
    with raises("data.which-target", candidates=("size", "city", "b", "a")):
        proposed({"id": range(N), "size": X[:, 0] ** 2})
    assert proposed({"size": X[:, 0] ** 2}, "size").data["target"] == "size"
    with raises("data.unknown-column", role="target", column="sise", closest="size"):
        proposed({"size": X[:, 0] ** 2}, "sise")
    with raises("data.which-target", candidates=("label", "target", "city", "b", "a")):
        proposed({"label": X[:, 0] > 0, "target": X[:, 1] > 0})
    with raises("data.which-target") as caught:
        proposed({"target": 1})
    assert "but not target: one value only, 1" in caught.value.what
    assert proposed({"target": MIXED}).data["target"] == "target", "the name outweighs that it numbers the rows"


def test_several_columns_that_are_called_so_are_all_targets(proposed) -> None:
    found = proposed({"label_x": (X[:, 0] > 0).astype(int), "label_y": (X[:, 1] > 0).astype(int)})
    assert found.data["target"] == ["label_x", "label_y"]
    assert (found.goal.metric, found.summary) == ("val_auc", f"{N} rows, 3 input columns, multilabel, 2 labels")


def test_rows_in_the_order_of_a_date_are_validated_on_later_rows(proposed) -> None:
    day = DAYS.strftime("%Y-%m-%d")
    assert proposed({"day": day, "sales": X[:, 0]}).roles.time == "day"
    assert proposed({"day": day[::-1], "sales": X[:, 0]}).roles.time == "day", "newest first"
    panel = {"day": np.repeat(day[:40], 3), "store": ["a", "b", "c"] * 40}
    by_store = pd.DataFrame(panel).sort_values(["store", "day"]).reset_index(drop=True)
    found = proposed({**by_store, "sales": X[:, 0]})
    assert found.roles.time == "day"
    assert "within each store" in found.roles.remarks["time"]
    dotted = proposed({"day": DAYS.strftime("%d.%m.%Y"), "sales": X[:, 0]})
    assert (dotted.roles.time, dotted.validation.method) == (None, "time-series")
    assert proposed({"year": np.arange(N) // 4 + 1990, "sales": X[:, 0]}).roles.time == "year"


def test_ids_that_repeat_keep_their_rows_together(proposed) -> None:
    found = proposed({"patient_id": MIXED % 20, "visit_id": MIXED % 30, "outcome": X[:, 0] > 0})
    assert (found.roles.group, [*found.roles.ignore]) == ("patient_id", ["visit_id"])
    timed = proposed({"patient": MIXED % 20, "day": DAYS.strftime("%Y-%m-%d"), "outcome": X[:, 0] > 0})
    assert (timed.roles.group, timed.roles.time, [*timed.roles.ignore]) == (None, "day", ["patient"])


def test_a_file_in_another_dialect_is_read_with_the_options_that_it_needs(proposed) -> None:
    price = (X[:, 0] * 80_000 + 250_000).round(2)
    found = proposed({"price": price}, sep=";", decimal=",", encoding="utf-8-sig")
    assert found.data["options"] == {"sep": ";", "decimal": ","}
    assert proposed({"price": X[:, 0]}, encoding="utf-16").data["options"] == {"encoding": "utf-16"}
    assert proposed({"price": X[:, 0], "n": [f"{v:,.2f}" for v in price]}).data["options"] == {"thousands": ","}
    power = [*map(str, X[:, 1] ** 3)]
    power[4], power[9] = "?", "n.k."
    assert proposed({"power": power, "price": X[:, 0]}).data["options"] == {"na_values": ["?", "n.k."]}


def test_a_first_row_of_data_is_no_header(proposed) -> None:
    found = proposed({"kind": X[:, 0] > 0}, "3", header=False)
    assert (found.data["options"], found.data["target"]) == ({"header": False}, "3")
    years = proposed({"2019": X[:, 0], "2020": X[:, 1], "2021": X[:, 1] ** 2, "score": X[:, 0] ** 2})
    assert "options" not in years.data, "years may be names of columns"


def test_rows_without_a_target_are_dropped_and_the_others_keep_their_task(proposed) -> None:
    target = (X[:, 0] > 0).astype(float)
    target[[3, 50]] = np.nan
    found = proposed({"target": target})
    assert (found.data["missing_targets"], found.summary) == ("drop", f"{N - 2} rows, 3 input columns, binary")
    three = (MIXED % 3).astype(float)
    three[7] = np.nan  # makes whole numbers of a table floats
    found = proposed({"class": three})
    assert found.summary == f"{N - 1} rows, 3 input columns, multiclass, 3 classes"
    amounts = X[:, 0] ** 2
    amounts[7] = np.nan
    assert proposed({"class": amounts}).summary == f"{N - 1} rows, 3 input columns, regression"
    many = (X[:, 0] * 20 + 60).round()
    many[7] = np.nan
    assert proposed({"class": many}).data["task"] == "regression"


@pytest.mark.parametrize(
    ("rows", "method", "folds", "fraction"),
    [
        (["a"] * 100 + ["b"] * 20, None, 5, 0.2),
        (["a"] * 116 + ["b"] * 4, None, 3, 0.2),
        (["a"] * 60 + ["b"] * 57 + ["c"] * 2 + ["d"], "kfold", 5, 0.2),
    ],
)
def test_folds_are_what_the_rarest_class_allows(proposed, rows, method, folds, fraction) -> None:
    validation = proposed({"target": rows}).validation
    assert (validation.method, validation.folds, validation.test_fraction) == (method, folds, fraction)


def test_three_rows_and_five_hundred_columns_are_enough_for_a_file(proposed, tmp_path: Path) -> None:
    (tmp_path / "three.csv").write_text("a,b,y\n1,2,1.5\n2,1,2.5\n3,5,3.25\n")
    assert propose("three.csv", Path("three.toml")).validation.folds == 2
    wide = pd.DataFrame(RNG.normal(size=(N, 500)), columns=[f"f{i}" for i in range(500)])
    wide.assign(label=X[:, 0] > 0).to_csv("wide.csv", index=False)
    assert propose("wide.csv", Path("wide.toml")).summary == f"{N} rows, 500 input columns, binary"


def test_many_whole_numbers_are_amounts(proposed) -> None:
    found = proposed({"score": (X[:, 0] * 20 + 60).astype(int)})
    assert (found.data["task"], found.goal.metric) == ("regression", "val_mae")


def test_each_optimizer_has_learning_rates_that_fit_it_and_few_values_cost_programs(proposed) -> None:
    found = proposed({"target": X[:, 0] > 0})
    space = make_space(spec_of(found, Path()))
    assert space["learning_rate_sgd"] == Float(0.01, 0.04, when={"optimizer": ("sgd",)})
    assert space["learning_rate_adam"] == Float(0.0005, 0.005, log=True, when={"optimizer": ("adam",)})
    assert "learning_rate" not in space
    assert [name for name, one in space.items() if isinstance(one, Choice)] == ["optimizer", "units"]


def test_amounts_are_standardized_so_that_every_optimizer_can_be_tried(proposed) -> None:
    amounts = proposed({"target": 9e5 + 2e5 * X[:, 0]})
    assert amounts.data["standardize_targets"] is True
    assert "scores and predictions stay in the target's unit" in amounts.remarks["standardize_targets"][0]
    assert make_space(spec_of(amounts, Path()))["optimizer"] == Choice(("sgd", "adam", "rmsprop"))
    assert "standardize_targets" not in proposed({"target": X[:, 0] > 0}).data


def test_arrays_are_judged_by_their_shape(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("images.npz", x=RNG.integers(0, 255, (60, 8, 8)).astype("uint8"), y=RNG.integers(0, 3, 60))
    np.savez("flat.npz", x=X, y=np.where(X[:, 0] > 1.2, 1.0, np.where(MIXED == 3, np.nan, 0.0)))
    assert propose("images.npz", Path("images.toml")).family == "cnn"
    assert propose("images.npz", Path("images.toml"), family="mlp").family == "mlp"
    flat = propose("flat.npz", Path("flat.toml"))
    assert flat.data == {"missing_targets": "drop"}  # without the gap these are whole numbers, and so classes
    assert (flat.family, flat.goal.metric) == ("mlp", "val_auc")


def test_a_study_file_elsewhere_finds_its_data(proposed, tmp_path: Path) -> None:
    proposed({"target": X[:, 0] > 0})
    (tmp_path / "studies").mkdir()
    found = propose("rows.csv", Path("studies/mine.toml"))
    assert (found.source, found.name) == ("../rows.csv", "mine")


def test_names_and_cells_cannot_break_out_of_a_comment(proposed) -> None:
    odd = "no\nte\x7f"
    found = proposed({odd: [f"text\n\x01{i} = 1\n[data]" for i in MIXED], "target": X[:, 0] > 0})
    assert spec_of(found, Path()).data.ignore == [odd]
    assert "\x01" not in study_file(found, Path("rows.toml"))


def test_the_command_names_the_file_after_the_data_and_overwrites_none(proposed, tmp_path: Path) -> None:
    proposed({"target": X[:, 0] > 0})
    done = CliRunner().invoke(app, ["init", "--data", "rows.csv"])
    assert done.exit_code == 0
    assert "target   target" in done.stdout
    assert "next: hpsearch check rows.toml   then: hpsearch run rows.toml" in done.stdout
    assert load_spec("rows.toml")[0].name == "rows"
    with raises("study-file.file-exists", path="rows.toml"):
        write_for("rows.csv", None, targets=(), family=None, minutes=None, force=False)
    with raises("study-file.unknown-name"):
        write_for("rows.csv", None, targets=(), family="mpl", minutes=None, force=True)
    with raises("study-file.source-not-read", source="my_data:load"):
        write_for("my_data:load", Path("x.toml"), targets=("a",), family=None, minutes=None, force=False)
    with raises("data.no-file", closest="rows.csv"):
        write_for("row.csv", Path("x.toml"), targets=(), family=None, minutes=None, force=False)
    with raises("data.no-columns"):
        write_for("sklearn:iris", Path("x.toml"), targets=("a",), family=None, minutes=None, force=False)
    assert not (tmp_path / "x.toml").exists()


@pytest.mark.parametrize(("answer", "target"), [("2", "city"), ("a", "a"), ("1", "size")])
def test_somebody_at_a_terminal_is_asked_for_the_target(proposed, monkeypatch, capsys, answer, target) -> None:
    with raises("data.which-target"):
        proposed({"size": X[:, 0] ** 2})
    monkeypatch.setattr("hpsearch.cli.init._is_there", lambda: True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: answer)
    write_for("rows.csv", None, targets=(), family=None, minutes=None, force=False)
    assert "  1  size\n  2  city\n" in capsys.readouterr().out
    assert load_spec("rows.toml")[0].data.target == target


def test_lists_in_cells_and_nameless_columns_are_left_out(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    signal = [np.arange(3.0) + row for row in range(N)]
    frame = PLAIN.assign(
        tags=[["a", "b"]] * N, signal=signal, when=pd.to_timedelta(range(N), unit="h"), target=X[:, 0] > 0
    )
    frame.to_parquet("rows.parquet")
    found = propose("rows.parquet", Path("rows.toml"))
    assert {name: why.partition(",")[0] for name, why in found.roles.ignore.items()} == {
        "tags": "values of type ndarray",
        "when": "values of type Timedelta",
    }
    spec = spec_of(found, tmp_path)
    assert {one.name: one.kind for one in load_dataset(spec).columns}["signal"] == "array"
    PLAIN.assign(target=X[:, 0] > 0).to_csv("rows.csv")
    assert propose("rows.csv", Path("rows.toml")).roles.ignore == {}


def test_numbers_of_versions_are_no_dates(proposed) -> None:
    version = [f"1.{i % 12 + 1}.{10 + i % 20}" for i in range(N)]
    day = DAYS[MIXED]
    found = proposed(
        {
            "version": version,
            "slashed": day.strftime("%d/%m/%y"),
            "dashed": day.strftime("%d-%m-%y"),
            "dotted": day.strftime("%d.%m.%Y"),
            "target": X[:, 0] > 0,
        }
    )
    dates = {name for name, why in found.roles.ignore.items() if why.startswith("dates")}
    assert dates == {"slashed", "dashed", "dotted"}


def test_a_file_without_rows_and_a_folder_are_called_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("head.csv").write_text("size,city,y\n")
    PLAIN[:0].to_parquet("head.parquet")
    for name in ("head.csv", "head.parquet"):
        with raises("data.no-rows"):
            propose(name, Path("study.toml"))
    Path("plain").mkdir()
    Path("rows.csv").mkdir()
    for name in ("plain", "rows.csv", "."):
        with raises("data.is-a-folder"):
            propose(name, Path("study.toml"))
        assert CliRunner().invoke(app, ["init", "--data", name]).exit_code != 0
    assert not Path("study.toml").exists()


def test_commands_that_are_shown_work_with_any_name_of_the_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    PLAIN.assign(target=X[:, 0] > 0).to_csv("my rows.csv", index=False)
    for arguments, file in (
        (["--data", "my rows.csv"], "my rows.toml"),
        (["it's $one.toml", "--data", "keras:mnist"], "it's $one.toml"),
    ):
        shown = CliRunner().invoke(app, ["init", *arguments])
        assert shown.exit_code == 0, shown.output
        (said,) = [line for line in shown.output.splitlines() if line.startswith("next: ")]
        check, run = said.removeprefix("next: ").split("   then: ")
        assert (shlex.split(check), shlex.split(run)) == (["hpsearch", "check", file], ["hpsearch", "run", file])
        text = Path(file).read_text()
        assert f"`{check}`" in text
        assert f"`{run}`" in text
