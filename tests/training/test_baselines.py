"""What is reached without looking at inputs: constants, and in time what was before."""

from pathlib import Path

import numpy as np
import pytest

from hpsearch.core.rehearsed import Rehearsal
from hpsearch.spec import parse_spec
from hpsearch.training.worker import Worker

STUDY = """
name = "guessed"
[data]
source = "rows.csv"
target = "y"
{data}
test_fraction = 0
[validation]
folds = 2
{validation}
[model]
family = "mlp"
[space]
layers = 0
epochs = 1
[objective]
metric = "{metric}"
direction = "{direction}"
"""


def rehearse(
    folder: Path, lines: list[str], metric: str, direction: str, *, data: str = "", validation: str = ""
) -> Rehearsal:
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    text = STUDY.format(metric=metric, direction=direction, data=data, validation=validation)
    return Worker(parse_spec(text, folder=folder)).rehearse({"epochs": 1, "layers": 0})


@pytest.mark.parametrize("named", [True, False], ids=["a time column", "rows in order"])
def test_a_series_has_the_last_value_and_the_one_before(tmp_path: Path, named: bool) -> None:
    steps = 10.0 * np.arange(30)  # every value is 10 more than the one before
    rows = [f"{x:.2f},{y},2020-01-{day:02}" for day, (x, y) in enumerate(zip(steps % 7, steps, strict=True), start=1)]
    data = 'time = "day"' if named else 'ignore = ["day"]'
    validation = "" if named else 'method = "time-series"'
    order = rows[::-1] if named else rows  # the order of the file does not matter if there is a time
    found = rehearse(tmp_path, ["x,y,day", *order], "val_mae", "minimize", data=data, validation=validation)
    by_rule = {one.rule: one for one in found.baselines}
    before, last = by_rule["the target of the time step before"], by_rule["the last target before the fold"]
    assert found.baselines[0] == before
    assert before.fold_scores == pytest.approx((10.0, 10.0))
    assert (before.looks_back, last.looks_back) == (True, False)
    assert last.fold_scores == pytest.approx((55.0, 55.0))  # the mean of 10, 20 … 100
    assert before.metrics["rmse"] == pytest.approx(10.0)
    assert before.metrics["r2"] > 0.8 > by_rule["the mean of the targets"].metrics["r2"]


def test_rows_of_one_time_step_are_one_value(tmp_path: Path) -> None:
    """Two sensors a day: the day before has the class that most of its rows have."""
    rows = [f"{day % 5},{'wet' if day % 4 < 2 else 'dry'},{day}" for day in range(24) for _ in range(3)]
    rows += [f"0,{'dry' if day % 4 < 2 else 'wet'},{day}" for day in range(24)]  # outvoted
    found = rehearse(tmp_path, ["x,y,day", *rows], "val_accuracy", "maximize", data='time = "day"')
    by_rule = {one.rule: one for one in found.baselines}
    # The weather changes every second day, and one row in four is against it.
    assert by_rule["the target of the time step before"].fold_scores == pytest.approx((0.5, 0.5))
    assert by_rule["the last target before the fold"].fold_scores == pytest.approx((0.5, 0.5))


def test_without_order_there_are_constants_with_all_the_tasks_metrics(tmp_path: Path) -> None:
    rows = [f"{n % 9},{'yes' if n % 6 == 0 else 'no'}" for n in range(120)]
    found = rehearse(tmp_path, ["x,y", *rows], "val_pr_auc", "maximize")
    assert found.baselines[0].value == pytest.approx(1 / 6)
    assert "val_pr_auc" in found.metrics
    by_rule = {one.rule: one.metrics for one in found.baselines}
    assert by_rule["'no'"]["accuracy"] == pytest.approx(5 / 6)
    assert {metrics["auc"] for metrics in by_rule.values()} == {0.5}
    assert {metrics["balanced_accuracy"] for metrics in by_rule.values()} == {0.5}
    shares = by_rule["the shares of the classes"]
    assert shares["log_loss"] == pytest.approx(-(np.log(1 / 6) / 6 + np.log(5 / 6) * 5 / 6))
    assert by_rule["'yes'"]["log_loss"] > 10 > shares["log_loss"]
