"""KerasTuner's oracles as tuners: ``bayesian``, ``random`` and ``grid``.

The oracles run in a child process (:mod:`hpsearch.tuners.keras_tuner_oracle`), because KerasTuner imports Keras, which
the driver never imports. Each request contains everything that the answer depends on. So if the child dies, a new one
takes its place and nothing is lost.
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
from typing import IO, Literal, cast

from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import Trial, TrialState
from hpsearch.errors import ExecutorError
from hpsearch.tuners.base import Tuner, TunerSettings
from hpsearch.tuners.dimensions import Dimension, Dimensions, Number
from hpsearch.tuners.distinct import Algorithm, DistinctTuner, GridTuner, Seen
from hpsearch.tuners.oracle_messages import DimensionMessage, Numbers, Reply, Request, TrialMessage
from hpsearch.tuners.outcome import has_diverged, penalty, score_of

_MODULE = "hpsearch.tuners.keras_tuner_oracle"
_TAIL_CHARS = 2000
_END_S = 2.0


def make(algorithm: str, settings: TunerSettings, child: "OracleProcess | None" = None) -> Tuner:
    """A tuner with one of KerasTuner's oracles.

    ``grid`` follows KerasTuner's order (the last hyperparameter changes fastest) and ignores the seed. Its values are
    those of ``space.grid(grid_points)``, not the ten values that KerasTuner takes from a continuous range.

    Args:
        algorithm: ``"bayesian"``, ``"random"`` or ``"grid"``.
        settings: Space, direction and seed.
        child: A process to share with other tuners. The caller closes it. None starts a new one.
    """
    process = child or OracleProcess()
    close = process.close if child is None else lambda: None
    if algorithm == "grid":
        grid = Grid(settings, process)
        return GridTuner(settings.space, grid.configs, close, grid_order="given")
    kind: Literal["bayesian", "random"] = "bayesian" if algorithm == "bayesian" else "random"
    return DistinctTuner(settings, Oracle(kind, settings, process, close))


class OracleProcess:
    """The child process, which starts with the first request.

    If this process ends, however it ends, the child's standard input closes and the child ends too.
    """

    def __init__(self) -> None:
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child; None before the first request and after :meth:`close`."""
        return None if self._child is None else self._child.process.pid

    def ask(self, request: Request) -> Numbers | None:
        """Send a request and wait for the answer. A Bayesian suggestion takes 0.1 to 1 s.

        If the child dies, a new one gets the same request, once.

        Raises:
            ExecutorError: The child does not start or dies twice, or the oracle fails.
        """
        line = json.dumps(request)
        reply = self._exchange(line) or self._exchange(line)
        if reply is None:
            assert self._child is not None
            status, stderr = self._child.remains()
            raise ExecutorError(
                f"the process that runs KerasTuner died twice, with exit status {status}"
                + (f"; its last output:\n{stderr}" if stderr else ""),
                code="tuner-process-died",
                hint="free some memory, or use tuner = 'optuna'",
                status=status,
                stderr=stderr,
            )
        found = cast("Reply", json.loads(reply))
        if "error" in found:
            raise ExecutorError(
                f"KerasTuner failed: {found['error']}",
                code="tuner-failed",
                hint=found["hint"],
                reason=found["error"],
            )
        return found["answer"]

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
        self._child = None

    def _exchange(self, line: str) -> str | None:
        """The child's reply; None if it died. Starts a child if none is alive."""
        if self._child is None or self._child.process.poll() is not None:
            self.close()
            self._child = _start()
            weakref.finalize(self, self._child.end)
        reply = None
        try:
            self._child.stdin.write(line + "\n")
            self._child.stdin.flush()
            reply = self._child.stdout.readline()
        except BrokenPipeError:
            reply = ""
        finally:
            if reply is None:
                # Interrupted while waiting: the next request must not read this one's reply.
                self._child.process.kill()
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

    def remains(self) -> tuple[int, str]:
        """Exit status and the end of standard error, once the process has ended."""
        self.stderr.seek(0)
        return self.process.wait(), self.stderr.read()[-_TAIL_CHARS:].strip()

    def end(self) -> None:
        # The child may be dead, with unsent requests in the pipe.
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
    # A file, not a pipe: nobody reads while the child computes, and a full pipe would block it.
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
        # The folder that contains hpsearch: importable even if not installed, and no module in the user's folder can
        # shadow those that the child imports.
        cwd=Path(__file__).parents[2],
        # Only the driver handles Ctrl-C.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return _Child(process, process.stdin, process.stdout, stderr)


def startup_trials(settings: TunerSettings) -> int:
    """Random trials before KerasTuner's Gaussian process takes over: by default 3 per searched hyperparameter."""
    return settings.startup_trials or max(3, 3 * len(Dimensions(settings.space).searched))


class Oracle(Algorithm):
    """``bayesian`` or ``random``: a fresh oracle for each suggestion, seeded by the trial's number.

    ``bayesian`` fits a Gaussian process to the scores of complete and pruned trials and to the penalty
    (:func:`hpsearch.tuners.outcome.penalty`) of diverged ones, and knows which trials are running. The process takes
    over after ``startup_trials`` scores (by default 3 per searched hyperparameter and at least 3, as in KerasTuner).
    KerasTuner searches choices as if they were ordered.

    It knows no limits. Where its own ``max_model_size`` is exceeded, a trial ends without a score, and the oracle does
    not learn from it; so it is told of trials that break a limit: not at all, except that they are not repeated.
    """

    def __init__(
        self,
        algorithm: Literal["bayesian", "random"],
        settings: TunerSettings,
        process: OracleProcess,
        close: Callable[[], None],
    ) -> None:
        # The same model nearly always has its optimum at the same config, and finding it costs up to a second.
        self.redraws = 1 if algorithm == "bayesian" else 5
        self._algorithm = algorithm
        self._direction = settings.direction
        self._seed = settings.seed
        self._dimensions = Dimensions(settings.space)
        self._described = describe(self._dimensions)
        self._startup = startup_trials(settings)
        self._process = process
        self._close = close

    def propose(self, history: Sequence[Trial], seen: Seen, attempt: int) -> Config:
        """The oracle's suggestion after the whole history."""
        bayesian = self._algorithm == "bayesian"
        values = self._process.ask(
            {
                "algorithm": self._algorithm,
                "direction": self._direction,
                "space": self._described,
                "seed": derive(self._seed, "suggest", len(history), attempt),
                "startup": self._startup,
                "trials": list(self._trials(history)) if bayesian else [],
            }
        )
        assert values is not None, "only a grid ends"
        return self._dimensions.build(lambda dimension: values[dimension.name])

    def _trials(self, history: Sequence[Trial]) -> Iterator[TrialMessage]:
        bad = penalty((score for trial in history if (score := score_of(trial)) is not None), self._direction)
        for trial in history:
            score = bad if has_diverged(trial) else score_of(trial)
            numbers = self._dimensions.encode(trial.config)
            if numbers is not None:
                # What code did not ask for counts as the first value, as KerasTuner's own inactive ones do.
                absent = {one.name: one.low for one in self._dimensions.asked if one.name not in numbers}
                numbers = absent | numbers
            if numbers is not None and (score is not None or trial.state is TrialState.RUNNING):
                yield {"number": trial.number, "values": numbers, "score": score}

    def close(self) -> None:
        """End the child process if no other tuner shares it."""
        self._close()


class Grid:
    """KerasTuner's grid, one combination after another."""

    def __init__(self, settings: TunerSettings, process: OracleProcess) -> None:
        self._dimensions = Dimensions(settings.space, settings.grid_points)
        self._described = describe(self._dimensions)
        self._direction = settings.direction
        self._process = process

    def configs(self) -> Iterator[Config]:
        """All configs, from the first."""
        values = self._after(None)
        while values is not None:
            yield self._dimensions.build(_look_up(values))
            values = self._after(values)

    def _after(self, values: Numbers | None) -> Numbers | None:
        return self._process.ask(
            {"algorithm": "grid", "direction": self._direction, "space": self._described, "after": values}
        )


def _look_up(values: Numbers) -> Callable[[Dimension], Number]:
    return lambda dimension: values[dimension.name]


def describe(dimensions: Dimensions) -> list[DimensionMessage]:
    """The space for the child. Conditions are in the numbers of the hyperparameters that they name."""
    return [_described(dimension, dimensions) for dimension in dimensions.values()]


def _described(dimension: Dimension, dimensions: Dimensions) -> DimensionMessage:
    when = {}
    for other, allowed in dimensions.space[dimension.name].when.items():
        numbers = [number for value in allowed if (number := dimensions[other].encode(value)) is not None]
        # A grid may lack every value that a condition names; no value has index -1.
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
