"""The training loop of the fit engine: Keras ``fit``, one epoch at a time."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.hyperparameters import batch_size_of
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import Curves
from hpsearch.data.dataset import Part, keras_inputs, keras_targets
from hpsearch.errors import ModelError

if TYPE_CHECKING:
    import keras

    from hpsearch.training.engines.continuous import Continuous

Order = Callable[[int, int], NDArray[np.intp]]
"""``order(n_rows, epoch)``: the order in which an epoch meets its rows."""


class DivergedError(Exception):
    """The loss is not a finite number.

    Attributes:
        epoch: From 1, as every epoch that a user reads.
    """

    def __init__(self, name: str, value: float, epoch: int) -> None:
        super().__init__(f"{name} = {value} in epoch {epoch}")
        self.epoch = epoch


def order_of(seed: int, *address: int, shuffle: bool = True) -> Order:
    """Shuffled row orders for a lane, the same in every engine.

    Args:
        seed: The study's seed.
        address: Trial and fold; the epoch is added.
        shuffle: False for the order of the rows as they are in the fold, in every epoch.
    """
    if not shuffle:
        return lambda n_rows, _epoch: np.arange(n_rows)

    def order(n_rows: int, epoch: int) -> NDArray[np.intp]:
        return np.random.default_rng(derive(seed, "order", *address, epoch)).permutation(n_rows)

    return order


def train_epochs(
    model: "keras.Model",
    train: Part,
    *,
    validation: Part | None,
    config: Config,
    epochs: int,
    order: Order,
    watch: Callable[[Any, Collection[str]], Mapping[str, float]] | None = None,
    callbacks: "Continuous | None" = None,
) -> Iterator[dict[str, float]]:
    """Train with Keras ``fit``, and yield every epoch's metrics before the next one begins.

    Curves and final weights are those of one ``fit`` over all epochs. An optimizer with ``use_ema`` puts its averages
    in place of the weights only after the last epoch, after all metrics have been taken.

    Args:
        model: Compiled.
        train: Rows to train on, in each epoch in the `order` of that epoch.
        validation: Rows to validate on after every epoch; None for none.
        config: Its ``batch_size`` is used.
        epochs: How many epochs; `callbacks` may end the training before.
        order: See above.
        watch: Sees the predictions for all validation rows and the names of the metrics; returns further metrics.
        callbacks: Of the model.

    Yields:
        What Keras logs: ``loss``, the compiled metrics, and both with ``val_``: over all validation rows at once.

    Raises:
        DivergedError: A loss is not finite.
    """
    from hpsearch.keras_internals.optimizers import finalized_once
    from hpsearch.keras_internals.seeding import KeptSeeds

    batch, seeds, ends = batch_size_of(config), KeptSeeds(model), False
    with _quick_pooling(model), finalized_once(model):
        for epoch in range(epochs):
            rows = train.take(order(len(train), epoch))
            seeds.put_back()
            metrics = _fit(model, rows, validation=validation, batch=batch, epoch=epoch, callbacks=callbacks)
            seeds.keep()
            metrics = _checked(model, validation, metrics, batch=batch, epoch=epoch, watch=watch)
            if callbacks is not None:
                metrics, ends = callbacks.end_epoch(epoch, metrics)
            yield metrics
            if ends:
                break
    if callbacks is not None:
        callbacks.end()


def _checked(
    model: "keras.Model",
    validation: Part | None,
    metrics: dict[str, float],
    *,
    batch: int,
    epoch: int,
    watch: Callable[[Any, Collection[str]], Mapping[str, float]] | None,
) -> dict[str, float]:
    """An epoch's metrics over all validation rows, if they are finite."""
    from hpsearch.training.engines.whole import over_all_rows

    check_finite(metrics, epoch)  # before anyone is asked to score predictions that are no numbers
    if validation is not None:
        metrics = over_all_rows(model, validation, metrics, batch=batch, prefix="val_", watch=watch)
        check_finite(metrics, epoch)
    return metrics


def _fit(
    model: "keras.Model",
    rows: Part,
    *,
    validation: Part | None,
    batch: int,
    epoch: int,
    callbacks: "Continuous | None",
) -> dict[str, float]:
    """Train one epoch on rows in this order; what Keras logs of it."""
    history = model.fit(
        keras_inputs(rows.x),
        keras_targets(rows.y),
        sample_weight=rows.weights,
        batch_size=batch,
        initial_epoch=epoch,
        epochs=epoch + 1,
        shuffle=False,
        validation_data=None if validation is None else keras_rows(validation),
        verbose=0,
        callbacks=callbacks,
    )
    if callbacks is not None:
        return callbacks.logs
    return {name: as_number(name, values[-1]) for name, values in history.history.items()}


def as_number(name: str, value: Any) -> float:
    """A metric's value after an epoch.

    Raises:
        ModelError: It is an array, such as a confusion matrix.
    """
    shape = np.shape(value)
    if math.prod(shape) != 1:
        raise ModelError(
            f"metric {name!r} is no number, but an array of shape {list(shape)}",
            code="metric-no-number",
            hint="let its result() return one number",
            metric=name,
            shape=list(shape),
        )
    return float(np.reshape(value, ()))


@contextmanager
def _quick_pooling(model: "keras.Model") -> Iterator[None]:
    import keras

    if keras.backend.backend() != "jax":
        yield
        return
    from hpsearch.training.engines.convolution import quick_pooling

    with quick_pooling(model):
        yield


def check_finite(metrics: Mapping[str, float], epoch: int) -> None:
    """Raise if training has diverged.

    Raises:
        DivergedError: ``loss`` or ``val_loss`` is not finite; its text has value and epoch.
    """
    for name in ("loss", "val_loss"):
        if not math.isfinite(metrics.get(name, 0.0)):
            raise DivergedError(name, metrics[name], epoch + 1)


def keras_rows(part: Part) -> tuple[Any, ...]:
    """Rows, targets and, if there are some, weights, as Keras takes them."""
    weights = () if part.weights is None else (part.weights,)
    return keras_inputs(part.x), keras_targets(part.y), *weights


def append(curves: dict[str, list[float]], metrics: Mapping[str, float]) -> None:
    """Add an epoch's metrics to the curves."""
    for name, value in metrics.items():
        curves.setdefault(name, []).append(value)


def freeze(curves: Mapping[str, list[float]]) -> Curves:
    """Curves as a result holds them."""
    return {name: tuple(values) for name, values in curves.items()}
