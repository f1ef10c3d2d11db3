"""A Keras model as a TensorFlow SavedModel."""

import keyword
import re

import keras


def write_saved_model(model: keras.Model, target: str) -> dict[str, str]:
    """Write a SavedModel; needs the TensorFlow backend.

    Its signature takes names that Python could have for arguments, in ASCII, that differ in more than case.

    Args:
        model: With one input, or a dict of inputs.
        target: The folder to write.

    Returns:
        Name in the model → name in the signature, of all inputs where at least one had to be renamed; else empty.
    """
    inputs = model.input if isinstance(getattr(model, "input", None), dict) else {}
    renamed = signature_names(list(inputs))
    if any(old != new for old, new in renamed.items()):
        outer = {
            new: keras.Input(batch_shape=inputs[old].shape, dtype=inputs[old].dtype, name=new)
            for old, new in renamed.items()
        }
        model = keras.Model(outer, model({old: outer[new] for old, new in renamed.items()}))
    else:
        renamed = {}
    model.export(target, format="tf_saved_model", verbose=False)
    return renamed


def signature_names(names: list[str]) -> dict[str, str]:
    """Legal names for these, all different; a legal one stays, unless it differs from another in case only."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names, key=lambda one: _legal(one) != one):
        new = base = _legal(name)
        number = 1
        while new.lower() in taken:
            number += 1
            new = f"{base}_{number}"
        taken.add(new.lower())
        found[name] = new
    return {name: found[name] for name in names}


def _legal(name: str) -> str:
    new = re.sub(r"[^0-9A-Za-z_]", "_", name)
    if keyword.iskeyword(new) or new == "self":
        return f"{new}_"
    return new if re.match("[A-Za-z]", new) else f"x_{new}"
