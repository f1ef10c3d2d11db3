"""A Keras model as a TensorFlow SavedModel."""

import keyword
import re

import keras

from hpsearch.core.facts import DataFacts


def write_saved_model(model: keras.Model, target: str, data: DataFacts) -> dict[str, str]:
    """Write a SavedModel. Needs the TensorFlow backend.

    The names in its signature are ASCII, legal as names of Python arguments, and differ in more than case.

    Args:
        model: With one input, or a dict of inputs.
        target: The folder to write.
        data: The study's data, for a subclassed model, which does not know its inputs.

    Returns:
        Name in the model → name in the signature, if at least one input had to be renamed; else empty.
    """
    own = getattr(model, "input", None)
    inputs = _inputs_of(data) if own is None else own
    names = signature_names(list(inputs)) if isinstance(inputs, dict) else {}
    renamed = names if any(old != new for old, new in names.items()) else {}
    if renamed:
        outer = {
            old: keras.Input(batch_shape=inputs[old].shape, dtype=inputs[old].dtype, name=new)
            for old, new in names.items()
        }
        model = keras.Model({names[old]: one for old, one in outer.items()}, model(outer))
    elif own is None:
        model = keras.Model(inputs, model(inputs))
    model.export(target, format="tf_saved_model", verbose=False)
    return renamed


def _inputs_of(data: DataFacts) -> keras.KerasTensor | dict[str, keras.KerasTensor]:
    """What models are trained on: rows of one shape, or one value per row and column."""
    if not data.columns:
        return keras.Input(data.input_shape, name="rows")
    kinds = {"number": "float32", "category": "int32"}
    return {one.name: keras.Input((), dtype=kinds[one.kind], name=one.name) for one in data.columns}


def signature_names(names: list[str]) -> dict[str, str]:
    """Legal names, all different. A legal one stays, unless it differs from another only in case."""
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
