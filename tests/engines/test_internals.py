"""Private parts of Keras: only one room touches them, and what is missing costs no more than it must."""

import ast
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import hpsearch
from hpsearch.core.events import Lane
from hpsearch.errors import ModelError
from hpsearch.keras_internals import capabilities as probing
from hpsearch.keras_internals import draws, naming
from hpsearch.keras_internals.capabilities import NEEDED_TO_FUSE, Capabilities, Capability, capabilities
from hpsearch.keras_internals.layers import flatten_layers
from hpsearch.keras_internals.naming import count_names_from, names_given
from hpsearch.keras_internals.seeding import seed_everything
from hpsearch.keras_internals.without_tensorflow import without_tensorflow
from hpsearch.training.engines import make_engine

from .conftest import MLP, results

PACKAGE = Path(hpsearch.__file__).parent
ROOM = PACKAGE / "keras_internals"
LIBRARIES = {"keras", "tensorflow", "jax"}
PRIVATE_MODULES = ("keras.src", "tensorflow.python", "jax._src")
ALLOWED = {("training/mlflow_model.py", "signature._is_signature_from_type_hint")}
"""Private, but MLflow's."""


def private_touches(tree: ast.Module) -> Iterator[str]:
    """Private attributes of anything but ``self`` and ``cls``, also by name in a text, and private modules."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(value=owner, attr=attr) if is_private(attr) or ast.unparse(node) in PRIVATE_MODULES:
                yield f"{ast.unparse(owner)}.{attr}"
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr" | "setattr" | "delattr"), args=[owner, ast.Constant(attr), *_]
            ) if is_private(str(attr)):
                yield f"{ast.unparse(owner)}.{attr}"
            case ast.Call(func=ast.Attribute(attr="__setattr__"), args=[owner, *_]) if ast.unparse(owner) != "self":
                yield f"{ast.unparse(owner)} by __setattr__"
            case ast.ImportFrom(module=str(module)) if module.startswith(PRIVATE_MODULES):
                yield module


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def uses_keras(tree: ast.Module) -> bool:
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return bool(LIBRARIES & {name.partition(".")[0] for name in names})


def test_only_one_room_touches_private_parts_of_keras():
    modules = [path for path in PACKAGE.rglob("*.py") if ROOM not in path.parents]
    found = {
        (str(path.relative_to(PACKAGE)), touch)
        for path in modules
        if uses_keras(tree := ast.parse(path.read_text(encoding="utf-8")))
        for touch in private_touches(tree)
    }
    assert found <= ALLOWED


@pytest.mark.parametrize(
    "line",
    [
        "model._flatten_layers()",
        "model._losses_override = []",
        "hasattr(layer, '_get_noise_shape')",
        "object.__setattr__(layer, 'call', call)",
        "keras.src.backend",
        "from keras.src.utils import naming",
        "from jax._src import core",
    ],
)
def test_private_touches_are_recognized(line):
    assert list(private_touches(ast.parse(line)))


def test_everything_is_granted_here_and_asking_changes_nothing():
    names, state = names_given(), random.getstate()
    assert not capabilities.__wrapped__().missing
    assert names_given() == names
    assert random.getstate() == state


def owner(kind: type, name: str) -> type:
    return next(one for one in kind.__mro__ if name in vars(one))


def gone(kind: type, name: str):
    return lambda patch: patch.delattr(owner(kind, name), name)


def constant(kind: type, name: str, value: object):
    """An attribute that cannot be set, so that instances do not hold it."""
    fixed = property(lambda _: value, lambda _, value: None)
    return lambda patch: patch.setattr(kind, name, fixed, raising=False)


internals = keras.src
REMOVED = {
    Capability.LAYER_TREE: gone(keras.Model, "_flatten_layers"),
    Capability.TRAINING_ARGUMENT: constant(keras.layers.Layer, "_call_has_training_arg", False),
    Capability.LAZY_BUILD: gone(keras.Model, "_symbolic_build"),
    Capability.PENALTIES: constant(keras.layers.Layer, "_losses_override", []),
    Capability.METRIC_PARTS: constant(internals.trainers.compile_utils.CompileMetrics, "_flat_metrics", []),
    Capability.WHOLE_STEP: gone(keras.Model, "compute_loss_and_updates"),
    Capability.LEARNING_RATE: constant(keras.optimizers.Optimizer, "_learning_rate", 0.5),
    Capability.NUMBERS: constant(keras.layers.Dropout, "rate", 0.25),
    Capability.REPLACED_METHODS: constant(keras.layers.Identity, "call", lambda inputs: inputs),
    Capability.NOISE_SHAPE: gone(keras.layers.SpatialDropout1D, "_get_noise_shape"),
    Capability.BATCH_MOMENTS: gone(keras.layers.BatchNormalization, "_moments"),
    Capability.INITIALIZERS: constant(keras.layers.Dense, "kernel_initializer", keras.initializers.Zeros()),
    Capability.FINALIZED_ONCE: gone(keras.optimizers.Optimizer, "finalize_variable_values"),
    Capability.QUICK_DRAWS: lambda patch: patch.delattr(internals.backend.random, "uniform"),
    Capability.NAMES: lambda patch: patch.setattr(naming, "_COUNTERS", "under another name"),
    Capability.QUICK_SEEDS: lambda patch: patch.delattr(internals.utils.rng_utils, "GLOBAL_RANDOM_SEED"),
    Capability.WITHOUT_TENSORFLOW: lambda patch: patch.delattr(internals.utils.module_utils, "tensorflow"),
}


@pytest.mark.parametrize("capability", [one for one in Capability if one is not Capability.TENSORFLOW_GRADIENTS])
def test_a_capability_that_is_gone_is_missing(capability, monkeypatch):
    REMOVED[capability](monkeypatch)
    found = capabilities.__wrapped__()
    assert found.missing[capability]
    assert f"Keras {keras.__version__} does not grant {capability.value} (" in found.lacks([capability])
    assert not found.lacks(set(Capability) - found.missing.keys())


def test_gradients_of_tensorflow_that_cannot_be_reached_are_missing(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(probing, "registered_gradients", dict)
    assert Capability.TENSORFLOW_GRADIENTS in capabilities.__wrapped__().missing


@pytest.fixture
def no_noise_shape(monkeypatch):
    REMOVED[Capability.NOISE_SHAPE](monkeypatch)
    capabilities.cache_clear()
    yield
    capabilities.cache_clear()


@pytest.mark.usefixtures("no_noise_shape")
def test_without_what_the_fused_engine_needs_models_are_trained_by_fit(mlp):
    engine = make_engine(mlp)
    plan = engine.plan()
    assert plan.engine == "fit"
    assert "the shape of a spatial dropout's mask (" in plan.reason
    assert results(engine, [Lane(0, 0, {**MLP, "epochs": 1})])[0, 0].epochs == 1
    resources = mlp.spec.resources.model_copy(update={"engine": "fused"})
    with pytest.raises(ModelError) as caught:
        make_engine(replace(mlp, spec=mlp.spec.model_copy(update={"resources": resources})))
    assert caught.value.code == "model.cannot-train"
    assert caught.value.values["reason"] == plan.reason


def test_what_the_fused_engine_can_do_without_keeps_it(mlp, monkeypatch):
    missing = {one: "gone" for one in Capability if one not in NEEDED_TO_FUSE}
    monkeypatch.setattr(probing, "capabilities", lambda: Capabilities(missing))
    assert make_engine(mlp).plan().engine == "fused"


def test_draws_that_cannot_be_replaced_stay_keras_own(monkeypatch):
    def weights():
        with draws.quick_draws():
            return np.asarray(keras.initializers.GlorotUniform(seed=3)((5, 7)))

    expected = weights()
    monkeypatch.setattr(draws, "replaceable", dict)
    assert np.array_equal(weights(), expected)


def test_names_that_cannot_be_counted_are_left_alone(monkeypatch):
    monkeypatch.setattr(naming, "_state", lambda: None)
    before = keras.layers.Identity().name
    count_names_from({"identity": 0})
    assert names_given() == {}
    assert keras.layers.Identity().name != before


def test_seeds_go_through_keras_where_its_generator_cannot_be_reached(monkeypatch):
    seeds = []
    REMOVED[Capability.QUICK_SEEDS](monkeypatch)
    monkeypatch.setattr(keras.utils, "set_random_seed", seeds.append)
    seed_everything(7)
    assert seeds == [7]


def test_saving_goes_on_without_the_stand_in_for_tensorflow(monkeypatch):
    REMOVED[Capability.WITHOUT_TENSORFLOW](monkeypatch)
    with without_tensorflow():
        assert not hasattr(internals.utils.module_utils, "tensorflow")


def test_layers_are_found_through_the_public_list_where_there_is_no_other():
    leaf, other = SimpleNamespace(), SimpleNamespace()
    inner = SimpleNamespace(layers=[leaf])
    model = SimpleNamespace(layers=[inner, other])
    assert flatten_layers(model) == [model, inner, leaf, other]
    assert flatten_layers(model, include_self=False) == [inner, leaf, other]
