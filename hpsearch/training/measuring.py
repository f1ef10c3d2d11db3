"""What a study will cost: its real programs, compiled and run for a moment on few rows."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

from hpsearch.core.events import Bundle, EpochFinished, Lane, LaneFailed
from hpsearch.core.folds import Fold, Rows
from hpsearch.core.hyperparameters import batch_size_of
from hpsearch.core.measured import Measured, MeasuredConfig, steps_of_epoch
from hpsearch.core.space import Config
from hpsearch.errors import ModelError
from hpsearch.spec import PruningSection
from hpsearch.training.engines.base import Engine
from hpsearch.training.environment import resident_bytes
from hpsearch.training.problem import Problem

_ROWS = 1024
"""Training rows of a fold to measure on. Compiling does not depend on them, and training grows with them."""

_EPOCHS = 4


def measure(problem: Problem, engine: Engine, configs: Sequence[Config]) -> Measured:
    """See :meth:`~hpsearch.training.protocol.WorkerProtocol.measure`."""
    # With pruning, lanes that train one after the other would take turns.
    seeds, one = problem.spec.validation.seeds, problem.spec.validation.model_copy(update={"seeds": 1})
    spec = problem.spec.model_copy(update={"pruning": PruningSection(), "validation": one})
    small = replace(problem, spec=spec, folds=tuple(map(_few, problem.folds)), predictions="", calls_back=False)
    rows = max(len(fold.train) for fold in small.folds)
    with _compiling_anew():
        fresh = engine.anew(small)
        found = tuple(_measured(fresh, small, config, number) for number, config in enumerate(configs))
    found = tuple(with_seeds(one, seeds) for one in found)
    return Measured(found, rows, resident_bytes())


def with_seeds(one: MeasuredConfig, seeds: int) -> MeasuredConfig:
    """What it takes to train every fold so often. Models that train together share their program."""
    compiled = 1 if one.lockstep else seeds
    return replace(
        one,
        step_seconds=one.step_seconds * seeds,
        compile_seconds=one.compile_seconds * compiled,
        programs=one.programs * compiled,
    )


def _few(fold: Fold) -> Fold:
    return Fold(fold.index, _spread(fold.train, _ROWS), _spread(fold.validation, _ROWS // 4))


def _spread(rows: Rows, most: int) -> Rows:
    """Some of the rows, from all over: they may be sorted by class."""
    return rows[:: -(-len(rows) // most)] if len(rows) > most else rows


def _measured(engine: Engine, problem: Problem, config: Config, trial: int) -> MeasuredConfig:
    lanes = tuple(Lane(trial, fold.index, {**config, "epochs": _EPOCHS}) for fold in problem.folds)
    before, begun = _programs(engine), time.perf_counter()
    ends: dict[tuple[int, int], float] = {}
    for event in engine.train(Bundle(trial, lanes), frozenset):
        if isinstance(event, LaneFailed):
            raise ModelError(
                f"the measurement failed: {event.failure.message}",
                code="not-measured",
                hint="`hpsearch check --no-measure` leaves it out",
            )
        if isinstance(event, EpochFinished):
            ends[event.fold, event.epoch] = time.perf_counter()
    total = time.perf_counter() - begun
    compiling = engine.take_compile_seconds()
    lockstep = bool(compiling)
    epoch = _together(ends) if lockstep else _one_by_one(ends)
    programs = _programs(engine) - before
    steps = steps_of_epoch((len(fold.train) for fold in problem.folds), batch_size_of(config), lockstep=lockstep)
    return MeasuredConfig(
        config,
        compiling or max(0.0, total - _EPOCHS * epoch),
        epoch / steps,
        max(1, programs) if lockstep else len(lanes),
        lockstep,
    )


def _together(ends: dict[tuple[int, int], float]) -> float:
    """Seconds of an epoch of all folds that train in lockstep. The first may not be like the others."""
    last = [max(at for (_, epoch), at in ends.items() if epoch == one) for one in range(_EPOCHS)]
    return min(after - before for before, after in pairwise(last))


def _one_by_one(ends: dict[tuple[int, int], float]) -> float:
    """The same for folds that train one after the other. The first epoch of each includes tracing."""
    folds = {fold for fold, _ in ends}
    gaps = [[ends[fold, epoch] - ends[fold, epoch - 1] for epoch in range(1, _EPOCHS)] for fold in folds]
    return sum(min(one) for one in gaps)


def _programs(engine: Engine) -> int:
    """Compiled programs that an engine keeps; 0 for one that keeps none."""
    programs = getattr(engine, "programs", None)
    return len(programs) if programs is not None else 0


@contextmanager
def _compiling_anew() -> Iterator[None]:
    """Without the programs that earlier studies have left on disk: the space has others."""
    import keras

    if keras.backend.backend() != "jax":
        yield
        return
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()
