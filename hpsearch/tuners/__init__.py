"""Tuners: history in, suggestion out. Importing this package imports neither Optuna nor KerasTuner."""

from hpsearch.core.registries import TUNERS
from hpsearch.core.words import did_you_mean, listed, quoted
from hpsearch.errors import SpecError
from hpsearch.tuners.base import Tuner, TunerProvider, TunerSettings

__all__ = ["Tuner", "TunerProvider", "TunerSettings", "make_tuner"]


def make_tuner(tuner: str, algorithm: str, settings: TunerSettings) -> Tuner:
    """The tuner for a study file's ``[search]`` section.

    Args:
        tuner: A name in :data:`~hpsearch.core.registries.TUNERS`.
        algorithm: One of its algorithms.
        settings: Space, direction and seed.

    Raises:
        SpecError: The tuner, algorithm or direction is unknown, or a required package is not installed.
    """
    provider = TUNERS.load_class(tuner, TunerProvider)()
    if algorithm not in provider.algorithms:
        raise _unknown(f"algorithm of {tuner}", algorithm, provider.algorithms)
    if settings.direction not in ("minimize", "maximize"):
        raise _unknown("direction", settings.direction, ("minimize", "maximize"))
    return provider.make(algorithm, settings)


def _unknown(what: str, received: str, legal: tuple[str, ...]) -> SpecError:
    return SpecError(
        f"{what} must be one of {listed(legal)}, but got {quoted(received)}{did_you_mean(received, legal)}",
        code="unknown-name",
        name=received,
        legal=legal,
    )
