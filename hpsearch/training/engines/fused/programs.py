"""The compiled programs of a study: how wide they are, and what memory they may take."""

import os
import threading

import jax

from hpsearch.core.hyperparameters import batch_size_of
from hpsearch.training.engines.fused.data import DeviceData
from hpsearch.training.engines.fused.journal import Journal
from hpsearch.training.engines.fused.lru_cache import LRUCache
from hpsearch.training.engines.fused.program import Program
from hpsearch.training.engines.fused.recipe import Recipe
from hpsearch.training.engines.fused.recipes import Job

PROGRAMS_KEPT = 24

CACHE_BYTES = 6 << 20
"""State of the lanes of one dispatch on a CPU: what stays in its caches from step to step."""


class Programs:
    """Compiles programs and keeps them.

    Args:
        data: Rows and targets.
        at_once: How many programs may run at the same time.
        journal: For notes and compile time.
        predictions: Whether epochs end with the predictions of the validation rows.
        memory_bytes: What lanes may take; by default most of the device's memory, or a third of the machine's.
    """

    def __init__(
        self,
        data: DeviceData,
        *,
        at_once: int,
        journal: Journal,
        predictions: bool = False,
        memory_bytes: int | None = None,
    ) -> None:
        self._data = data
        self._predictions = predictions
        self._at_once = at_once
        self._journal = journal
        self.memory_bytes = _memory(data.nbytes) if memory_bytes is None else memory_bytes
        self._lock = threading.Lock()
        self._programs: LRUCache[Program] = LRUCache(PROGRAMS_KEPT)
        self._most_lanes: int | None = None

    def __len__(self) -> int:
        """How many programs are kept."""
        return len(self._programs)

    def program(self, recipe: Recipe, job: Job) -> Program:
        """The program for a job, compiled if it is new."""
        width = self.width(recipe, len(job.lanes))
        address = job.signature, width
        with self._lock:
            known = self._programs.get(address)
        if known is not None:
            return known
        with self._journal.compiling():
            program = self._compiled(recipe, job, width)  # outside the lock: jobs do this side by side
        with self._lock:
            self._programs.put(address, program)
        return program

    def width(self, recipe: Recipe, lanes: int) -> int:
        """Lanes per dispatch for this many lanes to train."""
        folds = len(self._data.folds)
        if jax.default_backend() == "cpu":
            width = max(1, min(folds, CACHE_BYTES // max(1, recipe.lane_bytes)))
        else:
            width = folds
            while width < lanes:
                width *= 2
        return min(width, self._most_lanes or width, self.lanes_at_once(recipe))

    def lanes_at_once(self, recipe: Recipe) -> int:
        """Lanes whose state leaves two thirds of the memory that this worker's device has to everything else.

        The bundle was made for the first worker's device; this one's may have less.
        """
        return max(1, self.memory_bytes // max(1, 3 * recipe.lane_bytes))

    def limit_width(self, lanes: int) -> None:
        """Dispatch at most this many lanes from now on. All programs are compiled anew."""
        with self._lock:
            self._most_lanes = min(lanes, self._most_lanes or lanes)
            self._programs.clear()

    def clear(self) -> None:
        """Drop all programs."""
        with self._lock:
            self._programs.clear()

    def _compiled(self, recipe: Recipe, job: Job, width: int) -> Program:
        """A program of this width, or of one that leaves half of the memory to the lanes' state and everything else.

        What it needs is known once it is compiled. A CPU's memory must not run out: the system would kill the worker.
        """
        while True:
            batch = batch_size_of(job.lanes[0].config)
            program = Program(recipe, self._data, width=width, batch=batch, predictions=self._predictions)
            program.compile()
            if width == 1 or program.temp_bytes * self._at_once <= self.memory_bytes // 2:
                return program
            width = max(1, width // 2)
            needs = f"{program.temp_bytes >> 20:,} MB"
            self._journal.note(f"a step of {program.width} lanes needs {needs}: at most {width} at once")


def _memory(data_bytes: int) -> int:
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"] * 0.8) - data_bytes
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 3
