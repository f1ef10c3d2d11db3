"""What becomes of a kind of model: trained by the engine that a study would take, saved, loaded, and asked."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import importlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpsearch.core.events import Bundle, Lane, LaneFailed, LaneFinished
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import FoldResult
from hpsearch.data.card import card_of
from hpsearch.data.dataset import keras_inputs, keras_targets
from hpsearch.keras_internals.compiled import has_own_loss
from hpsearch.portable.predictor import Predictor
from hpsearch.spec import parse_spec
from hpsearch.training.engines import Engine, make_engine
from hpsearch.training.engines.loop import order_of
from hpsearch.training.keeping import is_weights, load_champion
from hpsearch.training.problem import Problem
from hpsearch.training.protocol import RefitOrder, ToRefit
from hpsearch.training.refit import refit

EPOCHS, BATCH, SEED = 2, 16, 5

_NOISE = ("Dropout", "Random", "Gaussian", "Noise")


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
        title: As Keras' site calls it, or nearly so.
        module: Of this folder, with the functions that load the data and build the model.
        source: Loads the data.
        build: Builds the model.
        engine: The engine that trains it.
        data: Further lines of ``[data]``.
        model: Further lines of ``[model]``.
        space: Lines of ``[space]``; what the model needs.
    """

    title: str
    module: str
    source: str
    build: str
    engine: str = "fused"
    data: str = ""
    model: str = ""
    space: str = "units = 6"


KINDS = (
    Kind("structured data with preprocessing", "tables", "patients", "structured", data='target = "ill"'),
    Kind("wide & deep", "tables", "patients", "wide_and_deep", data='target = "ill"'),
    Kind("deep & cross", "tables", "patients", "deep_and_cross", data='target = "ill"'),
    Kind("attention over the columns of a table", "tables", "patients", "attention", data='target = "ill"'),
    Kind("gated residual network", "tables", "patients", "gated", data='target = "ill"'),
    Kind("imbalanced classes, class_weight", "tables", "rare", "imbalanced", model='class_weight = "balanced"'),
    Kind("collaborative filtering, two embeddings", "tables", "ratings", "factors"),
    Kind("KerasTuner's build(hp)", "tables", "rare", "tuned", space="width = 4\nrate = 0.001"),
    Kind("time series, convolutions", "sequences", "signals", "convolutions"),
    Kind("time series, transformer", "sequences", "signals", "transformer"),
    Kind("time series, forecast of several steps", "sequences", "future", "forecast"),
    Kind("LSTM on words in their order", "sequences", "words", "lstm"),
    Kind("bidirectional LSTM", "sequences", "words", "both_ways"),
    Kind("text, transformer with own embedding", "sequences", "words", "text_transformer"),
    Kind("text, convolutions", "sequences", "words", "text_convolutions"),
    Kind("text with several labels", "sequences", "topics", "labels"),
    Kind("simple convnet", "images", "pictures", "convnet"),
    Kind("convnet with augmentation", "images", "pictures", "augmented"),
    Kind("Xception-like", "images", "pictures", "xception"),
    Kind("MLP mixer", "images", "pictures", "mixer"),
    Kind("vision transformer", "images", "pictures", "vision_transformer"),
    Kind("U-Net, a class for each pixel", "images", "bodies", "unet"),
    Kind("convolutional autoencoder", "images", "only_pictures", "autoencoder", data='target = "inputs"'),
    Kind("two inputs, a picture beside a table", "images", "cards", "two_inputs"),
    Kind("two outputs, loss weights", "images", "tasks", "two_outputs"),
    Kind("frozen base, new head", "images", "pictures", "frozen_base", engine="fit"),
    Kind("own layer, loss and metric", "own_code", "points", "own_parts"),
    Kind("siamese network, inputs in order", "own_code", "pairs", "siamese"),
    Kind("own train_step", "own_code", "points", "own_train_step", engine="fit"),
    Kind("distillation, own compute_loss", "own_code", "points", "distilled", engine="fit"),
    Kind(
        "variational autoencoder, add_loss", "own_code", "alone", "variational", engine="fit", data='target = "inputs"'
    ),
    Kind("generative adversarial, no targets", "own_code", "alone", "generative", engine="fit", data='target = "none"'),
)

STUDY = """
name = "kinds"
seed = {seed}
[data]
source = "{module}:{source}"
{data}
[validation]
method = "kfold"
folds = 2
[model]
build = "{module}:{build}"
{model}
[objective]
metric = "val_loss"
direction = "minimize"
[resources]
backend = "jax"
[space]
{space}
epochs = {epochs}
batch_size = {batch}
"""


@dataclass(frozen=True)
class Found:
    """What became of a kind.

    Attributes:
        engine: Which one trained it.
        reason: Why, if it is not the fused one.
        equal: Whether the curves are those of Keras' own ``fit``; None where the engine draws noise of its own.
        gap: The largest relative difference of a curve's value.
        kept: How it was saved and came back: ``"file"`` or ``"weights"``.
        predicted: Rows that it predicted from raw ones.
    """

    engine: str
    reason: str
    equal: bool | None
    gap: float
    kept: str
    predicted: int


def check(kind: Kind, folder: Path) -> Found:
    """Train a kind in a folder of its own, as a study would.

    Raises:
        HpsearchError: It cannot be trained, saved, loaded or asked.
    """
    module = f"kinds_{kind.module}"
    shutil.copy(Path(__file__).with_name(f"{kind.module}.py"), folder / f"{module}.py")
    values = {"seed": SEED, "epochs": EPOCHS, "batch": BATCH, **vars(kind), "module": module}
    problem = Problem.load(parse_spec(STUDY.format(**values), folder=folder))
    config = _config(problem, kind)
    engine = make_engine(problem)
    plan = engine.plan()
    lane = Lane(0, 1, config)
    gap = _gap(_trained(engine, lane).curves, _keras_own(problem, lane), _of_all_rows(problem, config))
    noisy = plan.engine == "fused" and _is_noisy(problem, config)
    made = refit(problem, RefitOrder((ToRefit(0, config, EPOCHS),), folder / "champion"))
    model = load_champion(made.path, problem.spec, config)
    told = Predictor(model, card_of(problem.dataset, made, None)).predict(_raw(importlib.import_module(module), kind))
    kept = "weights" if is_weights(made.path) else "file"
    return Found(plan.engine, plan.reason, None if noisy else gap < 1e-4, gap, kept, len(told))


def _config(problem: Problem, kind: Kind) -> Config:
    import tomllib

    values: dict[str, Any] = tomllib.loads(kind.space)
    return {**values, "epochs": EPOCHS, "batch_size": BATCH}


def _trained(engine: Engine, lane: Lane) -> FoldResult:
    events = list(engine.train(Bundle(0, (lane,)), frozenset))
    failed = [one for one in events if isinstance(one, LaneFailed)]
    assert not failed, failed[0].failure.message
    return next(one.result for one in events if isinstance(one, LaneFinished))


def _keras_own(problem: Problem, lane: Lane) -> Mapping[str, list[float]]:
    """Curves of ``model.fit`` with the same rows in the same orders, and of nothing else of ours."""
    train, validation = problem.fold_parts(lane.fold)
    model = problem.build(lane.config, train, seed=derive(SEED, "weights", lane.trial, lane.fold))
    weighted = problem.to_train(train)
    curves: dict[str, list[float]] = {}
    for epoch in range(EPOCHS):
        rows = weighted.take(order_of(SEED, lane.trial, lane.fold)(len(train), epoch))
        held_out = (keras_inputs(validation.x), keras_targets(validation.y))
        logs = model.fit(
            keras_inputs(rows.x), keras_targets(rows.y), sample_weight=rows.weights, batch_size=BATCH, shuffle=False,
            initial_epoch=epoch, epochs=epoch + 1, validation_data=held_out, verbose=0,
        ).history  # fmt: skip
        for name, (value,) in logs.items():
            curves.setdefault(name, []).append(float(value))
    return curves


def _of_all_rows(problem: Problem, config: Config) -> set[str]:
    """Curves that hpsearch computes over all validation rows at once, on purpose, and Keras as a mean of batches."""
    return {"val_loss"} if has_own_loss(problem.build(config, problem.dataset.train, seed=1)) else set()


def _gap(found: Mapping[str, Any], wanted: Mapping[str, list[float]], apart: set[str]) -> float:
    gaps = [
        abs(a - b) / max(abs(b), 1e-3)
        for name, curve in wanted.items()
        if name not in apart
        for a, b in zip(found[name], curve, strict=True)
    ]
    return max(gaps)


def _is_noisy(problem: Problem, config: Config) -> bool:
    model = problem.build(config, problem.dataset.train, seed=1)
    return any(
        type(layer).__name__.startswith(_NOISE) and getattr(layer, "rate", 1.0) != 0
        for layer in model._flatten_layers()
    )


def _raw(module: Any, kind: Kind) -> Any:
    """Three rows as the source has them."""
    found = getattr(module, kind.source)()
    x = found[0] if isinstance(found, tuple) else found
    if isinstance(x, pd.DataFrame):
        return x.head(3)
    if isinstance(x, dict):
        return {name: one[:3] for name, one in x.items()}
    return [one[:3] for one in x] if isinstance(x, tuple) else np.asarray(x)[:3]
