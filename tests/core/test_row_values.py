"""Which metric of rows a recorded number is."""

import numpy as np
import pytest

from hpsearch.core.row_values import row_values

RNG = np.random.default_rng(3)
Y = RNG.normal(size=50)
PREDICTED = (Y + RNG.normal(size=50))[:, None]
ERRORS = PREDICTED[:, 0] - Y


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1.0, 1e4])
def test_a_loss_is_told_in_any_unit(unit):
    squares, absolutes = (ERRORS * unit) ** 2, np.abs(ERRORS * unit)
    for values in (squares, absolutes):
        found = row_values(Y * unit, PREDICTED * unit, "loss", float(values.mean()))
        assert found.values == pytest.approx(values, rel=1e-9, abs=0)
    assert row_values(Y * unit, PREDICTED * unit, "loss", float(squares.mean()) * 1.01) is None
    assert row_values(Y * unit, PREDICTED * unit, "rmse", float(squares.mean()) ** 0.5).root


def test_a_perfect_score_is_told_too():
    assert row_values(Y, Y[:, None], "loss", 0.0).metric == 0.0
    classes = (Y > 0).astype(int)
    assert row_values(classes, 1.0 - classes[:, None], "accuracy", 0.0).is_share
