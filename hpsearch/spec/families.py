"""The documented model families: descriptions, default spaces, and addresses of the build functions.

The build functions import Keras. This module does not, so that the driver can import it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hpsearch.core.facts import Task
from hpsearch.core.hyperparameters import DEFAULT_EPOCHS, OF_COMPILING, OF_EVERY_MODEL
from hpsearch.core.optimizers import OPTIMIZER_ARGUMENTS, USUAL_RATES
from hpsearch.core.registries import MODEL_FAMILIES
from hpsearch.core.registry import Objects
from hpsearch.core.space import Choice, Constant, Float, Int, Parameter, Value

TRAINING: dict[str, Parameter] = {
    "learning_rate": Float(0.01, 0.04),
    "batch_size": Choice((16, 32, 64, 100, 128)),
    "epochs": Constant(DEFAULT_EPOCHS),
    "optimizer": Choice(("sgd", "adam", "rmsprop")),
}
"""Hyperparameters of the training, with their documented defaults. They are in the same space as the model's."""

_DEFAULTS: dict[str, Value] = {
    "learning_rate": 0.01, "batch_size": 32, "optimizer": "adam", "momentum": 0.9, "activation": "relu",
    "batch_norm": False, "residual": False, "schedule": "constant", "use_ema": False, "label_smoothing": 0.0,
    **{f"learning_rate_{name}": rate for name, rate in USUAL_RATES.items()},
}  # fmt: skip

_SHAPE: tuple[str, ...] = ("residual", "l1", "l2")
"""What every family's layers may have."""

AUGMENTATIONS = ("flip", "rotation", "translation", "zoom", "contrast", "fill_mode")
"""Random changes of images in training."""


@dataclass(frozen=True, slots=True)
class Family:
    """A documented model family.

    Attributes:
        name: As written in ``[model] family``.
        description: One line.
        build: ``module:function`` of ``build(config, data)``.
        space: The default space: the hyperparameters of the training and of the model.
        tasks: The tasks that it can learn.
        optional: Hyperparameters that are part of a config only if the study file names them.
        defaults: What the model is like if nobody searches: trial 0 of a study, as near as its space comes.
        predictable: Models of a fold differ only in hyperparameters, in seeds that Keras draws, and in what their
            layers were adapted to. The fused engine need not build a model for every lane then.
    """

    name: str
    description: str
    build: str
    space: Mapping[str, Parameter]
    tasks: tuple[Task, ...] = tuple(Task)
    optional: tuple[str, ...] = ()
    defaults: Mapping[str, Value] = field(default_factory=dict)
    predictable: bool = False


MLP = Family(
    name="mlp",
    description="Dense layers with dropout, on images, arrays or tables",
    build="hpsearch.models.mlp:build",
    space={
        **TRAINING,
        "layers": Constant(2),
        "units": Int(32, 512, log=True),
        "dropout": Float(0.0, 0.5, step=0.05),
        "activation": Constant("relu"),
        "batch_norm": Constant(False),
    },
    optional=(*_SHAPE, *(f"{name}_{layer}" for name in ("units", "dropout") for layer in range(1, 7))),
    defaults={**_DEFAULTS, "layers": 2, "units": 128, "dropout": 0.2},
    predictable=True,
)

CNN = Family(
    name="cnn",
    description="blocks of 3 x 3 convolutions, max pooling and dropout, then a Dense layer; on images",
    build="hpsearch.models.cnn:build",
    space={
        **TRAINING,
        "blocks": Constant(1),
        "convolutions": Constant(1),
        "filters": Choice((16, 32, 64)),
        "kernel_size": Constant(3),
        "dropout": Float(0.25, 0.4, step=0.05),
        "dense_units": Choice((64, 128, 256)),
        "dense_dropout": Float(0.0, 0.5, step=0.05),
        "activation": Constant("relu"),
        "batch_norm": Constant(False),
    },
    optional=("padding", *_SHAPE, *AUGMENTATIONS),
    defaults={**_DEFAULTS, "filters": 32, "dropout": 0.25, "dense_units": 128, "dense_dropout": 0.5},
    predictable=True,
)


def may_have(family: Family) -> list[str]:
    """Hyperparameters that a study file can add to the family's space."""
    named = (*family.optional, *OF_COMPILING, *OF_EVERY_MODEL, *sorted(OPTIMIZER_ARGUMENTS))
    return [one for one in dict.fromkeys(named) if one not in family.space]


FAMILIES = Objects(MODEL_FAMILIES, Family)
"""All families by name, including those of other packages."""
