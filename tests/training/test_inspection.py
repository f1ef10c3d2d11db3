"""What a worker writes of the input columns: their ranges for every row, and the champion's reliance on each."""

from pathlib import Path

import numpy as np
import pytest

from hpsearch.portable.cells import category_code
from hpsearch.report.artifacts import _inputs
from hpsearch.spec import parse_spec
from hpsearch.training.inspection import _by_size, _by_text, write_inputs
from hpsearch.training.problem import Problem

STUDY = """
name = "inspected"
[data]
source = "rows.csv"
target = "y"
{more}
test_fraction = 0.25
[validation]
folds = 2
[model]
family = "mlp"
[space]
epochs = 1
[objective]
metric = "{metric}"
direction = "minimize"
"""


class Model:
    """Says twice the number, and ten more in Graz; knows nothing of the noise."""

    metrics = ()

    def predict(self, x, **_):
        graz = x["city"] == x["city"].max()
        return (2 * x["size"] + 10 * graz)[:, None]


@pytest.mark.parametrize("more", ["", 'group = "shop"'])
def test_ranges_names_and_importance_of_a_table(tmp_path: Path, more: str) -> None:
    rng = np.random.default_rng(0)
    size, city = np.round(rng.normal(size=200), 3), rng.choice(["Wien", "Graz", ""], 200, p=[0.5, 0.4, 0.1])
    shop = [f"shop {n % 12}" for n in range(200)]
    noise = ["" if n % 10 == 0 else str(n % 97) for n in range(200)]
    rows = [f"{a},{b},{c},{d},{2 * a:.3f}" for a, b, c, d in zip(size, city, noise, shop, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["size,city,noise,shop,y", *rows]) + "\n")
    told = STUDY.format(more=more or 'ignore = ["shop"]', metric="val_mae")
    problem = Problem.load(parse_spec(told, folder=tmp_path))
    write_inputs(Model(), problem, tmp_path)
    found = _inputs(tmp_path / "inputs.npz")
    train, test = problem.dataset.train, problem.dataset.test
    total = len(train) + len(test)
    assert {len(codes) for codes in found.codes.values()} == {total} == {200}
    assert set(found.ranges["city"]) == {"Wien", "Graz", "(empty)"}
    assert found.ranges["noise"][-1] == "(empty)"
    assert len(found.ranges["size"]) == 5
    assert np.bincount(found.codes["size"]).tolist() == [40] * 5
    assert ("the group of a row" in found.ranges) == bool(more)
    if more:
        assert found.ranges["the group of a row"][-1] == "4 others"
        assert set(found.ranges["the group of a row"][:8]) < {f"shop {n}" for n in range(12)}
    first = found.codes["size"][len(train) :]  # test rows come after the development rows
    assert [test.x["size"][first == code].mean() for code in range(5)] == sorted(
        test.x["size"][first == code].mean() for code in range(5)
    )
    worse = dict(zip(found.names, found.worse.mean(axis=1), strict=True))
    assert (found.metric, found.rows) == ("mae", len(test))
    assert found.whole == pytest.approx(np.abs(Model().predict(test.x)[:, 0] - test.y).mean())
    assert worse["noise"] == 0.0
    assert worse["size"] > 0.3 > worse["noise"]


def test_arrays_of_few_values_have_columns_and_images_and_wide_ones_none(tmp_path: Path) -> None:
    class Sum:
        metrics = ()

        def predict(self, x, **_):
            return x[:, :1]

    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    for values, expected in ((x, True), (np.repeat(x, 30, axis=1), False), (x.reshape(60, 3, 1), False)):
        np.savez(tmp_path / "rows.npz", x=values, y=values.reshape(60, -1)[:, 0])
        text = STUDY.format(more="", metric="val_r2").replace("rows.csv", "rows.npz").replace('target = "y"', "")
        problem = Problem.load(parse_spec(text.replace("minimize", "maximize"), folder=tmp_path))
        write_inputs(Sum(), problem, tmp_path)
        assert (tmp_path / "inputs.npz").exists() == expected  # that of another champion is gone
        if expected:
            found = _inputs(tmp_path / "inputs.npz")
            assert list(found.ranges) == ["column 0", "column 1", "column 2"]
            assert found.worse[0].min() > 0.5
            assert found.worse[1:].tolist() == [[0.0] * 5] * 2


def test_a_metric_that_fails_costs_the_importance_alone(tmp_path: Path) -> None:
    class Broken:
        metrics = ()

        def predict(self, x, **_):
            raise RuntimeError("no such rows")

    rows = [f"{n},{n / 7}" for n in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["size,y", *rows]) + "\n")
    problem = Problem.load(parse_spec(STUDY.format(more="", metric="val_mae"), folder=tmp_path))
    write_inputs(Broken(), problem, tmp_path)
    found = _inputs(tmp_path / "inputs.npz")
    assert (len(found.names), len(found.ranges)) == (0, 1)


def test_few_different_numbers_are_ranges_of_their_own() -> None:
    labels, codes = _by_size(np.array([1.0, 0.0, 1.0, np.nan]))
    assert (labels, codes.tolist()) == (["0", "1", "(empty)"], [1, 0, 1, 2])
    labels, codes = _by_size(np.repeat([0.0, 5.0, 6.0, 7.0, 8.0, 9.0], [90, 2, 2, 2, 2, 2]))
    assert len(labels) == len(set(codes.tolist()))


@pytest.mark.parametrize(
    "values",
    [
        [94110.0, 94114.0, 94117.0],
        [20240101.0, 20240102.0, 20240131.0, 20240201.0],
        [1.00001, 1.00002],
        [-1e-9, 0.0, 1e-9],
        [*(1700000000 + 60.0 * n for n in range(50))],
        [*(0.5 + 1e-6 * n for n in range(50))],
    ],
)
def test_labels_of_ranges_have_digits_enough_to_tell_them_apart(values: list[float]) -> None:
    labels, codes = _by_size(np.array(values))
    assert len(labels) == len(set(labels)) == len(set(codes.tolist())) == min(len(values), 5)
    if len(values) <= 5:
        assert [float(one) for one in labels] == values
    else:
        middle = [one.split(" to ") for one in labels[1:-1]]
        assert all(float(low) < float(high) for low, high in middle)


def test_a_category_that_only_test_rows_have_is_not_called_empty() -> None:
    cells = ["Wien", "Graz", None, "Linz", "Wien"]
    labels, codes = _by_text(np.array([float(category_code(one)) for one in cells]), ("Wien", "Graz"))
    assert [labels[code] for code in codes] == ["Wien", "Graz", "(empty)", "(only in test rows)", "Wien"]
