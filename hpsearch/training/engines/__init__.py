"""Engines train bundles in a worker: ``fit`` lane by lane with Keras, ``fused`` all lanes in one program."""

from hpsearch.core.registries import ENGINES
from hpsearch.errors import ModelError
from hpsearch.training.engines.base import Engine
from hpsearch.training.problem import Problem


def make_engine(problem: Problem) -> Engine:
    """The engine that ``[resources] engine`` asks for. ``auto`` is ``fused`` if the model allows it, else ``fit``.

    Raises:
        ModelError: The study file asks for ``fused``, and the model cannot be fused.
        SpecError: There is no engine of that name.
    """
    from hpsearch.training.engines.fit import FitEngine

    wanted = problem.spec.resources.engine
    if wanted == "fit":
        return FitEngine(problem)
    if wanted not in ("auto", "fused"):
        return ENGINES.load_class(wanted, Engine)(problem)
    found = _fused(problem)
    if isinstance(found, Engine):
        return found
    if wanted == "fused":
        raise ModelError(
            f"the fused engine cannot train this model: {found}",
            code="cannot-fuse",
            hint='set [resources] engine = "auto"',
            reason=found,
        )
    return FitEngine(problem, reason=found)


def _fused(problem: Problem) -> Engine | str:
    """The fused engine, or why it cannot train this problem."""
    import keras

    if keras.backend.backend() != "jax":
        return f"the fused engine needs Keras on JAX, but it runs on {keras.backend.backend()}"
    from hpsearch.keras_internals.capabilities import NEEDED_TO_FUSE, capabilities

    if lacking := capabilities().lacks(NEEDED_TO_FUSE):
        return f"the fused engine needs private parts of Keras: {lacking}"
    from hpsearch.training.engines.fused.engine import FusedEngine
    from hpsearch.training.engines.fused.errors import UnfusableError

    try:
        engine = FusedEngine(problem)
        engine.plan()
    except UnfusableError as error:
        return str(error)
    return engine
