"""The fused engine: sorts a bundle's lanes by signature, and trains each signature in one compiled program."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import jax

from hpsearch.core.events import Bundle, EpochFinished, Event, Lane, LaneFailed, LaneFinished, LaneStopped
from hpsearch.core.facts import EnginePlan
from hpsearch.core.hyperparameters import batch_size_of
from hpsearch.core.space import Config, config_key
from hpsearch.errors import HpsearchError, ModelError
from hpsearch.keras_internals.draws import quick_draws
from hpsearch.spec import make_space
from hpsearch.training.engines.base import Engine, Stopped
from hpsearch.training.engines.failures import failed, is_out_of_memory
from hpsearch.training.engines.fit import FitEngine, release
from hpsearch.training.engines.fused.abreast import abreast
from hpsearch.training.engines.fused.cache import Kept
from hpsearch.training.engines.fused.checking import check_step
from hpsearch.training.engines.fused.data import DeviceData
from hpsearch.training.engines.fused.identity import identity
from hpsearch.training.engines.fused.lifting import candidates, facts, middle
from hpsearch.training.engines.fused.program import Program
from hpsearch.training.engines.fused.recipe import NotLiftedError, Recipe, check_unshared, few_rows
from hpsearch.training.engines.fused.template import Template, UnfusableError
from hpsearch.training.engines.fused.training import Training
from hpsearch.training.problem import Problem

TRIALS_PER_BUNDLE = {"cpu": 8}
"""How many trials are suggested at once; more fill a GPU, but each is then chosen with less known."""

CACHE_BYTES = 6 << 20
"""State of the lanes of one dispatch on a CPU: what stays in its caches from step to step."""

PROGRAMS_KEPT = 24

TIDY_AFTER = 8
"""New signatures after which JAX's caches of what led to them are emptied: some 25 MB each, measured."""

AHEAD = 2
"""How many of the following signatures compile while one trains on a GPU."""

Signature = object


@dataclass(slots=True)
class Job:
    """Lanes of one signature on their way through the engine."""

    signature: Signature
    lanes: list[Lane]
    lifted: frozenset[str]


class FusedEngine(Engine):
    """Trains all lanes of a bundle that share a signature in one compiled program (JAX).

    Args:
        problem: The study's data, folds and model.

    Attributes:
        space: The study's effective space.
        data: Its rows on the device.

    Raises:
        UnfusableError: The data hold text.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        spec = problem.spec
        self.space = make_space(spec, problem.discover_space() if spec.model.build else None)
        self._lifted = candidates(self.space)
        self.data = DeviceData(problem)
        self._recipes: Kept[Recipe] = Kept(PROGRAMS_KEPT)
        self._programs: Kept[Program] = Kept(PROGRAMS_KEPT)
        # A CPU's cores are filled by independent programs: one small program alone gains nothing from a second core.
        cores = _cores() if jax.default_backend() == "cpu" else 1
        self._dispatched_at_once = cores
        self._dispatch = ThreadPoolExecutor(cores, thread_name_prefix="dispatch")
        self._jobs_at_once = max(cores, 1 if jax.default_backend() == "cpu" else 1 + AHEAD)
        self._lock = threading.RLock()
        self._fold_classes: Kept[tuple[int, ...]] = Kept(PROGRAMS_KEPT)
        self._checked: set[str] = set()
        self._made = 0
        self._most_lanes: int | None = None
        self._notes: list[str] = []
        self._compile_seconds = 0.0
        if jax.config.jax_compilation_cache_dir:
            # Small programs, too: half a second saved each time a worker starts.
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

    @property
    def lifted(self) -> frozenset[str]:
        """Hyperparameters that have turned out, so far, to cost no program of their own."""
        return self._lifted

    def plan(self) -> EnginePlan:
        """Find out by building, tracing and comparing numbers whether the model can be fused.

        Raises:
            UnfusableError: It cannot; the text says why.
        """
        try:
            recipe = self._recipe_of(middle(self.space))
        except ModelError:  # that config may be the one that cannot be built
            recipe = self._recipe_of(next(iter(self.space.grid(2))))
        folds = len(self._problem.folds)
        wanted = self._problem.spec.resources.trials_per_bundle
        most = max(1, self._memory() // max(1, 3 * recipe.lane_bytes * folds))
        auto = min(TRIALS_PER_BUNDLE.get(jax.default_backend(), 32), most)
        inputs = f"; {', '.join(sorted(self._lifted))} cost no program of their own" if self._lifted else ""
        return EnginePlan(
            "fused",
            f"all folds of many trials in one compiled program{inputs}",
            dynamic=tuple(sorted(self._lifted)),
            trials_per_bundle=auto if wanted == "auto" else wanted,
        )

    def _recipe_of(self, config: Config) -> Recipe:
        while True:
            try:
                [job] = self._jobs([Lane(0, 0, config)])
                [(recipe, _)] = self._parts(job)
                return recipe
            except NotLiftedError as error:
                self._lifted -= error.names
            except (UnfusableError, HpsearchError):
                raise
            except Exception as error:
                raise UnfusableError(f"a step of it cannot be traced: {_told(error)}") from error

    def train(self, bundle: Bundle, stopped: Stopped) -> Iterator[Event]:
        """See :meth:`Engine.train`."""
        lanes: list[Lane] = list(bundle.lanes)
        while lanes:
            again: list[Lane] = []
            jobs = [partial(self._do, job, stopped, again) for job in self._jobs(lanes)]
            yield from abreast(jobs, self._jobs_at_once)
            lanes = again

    def _do(self, job: Job, stopped: Stopped, again: list[Lane]) -> Iterator[Event]:
        """One signature of a bundle. If that was drawn too wide, its lanes go into `again`, before any event."""
        try:
            yield from self._build_and_train(job, stopped)
        except NotLiftedError as error:
            with self._lock:
                self._lifted -= error.names
                self._recipes.clear()
                self._programs.clear()
                again += job.lanes

    def _build_and_train(self, job: Job, stopped: Stopped) -> Iterator[Event]:
        begun = time.perf_counter()
        try:
            parts = self._parts(job)
        except NotLiftedError:
            raise
        except HpsearchError as error:  # the user's build function
            yield from (failed(lane, error) for lane in job.lanes)
            return
        except Exception as error:
            self._note(f"trained one by one: {error if isinstance(error, UnfusableError) else _told(error)}")
            yield from FitEngine(self._problem).train(Bundle(0, tuple(job.lanes)), stopped)
            return
        self._spent_compiling(begun)
        for recipe, part in parts:
            yield from self._train(recipe, part, stopped, {})

    def take_notes(self) -> tuple[str, ...]:
        """See :meth:`Engine.take_notes`."""
        with self._lock:
            notes, self._notes = tuple(dict.fromkeys(self._notes)), []
        return notes

    def take_compile_seconds(self) -> float:
        """See :meth:`Engine.take_compile_seconds`."""
        with self._lock:
            seconds, self._compile_seconds = self._compile_seconds, 0.0
        return seconds

    # Signatures and recipes

    def _jobs(self, lanes: Sequence[Lane]) -> list[Job]:
        jobs: dict[Signature, Job] = {}
        for lane in lanes:
            signature = self._signature(lane.config, self._lifted)
            jobs.setdefault(signature, Job(signature, [], self._lifted)).lanes.append(lane)
        return list(jobs.values())

    def _signature(self, config: Config, lifted: frozenset[str]) -> Signature:
        return config_key({name: value for name, value in config.items() if name not in lifted})

    def _parts(self, job: Job) -> list[tuple[Recipe, Job]]:
        """The job's lanes by program: one for all, but where folds, or single configs, turn out to need their own.

        Raises:
            NotLiftedError: Lanes that the job holds for one program are none.
            UnfusableError: They cannot be fused.
        """
        parts: dict[Signature, tuple[Recipe, Job]] = {}
        with self._building():
            if job.lifted != self._lifted:  # another job has found out since that its lanes differ in more
                raise NotLiftedError(job.lifted - self._lifted)
            for lane in job.lanes:
                classes = self._classes(job.signature, lane.config)
                folds = [fold for fold, one in enumerate(classes) if one == classes[lane.fold]]
                lifted = job.lifted
                recipe = self._recipe((job.signature, folds[0]), lane.config, folds, lifted)
                if recipe.numbers(lane.config) is None:
                    lifted &= {"epochs"}
                signature = self._signature(lane.config, lifted), folds[0]
                recipe = self._recipe(signature, lane.config, folds, lifted)
                parts.setdefault(signature, (recipe, Job(signature, [], lifted)))[1].lanes.append(lane)
        return list(parts.values())

    def _classes(self, signature: Signature, config: Config) -> tuple[int, ...]:
        """For every fold the number of its class: folds whose models are the same program share one."""
        # A family's model knows its fold by what layers were adapted to, and their configs tell; other code may put
        # anything that it counts in the fold's rows into its program.
        family = self._problem.spec.model.family is not None
        address = None if family else signature
        known = self._fold_classes.get(address)
        if known is not None:
            return known
        seen: list[object] = []
        classes = []
        before = None
        for fold in self._problem.folds:
            model = self._problem.build(config, self._problem.dataset.train.take(fold.train), seed=1)
            if before is not None:
                check_unshared(model, before)
            rows = few_rows(self._problem)
            mine = facts(model) if family else identity(Template(model, *rows), (), *rows)
            if mine not in seen:
                seen.append(mine)
            classes.append(seen.index(mine))
            before = model
        self._fold_classes.put(address, tuple(classes))
        return tuple(classes)

    def _recipe(self, signature: Signature, config: Config, folds: list[int], lifted: frozenset[str]) -> Recipe:
        known = self._recipes.get(signature)
        if known is not None:
            return known
        self._made += 1
        if self._made % TIDY_AFTER == 0:
            release()  # compiled programs are held by the engine itself, and stay
        recipe = self._make(config, folds, lifted)
        if recipe.structure not in self._checked:
            check_step(recipe, self._problem, folds[0])
            self._checked.add(recipe.structure)
        self._recipes.put(signature, recipe)
        return recipe

    @contextmanager
    def _building(self) -> Iterator[None]:
        """Models and initial weights are made by one thread at a time: Keras draws their seeds from one sequence."""
        with self._lock, quick_draws():
            yield

    def _make(self, config: Config, folds: list[int], lifted: frozenset[str]) -> Recipe:
        try:
            return Recipe(self._problem, config, folds=folds, space=self.space, lifted=lifted)
        except (NotLiftedError, UnfusableError):
            raise
        except Exception:
            # The build function may not take telling values; if the config itself is at fault, it raises again.
            Recipe(self._problem, config, folds=folds, space=self.space, lifted=frozenset())
            raise NotLiftedError(lifted) from None

    # Programs

    def _program(self, recipe: Recipe, job: Job) -> Program:
        width = self._width(recipe, len(job.lanes))
        address = job.signature, width
        with self._lock:
            program = self._programs.get(address)
        if program is None:
            begun = time.perf_counter()
            # Outside the lock: this is what jobs do side by side.
            program = self._compiled(recipe, job, width)
            self._spent_compiling(begun)
            with self._lock:
                self._programs.put(address, program)
        return program

    def _compiled(self, recipe: Recipe, job: Job, width: int) -> Program:
        """A program as wide as `width`, or as leaves half of the memory to the lanes' state and to everything else.

        What it needs is known once it is compiled. A CPU's memory must not run out: the system would kill the worker.
        """
        while True:
            program = Program(recipe, self.data, width=width, batch=batch_size_of(job.lanes[0].config))
            program.compile()
            if width == 1 or program.temp_bytes * self._dispatched_at_once <= self._memory() // 2:
                return program
            width = max(1, width // 2)
            needs = f"{program.temp_bytes >> 20:,} MB"
            self._note(f"a step of {program.width} lanes needs {needs}: at most {width} at once")

    def _spent_compiling(self, begun: float) -> None:
        with self._lock:
            self._compile_seconds += time.perf_counter() - begun

    def _width(self, recipe: Recipe, lanes: int) -> int:
        """Lanes per dispatch."""
        folds = len(self._problem.folds)
        if jax.default_backend() == "cpu":
            width = max(1, min(folds, CACHE_BYTES // max(1, recipe.lane_bytes)))
        else:
            width = folds
            while width < lanes:
                width *= 2
        return min(width, self._most_lanes or width)

    def _memory(self) -> int:
        """Bytes that lanes may take: most of the device's, or a third of the machine's."""
        stats = jax.local_devices()[0].memory_stats() or {}
        if "bytes_limit" in stats:
            return int(stats["bytes_limit"] * 0.8) - self.data.nbytes
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 3

    # Training

    def _train(self, recipe: Recipe, job: Job, stopped: Stopped, told: dict[tuple[int, int], int]) -> Iterator[Event]:
        """Train lanes of one signature; out of memory, train their halves, and a single lane by itself.

        Args:
            recipe: Of the signature.
            job: The lanes.
            stopped: See :class:`Engine`.
            told: Epochs of each lane that have been reported already; training again repeats them exactly.
        """
        ended: set[tuple[int, int]] = set()
        width = self._width(recipe, len(job.lanes))
        try:
            for event in self._attempt(recipe, job, stopped):
                lane = _lane_of(event)
                if isinstance(event, EpochFinished):
                    if event.epoch < told.get(lane, 0):
                        continue
                    told[lane] = event.epoch + 1
                else:
                    ended.add(lane)
                yield event
        except Exception as error:
            rest = [lane for lane in job.lanes if (lane.trial, lane.fold) not in ended]
            # A single lane can still need less: its program may have had a place for every fold.
            if not is_out_of_memory(error) or len(rest) * width < 2:
                yield from (failed(lane, error) for lane in rest)
                return
        else:
            return
        # Past the except clause: the error holds what the attempt has on the device.
        half = max(1, len(rest) // 2)
        with self._lock:
            self._most_lanes = min(half, self._most_lanes or half)
            self._programs.clear()
        if len(rest) > 1:
            self._note(f"out of memory with {len(rest)} lanes: trained in halves")
        for part in (rest[:half], rest[half:]):
            if part:
                yield from self._train(recipe, Job(job.signature, part, job.lifted), stopped, told)

    def _attempt(self, recipe: Recipe, job: Job, stopped: Stopped) -> Iterator[Event]:
        program = self._program(recipe, job)
        seed = self._problem.spec.seed
        with self._building():
            training = Training(program, self.data, seed=seed, lanes=job.lanes, dispatch=self._dispatch)
        yield from training.events(stopped)

    def _note(self, text: str) -> None:
        with self._lock:
            self._notes.append(text)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return int(os.environ.get("NPROC", os.cpu_count() or 1))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def _lane_of(event: Event) -> tuple[int, int]:
    match event:
        case EpochFinished() | LaneFailed():
            return event.trial, event.fold
        case LaneFinished() | LaneStopped():
            return event.trial, event.result.fold
    raise TypeError(f"an engine yields no {type(event).__name__}")
