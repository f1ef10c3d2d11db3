"""``HyperModel.fit`` overrides: what they may tune, found by calling them with a model that only takes notes."""

import re
from typing import Any

from hpsearch.core.space import Parameter
from hpsearch.data.dataset import Array, Features
from hpsearch.errors import ModelError
from hpsearch.models.kerastuner_space import to_parameter

_TUNABLE = ("batch_size", "epochs")
_HINT = "fit may set batch_size and epochs, from hyperparameters of these names, and pass everything else on unchanged"


class NoteTaker:
    """Stands in for the model in ``HyperModel.fit`` and notes how its ``fit`` is called.

    Args:
        address: For messages.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.positional: tuple[Any, ...] = ()
        self.named: dict[str, Any] | None = None

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """Take note."""
        self.positional, self.named = args, kwargs

    def __getattr__(self, name: str) -> Any:
        raise ModelError(f"{self._address}: HyperModel.fit uses model.{name}: its own training loop", hint=_HINT)


def discover_fit(address: str, model: Any, x: Features, y: Array) -> dict[str, Parameter]:
    """Hyperparameters that ``model.fit`` declares.

    Args:
        address: For messages.
        model: A ``HyperModel`` with a ``fit`` of its own.
        x: A few rows to hand in.
        y: Their targets.

    Raises:
        ModelError: It changes the data or the training in a way that folds could not follow.
    """
    import keras_tuner

    given = {"validation_data": (x, y), "callbacks": [], "epochs": -1, "verbose": 0}
    while True:
        hyperparameters, notes = keras_tuner.HyperParameters(), NoteTaker(address)
        try:
            model.fit(hyperparameters, notes, x, y, **given)
            break
        except ModelError:
            raise
        except Exception as error:
            # KerasTuner hands these two on only where `tuner.search` was given them: fit may set them beside **kwargs.
            twice = re.search(r"multiple values for keyword argument '(epochs|verbose)'", str(error))
            if twice and given.pop(twice[1], None) is not None:
                continue
            raise ModelError(f"{address}: HyperModel.fit raised {type(error).__name__}: {error}", hint=_HINT) from error
    if notes.named is None:
        raise ModelError(f"{address}: HyperModel.fit does not call model.fit", hint=_HINT)
    called = {**dict(zip(("x", "y"), notes.positional, strict=False)), **notes.named}
    _check_call(address, called, {"x": x, "y": y, **given}, set(hyperparameters.values))
    return {
        one.name: to_parameter(address, one.name, [one], {}) for one in hyperparameters.space if one.name in _TUNABLE
    }


def _check_call(address: str, called: dict[str, Any], given: dict[str, Any], declared: set[str]) -> None:
    for name, value in called.items():
        if name in _TUNABLE:
            if value != given.get(name) and name not in declared:
                raise ModelError(
                    f"{address}: HyperModel.fit sets {name} = {value!r}, but declares no hyperparameter {name!r}",
                    hint=f"set it in the study file, [space] {name}, or name the hyperparameter so",
                )
        elif name == "callbacks":
            if value:
                added = type(value[0] if isinstance(value, list | tuple) else value).__name__
                raise ModelError(
                    f"{address}: HyperModel.fit adds the callback {added}, which would not run: "
                    "the engines train all folds of a trial together",
                    hint="[pruning] stops poor trials, and the refit trains to the best epoch of the mean curve, in "
                    "place of EarlyStopping and ModelCheckpoint; a learning-rate schedule belongs into the optimizer: "
                    "keras.optimizers.schedules",
                )
        elif name not in given or value is not given[name]:
            harmless = (name == "shuffle" and value is True and name not in declared) or name == "verbose"
            if not harmless:
                raise ModelError(f"{address}: HyperModel.fit changes {name!r}, which the engines set", hint=_HINT)
    if unknown := sorted(declared - set(_TUNABLE)):
        raise ModelError(f"{address}: HyperModel.fit declares {', '.join(unknown)}", hint=_HINT)
