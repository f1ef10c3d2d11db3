"""``HyperModel.fit`` overrides: what they tune, found by calling them with a model that only records the call."""

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from hpsearch.core.hyperparameters import OF_EVERY_MODEL
from hpsearch.core.words import listed
from hpsearch.data.dataset import Array, KerasInputs
from hpsearch.errors import ModelError
from hpsearch.models.failures import as_model_errors

if TYPE_CHECKING:
    import keras_tuner

_HINT = (
    "fit may set batch_size, epochs and shuffle from hyperparameters of these names, and add callbacks; it must pass "
    "everything else on unchanged"
)


class CallRecorder:
    """Stands in for the model in ``HyperModel.fit`` and records how its ``fit`` is called.

    Args:
        address: For messages.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.positional: tuple[object, ...] = ()
        self.named: dict[str, object] | None = None

    def fit(self, *args: object, **kwargs: object) -> None:
        """Record the call."""
        self.positional, self.named = args, kwargs

    def __getattr__(self, name: str) -> NoReturn:
        raise _refused(f"{self._address}: HyperModel.fit has its own training loop: it uses model.{name}", name)


def _refused(what: str, name: str, *, code: str = "changes-training", hint: str = _HINT) -> ModelError:
    return ModelError(what, code=code, hint=hint, name=name)


def check_fit(
    address: str,
    model: "keras_tuner.HyperModel",
    hyperparameters: "keras_tuner.HyperParameters",
    x: KerasInputs,
    y: Array,
) -> tuple[object, ...]:
    """Call ``model.fit`` as KerasTuner does, and check that the engines can follow it. It may declare hyperparameters.

    Args:
        address: For messages.
        model: A ``HyperModel`` with a ``fit`` of its own.
        hyperparameters: KerasTuner's object, as ``model.build`` leaves it.
        x: A few rows to pass in.
        y: Their targets.

    Returns:
        The callbacks that it adds.

    Raises:
        ModelError: It changes the data or the training in a way that folds cannot follow, or raises.
    """
    before = {one.name for one in hyperparameters.space}
    given: dict[str, object] = {"validation_data": (x, y), "epochs": -1, "verbose": 0}
    while True:
        recorder = CallRecorder(address)
        given["callbacks"] = []  # which fit may change in place
        try:
            with as_model_errors(partial(_raised, address)):
                model.fit(hyperparameters, recorder, x, y, **given)
            break
        except ModelError as error:
            # KerasTuner passes these two on only if `tuner.search` got them, so fit may set them beside **kwargs.
            twice = re.search(r"multiple values for keyword argument '(epochs|verbose)'", error.what)
            if not twice or given.pop(twice[1], None) is None:
                raise
    if recorder.named is None:
        raise _refused(f"{address}: HyperModel.fit does not call model.fit", "fit", code="fit-not-called")
    called = {**dict(zip(("x", "y"), recorder.positional, strict=False)), **recorder.named}
    _check_call(address, called, {"x": x, "y": y, **given}, dict(hyperparameters.values))
    found = called.get("callbacks") or ()
    callbacks = tuple(found) if isinstance(found, list | tuple) else tuple(getattr(found, "callbacks", (found,)))
    declared = {one.name for one in hyperparameters.space} - before
    if (unknown := sorted(declared - set(OF_EVERY_MODEL))) and not callbacks:
        names = listed(unknown)
        raise _refused(f"{address}: HyperModel.fit declares {names}", names, code="declares-others")
    return callbacks


def _raised(address: str, error: Exception) -> ModelError:
    return ModelError(
        f"{address}: HyperModel.fit raised {type(error).__name__}: {error}",
        code="fit-failed",
        hint=_HINT,
        error=type(error).__name__,
    )


def _check_call(
    address: str, called: Mapping[str, object], given: Mapping[str, object], values: Mapping[str, object]
) -> None:
    for name, value in called.items():
        if name in OF_EVERY_MODEL:
            _check_own(address, name, value, given, values)
        elif name != "callbacks" and (name not in given or value is not given[name]) and name != "verbose":
            raise _refused(f"{address}: HyperModel.fit changes {name!r}, which is up to the engines", name)


def _check_own(
    address: str, name: str, value: object, given: Mapping[str, object], values: Mapping[str, object]
) -> None:
    """The engines take these from the config, so the call must have the config's value."""
    if name in given and value == given[name]:
        return
    expected = values.get(name, True if name == "shuffle" else None)
    if type(value) is type(expected) and value == expected:
        return
    has = f"the config has {name} = {expected!r}" if name in values else f"declares no hyperparameter {name!r}"
    shown = str(value).lower() if isinstance(value, bool) else value
    raise _refused(
        f"{address}: HyperModel.fit sets {name} = {value!r}, but {has}",
        name,
        code="undeclared",
        hint=f"set [space] {name} = {shown} in the study file, or rename the hyperparameter to {name}",
    )
