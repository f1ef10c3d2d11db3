"""What a short measurement of a study's real programs has found: frozen values that cross process boundaries."""

from dataclasses import dataclass

from hpsearch.core.space import Config


@dataclass(frozen=True, slots=True)
class MeasuredConfig:
    """One config, compiled and trained for some epochs on all folds.

    Attributes:
        config: Its hyperparameter values.
        compile_seconds: Building and compiling.
        step_seconds: A training step of all folds, with its share of the validation.
        programs: Programs that it needed: one, or several if the folds' models differ.
    """

    config: Config
    compile_seconds: float
    step_seconds: float
    programs: int


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
