"""A Keras model for serving without Keras: TensorFlow SavedModel, ONNX, LiteRT. Needs the TensorFlow backend.

What other runtimes compute is compared with Keras, on rows that are made up: only the numbers of both have to agree.
"""

import keyword
import re
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import DataFacts
from hpsearch.core.words import first_line
from hpsearch.keras_internals.layers import constant_moments

Inputs: TypeAlias = Mapping[str, NDArray[np.generic]]
"""Name of an input → its rows."""

ROWS = 8
"""Rows on which the formats are compared."""

TOLERANCE = 1e-4
"""Relative and absolute difference that single precision and another order of sums explain."""


def serving_model(model: keras.Model, data: DataFacts) -> tuple[keras.Model, dict[str, str]]:
    """A model whose input names are ASCII, legal as names of Python arguments, and differ in more than case.

    Args:
        model: With one input, or a dict of inputs.
        data: The study's data, for a subclassed model, which does not know its inputs.

    Returns:
        The model, and name in `model` → name in the new one, if at least one input had to be renamed; else empty.
    """
    own = getattr(model, "input", None)
    inputs = _inputs_of(data) if own is None else own
    names = signature_names(list(inputs)) if isinstance(inputs, dict) else {}
    renamed = names if any(old != new for old, new in names.items()) else {}
    if renamed and isinstance(inputs, dict):
        outer = {
            old: keras.Input(batch_shape=inputs[old].shape, dtype=inputs[old].dtype, name=new)
            for old, new in names.items()
        }
        model = keras.Model({names[old]: one for old, one in outer.items()}, model(outer))
    elif own is None:
        model = keras.Model(inputs, model(inputs))
    return model, renamed


def write_saved_model(model: keras.Model, target: Path) -> str:
    """Write a SavedModel into a folder; returns what it is."""
    model.export(str(target), format="tf_saved_model", verbose=False)
    return "the champion as a TensorFlow SavedModel, for serving"


def write_onnx(model: keras.Model, target: Path) -> str:
    """Write an ONNX file; returns what it is, and how far onnxruntime's numbers are from Keras'.

    Raises:
        ImportError: tf2onnx or onnxruntime is not installed.
    """
    import onnxruntime
    import tf2onnx  # noqa: F401  # before the work: Keras imports it after the tracing

    with constant_moments(model):
        model.export(str(target), format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    difference = _difference(model, lambda rows: session.run(None, dict(rows)))
    return f"the champion for ONNX runtimes; {_told(difference, 'onnxruntime')}"


def write_litert(model: keras.Model, target: Path) -> str:
    """Write a LiteRT (TensorFlow Lite) file; returns what it is, and how far its numbers are from Keras'."""
    import tensorflow as tf

    model.export(str(target), format="litert", verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow names a package that few have installed
        run = tf.lite.Interpreter(str(target)).get_signature_runner()
    difference = _difference(model, lambda rows: [*run(**rows).values()])
    return f"the champion for LiteRT, on phones and small devices; {_told(difference, 'its interpreter')}"


def _difference(model: keras.Model, other: Callable[[Inputs], Sequence[NDArray[np.generic]]]) -> float:
    """The largest difference of outputs, as a multiple of what is tolerated.

    Other runtimes name several outputs in their own way, so each is compared with the one that is nearest.
    """
    rows = _made_up(model)
    by_name, in_order = isinstance(model.input, dict), isinstance(model.input, list | tuple)
    given = dict(rows) if by_name else [*rows.values()] if in_order else next(iter(rows.values()))
    found = [np.asarray(one) for one in other(rows)]
    return max(
        min((_apart(one, np.asarray(wanted)) for one in found if one.size == np.size(wanted)), default=np.inf)
        for wanted in keras.tree.flatten(model.predict_on_batch(given))
    )


def _apart(found: NDArray[np.generic], wanted: NDArray[np.generic]) -> float:
    ours, theirs = (one.astype(np.float64).ravel() for one in (wanted, found))
    return float(np.max(np.abs(theirs - ours) / (TOLERANCE + TOLERANCE * np.abs(ours))))


def _told(difference: float, runtime: str) -> str:
    if difference <= 1:
        return f"{runtime} computes the same as Keras"
    return f"{runtime} does not compute the same as Keras: {difference:.2g} times the tolerance of {TOLERANCE:g}"


def _made_up(model: keras.Model) -> dict[str, NDArray[np.generic]]:
    """Random rows. Whole numbers are 0 or 1, which every vocabulary has."""
    draws = np.random.default_rng(1)

    def rows(tensor: keras.KerasTensor) -> NDArray[np.generic]:
        shape = (ROWS, *(size or ROWS for size in tensor.shape[1:]))
        kind = keras.backend.standardize_dtype(tensor.dtype)
        return (draws.normal(size=shape) if "float" in kind else draws.integers(2, size=shape)).astype(kind)

    found: dict[str, NDArray[np.generic]] = {one.name: rows(one) for one in model.inputs}
    return found


def attempted(write: Callable[[keras.Model, Path], str], model: keras.Model, target: Path) -> str:
    """What `write` returns, or why there is no file. One of an earlier export goes."""
    _remove(target)
    try:
        return write(model, target)
    except ImportError as error:
        found = f"{error.name} is not installed: pip install 'hpsearch[onnx]'"
    except Exception as error:  # converters raise errors of their own for layers that a format does not have
        found = first_line(error)
    _remove(target)  # written, but it does not run
    return f"not written: {found}"


def _remove(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def _inputs_of(data: DataFacts) -> keras.KerasTensor | dict[str, keras.KerasTensor] | list[keras.KerasTensor]:
    """What models are trained on: rows of one shape, or several inputs, of which a column has one value per row."""
    if not data.columns:
        return keras.Input(data.input_shape, name="rows")
    kinds = {"number": "float32", "category": "int32", "text": "string"}
    found = {
        one.name: keras.Input(tuple(one.shape), dtype=kinds.get(one.kind, one.dtype), name=one.name)
        for one in data.columns
    }
    return [*found.values()] if data.schema is not None and data.schema.in_order else found


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
