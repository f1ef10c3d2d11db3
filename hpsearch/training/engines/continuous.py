"""Keras' callbacks around a ``fit`` per epoch: they see one training."""

from collections.abc import Mapping, Sequence

import keras

from hpsearch.core.callbacks import (
    RATE,
    EarlyStopping,
    LearningRateScheduler,
    ReduceLROnPlateau,
    Stock,
    monitored,
)
from hpsearch.core.objective import Objective
from hpsearch.models.callbacks import Callbacks, check_rate, directions_of
from hpsearch.training.engines.loop import as_number


class Continuous(keras.callbacks.CallbackList):  # type: ignore[misc]  # Keras is untyped
    """Passes on what ``fit`` tells, as if one ``fit`` trained all epochs.

    Batches come as they are. The beginning and the end of training come once, and the end of an epoch comes from the
    training loop, which has the metrics of all validation rows.

    Args:
        callbacks: The lane's.
        model: Compiled.
        objective: The study's, for what ``mode = "auto"`` means.
        epochs: Epochs that are to be trained.
        steps: Batches of an epoch.
        rates: The learning rate of every epoch, to be set; empty to leave it to the callbacks.

    Attributes:
        logs: What Keras has logged of the epoch.

    Raises:
        ModelError: A callback cannot work with this model.
    """

    def __init__(
        self,
        callbacks: Callbacks,
        model: keras.Model,
        objective: Objective,
        *,
        epochs: int,
        steps: int,
        rates: Sequence[float] = (),
    ) -> None:
        check_rate(callbacks.items, model)
        self._stock, self._begun = callbacks.stock, False
        self.logs: dict[str, float] = {}
        working: list[keras.callbacks.Callback] = [_SetRates(rates)] if rates else []
        for one in callbacks.items:
            found = one if isinstance(one, keras.callbacks.Callback) else _of_keras(one, model, objective)
            working += [] if found is None else [found]
        self._seen, self._told = _Seen(), dict[str, float]()
        super().__init__([*working, self._seen], add_history=True, model=model, verbose=0, epochs=epochs, steps=steps)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """The first ``fit`` begins the training."""
        if not self._begun:
            self._begun = True
            super().on_train_begin(logs)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """A ``fit`` ends with its epoch, see :meth:`end`."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """See :meth:`end_epoch`."""
        self.logs = {name: as_number(name, value) for name, value in (logs or {}).items()}

    def end_epoch(self, epoch: int, metrics: Mapping[str, float]) -> tuple[dict[str, float], bool]:
        """An epoch has ended.

        Args:
            epoch: From 0.
            metrics: What it has recorded.

        Returns:
            The same, with what callbacks have changed or added; and whether training ends.

        Raises:
            ModelError: A callback monitors what is not recorded.
        """
        for rule in self._stock:
            if isinstance(rule, ReduceLROnPlateau) or (isinstance(rule, EarlyStopping) and rule.scope == "fold"):
                monitored(rule.monitor, metrics, type(rule).__name__)  # Keras would only warn
        self._told = dict(metrics)
        super().on_epoch_end(epoch, metrics)
        seen = {name: as_number(name, value) for name, value in self._seen.logs.items()}
        return {**{name: seen[name] for name in metrics if name in seen}, **seen}, bool(self.model.stop_training)

    def end(self) -> None:
        """Training has ended."""
        super().on_train_end(self._told)

    @property
    def kept(self) -> int | None:
        """The epoch whose weights the model has got back at its end, from 1; None if it has those of the last one."""
        restoring = [
            one.best_epoch + 1
            for one in self.callbacks
            if isinstance(one, keras.callbacks.EarlyStopping)
            and one.restore_best_weights
            and one.best_weights is not None
        ]
        return restoring[-1] if restoring else None


class _Seen(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
    """What the callbacks before it leave of the logs."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.logs = dict(logs or {})


class _SetRates(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
    """Trains with the learning rates that another training had."""

    def __init__(self, rates: Sequence[float]) -> None:
        super().__init__()
        self._rates = rates

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.model.optimizer.learning_rate = self._rates[min(epoch, len(self._rates) - 1)]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs is not None:
            logs[RATE] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


def _of_keras(rule: Stock, model: keras.Model, objective: Objective) -> keras.callbacks.Callback | None:
    """Keras' own object; None if it has nothing to do in a lane."""
    if isinstance(rule, LearningRateScheduler):
        return keras.callbacks.LearningRateScheduler(rule.schedule)
    if not isinstance(rule, EarlyStopping | ReduceLROnPlateau):
        return None
    mode = "max" if directions_of([rule], model, objective)[rule.monitor] == "maximize" else "min"
    if isinstance(rule, ReduceLROnPlateau):
        return keras.callbacks.ReduceLROnPlateau(
            monitor=rule.monitor,
            factor=rule.factor,
            patience=rule.patience,
            mode=mode,
            min_delta=rule.min_delta,
            cooldown=rule.cooldown,
            min_lr=rule.min_lr,
        )
    if rule.scope == "mean":
        return None
    return keras.callbacks.EarlyStopping(
        monitor=rule.monitor,
        min_delta=rule.min_delta,
        patience=rule.patience,
        mode=mode,
        baseline=rule.baseline,
        restore_best_weights=rule.restore_best_weights,
        start_from_epoch=rule.start_from_epoch,
    )
