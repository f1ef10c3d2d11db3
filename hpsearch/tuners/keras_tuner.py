"""KerasTuner's oracles as tuners: ``bayesian``, ``random`` and ``grid``.

The oracles run in a child process (:mod:`hpsearch.tuners.keras_tuner_oracle`), because importing KerasTuner imports
Keras, which the driver never does. Each request carries all that the answer depends on, so a child that dies is
replaced once without anything being lost.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import Trial, TrialState
from hpsearch.errors import ExecutorError
from hpsearch.tuners.base import Tuner, TunerSettings
from hpsearch.tuners.dimensions import Dimension, Dimensions, Number
from hpsearch.tuners.distinct import Algorithm, DistinctTuner, GridTuner, Seen
from hpsearch.tuners.outcome import has_diverged, penalty, score_of

_MODULE = "hpsearch.tuners.keras_tuner_oracle"
_TAIL_CHARS = 2000
_END_S = 2.0


def make(algorithm: str, settings: TunerSettings, child: "OracleProcess | None" = None) -> Tuner:
    """A tuner with one of KerasTuner's oracles.

    ``grid`` follows KerasTuner's order (the last hyperparameter changes fastest) and does not depend on the seed.
    Where KerasTuner would take ten values of a continuous range, the grid is that of ``space.grid(grid_points)``.

    Args:
        algorithm: ``"bayesian"``, ``"random"`` or ``"grid"``.
        settings: Space, direction and seed.
        child: A process to share with other tuners, which the caller closes; None for one of its own.
    """
    process = child or OracleProcess()
    close = process.close if child is None else lambda: None
    if algorithm == "grid":
        grid = Grid(settings, process)
        return GridTuner(settings.space, grid.configs, close)
    return DistinctTuner(settings, Oracle(algorithm, settings, process, close))


class OracleProcess:
    """The child process: one line of JSON in, one line of JSON out. It starts with the first request.

    The child ends by itself when this process does, however that happens: its standard input closes.
    """

    def __init__(self) -> None:
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child; None before the first request and after :meth:`close`."""
        return None if self._child is None else self._child.process.pid

    def ask(self, request: dict[str, Any]) -> Any:
        """Send a request and wait for the answer, however long that takes (a Bayesian suggestion 0.1 to 1 s).

        A child that died is replaced, and asked again, once.

        Raises:
            ExecutorError: The child cannot be started, died twice, or the oracle raised.
        """
        line = json.dumps(request)
        reply = self._exchange(line) or self._exchange(line)
        if reply is None:
            last_words = "" if self._child is None else self._child.last_words()
            raise ExecutorError(
                f"the process that runs KerasTuner died twice; {last_words}",
                hint="free some memory, or search with tuner = 'optuna'",
            )
        found = json.loads(reply)
        if "error" in found:
            raise ExecutorError(f"KerasTuner failed: {found['error']}", hint=found["hint"])
        return found["answer"]

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
        self._child = None

    def _exchange(self, line: str) -> str | None:
        """The child's reply, or None where it died; a new child where none is alive."""
        if self._child is None or self._child.process.poll() is not None:
            self.close()
            self._child = _start()
            weakref.finalize(self, self._child.end)
        try:
            self._child.stdin.write(line + "\n")
            self._child.stdin.flush()
            reply = self._child.stdout.readline()
        except BrokenPipeError:
            reply = ""
        except BaseException:
            # Interrupted while waiting: the reply would otherwise be taken for the next request's.
            self._child.process.kill()
            raise
        if reply.endswith("\n"):
            return reply
        self._child.process.wait()
        return None


@dataclass(frozen=True, slots=True)
class _Child:
    process: "subprocess.Popen[str]"
    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[str]

    def last_words(self) -> str:
        self.stderr.seek(0)
        tail = self.stderr.read()[-_TAIL_CHARS:].strip()
        return f"exit status {self.process.returncode}" + (f", last words:\n{tail}" if tail else "")

    def end(self) -> None:
        # Unsent requests to a dead child are of no use to anyone.
        with contextlib.suppress(OSError):
            self.stdin.close()
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.stdout.close()
        self.stderr.close()


def _start() -> _Child:
    # A file, not a pipe: nobody reads while the child computes, and a full pipe would stop it.
    stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
    environment = {**os.environ, "KERAS_BACKEND": "numpy", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-m", _MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        env=environment,
        # Where hpsearch lies: found there even if it is not installed, and nothing in the user's folder shadows the
        # modules that the child imports.
        cwd=Path(__file__).parents[2],
        # Ctrl-C is the driver's to handle.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return _Child(process, process.stdin, process.stdout, stderr)


class Oracle(Algorithm):
    """``bayesian`` or ``random``: a fresh oracle for each suggestion, seeded by the trial's number.

    A Gaussian process is told the score of complete and pruned trials, the penalty
    (:func:`hpsearch.tuners.outcome.penalty`) of diverged ones, and which trials are running. It takes over after
    ``startup_trials`` scores (default 3 per searched hyperparameter, at least 3, as KerasTuner's). KerasTuner searches
    choices as if they were ordered.
    """

    def __init__(
        self, algorithm: str, settings: TunerSettings, process: OracleProcess, close: Callable[[], None]
    ) -> None:
        # The optimum of the same model is nearly always the same config, and costs up to a second.
        self.redraws = 1 if algorithm == "bayesian" else 5
        self._algorithm = algorithm
        self._direction = settings.direction
        self._seed = settings.seed
        self._dimensions = Dimensions(settings.space)
        self._described = describe(self._dimensions)
        default = max(3, 3 * len(self._dimensions.searched))
        # The model needs one score at least.
        self._startup = default if settings.startup_trials is None else max(1, settings.startup_trials)
        self._process = process
        self._close = close

    def propose(self, history: Sequence[Trial], seen: Seen, attempt: int) -> Config:
        """What the oracle answers, told the whole history."""
        bayesian = self._algorithm == "bayesian"
        values = self._process.ask(
            {
                "algorithm": self._algorithm,
                "direction": self._direction,
                "space": self._described,
                "seed": derive(self._seed, "suggest", len(history), attempt),
                "startup": self._startup,
                "trials": list(self._told(history)) if bayesian else [],
            }
        )
        return self._dimensions.build(lambda dimension: values[dimension.name])

    def _told(self, history: Sequence[Trial]) -> Iterator[dict[str, Any]]:
        bad = penalty((score for trial in history if (score := score_of(trial)) is not None), self._direction)
        for trial in history:
            score = bad if has_diverged(trial) else score_of(trial)
            numbers = self._dimensions.encode(trial.config)
            if numbers is not None and (score is not None or trial.state is TrialState.RUNNING):
                yield {"number": trial.number, "values": numbers, "score": score}

    def close(self) -> None:
        """End the child process, if it is this tuner's own."""
        self._close()


class Grid:
    """KerasTuner's grid, one combination after the other."""

    def __init__(self, settings: TunerSettings, process: OracleProcess) -> None:
        self._dimensions = Dimensions(settings.space, settings.grid_points)
        self._described = describe(self._dimensions)
        self._direction = settings.direction
        self._process = process

    def configs(self) -> Iterator[Config]:
        """All configs, from the first."""
        values: dict[str, Number] | None = None
        while True:
            values = self._process.ask(
                {"algorithm": "grid", "direction": self._direction, "space": self._described, "after": values}
            )
            if values is None:
                return
            found = values
            yield self._dimensions.build(lambda dimension, found=found: found[dimension.name])  # type: ignore[misc]


def describe(dimensions: Dimensions) -> list[dict[str, Any]]:
    """The space as the child reads it; conditions in the numbers of the hyperparameters they name."""
    return [_described(dimension, dimensions) for dimension in dimensions.values()]


def _described(dimension: Dimension, dimensions: Dimensions) -> dict[str, Any]:
    when = {}
    for other, allowed in dimensions.space[dimension.name].when.items():
        numbers = [number for value in allowed if (number := dimensions[other].encode(value)) is not None]
        # A grid may leave out every value that a condition asks for; -1 is the index of none.
        when[other] = numbers or [-1]
    return {
        "name": dimension.name,
        "kind": dimension.kind,
        "low": dimension.low,
        "high": dimension.high,
        "log": dimension.log,
        "step": dimension.step,
        "when": when,
    }
