"""What a short measurement of a study's real programs has found: frozen values that cross process boundaries."""

from collections.abc import Iterable
from dataclasses import dataclass

from hpsearch.core.space import Config


@dataclass(frozen=True, slots=True)
class MeasuredConfig:
    """One config, compiled and trained for some epochs on all folds.

    Attributes:
        config: Its hyperparameter values.
        compile_seconds: Building and compiling.
        step_seconds: A training step with its share of the validation: of all folds, or of one fold.
        programs: Programs that it needed: one, or several if the folds' models differ.
        lockstep: Whether all folds train together, and not one after the other.
    """

    config: Config
    compile_seconds: float
    step_seconds: float
    programs: int
    lockstep: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """What a worker has measured.

    Attributes:
        configs: In the order in which they were measured. The first also pays for what is done once.
        rows: Training rows of a fold that they were trained on; the study's own, or fewer.
        memory_bytes: Of the worker afterwards.
    """

    configs: tuple[MeasuredConfig, ...]
    rows: int
    memory_bytes: int


def steps_of_epoch(folds: Iterable[int], batch_size: int, *, lockstep: bool) -> int:
    """The steps one after the other in an epoch of all folds.

    Args:
        folds: Training rows of each.
        batch_size: Rows of a step.
        lockstep: See :class:`MeasuredConfig`.
    """
    steps = [-(-rows // batch_size) for rows in folds]
    return max(steps) if lockstep else sum(steps)
