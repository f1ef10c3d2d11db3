"""Engines train bundles in a worker: ``fit`` lane by lane with Keras, ``fused`` all lanes in one program."""

from hpsearch.core.registries import ENGINES
from hpsearch.errors import ModelError
from hpsearch.training.engines.base import CannotTrainError, Engine
from hpsearch.training.problem import Problem

__all__ = ["CannotTrainError", "Engine", "make_engine"]


def make_engine(problem: Problem) -> Engine:
    """The engine that ``[resources] engine`` asks for. ``auto`` is ``fused`` if the model allows it, else ``fit``.

    Raises:
        ModelError: The study file asks for an engine that cannot train this problem.
        SpecError: There is no engine of that name, or it cannot be imported.
    """
    if problem.spec.validation.seeds == 1:
        return _engine(problem)
    from hpsearch.training.engines.seeds import SeedsEngine, with_copies

    return SeedsEngine(problem, _engine(with_copies(problem)))


def _engine(problem: Problem) -> Engine:
    wanted = problem.spec.resources.engine
    if wanted == "auto":
        try:
            return _make("fused", problem)
        except CannotTrainError as error:
            from hpsearch.training.engines.fit import FitEngine

            return FitEngine(problem, reason=str(error))
    try:
        return _make(wanted, problem)
    except CannotTrainError as error:
        raise ModelError(
            f"the {wanted} engine cannot train this model: {error}",
            code="cannot-train",
            hint='set [resources] engine = "auto"',
            engine=wanted,
            reason=str(error),
        ) from None


def _make(name: str, problem: Problem) -> Engine:
    """The engine of that name, once it has said that it can train the problem.

    Raises:
        CannotTrainError: It cannot.
    """
    if name == "fused":
        _check_keras()
    engine = ENGINES.load_class(name, Engine)(problem)
    engine.plan()
    return engine


def _check_keras() -> None:
    """What the fused engine needs of Keras, before its modules import JAX.

    Raises:
        CannotTrainError: Keras does not run on JAX, or lacks private parts.
    """
    import keras

    if keras.backend.backend() != "jax":
        raise CannotTrainError(f"the fused engine needs Keras on JAX, but it runs on {keras.backend.backend()}")
    from hpsearch.keras_internals.capabilities import NEEDED_TO_FUSE, capabilities

    if lacking := capabilities().lacks(NEEDED_TO_FUSE):
        raise CannotTrainError(f"the fused engine needs private parts of Keras: {lacking}")
