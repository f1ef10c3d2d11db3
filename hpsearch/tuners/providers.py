"""The tuners that come with hpsearch. The libraries behind them are imported when a tuner is made."""

from hpsearch.tuners.base import Tuner, TunerProvider, TunerSettings


class HpsearchTuners(TunerProvider):
    """hpsearch's own algorithm."""

    algorithms = ("bayesian",)
    learn_from_others = frozenset({"bayesian"})

    def make(self, algorithm: str, settings: TunerSettings) -> Tuner:
        from hpsearch.tuners.bayesian import Bayesian
        from hpsearch.tuners.distinct import DistinctTuner

        return DistinctTuner(settings, Bayesian(settings))

    def startup(self, algorithm: str, settings: TunerSettings) -> int:
        from hpsearch.tuners.bayesian import STARTUP_TRIALS

        return settings.startup_trials or STARTUP_TRIALS


class OptunaTuners(TunerProvider):
    """Optuna's samplers."""

    algorithms = ("tpe", "gp", "cmaes", "qmc", "random", "grid")
    independent = frozenset({"qmc", "random", "grid"})

    def make(self, algorithm: str, settings: TunerSettings) -> Tuner:
        from hpsearch.tuners.optuna import make

        return make(algorithm, settings)

    def startup(self, algorithm: str, settings: TunerSettings) -> int:
        from hpsearch.tuners.optuna import STARTUP_TRIALS

        return settings.startup_trials or STARTUP_TRIALS.get(algorithm, 0)


class KerasTunerTuners(TunerProvider):
    """KerasTuner's oracles."""

    algorithms = ("bayesian", "random", "grid")
    independent = frozenset({"random", "grid"})

    def make(self, algorithm: str, settings: TunerSettings) -> Tuner:
        from hpsearch.tuners.keras_tuner import make

        return make(algorithm, settings)

    def startup(self, algorithm: str, settings: TunerSettings) -> int:
        from hpsearch.tuners.keras_tuner import startup_trials

        return startup_trials(settings)
