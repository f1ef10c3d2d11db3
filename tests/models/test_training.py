"""Optimizer, loss and metrics that a config and a task call for."""

import keras
import pytest

from hpsearch.core.optimizers import OPTIMIZERS
from hpsearch.models.training import make_optimizer
from tests.models.conftest import SGD, make_problem

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("data", "loss", "curves"),
    [
        ({"source": "sklearn:diabetes"}, "mean_squared_error", {"loss", "mse", "mae", "rmse"}),
        ({"source": "sklearn:breast_cancer"}, "binary_crossentropy", {"loss", "accuracy"}),
        ({"source": "sklearn:wine"}, "sparse_categorical_crossentropy", {"loss", "accuracy"}),
        ({"source": "sklearn:wine", "labels": "one-hot"}, "categorical_crossentropy", {"loss", "accuracy"}),
    ],
)
def test_loss_and_curves_follow_the_task(data, loss, curves):
    problem = make_problem(data=data)
    train, validation = problem.fold_parts(0)
    model = problem.build({"units": 8, **SGD}, train, seed=1)
    assert model.loss == loss
    history = model.fit(train.x, train.y, validation_data=(validation.x, validation.y), verbose=0).history
    assert set(history) == curves | {f"val_{name}" for name in curves}


def test_optimizers_take_the_hyperparameters_they_know():
    for name in OPTIMIZERS:
        config = {"learning_rate": 0.02, "weight_decay": 0.01, "clipnorm": 1.0, "momentum": 0.5, "epsilon": 1e-3}
        made = make_optimizer({"optimizer": name, **config})
        assert float(made.learning_rate) == pytest.approx(0.02)
        assert (made.weight_decay, made.clipnorm) == (0.01, 1.0)
        for one in {"momentum", "epsilon"} & set(OPTIMIZERS[name]):
            assert getattr(made, one) == config[one]
    rates = {"learning_rate": 0.02, "learning_rate_adam": 0.001}
    assert float(make_optimizer({"optimizer": "adam", **rates}).learning_rate) == pytest.approx(0.001)
    assert float(make_optimizer({"optimizer": "sgd", **rates}).learning_rate) == pytest.approx(0.02)
    assert make_optimizer({"weight_decay": 0.0, "clipnorm": 0.0}).clipnorm is None
    assert isinstance(make_optimizer({}), keras.optimizers.RMSprop)
