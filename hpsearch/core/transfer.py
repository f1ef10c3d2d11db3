"""What a study takes from another one: frozen when it begins, so that nothing depends on the other's later fate."""

import math
from dataclasses import dataclass

from hpsearch.core.space import Config, Value, config_key
from hpsearch.core.wire import Wire


@dataclass(frozen=True, slots=True)
class Axis:
    """A hyperparameter of the other study, on the scale on which configs of both studies are compared.

    Attributes:
        name: The hyperparameter.
        values: Its values if they are names; empty if they are numbers.
        low: Smallest number in either study.
        high: Largest number in either study.
        log: Whether the scale is logarithmic.
        usual: The value in the other study's best trial, for configs that do not have the hyperparameter.
    """

    name: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    usual: Value | None = None

    @property
    def width(self) -> int:
        """How many coordinates a value has."""
        return max(1, len(self.values))

    def place(self, config: Config) -> tuple[float, ...]:
        """Where a config lies: a coordinate between 0 and 1 for a number, one per value for names."""
        value = config.get(self.name, self.usual)
        if self.values:
            # Two different names are as far from each other as the ends of a range. A new one is nearer to all of them.
            wanted = None if value is None else config_key({"": value})
            return tuple(math.sqrt(0.5) if config_key({"": one}) == wanted else 0.0 for one in self.values)
        if value is None or isinstance(value, str) or (self.log and value <= 0):
            return (0.5,)
        low, high, here = (math.log(one) if self.log else one for one in (self.low, self.high, float(value)))
        return (min(max((here - low) / (high - low), 0.0), 1.0),)


@dataclass(frozen=True, slots=True)
class Observation:
    """A trial of the other study: its values on the axes, and its score; None if it diverged."""

    config: Config
    score: float | None


@dataclass(frozen=True, slots=True)
class Transferred(Wire):
    """See the module.

    Attributes:
        study: The other study.
        metric: What it optimised.
        direction: ``"minimize"`` or ``"maximize"``.
        trials: Its complete trials when this study began.
        configs: What this study trains first, in values of its own space. What they leave open is suggested.
        axes: The hyperparameters that the other study searched.
        observations: What its model is made from: its trials with a result, or the best and the latest of many.
        dropped: Hyperparameters that the other study searched and this one does not.
        opened: Hyperparameters that this study searches and the other one did not.
        moved: Values in `configs` that are the nearest ones that this space has, such as ``"units 128 to 64"``.
        left_out: Values that `configs` lack because this space has nothing near to them, such as ``"optimizer sgd"``.
        model: Whether this study's algorithm uses the other study's results, too.
    """

    study: str
    metric: str
    direction: str
    trials: int
    configs: tuple[Config, ...] = ()
    axes: tuple[Axis, ...] = ()
    observations: tuple[Observation, ...] = ()
    dropped: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    model: bool = False
