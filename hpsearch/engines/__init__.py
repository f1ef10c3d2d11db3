"""Engines train bundles in a worker: ``fit`` lane by lane with Keras, ``fused`` all lanes in one program."""

from hpsearch.engines.base import Engine
from hpsearch.problem import Problem


def make_engine(problem: Problem) -> Engine:
    """The engine that ``[resources] engine`` asks for."""
    from hpsearch.engines.fit import FitEngine

    return FitEngine(problem)
