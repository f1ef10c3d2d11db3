"""Writes a champion as a folder in MLflow's format, which a tracker can register without Keras.

Runs in a worker, where Keras and the user's modules are. Nothing here connects to MLflow.
"""

import ast
import dataclasses
import json
import logging
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.files import close_to_others, make_folder
from hpsearch.core.imports import mlflow_ahead, wait_for_imports
from hpsearch.core.trial import Champion
from hpsearch.core.words import first_line
from hpsearch.data.card import card_of
from hpsearch.data.dataset import Dataset
from hpsearch.errors import HpsearchError, TrackingError
from hpsearch.portable import predictor
from hpsearch.training.keeping import is_weights
from hpsearch.training.problem import Problem

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from mlflow.models import ModelSignature

_LOADER = "hpsearch_champion"
"""Package name of the loader in a model's code folder. Python imports it once for all models of a process."""

_EXAMPLES = 5

_BACKENDS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "torch": ("torch",)}


@contextmanager
def mlflow_imported_ahead() -> Iterator[None]:
    """Import MLflow in the background of the block: it takes seconds, which a refit and its saving take anyway.

    :func:`write_mlflow_model` waits for it, and shows what goes wrong.
    """
    with mlflow_ahead(_import_mlflow):
        yield


def _import_mlflow() -> None:
    with suppress(ImportError):
        import mlflow.pyfunc  # noqa: F401 - brings all that is used below


def write_mlflow_model(problem: Problem, model: "keras.Model", champion: Champion, folder: Path) -> Path:
    """Write the champion as an MLflow model with the flavors ``python_function`` and ``keras``.

    The folder holds signature, input example, pinned requirements, the ``.keras`` file and all code that predicting
    needs. Families are made of Keras' own layers and need no hpsearch. The user's modules come along, and what they
    import is among the requirements.

    Args:
        problem: The study's data and model.
        model: The champion, loaded.
        champion: Names the saved ``.keras`` file.
        folder: Where to write; a folder that is there is replaced.

    Returns:
        `folder`.

    Raises:
        TrackingError: MLflow is broken, or refuses the model.
        OSError: The folder cannot be written.
    """
    if is_weights(champion.path):
        raise TrackingError(
            "MLflow gets no model: Keras cannot load this one by its config, so that its build function and its "
            "weights are kept",
            code="model-by-build-function",
            hint="`hpsearch predict` and Study.best_model() load it; for MLflow, give its classes a get_config",
            path=champion.path,
        )
    try:
        with _emptied(folder.with_name(f".{folder.name}")) as temporary:
            _write(problem, model, champion, temporary)
            if not problem.spec.tracking.shared:
                close_to_others(temporary)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(temporary, folder)
    except (HpsearchError, OSError):
        raise
    except Exception as error:  # whatever MLflow raises must not pass for a failed refit
        raise TrackingError(
            f"the champion cannot be written as an MLflow model: {type(error).__name__}: {first_line(error)}",
            code="model-not-written",
            hint="the .keras file is complete; `hpsearch sync` tries again",
            error=type(error).__name__,
        ) from error
    return folder


def _write(problem: Problem, model: "keras.Model", champion: Champion, folder: Path) -> None:
    wait_for_imports()
    import keras
    import mlflow.pyfunc
    from mlflow.models import Model

    example = input_example(problem.dataset)
    modules = _own_modules(problem)
    card = _make_card(problem, modules, champion)
    columns = {column.name: column.kind for column in card.columns}
    about = Model(metadata={"hpsearch": {"study": problem.spec.name, "trial": champion.trial, "columns": columns}})
    about.add_flavor(
        "keras",
        data="data/champion",
        keras_version=keras.__version__,
        keras_backend=keras.backend.backend(),
        save_exported_model=False,
    )
    with _quiet_mlflow(), _emptied(folder.with_name(f"{folder.name}-parts")) as parts:
        data, code = parts / "champion", parts / "code"
        data.mkdir()
        shutil.copyfile(champion.path, data / predictor.MODEL)
        (data / predictor.CARD).write_text(json.dumps(dataclasses.asdict(card), indent=2), encoding="utf-8")
        _copy_code(modules, code)
        mlflow.pyfunc.save_model(
            str(folder),
            loader_module=_LOADER,
            data_path=str(data),
            code_paths=[str(path) for path in sorted(code.iterdir())],
            mlflow_model=about,
            signature=_signature(problem.dataset, example, predictor.Predictor(model, card).predict(example)),
            input_example=example,
            pip_requirements=requirements(modules if card.names else {}, problem.spec.model.build),
        )


def input_example(dataset: Dataset) -> "pd.DataFrame | np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    """A few raw rows, as the source has them."""
    import pandas as pd

    if dataset.columns:
        return pd.DataFrame({name: values[:_EXAMPLES] for name, values in dataset.examples.items()})
    x = (dataset.test or dataset.train).x
    assert not isinstance(x, Mapping)
    return x[:_EXAMPLES]


def _make_card(problem: Problem, modules: Mapping[str, Path], champion: Champion) -> predictor.Card:
    import keras

    from hpsearch.models.saved_file import custom_names, holds_code

    names = sorted(custom_names(champion.path) | ({predictor.LAMBDA} if holds_code(champion.path) else set()))
    return card_of(
        problem.dataset,
        champion,
        problem.spec.data.unit,
        backend=keras.backend.backend(),
        modules=list(modules) if names else [],
        names=names,
    )


def _signature(
    dataset: Dataset,
    example: "pd.DataFrame | np.ndarray[tuple[int, ...], np.dtype[np.generic]]",
    predicted: "pd.DataFrame",
) -> "ModelSignature":
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types.schema import AnyType, ColSpec, Schema, TensorSpec

    outputs = infer_signature(model_output=predicted).outputs
    if dataset.columns:
        # MLflow turns whole numbers away from a column of real ones, and the other way round. The loader checks better.
        return ModelSignature(Schema([ColSpec(AnyType(), column.name) for column in dataset.columns]), outputs)
    signature = ModelSignature(Schema([TensorSpec(example.dtype, (-1, *dataset.input_shape))]), outputs)
    # MLflow takes an array of exactly this type and shape, no table, unless told that the model checks by itself.
    signature._is_signature_from_type_hint = True
    return signature


def requirements(modules: Mapping[str, Path], build: str | None) -> list[str]:
    """What is needed to load the model, pinned to what trained it. MLflow takes 6–15 s to infer this every time.

    Args:
        modules: The user's modules that are imported when the model is loaded.
        build: Address of the build function; its package is named where it is installed rather than shipped.
    """
    import keras

    wanted: list[tuple[str, ...]] = [("keras",), _BACKENDS.get(keras.backend.backend(), ()), ("numpy",), ("pandas",)]
    if modules:
        packages = metadata.packages_distributions()
        tops = set(_imports(modules.values())) | {str(build).partition(":")[0].partition(".")[0]}
        tops -= {name.partition(".")[0] for name in modules} | sys.stdlib_module_names
        wanted += [tuple(packages[top][:1]) for top in sorted(tops) if top in packages]
    found = []
    for names in wanted:
        for name in names:
            with suppress(metadata.PackageNotFoundError):
                found.append(f"{name}=={metadata.version(name)}")
                break
    return list(dict.fromkeys(found))


def _own_modules(problem: Problem) -> dict[str, Path]:
    """The user's modules and the packages that they are in, name → file; none for families and installed packages."""
    build = problem.spec.model.build
    if build is None:
        return {}
    from hpsearch.models.saving import users_modules

    _ = problem.builder  # imports the build module
    names = [module.__name__ for module in users_modules(build.partition(":")[0])]
    found: dict[str, Path] = {}
    for name in names:
        if name.partition(".")[0] in ("__main__", "__mp_main__", "hpsearch"):
            continue
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            file = getattr(sys.modules.get(".".join(parts[:end])), "__file__", None)
            if file and file.endswith(".py") and not _is_installed(Path(file)):
                found[".".join(parts[:end])] = Path(file)
    return found


def _is_installed(file: Path) -> bool:
    paths = sysconfig.get_paths()
    return any(file.is_relative_to(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def _imports(files: Iterable[Path]) -> Iterator[str]:
    """Top-level names of what these files import."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (one.name.partition(".")[0] for one in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def _copy_code(modules: Mapping[str, Path], folder: Path) -> None:
    """The loader and the user's modules, each where Python finds it under its name."""
    folder.mkdir()
    shutil.copytree(Path(predictor.__file__).parent, folder / _LOADER, ignore=shutil.ignore_patterns("__pycache__"))
    for name, file in modules.items():
        target = folder.joinpath(*name.split("."))
        target = target / "__init__.py" if file.name == "__init__.py" else target.with_suffix(".py")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """An empty folder for the block. Whatever a killed process has left in it goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _quiet_mlflow() -> Iterator[None]:
    """MLflow reports each step on standard error."""
    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
