"""Tuners: history in, suggestion out. Importing this package imports neither Optuna nor KerasTuner."""

import difflib

from hpsearch.errors import SpecError
from hpsearch.tuners.base import Tuner, TunerSettings

__all__ = ["ALGORITHMS", "Tuner", "TunerSettings", "make_tuner"]

ALGORITHMS: dict[str, tuple[str, ...]] = {
    "optuna": ("tpe", "gp", "cmaes", "qmc", "random", "grid"),
    "keras-tuner": ("bayesian", "random", "grid"),
}
"""Tuner → its algorithms, the recommended one first."""


def make_tuner(tuner: str, algorithm: str, settings: TunerSettings) -> Tuner:
    """The tuner for a study file's ``[search]`` section.

    Args:
        tuner: A key of :data:`ALGORITHMS`.
        algorithm: One of its algorithms.
        settings: Space, direction and seed.

    Raises:
        SpecError: The tuner or algorithm is unknown, or needs a package that is not installed.
    """
    if tuner not in ALGORITHMS:
        raise _unknown("tuner", tuner, tuple(ALGORITHMS))
    if algorithm not in ALGORITHMS[tuner]:
        raise _unknown(f"algorithm of {tuner}", algorithm, ALGORITHMS[tuner])
    if settings.direction not in ("minimize", "maximize"):
        raise _unknown("direction", settings.direction, ("minimize", "maximize"))
    if tuner == "optuna":
        from hpsearch.tuners.optuna import make
    else:
        from hpsearch.tuners.keras_tuner import make
    return make(algorithm, settings)


def _unknown(what: str, received: str, legal: tuple[str, ...]) -> SpecError:
    close = difflib.get_close_matches(received, legal, n=2)
    hint = f"did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
    return SpecError(f"{what} must be one of {', '.join(legal)}, but got {received!r}", hint=hint)
