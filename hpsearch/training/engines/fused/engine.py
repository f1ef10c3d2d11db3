"""The fused engine: sorts a bundle's lanes by signature, and trains each signature in one compiled program."""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax

from hpsearch.core.callbacks import LaneCallbacks, Stock
from hpsearch.core.events import Bundle, EpochFinished, Event, Lane, LaneFailed, LaneFinished, LaneStopped
from hpsearch.core.facts import EnginePlan
from hpsearch.core.words import listed
from hpsearch.errors import HpsearchError
from hpsearch.spec import make_space
from hpsearch.training.engines.base import Engine, Stopped
from hpsearch.training.engines.failures import failed, is_out_of_memory
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.concurrent import run_concurrently
from hpsearch.training.engines.fused.data import DeviceData
from hpsearch.training.engines.fused.dynamic import middle
from hpsearch.training.engines.fused.errors import NotDynamicError, UnfusableError
from hpsearch.training.engines.fused.journal import Journal
from hpsearch.training.engines.fused.lane_callbacks import at_work, check_fusable
from hpsearch.training.engines.fused.programs import Programs
from hpsearch.training.engines.fused.recipe import Recipe, Start
from hpsearch.training.engines.fused.recipes import Job, Recipes
from hpsearch.training.engines.fused.training import Training
from hpsearch.training.engines.watching import watch_of
from hpsearch.training.named_outputs import own_names
from hpsearch.training.problem import Problem

TRIALS_PER_BUNDLE = {"cpu": 8}
"""How many trials are suggested at once. More fill a GPU, but each is then chosen with less known."""

AHEAD = 2
"""How many of the following signatures compile while one trains on a GPU."""


class FusedEngine(Engine):
    """Trains all lanes of a bundle that share a signature in one compiled program (JAX).

    Args:
        problem: The study's data, folds and model.
        jobs_at_once: How many signatures are under way at the same time; by default one per core on a CPU.
        memory_bytes: What lanes may take; by default most of the device's memory, or a third of the machine's.

    Attributes:
        space: The study's effective space.
        recipes: Which lanes can share a program.
        programs: The compiled programs.

    Raises:
        UnfusableError: The data contain text.
    """

    def __init__(self, problem: Problem, *, jobs_at_once: int | None = None, memory_bytes: int | None = None) -> None:
        self._problem = problem
        spec = problem.spec
        self.space = make_space(spec, problem.discover_space() if spec.model.build else None)
        self._data = DeviceData(problem)
        # Independent programs fill a CPU's cores: one small program alone gains nothing from a second core.
        on_cpu = jax.default_backend() == "cpu"
        cores = _cores() if on_cpu else 1
        self._dispatch = ThreadPoolExecutor(cores, thread_name_prefix="dispatch")
        self._jobs_at_once = jobs_at_once or (cores if on_cpu else 1 + AHEAD)
        self._lock = threading.RLock()
        self._journal = Journal()
        self._callbacks: dict[tuple[int, int], tuple[Stock, ...]] = {}
        self.recipes = Recipes(problem, self.space, self._lock)
        self.programs = Programs(
            self._data,
            at_once=cores,
            journal=self._journal,
            predictions=bool(problem.scorers or problem.predictions),
            memory_bytes=memory_bytes,
        )

    @property
    def dynamic(self) -> frozenset[str]:
        """Hyperparameters in which trials that share a compiled program may differ, as far as is known."""
        return self.recipes.dynamic

    def plan(self) -> EnginePlan:
        """Find out whether the model can be fused, by building, tracing and comparing numbers.

        Raises:
            UnfusableError: It cannot; the text says why.
        """
        check_fusable(self._problem.callbacks(middle(self.space)))
        recipe = self.recipes.first()
        wanted = self._problem.spec.resources.trials_per_bundle
        most = max(1, self.programs.lanes_at_once(recipe) // len(self._problem.folds))
        auto = min(TRIALS_PER_BUNDLE.get(jax.default_backend(), 32), most)
        inputs = f"; trials that differ only in {listed(sorted(self.dynamic))} share it" if self.dynamic else ""
        return EnginePlan(
            "fused",
            f"all folds of many trials in one compiled program{inputs}",
            dynamic=tuple(sorted(self.dynamic)),
            trials_per_bundle=auto if wanted == "auto" else wanted,
        )

    def train(self, bundle: Bundle, stopped: Stopped) -> Iterator[Event]:
        """See :meth:`Engine.train`."""
        lanes: list[Lane] = []
        for lane in bundle.lanes:
            try:
                with self.recipes.building():
                    found = self._problem.callbacks(lane.config)
                check_fusable(found)
            except HpsearchError as error:
                yield failed(lane, error)
            except UnfusableError as error:
                yield from self._by_fit([lane], str(error), stopped)
            else:
                self._callbacks[lane.trial, lane.fold] = found.stock
                lanes.append(lane)
        while lanes:
            again: list[Lane] = []
            jobs = [partial(self._do, job, stopped, again) for job in self.recipes.jobs(lanes)]
            yield from run_concurrently(jobs, self._jobs_at_once)
            lanes = again
        for lane in bundle.lanes:
            self._callbacks.pop((lane.trial, lane.fold), None)

    def _do(self, job: Job, stopped: Stopped, again: list[Lane]) -> Iterator[Event]:
        """One signature of a bundle. If its lanes need several, they go into `again`, before any event."""
        try:
            yield from self._build_and_train(job, stopped)
        except NotDynamicError as error:
            with self._lock:
                self.recipes.not_dynamic(error.names)
                self.programs.clear()
                again += job.lanes

    def _build_and_train(self, job: Job, stopped: Stopped) -> Iterator[Event]:
        try:
            with self._journal.compiling():
                parts = self.recipes.parts(job)
        except UnfusableError as error:
            yield from self._by_fit(job.lanes, str(error), stopped)
            return
        yield from (failed(lane, error) for lane, error in parts.failed)
        for recipe, part in parts.programs:
            most = self.programs.lanes_at_once(recipe)
            if len(part.lanes) > most:
                self._journal.note(f"{len(part.lanes)} lanes trained {most} at a time: that is what the memory holds")
            for start in range(0, len(part.lanes), most):
                few = Job(part.signature, part.lanes[start : start + most], part.dynamic)
                yield from self._train(recipe, few, stopped, {})

    def _by_fit(self, lanes: Sequence[Lane], why: str, stopped: Stopped) -> Iterator[Event]:
        self._journal.note(f"trained one by one: {why}")
        yield from FitEngine(self._problem).train(Bundle(0, tuple(lanes)), stopped)

    def _train(
        self, recipe: Recipe, job: Job, stopped: Stopped, reported: dict[tuple[int, int], int]
    ) -> Iterator[Event]:
        """Train lanes of one signature; out of memory, train their halves, and a single lane by itself.

        Args:
            recipe: Of the signature.
            job: The lanes.
            stopped: See :class:`Engine`.
            reported: Epochs of each lane that have been reported already. Training again repeats them exactly.
        """
        ended: set[tuple[int, int]] = set()
        width = self.programs.width(recipe, len(job.lanes))
        try:
            for event in self._attempt(recipe, job, stopped):
                lane = _lane_of(event)
                if isinstance(event, EpochFinished):
                    if event.epoch < reported.get(lane, 0):
                        continue
                    reported[lane] = event.epoch + 1
                else:
                    ended.add(lane)
                yield event
        except Exception as error:  # JAX has no class of its own for memory that ran out
            rest = [lane for lane in job.lanes if (lane.trial, lane.fold) not in ended]
            # A single lane can still need less: its program may have had a place for every fold.
            if not is_out_of_memory(error) or len(rest) * width < 2:
                yield from (failed(lane, error) for lane in rest)
                return
        else:
            return
        # Outside the except clause, because the error keeps alive what the attempt has on the device.
        half = max(1, len(rest) // 2)
        self.programs.limit_width(half)
        if len(rest) > 1:
            self._journal.note(f"out of memory with {len(rest)} lanes: trained in halves")
        for part in (rest[:half], rest[half:]):
            if part:
                yield from self._train(recipe, Job(job.signature, part, job.dynamic), stopped, reported)

    def _attempt(self, recipe: Recipe, job: Job, stopped: Stopped) -> Iterator[Event]:
        program = self.programs.program(recipe, job)
        seed = self._problem.spec.seed
        with self.recipes.building():
            names = own_names(recipe.template.model)
            watch = partial(watch_of, self._problem, own=names, note=self._journal.note)
            training = Training(
                program,
                self._data,
                seed=seed,
                lanes=job.lanes,
                dispatch=self._dispatch,
                watch=watch,
                callbacks=partial(self._callbacks_at_work, recipe),
            )
        yield from training.events(stopped)

    def _callbacks_at_work(self, recipe: Recipe, lane: Lane, start: Start) -> LaneCallbacks:
        return at_work(self._problem, self._callbacks.get((lane.trial, lane.fold), ()), recipe, start)

    def take_notes(self) -> tuple[str, ...]:
        """See :meth:`Engine.take_notes`."""
        return self._journal.take_notes()

    def take_compile_seconds(self) -> float:
        """See :meth:`Engine.take_compile_seconds`."""
        return self._journal.take_compile_seconds()


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return int(os.environ.get("NPROC", os.cpu_count() or 1))


def _lane_of(event: Event) -> tuple[int, int]:
    match event:
        case EpochFinished() | LaneFailed():
            return event.trial, event.fold
        case LaneFinished() | LaneStopped():
            return event.trial, event.result.fold
    raise TypeError(f"an engine yields no {type(event).__name__}")
