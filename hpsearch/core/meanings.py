"""What the documented hyperparameters mean, in a few words each: for ``hpsearch models`` and the JSON Schema."""

from hpsearch.core.hyperparameters import SCHEDULES, rule_of
from hpsearch.core.optimizers import OPTIMIZER_ARGUMENTS, OPTIMIZERS, OWN_RATES
from hpsearch.core.words import listed

_MEANINGS = {
    "learning_rate": "the optimizer's learning rate; with a schedule, the highest",
    "batch_size": "rows per step",
    "epochs": "times that all training rows are met",
    "shuffle": "whether every epoch meets the rows in a new order",
    "optimizer": f"one of {listed(OPTIMIZERS)}",
    "schedule": f"how the learning rate goes on: {', '.join(SCHEDULES)}",
    "warmup": "share of all steps in which the rate first rises from 0; with constant or cosine",
    "decay_to": "share of the rate that is left at the end of a schedule: 0; exponential 0.01",
    "label_smoothing": "share by which the targets 0 and 1 are drawn together; two classes, labels or one-hot rows",
    "weight_decay": "share of each weight that every step takes away, times the learning rate",
    "clipnorm": "largest norm of one weight's gradient",
    "clipvalue": "largest element of a gradient",
    "global_clipnorm": "largest norm of all gradients together",
    "use_ema": "whether every epoch ends by putting means over the steps in place of the weights",
    "ema_momentum": "share of the old mean that stays in every step; by default the mean is over a tenth of an epoch",
    "ema_overwrite_frequency": "steps after which the means take the weights' place, instead of an epoch's",
    "gradient_accumulation_steps": "batches whose gradients make one step",
    "layers": "hidden layers",
    "units": "width of the hidden layers",
    "dropout": "share of a layer's outputs that training leaves out",
    "activation": "function after each layer",
    "batch_norm": "whether layers are normalized over the batch",
    "residual": "whether blocks add their input to their output",
    "l1": "penalty on the absolute values of kernels",
    "l2": "penalty on the squares of kernels",
    "blocks": "convolutional blocks, each of which halves the image",
    "convolutions": "convolutions per block",
    "filters": "filters of the first block; doubled from block to block",
    "kernel_size": "height and width of the filters",
    "dense_units": "width of the Dense layer",
    "dense_dropout": "dropout after the Dense layer",
    "padding": "same keeps an image's size, valid takes the border off",
    "flip": "mirrors training images at random",
    "rotation": "turns training images by up to this share of a full turn",
    "translation": "moves training images by up to this share of their size",
    "zoom": "zooms training images by up to this share",
    "contrast": "changes the contrast of training images by up to this share",
    "fill_mode": "what is put where a moved image has nothing",
}


def meaning_of(name: str) -> str:
    """What a documented hyperparameter means, or its owners and legal values; empty for an unknown one."""
    if name in OWN_RATES:
        return f"learning_rate with {OWN_RATES[name]}"
    base, _, number = name.rpartition("_")
    if number.isdecimal() and name not in _MEANINGS and base in _MEANINGS and rule_of(name) == rule_of(base):
        return f"{base} of layer {number}"
    if name in _MEANINGS:
        return _MEANINGS[name]
    owners = [optimizer for optimizer, names in OPTIMIZERS.items() if name in names]
    rule = rule_of(name)
    return f"of {listed(owners)}: {rule.words}" if owners and rule is not None else ""


def documented() -> dict[str, str]:
    """All documented hyperparameters but those of single layers, with their meanings."""
    return {name: meaning_of(name) for name in (*_MEANINGS, *sorted(OPTIMIZER_ARGUMENTS - _MEANINGS.keys()))}
