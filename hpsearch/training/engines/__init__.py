"""Engines train bundles in a worker: ``fit`` lane by lane with Keras, ``fused`` all lanes in one program."""

from hpsearch.errors import ModelError
from hpsearch.training.engines.base import Engine
from hpsearch.training.problem import Problem


def make_engine(problem: Problem) -> Engine:
    """The engine that ``[resources] engine`` asks for; ``auto`` is ``fused`` where the model allows it.

    Raises:
        ModelError: ``fused`` was asked for by name and the model cannot be fused.
    """
    from hpsearch.training.engines.fit import FitEngine

    wanted = problem.spec.resources.engine
    if wanted == "fit":
        return FitEngine(problem)
    reason = _obstacle()
    if not reason:
        from hpsearch.training.engines.fused.engine import FusedEngine
        from hpsearch.training.engines.fused.template import UnfusableError

        try:
            engine = FusedEngine(problem)
            engine.plan()
        except UnfusableError as error:
            reason = str(error)
        else:
            return engine
    if wanted == "fused":
        raise ModelError(f"the fused engine cannot train this model: {reason}", hint='set [resources] engine = "auto"')
    return FitEngine(problem, reason=reason)


def _obstacle() -> str:
    import keras

    if keras.backend.backend() != "jax":
        return f"the fused engine needs Keras on JAX, but it runs on {keras.backend.backend()}"
    return ""
