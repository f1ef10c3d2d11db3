"""The one interface of all tuners: history in, suggestion out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hpsearch.core.space import Config, Space
from hpsearch.core.trial import Trial


@dataclass(frozen=True, slots=True)
class TunerSettings:
    """What a tuner is made of; equal settings and equal history give equal suggestions.

    Attributes:
        space: The effective space of the study.
        direction: ``"minimize"`` or ``"maximize"``.
        seed: The study's seed.
        startup_trials: Random trials before a model-based algorithm takes over; None for the algorithm's own default.
        grid_points: Values that a grid takes from each continuous range.
    """

    space: Space
    direction: str
    seed: int
    startup_trials: int | None = None
    grid_points: int = 6


class TunerProvider(ABC):
    """What ``[search] tuner`` names: a group of algorithms. Importing its module imports no search library.

    Attributes:
        algorithms: Legal values of ``[search] algorithm``, the recommended one first.
    """

    algorithms: ClassVar[tuple[str, ...]]

    @abstractmethod
    def make(self, algorithm: str, settings: "TunerSettings") -> "Tuner":
        """A tuner with one of the algorithms.

        Raises:
            SpecError: It needs a package that is not installed, or cannot search this space.
        """


class Tuner(ABC):
    """A function of (settings, history, number). An object may cache, but never know more than its arguments say:
    one that is dropped and rebuilt between two asks suggests the same."""

    @abstractmethod
    def suggest(self, history: Sequence[Trial]) -> Config | None:
        """The config of trial number ``len(history)``.

        Args:
            history: All earlier trials, in order of their number. Those whose state is RUNNING have no result *yet,
                as far as this suggestion may know*: their configs are taken into account (no two running trials get
                the same config of a discrete space). PRUNED trials carry the score they had; DIVERGED ones count as
                worse than the worst finite score; FAILED ones teach nothing but are not suggested again.

        Returns:
            A config that ``space.contains``, never one that `history` already has where the space (or the grid) is
            finite; None where nothing is left.
        """

    def close(self) -> None:  # noqa: B027 - most tuners hold nothing to release
        """Release what the tuner holds, such as a child process. A closed tuner is not asked again."""
