"""Saves and loads champions, also with the user's own layers, models, losses or functions in them.

A file names what is not Keras' own without its module. It is looked up beside the study's build function.
"""

import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import keras
import numpy as np

from hpsearch.core.user_code import load_object
from hpsearch.data.dataset import Array, Features, keras_inputs
from hpsearch.errors import ModelError
from hpsearch.keras_internals.without_tensorflow import without_tensorflow
from hpsearch.models.failures import as_model_errors
from hpsearch.models.saved_file import custom_names, holds_code, names_in, needs_tensorflow
from hpsearch.spec import StudySpec

_HINT = (
    "define classes and functions at the top level of their module, not as lambdas; decorate them with "
    "@keras.saving.register_keras_serializable(); if a class takes arguments, let its get_config return all of them"
)

_ADVICE = "Make sure custom|Full object config|Arguments received|Please |Example:"
"""What follows in an error of Keras is advice."""


def save_model(model: keras.Model, path: str | Path) -> None:
    """Write a ``.keras`` file.

    Raises:
        ModelError: A class in it has no ``get_config`` or one that cannot be written.
        OSError: The file cannot be written.
    """
    with without_tensorflow(), _explained(f"the model {model.name!r} cannot be saved", "cannot-save"):
        model.save(path)


def load_model(path: str | Path, spec: StudySpec, *, compile: bool = True) -> keras.Model:
    """Read a study's ``.keras`` file. What is the user's own in it comes from the study's build module.

    Keras loads in its safe mode, unless the study has a build function and its model holds code, such as a ``Lambda``
    layer: :func:`hpsearch.champion.files.check_champion` has been asked before whether that may run.

    Args:
        path: A file that the study wrote.
        spec: The study file.
        compile: Whether to compile it as it was saved.

    Raises:
        ModelError: It needs something that the build module does not have, Keras cannot read it, or a family's file
            holds code.
    """
    with_code = holds_code(path)
    if with_code and spec.model.build is None:
        raise ModelError(
            f"the saved model {Path(path).name} holds code, which models of the family {spec.model.family!r} never do",
            code="code-in-family",
            hint="it was not written by hpsearch: delete it, and `hpsearch resume` trains it again",
            path=str(path),
        )
    with nullcontext() if needs_tensorflow(path) else without_tensorflow():
        named = custom_names(path)
        objects = _find(named, spec) if named else {}
        with _explained(f"{spec.model.build or spec.model.family}: the saved model cannot be loaded", "cannot-load"):
            return keras.saving.load_model(path, custom_objects=objects, compile=compile, safe_mode=not with_code)


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Read weights into a model that has been built as the one that they are of.

    Raises:
        ModelError: They are of another model.
    """
    with _explained(f"the weights in {Path(path).name} cannot be loaded", "cannot-load"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        model.load_weights(path)


def why_unloadable(model: keras.Model, spec: StudySpec, x: Features) -> ModelError | None:
    """Save and load a model that has classes other than Keras' own.

    Args:
        model: Compiled, with weights.
        spec: The study file.
        x: A few rows to compare predictions with.

    Returns:
        Why it does not come back from a ``.keras`` file; None if it does.
    """
    try:
        with without_tensorflow(), _explained(f"the model {model.name!r} cannot be saved", "cannot-save"):
            if not set(names_in(keras.saving.serialize_keras_object(model))):
                return None
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            save_model(model, path)
            loaded = load_model(path, spec)
        with _explained(f"{spec.model.build}: the model cannot be used once saved and loaded", "unusable-once-loaded"):
            alike = predict_alike(model, loaded, x)
    except ModelError as error:
        return error
    if alike:
        return None
    return ModelError(
        f"{spec.model.build}: the model predicts something else once saved and loaded",
        code="changed-by-saving",
        hint=_HINT,
        address=spec.model.build,
    )


def predict_alike(model: keras.Model, other: keras.Model, x: Features) -> bool:
    """Whether two models predict the same, or the first one predicts by chance."""
    first, again, after = (_predicted(one, x) for one in (model, model, other))
    return not _equal(first, again) or _equal(first, after)


def _find(names: Iterable[str], spec: StudySpec) -> Mapping[str, object]:
    """What these names stand for, without those that Keras knows itself once the build module is imported."""
    address = spec.model.build
    if address is None:
        return {}
    load_object(address, spec.folder, ModelError)
    modules, found = users_modules(address.partition(":")[0]), dict[str, object]()
    for name in names:
        known = keras.saving.get_registered_object(name)
        if "<locals>" in getattr(known, "__qualname__", ""):
            raise ModelError(
                f"{address}: {name} is defined inside a function, where it cannot be found again",
                code="defined-inside-function",
                hint=_HINT,
                address=address,
                name=name,
            )
        candidates = [vars(module)[name] for module in modules if name in vars(module)]
        if known is None and candidates:
            found[name] = candidates[0]
    return found


def users_modules(name: str) -> list[ModuleType]:
    """A build module, then all imported modules beside or below it, or elsewhere in its package."""
    module, top = sys.modules[name], sys.modules[name.partition(".")[0]]
    folder = (_file(top) or _file(module) or Path()).parent
    others = []
    for one in list(sys.modules.values()):
        path = _file(one)
        if path and path.is_relative_to(folder) and "site-packages" not in path.relative_to(folder.parent).parts:
            others.append(one)
    return [module, *others]


def _file(module: ModuleType) -> Path | None:
    path = getattr(module, "__file__", None)  # none for packages without __init__.py
    return Path(path) if isinstance(path, str) else None


def _predicted(model: keras.Model, x: Features) -> list[Array]:
    return [np.asarray(one) for one in keras.tree.flatten(model.predict(keras_inputs(x), batch_size=32, verbose=0))]


def _equal(some: list[Array], others: list[Array]) -> bool:
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True) for a, b in zip(some, others, strict=True))


def _explained(what: str, code: str) -> AbstractContextManager[None]:
    """Say what Keras, or the user's code that it calls, raised."""

    def explain(error: Exception) -> ModelError:
        text = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())
        innermost = text.rpartition("Exception encountered: ")[2]
        happened = re.split(_ADVICE, innermost)[0].strip()[:300]
        kind = type(error).__name__
        return ModelError(f"{what}: {kind}: {happened}", code=code, hint=_HINT, error=kind, message=happened)

    return as_model_errors(explain, let_through=(OSError,))
