"""Which private parts of Keras the installed version grants, found out by trying them on a tiny model."""

import inspect
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property, partial
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from hpsearch.core.words import first_line
from hpsearch.keras_internals.draws import quick_draws, replaceable
from hpsearch.keras_internals.layers import (
    BATCH_MOMENTS,
    flatten_layers,
    initializers_of,
    noise_shape,
    set_untracked,
    takes_training,
    unset_untracked,
)
from hpsearch.keras_internals.naming import count_names_from, names_given
from hpsearch.keras_internals.numbers import numbers_in
from hpsearch.keras_internals.optimizers import finalized_once, learning_rate_of
from hpsearch.keras_internals.seeding import unseeded_generator
from hpsearch.keras_internals.steps import build_lazily_built, penalties
from hpsearch.keras_internals.tf_gradients import registered_gradients
from hpsearch.keras_internals.threefry import is_exact
from hpsearch.keras_internals.without_tensorflow import lazy_tensorflow


class Capability(StrEnum):
    """Something that Keras does not offer in public. The value says what it is good for."""

    LAYER_TREE = "all layers of a model, in order"
    TRAINING_ARGUMENT = "whether a model's call takes the argument training"
    LAZY_BUILD = "building metrics and losses without training"
    PENALTIES = "handing penalties from the forward pass to the loss"
    METRIC_PARTS = "updating the mean loss and each metric"
    WHOLE_STEP = "Keras' own step with its loss and gradients"
    LEARNING_RATE = "an optimizer's learning-rate variable"
    NUMBERS = "rates and factors as attributes of layers, regularizers and optimizers"
    REPLACED_METHODS = "replacing a method of one layer"
    NOISE_SHAPE = "the shape of a spatial dropout's mask"
    BATCH_MOMENTS = "the moments of a batch in batch normalization"
    INITIALIZERS = "the initializers of a layer"
    FINALIZED_ONCE = "averaged weights that come in only at the end"
    QUICK_DRAWS = "initial weights without a compile per shape"
    NAMES = "names of metrics that do not depend on earlier models"
    QUICK_SEEDS = "seeding without importing TensorFlow"
    WITHOUT_TENSORFLOW = "saving without importing TensorFlow"
    TENSORFLOW_GRADIENTS = "freeing the graphs of trained models"


NEEDED_TO_FUSE = (
    Capability.LAYER_TREE,
    Capability.TRAINING_ARGUMENT,
    Capability.LAZY_BUILD,
    Capability.PENALTIES,
    Capability.METRIC_PARTS,
    Capability.WHOLE_STEP,
    Capability.LEARNING_RATE,
    Capability.NUMBERS,
    Capability.REPLACED_METHODS,
    Capability.NOISE_SHAPE,
    Capability.BATCH_MOMENTS,
)
"""Without any of these, models are trained by ``fit``. What needs one of the others does without by itself."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the installed Keras grants on the backend that it runs on.

    Attributes:
        missing: Capability → why it is missing. Those that are not here are granted, or of no use on this backend.
    """

    missing: Mapping[Capability, str]

    def lacks(self, needed: Iterable[Capability]) -> str:
        """What is missing of what is `needed`, in words; empty if nothing is."""
        found = [f"{one} ({self.missing[one]})" for one in needed if one in self.missing]
        return f"Keras {keras.__version__} does not grant {'; '.join(found)}" if found else ""


@cache
def capabilities() -> Capabilities:
    """Try all private parts, once per process; takes 0.1 s on a computer that is not busy.

    Names, random numbers and dtypes of later models stay the same.
    """
    names, state, policy = names_given(), random.getstate(), keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("float32")  # under another one Keras wraps optimizers
        sample = _Sample()
        reasons = {one: _reason(partial(check, sample)) for one, check in _checks().items()}
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(state)
        count_names_from(names)
    return Capabilities(MappingProxyType({one: reason for one, reason in reasons.items() if reason}))


class _Missing(Exception):  # noqa: N818 - it is an answer
    """What was tried does something else than it did."""


def _reason(check: Callable[[], object]) -> str:
    try:
        check()
    except _Missing as missing:
        return str(missing)
    except Exception as error:  # a private part that has changed may fail in any way; that costs its capability only
        return f"{type(error).__name__}: {first_line(error)}"
    return ""


Check = Callable[["_Sample"], None]


def _checks() -> dict[Capability, Check]:
    common: dict[Capability, Check] = {
        Capability.LAYER_TREE: _layer_tree,
        Capability.REPLACED_METHODS: _replaced_methods,
        Capability.FINALIZED_ONCE: _finalized_once,
        Capability.NAMES: _names,
        Capability.WITHOUT_TENSORFLOW: _without_tensorflow,
    }
    if keras.backend.backend() == "tensorflow":
        return {**common, Capability.TENSORFLOW_GRADIENTS: _tensorflow_gradients}
    if keras.backend.backend() != "jax":
        return common
    return {
        **common,
        Capability.TRAINING_ARGUMENT: _training_argument,
        Capability.LAZY_BUILD: _lazy_build,
        Capability.PENALTIES: _penalties,
        Capability.METRIC_PARTS: _metric_parts,
        Capability.WHOLE_STEP: _whole_step,
        Capability.LEARNING_RATE: _learning_rate,
        Capability.NUMBERS: _numbers,
        Capability.NOISE_SHAPE: _noise_shape,
        Capability.BATCH_MOMENTS: _batch_moments,
        Capability.INITIALIZERS: _initializers,
        Capability.QUICK_DRAWS: _quick_draws,
        Capability.QUICK_SEEDS: _quick_seeds,
    }


def _require(granted: object, otherwise: str) -> None:
    if not granted:
        raise _Missing(otherwise)


class _Sample:
    """The model that is tried on. Where it cannot be made, every check that needs it says so."""

    @cached_property
    def model(self) -> keras.Model:
        """One weight, a dropout layer inside a model inside the model, a penalty, a metric."""
        inner = keras.Sequential([keras.Input((1,)), keras.layers.Dropout(0.25, seed=1, name="inside")])
        penalty = keras.regularizers.L2(0.125)
        dense = keras.layers.Dense(
            1, use_bias=False, kernel_initializer="zeros", kernel_regularizer=penalty, name="dense"
        )
        with quick_draws():
            model = keras.Sequential([keras.Input((1,)), inner, dense])
            optimizer = keras.optimizers.SGD(0.5, momentum=0.75)
            model.compile(optimizer, loss="mse", metrics=["mae"], weighted_metrics=["mse"])
        return model

    @cached_property
    def built_model(self) -> keras.Model:
        """The same model, built as ``fit`` builds it."""
        rows = np.zeros((2, 1), np.float32)
        with quick_draws():
            build_lazily_built(self.model, rows, rows)
        return self.model


def _layer_tree(sample: _Sample) -> None:
    model = sample.model
    _require(hasattr(model, "_flatten_layers"), "Layer._flatten_layers is gone")
    names = [layer.name for layer in flatten_layers(model, include_self=False)]
    _require("inside" in names and "dense" in names, "Layer._flatten_layers leaves layers out")


def _training_argument(sample: _Sample) -> None:
    _require(takes_training(sample.model), "Layer._call_has_training_arg is False for a model that takes it")


def _lazy_build(sample: _Sample) -> None:
    model = sample.built_model
    _require(model.optimizer.built and len(model.metrics_variables) > 2, "Trainer._symbolic_build builds no metrics")


def _penalties(sample: _Sample) -> None:
    model = sample.model
    with penalties(model, [keras.ops.convert_to_tensor(4.0)]):
        found = [float(one) for one in model.losses]
    _require(found == [4.0], "Layer._losses_override does not replace the losses")
    _require(len(model.losses) == 1 and float(model.losses[0]) != 4.0, "Layer._losses_override cannot be cleared")


def _metric_parts(sample: _Sample) -> None:
    model = sample.built_model
    compiled = model._compile_metrics
    parts = [one for group in (*compiled._flat_metrics, *compiled._flat_weighted_metrics) for one in group.metrics]
    _require(isinstance(model._loss_tracker, keras.metrics.Mean), "Trainer._loss_tracker is no mean")
    _require([one.name for one in parts] == ["mae", "mse"], "CompileMetrics._flat_metrics does not list the metrics")


def _whole_step(sample: _Sample) -> None:
    model = sample.model
    step = inspect.signature(model.compute_loss_and_updates)
    step.bind([], [], [], None, None, None, training=True, optimizer_variables=[])
    inspect.signature(model._update_metrics_variables).bind([], None, None, None, None, None)
    inspect.signature(model.test_step).bind(([], [], []), (None, None, None))


def _learning_rate(sample: _Sample) -> None:
    optimizer = sample.model.optimizer
    rate = learning_rate_of(optimizer)
    _require(any(rate is one for one in optimizer.variables), "Optimizer._learning_rate is no variable of its own")


def _numbers(sample: _Sample) -> None:
    found = {(str(slot.owner), slot.path[-1]): value for slot, value in numbers_in(sample.model)}
    wanted = {("layer", "rate"): 0.25, ("layer", "l2"): 0.125, ("optimizer", "momentum"): 0.75}
    absent = [name for (owner, name), value in wanted.items() if found.get((owner, name)) != value]
    _require(not absent, f"there is no attribute {', '.join(absent)}")


def _replaced_methods(_: _Sample) -> None:
    layer, called = keras.layers.Identity(), list[int]()

    def call(inputs: object) -> object:
        called.append(1)
        return inputs

    set_untracked(layer, "call", call)
    layer(np.zeros((1, 1), np.float32))
    unset_untracked(layer, "call")
    layer(np.zeros((1, 1), np.float32))
    _require(called == [1], "Layer.__call__ does not look up call on the layer")


def _noise_shape(_: _Sample) -> None:
    found = noise_shape(keras.layers.SpatialDropout1D(0.5, seed=1), np.zeros((2, 3, 4), np.float32))
    _require(found == (2, 1, 4), f"SpatialDropout1D._get_noise_shape gives {found} for (2, 3, 4)")


def _batch_moments(_: _Sample) -> None:
    layer = keras.layers.BatchNormalization(center=False, scale=False)
    called = []

    def moments(inputs: Any, mask: Any) -> Any:
        called.append(mask)
        return inputs[0] * 0, inputs[0] * 0 + 1

    layer.build((None, 2))
    set_untracked(layer, BATCH_MOMENTS, moments)
    layer(np.zeros((1, 2), np.float32), training=True)
    known = hasattr(keras.layers.BatchNormalization, BATCH_MOMENTS)
    _require(known and called == [None], f"BatchNormalization.{BATCH_MOMENTS} is gone")


def _initializers(_: _Sample) -> None:
    layer = keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    _require(initializers_of(layer), "layers do not keep their initializers as attributes")


def _finalized_once(sample: _Sample) -> None:
    model = sample.model
    finalize = model.optimizer.finalize_variable_values
    with finalized_once(model):
        hidden = model.optimizer.finalize_variable_values != finalize
    _require(hidden, "Optimizer.finalize_variable_values cannot be hidden on one optimizer")
    _require(model.optimizer.finalize_variable_values == finalize, "Optimizer.finalize_variable_values stays hidden")


def _names(_: _Sample) -> None:
    before = names_given()
    keras.layers.Identity()
    _require(names_given() != before, "Keras does not say how many names it has given")
    count_names_from({"identity": 41})
    _require(keras.layers.Identity().name == "identity_41", "Keras does not take a count of names")


def _quick_draws(_: _Sample) -> None:
    _require(is_exact(), "JAX draws with another generator or rounding")
    absent = {"uniform", "zeros", "ones"} - replaceable().keys()
    _require(not absent, f"the functions {', '.join(sorted(absent))} of Keras' backend are gone or changed")


def _quick_seeds(_: _Sample) -> None:
    _require(unseeded_generator() is not None, "the state of keras.random's own generator is gone")


def _without_tensorflow(_: _Sample) -> None:
    _require(lazy_tensorflow() is not None, "keras.src.utils.module_utils has no lazy TensorFlow")


def _tensorflow_gradients(_: _Sample) -> None:
    _require(registered_gradients(), "TensorFlow's registry of gradients is gone")
