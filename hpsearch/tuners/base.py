"""The one interface of all tuners: history in, suggestion out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hpsearch.core.constraints import NO_CONSTRAINTS, Constraints
from hpsearch.core.space import Config, Space
from hpsearch.core.transfer import Transferred
from hpsearch.core.trial import Trial


@dataclass(frozen=True, slots=True)
class TunerSettings:
    """What a tuner needs to know. Equal settings and equal history give equal suggestions.

    Attributes:
        space: The study's space.
        direction: ``"minimize"`` or ``"maximize"``.
        seed: The study's seed.
        startup_trials: First trials, before a model-based algorithm uses its model; None for the algorithm's default.
        grid_points: Values that a grid takes from each continuous range.
        taken: What the study has taken from another one.
        constraints: What a trial must keep to be ranked.
    """

    space: Space
    direction: str
    seed: int
    startup_trials: int | None = None
    grid_points: int = 6
    taken: Transferred | None = None
    constraints: Constraints = NO_CONSTRAINTS


class TunerProvider(ABC):
    """What ``[search] tuner`` names: a group of algorithms. Importing its module imports no search library.

    Attributes:
        algorithms: Legal values of ``[search] algorithm``, the recommended one first.
        independent: Those whose suggestions do not depend on results, so that more trials are suggested ahead.
        learn_from_others: Those that use the results of the study that ``[search] from`` names.
    """

    algorithms: ClassVar[tuple[str, ...]]
    independent: ClassVar[frozenset[str]] = frozenset()
    learn_from_others: ClassVar[frozenset[str]] = frozenset()

    def startup(self, algorithm: str, settings: "TunerSettings") -> int:
        """How many suggestions at the beginning of a study depend on no result; 0 unless the provider says more."""
        return 0

    @abstractmethod
    def make(self, algorithm: str, settings: "TunerSettings") -> "Tuner":
        """A tuner with one of the algorithms.

        Raises:
            SpecError: A required package is not installed, or the algorithm cannot search this space.
        """


class Tuner(ABC):
    """A function of settings and history.

    A tuner may cache, but its suggestions depend on nothing else: one that is rebuilt before every suggestion suggests
    the same.

    Attributes:
        grid_order: None unless the tuner goes through a grid: in the order in which code asks for hyperparameters
            (``"given"``), or in a random one.
    """

    grid_order: Literal["given", "random"] | None = None

    @abstractmethod
    def suggest(self, history: Sequence[Trial]) -> Config | None:
        """The config of trial number ``len(history)``.

        Args:
            history: All earlier trials, in order of their numbers. RUNNING trials have no result *as far as this
                suggestion may know*, but their configs count: in a discrete space no two running trials share a
                config. PRUNED trials have the score that they reached. DIVERGED trials count as worse than the worst
                finite score. FAILED trials teach nothing, but are not suggested again. INFEASIBLE trials break a limit:
                ``settings.constraints.margins(trial.measured)`` says by how much. They have a score if they were
                trained.

        Returns:
            A config for which ``space.contains`` is true. If the space (or the grid) is finite, it is never one in
            `history`, and None means that all have been suggested.
        """

    def close(self) -> None:  # noqa: B027 - most tuners hold nothing to release
        """Release resources such as a child process. No suggestion follows."""
