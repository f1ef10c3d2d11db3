"""The champion's model on disk.

It is a ``.keras`` file, or, where Keras cannot load the model by its config, the weights for a model that the study's
build function builds again.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hpsearch.core.files import write_atomically
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import WEIGHTS_SUFFIX
from hpsearch.data.dataset import Features
from hpsearch.errors import ModelError
from hpsearch.models.saving import load_model, load_weights, predict_alike, save_model, why_unloadable
from hpsearch.spec import StudySpec
from hpsearch.training.problem import Problem

if TYPE_CHECKING:
    import keras


def save_champion(model: "keras.Model", problem: Problem, config: Config, folder: Path, x: Features) -> Path:
    """Write the model, and make sure that it comes back.

    Args:
        model: Trained on all development rows.
        problem: The study's data and model.
        config: The model's hyperparameter values.
        folder: Where the file goes.
        x: A few rows to compare predictions with.

    Returns:
        The file: ``champion.keras`` or ``champion.weights.h5``.

    Raises:
        ModelError: The model cannot be saved in either way.
        OSError: The file cannot be written.
    """
    unloadable, shared = why_unloadable(model, problem.spec, x), problem.spec.tracking.shared
    if unloadable is None:
        path = folder / "champion.keras"
        write_atomically(path, lambda temporary: save_model(model, temporary), shared=shared)
        return path
    if problem.spec.champion.kind != "refit":
        raise _mean_unloadable(unloadable)
    path = folder / f"champion{WEIGHTS_SUFFIX}"
    seed = _refit_seed(problem.spec)
    write_atomically(
        path,
        lambda temporary: _save_weights(model, problem, config, temporary, x, unloadable, seed=seed),
        shared=shared,
    )
    return path


def load_champion(path: str | Path, spec: StudySpec, config: Config) -> "keras.Model":
    """Read a champion's file, of either kind. The weights' kind needs the study's data, to build the model again.

    Raises:
        ModelError: It needs something that the build module does not have, or Keras cannot read it.
        DataError: The study's data cannot be read.
    """
    if not is_weights(path):
        return load_model(path, spec)
    return _built_again(Problem.load(spec), config, Path(path), seed=_refit_seed(spec))


def is_weights(path: str | Path) -> bool:
    """Whether a champion's file holds weights only."""
    return str(path).endswith(WEIGHTS_SUFFIX)


def check_keeping(model: "keras.Model", problem: Problem, config: Config, x: Features, *, seed: int) -> None:
    """Whether a champion like this model could be saved and would come back.

    Args:
        model: Any model of the study.
        problem: The study's data and model.
        config: The model's hyperparameter values.
        x: A few rows to compare predictions with.
        seed: That the model was built with.

    Raises:
        ModelError: It could not, in either way.
    """
    unloadable = why_unloadable(model, problem.spec, x)
    if unloadable is not None:
        with TemporaryDirectory() as folder:
            _save_weights(model, problem, config, Path(folder) / f"model{WEIGHTS_SUFFIX}", x, unloadable, seed=seed)


def check_keeping_means(models: Sequence["keras.Model"], problem: Problem, config: Config, x: Features) -> None:
    """Whether a mean of models like these could be saved and would come back.

    Args:
        models: Some models of the study, not needed any more: they are frozen.
        problem: The study's data and model.
        config: Their hyperparameter values.
        x: A few rows to compare predictions with.

    Raises:
        ModelError: It could not.
    """
    from hpsearch.models.mean import mean_of

    like = problem.build(config, problem.dataset.train, seed=derive(problem.spec.seed, "mean"))
    mean = mean_of({f"model_{n}": one for n, one in enumerate(models)}, like, x)
    if (unloadable := why_unloadable(mean, problem.spec, x)) is not None:
        raise _mean_unloadable(unloadable)


def _mean_unloadable(error: ModelError) -> ModelError:
    return ModelError(
        f"the champion cannot be the mean of several models: {error.what}",
        code="no-mean",
        hint=f'{error.hint}; or use [champion] kind = "refit"',
    )


def _refit_seed(spec: StudySpec) -> int:
    # What a build function draws and keeps outside of the weights comes back with the seed that the champion had.
    return derive(derive(spec.seed, "refit"), "weights")


def _save_weights(
    model: "keras.Model",
    problem: Problem,
    config: Config,
    path: Path,
    x: Features,
    unloadable: ModelError,
    *,
    seed: int,
) -> None:
    model.save_weights(path)
    try:
        alike = predict_alike(model, _built_again(problem, config, path, seed=seed), x)
    except ModelError:
        raise unloadable from None
    if not alike:
        raise unloadable


def _built_again(problem: Problem, config: Config, path: Path, *, seed: int) -> "keras.Model":
    model = problem.build(config, problem.dataset.train, seed=seed)
    load_weights(model, path)
    return model
