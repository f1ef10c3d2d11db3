"""The tuners that come with hpsearch. The libraries behind them are imported when a tuner is made."""

from hpsearch.tuners.base import Tuner, TunerProvider, TunerSettings


class OptunaTuners(TunerProvider):
    """Optuna's samplers."""

    algorithms = ("tpe", "gp", "cmaes", "qmc", "random", "grid")
    independent = frozenset({"qmc", "random", "grid"})

    def make(self, algorithm: str, settings: TunerSettings) -> Tuner:
        from hpsearch.tuners.optuna import make

        return make(algorithm, settings)


class KerasTunerTuners(TunerProvider):
    """KerasTuner's oracles."""

    algorithms = ("bayesian", "random", "grid")
    independent = frozenset({"random", "grid"})

    def make(self, algorithm: str, settings: TunerSettings) -> Tuner:
        from hpsearch.tuners.keras_tuner import make

        return make(algorithm, settings)
