"""The next config of a study: the tuner's suggestion, and where KerasTuner code decides, what the code makes of it.

Before a suggestion is entered, a worker builds the model with it. Hyperparameters that the code asks for and the space
does not have extend the space, and the tuner, made anew from the history, suggests again. Those that the code does not
use are dropped. All of this depends on seed and history only, so a resumed study goes on with the same sequence.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hpsearch.core.asked import Asked, endless_space, learn
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config, Parameter, Space, Value, config_key
from hpsearch.core.trial import Trial
from hpsearch.errors import ExecutorError
from hpsearch.tuners import make_tuner
from hpsearch.tuners.base import Tuner, TunerSettings
from hpsearch.tuners.dimensions import Dimension, Dimensions, Number
from hpsearch.tuners.untried import Tried

_ROUNDS = 50
"""Times that one suggestion may extend the space."""

_TRIES = 200
"""Untried beginnings that are followed for one suggestion."""

Ask = Callable[[Config], Asked | None]
"""What KerasTuner code asks for with a config; None for other models."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A config to train.

    Attributes:
        config: With exactly the hyperparameters that are used.
        found: What it has added to the space; see :attr:`~hpsearch.core.trial.Trial.found`.
    """

    config: Config
    found: Mapping[str, Parameter] = field(default_factory=dict)


class Suggester:
    """Suggests configs, and learns the space of KerasTuner code on the way.

    Args:
        tuner: As in ``[search] tuner``.
        algorithm: As in ``[search] algorithm``.
        settings: With the study's space so far.
        ask: Asks a worker. None if the model is no KerasTuner code for sure.
        first: The first configs, as far as they are given.

    Raises:
        SpecError: The tuner cannot be made.
    """

    def __init__(
        self,
        tuner: str,
        algorithm: str,
        settings: TunerSettings,
        ask: Ask | None = None,
        *,
        first: Sequence[Config] = (),
    ) -> None:
        self._name, self._algorithm = tuner, algorithm
        self._first = tuple(first)
        self._settings = settings
        self._ask = ask
        self._answers: dict[object, Asked] = {}
        self._tuner: Tuner = make_tuner(tuner, algorithm, settings)

    @property
    def space(self) -> Space:
        """The space as far as it is known."""
        return self._settings.space

    @property
    def asks(self) -> bool:
        """Whether a suggestion needs an idle worker."""
        return self._ask is not None

    def suggest(self, history: Sequence[Trial]) -> Suggestion | None:
        """The config of trial number ``len(history)``; None if all have been tried.

        Raises:
            ModelError: The code does what engines cannot follow, or asks for new hyperparameters without end.
        """
        if len(history) < len(self._first):
            found = self.complete(history, self._first[len(history)])
            if config_key(found.config) not in {config_key(trial.config) for trial in history}:
                return found
        return self._closed(history, lambda: self._new(history))

    def complete(self, history: Sequence[Trial], given: Config) -> Suggestion:
        """The config of trial number ``len(history)`` if some values are given. The tuner suggests the others."""
        found = self._closed(history, lambda: self._used(self._filled(history, given), len(history)))
        assert found is not None, "nothing is compared with what has been tried"
        return found

    def learn(self, found: Mapping[str, Parameter]) -> None:
        """Another driver's suggestion has extended the space."""
        if any(self.space.get(name) != one for name, one in found.items()):
            self._extend(found)

    def close(self) -> None:
        """Release the tuner's resources."""
        self._tuner.close()

    def _closed(self, history: Sequence[Trial], propose: Callable[[], Config | None]) -> Suggestion | None:
        """Propose until the code asks for nothing new."""
        found: dict[str, Parameter] = {}
        for _ in range(_ROUNDS):
            try:
                config = propose()
            except _NewsError as news:
                found |= news.changes
                self._extend(news.changes)
            else:
                return None if config is None else Suggestion(config, found)
        raise endless_space(tuple(found))

    def _extend(self, changes: Mapping[str, Parameter]) -> None:
        space = self.space.extended(changes)
        self._settings = replace(self._settings, space=space)
        self._tuner.close()
        self._tuner = make_tuner(self._name, self._algorithm, self._settings)

    # One proposal

    def _new(self, history: Sequence[Trial]) -> Config | None:
        """A config that is not in the history, if there is one."""
        if self._ask is None:
            return self._tuner.suggest(history)
        if self.space.is_exact or self._tuner.grid_order is None:
            config = self._tuner.suggest(history)
            used = None if config is None else self._used(config, len(history))
            if self._ask is None or (config is None and self.space.is_exact):
                return used
            if used is not None and config_key(used) not in {config_key(trial.config) for trial in history}:
                return used
        return self._untried(history)

    def _used(self, config: Config, number: int) -> Config:
        """What of a config the code uses.

        Raises:
            _NewsError: The space does not know all that the code asks for.
        """
        asked = self._asked(config)
        if asked is None:
            return config
        changes = learn(self.space, config, asked)
        if changes:
            raise _NewsError(changes)
        while missing := [name for name in asked.declared if name not in config]:
            rng = random.Random(derive(self._settings.seed, f"asked {missing[0]}", number))
            dimension = Dimensions(self.space)[missing[0]]
            config = {**config, missing[0]: dimension.decode(dimension.uniform(rng))}
            asked = self._asked(config) or asked
            if changes := learn(self.space, config, asked):
                raise _NewsError(changes)
        part = asked.part(config)
        return {name: part[name] for name in self.space if name in part}

    def _asked(self, config: Config) -> Asked | None:
        if self._ask is None:
            return None
        key = config_key(config)
        if key not in self._answers:
            try:
                answer = self._ask(config)
            except ExecutorError:
                # The model may be too large for this machine. Its trial says so, and the study goes on.
                return Asked({}, frozenset(config), finished=False)
            if answer is None:
                self._ask = None
                return None
            self._answers[key] = answer
        return self._answers[key]

    # What has not been tried

    def _untried(self, history: Sequence[Trial]) -> Config | None:
        """A config that no trial has, found by following the code; None if there is none."""
        ordered = self._tuner.grid_order == "given"
        rng = None if ordered else random.Random(derive(self._settings.seed, "untried", len(history)))
        seen = {config_key(trial.config) for trial in history}
        tried = Tried(self._values)
        for trial in history:
            asked = self._asked(trial.config)
            if asked is not None and asked.declared.keys() <= trial.config.keys():
                tried.add(asked.path(trial.config))
        for _ in range(_TRIES):
            prefix = tried.untried(rng)
            if prefix is None:
                return None
            used = self._used(self._from(prefix, rng), len(history))
            if config_key(used) not in seen:
                return used
            asked = self._asked(used)
            tried.add([] if asked is None else asked.path(used))
        return None

    def _values(self, name: str) -> Sequence[Value] | None:
        if name not in self.space:
            return ()
        one = self.space[name]
        return one.values() if self._tuner.grid_order is None else one.grid(self._settings.grid_points)

    def _from(self, prefix: Config, rng: random.Random | None) -> Config:
        points = None if self._tuner.grid_order is None else self._settings.grid_points
        dimensions = Dimensions(self.space, points)

        def answer(dimension: Dimension) -> Number:
            return dimension.low if rng is None else dimension.uniform(rng)

        return self._set(dimensions, prefix, answer)

    def _filled(self, history: Sequence[Trial], given: Config) -> Config:
        """Given values; the tuner's for the others, and random ones for what the tuner's suggestion does not have."""
        suggested = self._tuner.suggest(history) or {}
        rng = random.Random(derive(self._settings.seed, "queued", len(history)))

        def answer(dimension: Dimension) -> Number:
            number = dimension.encode(suggested[dimension.name]) if dimension.name in suggested else None
            return dimension.uniform(rng) if number is None else number

        return self._set(Dimensions(self.space), given, answer)

    def _set(self, dimensions: Dimensions, given: Config, answer: Callable[[Dimension], Number]) -> Config:
        """A config with the given values where they are active."""

        def ask(dimension: Dimension) -> Number:
            number = dimension.encode(given[dimension.name]) if dimension.name in given else None
            return answer(dimension) if number is None else number

        return dimensions.build(ask)


class _NewsError(Exception):
    """The code has shown that the space lacks something, or has a condition that is wrong."""

    def __init__(self, changes: Mapping[str, Parameter]) -> None:
        super().__init__(", ".join(changes))
        self.changes = changes
