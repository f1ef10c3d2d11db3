"""No config twice: the part that all tuners share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from hpsearch.core.seeds import derive
from hpsearch.core.space import Config, Space, config_key
from hpsearch.core.trial import Trial
from hpsearch.tuners.base import Tuner, TunerSettings
from hpsearch.tuners.dimensions import Dimensions
from hpsearch.tuners.enumeration import Enumeration
from hpsearch.tuners.history import replaced

_UNIFORM_DRAWS = 100


class Seen:
    """The configs in a history, whatever the states of their trials."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._history: list[Trial] = []
        self._first: dict[object, int] = {}
        self.inside = 0
        """Number of distinct configs that the space contains."""

    def follow(self, history: Sequence[Trial]) -> bool:
        """Read a history. False if it does not continue the last one; then everything is read again."""
        known = self._history
        same = len(known) <= len(history) and all(
            history[place].config == known[place].config for place in replaced(known, history)
        )
        if not same:
            known, self._first, self.inside = [], {}, 0
        for number in range(len(known), len(history)):
            identity = config_key(config := history[number].config)
            if identity not in self._first:
                self._first[identity] = number
                self.inside += self._space.contains(config)
        self._history = list(history)
        return same

    def __contains__(self, config: Config) -> bool:
        return config_key(config) in self._first

    def before(self, config: Config, number: int) -> bool:
        """Whether a trial with a number below `number` has `config`."""
        return self._first.get(config_key(config), number) < number


class Algorithm(ABC):
    """Proposes configs, and may repeat itself.

    Attributes:
        redraws: How often to ask again after a proposal that is already in the history.
    """

    redraws: int

    @abstractmethod
    def propose(self, history: Sequence[Trial], seen: Seen, attempt: int) -> Config:
        """A config for trial number ``len(history)``, a pure function of the arguments and the settings.

        Args:
            history: All earlier trials.
            seen: The configs in `history`.
            attempt: 0; then 1, 2, … if earlier proposals were not new.
        """

    def close(self) -> None:  # noqa: B027 - most algorithms hold nothing to release
        """Release resources."""


class DistinctTuner(Tuner):
    """An algorithm's proposals, without those that are already in the history.

    After ``algorithm.redraws`` repetitions, a random untried config replaces the proposal. If none is found, which can
    happen with continuous ranges, the last proposal is repeated.
    """

    def __init__(self, settings: TunerSettings, algorithm: Algorithm) -> None:
        self._seed = settings.seed
        self._algorithm = algorithm
        self._dimensions = Dimensions(settings.space)
        self._all = Enumeration(settings.space)
        self._seen = Seen(settings.space)

    def suggest(self, history: Sequence[Trial]) -> Config | None:
        """A new config; None if all configs of a finite space have been tried."""
        self._seen.follow(history)
        if self._all.size is not None and self._seen.inside >= self._all.size:
            return None
        proposals = (
            self._algorithm.propose(history, self._seen, attempt) for attempt in range(self._algorithm.redraws + 1)
        )
        last: Config = {}
        for last in proposals:
            if last not in self._seen:
                return last
        return next((config for config in self._random(len(history)) if config not in self._seen), last)

    def _random(self, number: int) -> Iterator[Config]:
        seed = derive(self._seed, "untried", number)
        if self._all.size is not None:
            # At most len(history) of these have been tried, so the search is short in a space of any size.
            yield from self._all.shuffled(seed)
        else:
            for draw in range(_UNIFORM_DRAWS):
                yield self._dimensions.uniform(derive(seed, "draw", draw))

    def close(self) -> None:
        """Release resources."""
        self._algorithm.close()


class GridTuner(Tuner):
    """Configs in a fixed order, without those that are already in the history.

    Args:
        space: The space.
        order: Returns an iterator over all configs, from the first.
        close: Releases the resources of `order`.
        grid_order: See :class:`~hpsearch.tuners.base.Tuner`.
    """

    def __init__(
        self,
        space: Space,
        order: Callable[[], Iterator[Config]],
        close: Callable[[], None] = lambda: None,
        *,
        grid_order: Literal["given", "random"] = "random",
    ) -> None:
        self.grid_order = grid_order
        self._order = order
        self._close = close
        self._seen = Seen(space)
        self._rest: Iterator[Config] = iter(())
        self._next: Config | None = None
        self._started = False

    def suggest(self, history: Sequence[Trial]) -> Config | None:
        """The next config that is not in `history`; None after the last."""
        if not self._seen.follow(history) or not self._started:
            self._rest, self._started = self._order(), True
            self._next = next(self._rest, None)
        # The history only grows, so a config that was skipped once stays skipped.
        while self._next is not None and self._next in self._seen:
            self._next = next(self._rest, None)
        return self._next

    def close(self) -> None:
        """Release the resources of the order."""
        self._close()
