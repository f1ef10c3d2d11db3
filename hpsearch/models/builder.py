"""From a study file's ``[model]`` to compiled Keras models."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import keras
import numpy as np

from hpsearch.core.asked import Asked
from hpsearch.core.facts import Task
from hpsearch.core.foreign import said
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config, Parameter
from hpsearch.core.user_code import load_object
from hpsearch.data.dataset import TrainingData, keras_inputs, take
from hpsearch.errors import ModelError
from hpsearch.keras_internals.draws import quick_draws
from hpsearch.keras_internals.naming import count_names_from, load_with_names, names_given
from hpsearch.keras_internals.seeding import restart_shared_generators, seed_everything
from hpsearch.models.failures import as_model_errors
from hpsearch.models.kerastuner import KerasTunerModel, as_keras_tuner
from hpsearch.models.kerastuner_exploration import Steering
from hpsearch.models.standardized import with_standardized_targets
from hpsearch.models.training import compile_model
from hpsearch.spec import StudySpec
from hpsearch.spec.families import FAMILIES

Build = Callable[[Config, TrainingData], keras.Model]

_DOWNLOAD = (
    "; Keras looks for weights in ~/.keras/models (or $KERAS_HOME/models) before it downloads them: put the file there"
)

_FORMS = "write build(config, data) or KerasTuner's build(hp), and return a keras.Model"


@dataclass(frozen=True, slots=True)
class ModelBuilder:
    """Builds the models of one study.

    Attributes:
        address: ``module:function`` of the build function, for messages.
        function: The build function itself.
        policy: Keras' global dtype policy for its models; by default the current one. Keras keeps one per thread, and
            forgets it when a session is cleared.
        standardizes: Whether its models learn standardized targets.
        names: How often Keras has given each name to layers and metrics that the user's module makes at its import.
            Every model starts to count from there, so that all name their metrics alike, whatever was built before.
    """

    address: str
    function: Build
    policy: keras.DTypePolicy = field(default_factory=keras.config.dtype_policy)
    standardizes: bool = False
    names: Mapping[str, int] = field(default_factory=names_given)

    @classmethod
    def of(cls, spec: StudySpec) -> "ModelBuilder":
        """The builder that a study file asks for.

        Raises:
            ModelError: The build function cannot be imported, or is not a build function.
        """
        address = FAMILIES[spec.model.family].build if spec.model.family else str(spec.model.build)
        found, names = load_with_names(address.partition(":")[0], lambda: load_object(address, spec.folder, ModelError))
        function = None if spec.model.family else as_keras_tuner(address, found)
        if function is None and not (callable(found) and _takes_two(found)):
            kind = _kind(found)
            raise ModelError(
                f"{address} is {kind}, not a build function",
                code="not-a-build-function",
                hint=_FORMS,
                address=address,
                found=kind,
            )
        return cls(address, function or found, standardizes=spec.data.standardize_targets, names=names)  # type: ignore[arg-type]

    def build(self, config: Config, data: TrainingData, *, seed: int) -> keras.Model:
        """A compiled model with all its weights; their initial values depend on config, data shapes and `seed` only.

        A model that the build function compiled stays as it is. Any other gets optimizer, loss and metrics from the
        config and the task.

        Raises:
            ModelError: The build function fails, or returns something other than a Keras model that fits the data.
        """
        with quick_draws():
            return self._build(config, data, seed)

    def _build(self, config: Config, data: TrainingData, seed: int) -> keras.Model:
        seed_everything(seed)
        keras.config.set_dtype_policy(self.policy)
        count_names_from(self.names)
        _check_text(data)
        with as_model_errors(partial(_failed, self.address, "build", config)):
            model = self.function(config, data)
        _check_model(self.address, model)
        if not model.built:
            with as_model_errors(partial(_failed, self.address, "the model, on the first row,", config)):
                _make_weights(model, data)
        restart_shared_generators(model, seed, lambda number: derive(seed, "shared generator", number) % 10**9)
        if not model.compiled:
            with as_model_errors(partial(_failed, self.address, "the optimizer", config)):
                compile_model(model, config, data)
        _check_outputs(self.address, model, data)
        if not self.standardizes:
            return model
        with as_model_errors(partial(_failed, self.address, "standardize_targets", config)):
            return with_standardized_targets(model, data, self.address)

    def discover(self, data: TrainingData, steering: Steering) -> dict[str, Parameter]:
        """Hyperparameters that the model asks for itself (KerasTuner code); empty for families and plain functions.

        Args:
            data: The training rows.
            steering: What the study file says about them.

        Raises:
            ModelError: The code fails with its own defaults, or does something that folds cannot follow.
        """
        if not isinstance(self.function, KerasTunerModel):
            return {}
        with quick_draws(), as_model_errors(partial(_failed, self.address, "build", {})):
            return self.function.discover(data, steering)

    def asked(self, config: Config, data: TrainingData) -> Asked | None:
        """What KerasTuner code asks for with `config`; None for families and plain functions.

        Raises:
            ModelError: The code does something that folds cannot follow.
        """
        if not isinstance(self.function, KerasTunerModel):
            return None
        with quick_draws(), as_model_errors(partial(_failed, self.address, "build", config)):
            return self.function.asked(config, data)


def _takes_two(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


def _failed(address: str, what: str, config: Config, error: Exception) -> ModelError:
    values = ", ".join(f"{name}={value!r}" for name, value in config.items()) or "its own defaults"
    return ModelError(
        f"{address}: {what} raised {said(error)}",
        code="build-failed",
        hint=f"the configuration was {values}" + (_DOWNLOAD if "URL fetch failure" in str(error) else ""),
        address=address,
        step=what,
        error=type(error).__name__,
        config=dict(config),
    )


def _kind(found: object) -> str:
    if callable(found) and not inspect.isclass(found):
        try:
            return f"a function of {inspect.signature(found)}"
        except (TypeError, ValueError):
            return "a function without a known signature"
    return f"a {type(found).__name__}"


def _check_text(data: TrainingData) -> None:
    texts = [one.name for one in data.columns if one.kind == "text"]
    if texts and keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"column {texts[0]!r} is free text, which Keras' layers take on TensorFlow only, not on "
            f"{keras.backend.backend()}",
            code="needs-tensorflow",
            hint='set [resources] backend = "tensorflow"',
            column=texts[0],
        )


def _check_model(address: str, model: object) -> None:
    if isinstance(model, keras.Model):
        return
    module, name = type(model).__module__, type(model).__name__
    what = "None (is a `return` missing?)" if model is None else f"a {module}.{name}"
    raise ModelError(
        f"{address}: the build function returned {what}, not a keras.Model",
        code="not-a-model",
        hint="legacy tf_keras models are not supported: import keras (version 3)" if "tf_keras" in module else _FORMS,
        address=address,
        found=f"{module}.{name}",
    )


def _make_weights(model: keras.Model, data: TrainingData) -> None:
    """Build a model that was defined without an input shape, so that the seed decides its weights now."""
    if isinstance(model, keras.Sequential) and isinstance(data.x, np.ndarray):
        model.build((None, *data.input_shape))
    else:
        rows = keras_inputs(take(data.x, np.arange(1)))
        model(keras.tree.map_structure(keras.ops.convert_to_tensor, rows))


def _check_outputs(address: str, model: keras.Model, data: TrainingData) -> None:
    """Catch what Keras would only show as a wrong or infinite loss."""
    if not data.task.has_one_output:
        return
    loss = model.loss if isinstance(model.loss, str) else type(model.loss).__name__
    loss = loss.replace("_", "").lower()
    if data.task is Task.MULTICLASS and loss.endswith("categoricalcrossentropy"):
        wanted = "sparsecategoricalcrossentropy" if not data.one_hot else "categoricalcrossentropy"
        if loss != wanted:
            labels = "integer" if data.one_hot else "one-hot"
            raise ModelError(
                f"{address}: the model is compiled with {model.loss!r}, but the labels are "
                f"{'one-hot rows' if data.one_hot else 'class numbers'}",
                code="wrong-loss",
                hint=f'set [data] labels = "{labels}", or change the loss',
                address=address,
                loss=loss,
                labels="one-hot" if data.one_hot else "integer",
            )
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or not isinstance(shape[-1], int):
        return
    if data.task is Task.REGRESSION and data.y.ndim > 1 and (data.y.ndim > 2 or "crossentropy" in loss):
        _check_array_outputs(address, shape, data.y.shape, sparse=loss.startswith("sparse"))
        return
    needed = data.n_classes if data.task is Task.MULTICLASS else 1 if data.y.ndim == 1 else data.y.shape[1]
    exact = data.task is not Task.BINARY and loss != "sparsecategoricalcrossentropy"
    if shape[-1] < needed or (exact and shape[-1] != needed):
        what = f"{data.n_classes} classes" if data.task is Task.MULTICLASS else f"{needed} target(s) per row"
        raise ModelError(
            f"{address}: the model ends in {shape[-1]} output(s), but the data have {what}",
            code="wrong-outputs",
            hint="give the last layer data.n_classes units" if data.n_classes else f"give the last layer {needed}",
            address=address,
            outputs=shape[-1],
            needed=needed,
        )


def _check_array_outputs(
    address: str, shape: tuple[int | None, ...], targets: tuple[int, ...], *, sparse: bool
) -> None:
    """Targets with axes of their own must have those of the outputs. Keras would broadcast, and say nothing."""
    found, wanted = shape[1:-1] if sparse else shape[1:], targets[1:]
    if sparse and len(wanted) > len(found):
        wanted = wanted[:-1] if wanted[-1] == 1 else wanted
    unlike = len(found) != len(wanted) or any(a not in (b, None) for a, b in zip(found, wanted, strict=True))
    if unlike:
        classes = ", and then the classes" if sparse else ""
        raise ModelError(
            f"{address}: the model's outputs have shape {shape[1:]} per row, but the targets have {targets[1:]}",
            code="wrong-outputs",
            hint=f"the outputs need the targets' axes{classes}",
            address=address,
            outputs=shape[1:],
            needed=targets[1:],
        )
