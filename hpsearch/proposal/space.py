"""What to search, and for how long: families' spaces narrowed so that trials share compiled programs."""

from collections.abc import Mapping
from dataclasses import dataclass

from hpsearch.core.space import Choice, Constant, Float, Parameter

_RATES: Mapping[str, Parameter] = {
    "learning_rate_sgd": Float(0.01, 0.04, when={"optimizer": ("sgd",)}),
    "learning_rate_adam": Float(0.0005, 0.005, log=True, when={"optimizer": ("adam",)}),
    "learning_rate_rmsprop": Float(0.0005, 0.005, log=True, when={"optimizer": ("rmsprop",)}),
    "momentum": Float(0.0, 0.9, when={"optimizer": ("sgd",)}),
}
"""The documented learning rate of SGD, and for the others a tenth of it, as Keras' own defaults have it."""

_STEPS = 2_000
"""Training steps of a trial to aim at: enough for a small table to show what a config is worth."""

_LEAST_EPOCHS, _MOST_EPOCHS = 5, 50


@dataclass(frozen=True, slots=True)
class Searched:
    """The space of a proposal.

    Attributes:
        parameters: Name → values.
        remarks: Why, for some of them.
    """

    parameters: Mapping[str, Parameter]
    remarks: Mapping[str, str]


def space_for(family: str, defaults: Mapping[str, Parameter], rows: int) -> Searched:
    """The space for training on some rows.

    Args:
        family: The model family.
        defaults: Its default space.
        rows: Training rows of a fold.
    """
    batch = batch_for(rows)
    sizes = _sizes(family)
    parameters: dict[str, Parameter] = {
        **{name: one for name, one in defaults.items() if name not in ("learning_rate", *sizes)},
        **sizes,
        "optimizer": Choice(("sgd", "adam", "rmsprop")),
        "batch_size": Constant(batch),
        "epochs": Constant(epochs_for(rows, batch)),
    }
    parameters = {name: one for name, one in parameters.items() if name not in _RATES}
    ordered = ("optimizer", *_RATES, *sizes)
    found = {name: {**parameters, **_RATES}[name] for name in ordered}
    found |= {name: one for name, one in parameters.items() if name not in found}
    programs = "each value is a program to compile, so a short list"
    return Searched(
        found,
        {
            "optimizer": "each is a program to compile; every one has learning rates that fit it",
            **dict.fromkeys([name for name in sizes if isinstance(found[name], Choice)][:1], programs),
            "batch_size": f"for {rows:,} training rows per fold",
        },
    )


def _sizes(family: str) -> dict[str, Parameter]:
    if family == "mlp":
        return {"units": Choice((32, 128))}
    if family == "cnn":
        return {"filters": Choice((16, 32)), "dense_units": Constant(128)}
    return {}


def batch_for(rows: int) -> int:
    """Rows per step: some thirty steps per epoch at least, where there are rows for it."""
    return next((size for size, least in ((256, 50_000), (128, 10_000), (64, 2_000)) if rows >= least), 32)


def epochs_for(rows: int, batch: int) -> int:
    """Epochs that make about :data:`_STEPS` steps."""
    steps = max(1, -(-rows // batch))
    return int(min(max(round(_STEPS / steps), _LEAST_EPOCHS), _MOST_EPOCHS))
