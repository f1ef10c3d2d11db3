"""Training lanes of one signature: groups of lanes in lockstep, one dispatch per group and epoch."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np

from hpsearch.core.callbacks import LaneCallbacks
from hpsearch.core.events import EpochFinished, Event, Lane, LaneFinished, LaneStopped
from hpsearch.core.hyperparameters import epochs_of, shuffle_of
from hpsearch.core.trial import FoldResult
from hpsearch.errors import ModelError
from hpsearch.training.engines.base import Stopped
from hpsearch.training.engines.failures import diverged, failed
from hpsearch.training.engines.fused.data import Batches, DeviceData, stacked
from hpsearch.training.engines.fused.epoch import State
from hpsearch.training.engines.fused.lane_callbacks import with_rates
from hpsearch.training.engines.fused.program import Epoch, Program
from hpsearch.training.engines.fused.pytree import Values
from hpsearch.training.engines.fused.recipe import Start
from hpsearch.training.engines.loop import DivergedError, append, as_number, check_finite, freeze, order_of
from hpsearch.training.engines.watching import LaneWatch

Dispatched = Future[Epoch]

CallbacksOf = Callable[[Lane, Start], LaneCallbacks | None]
"""A lane's callbacks at its beginning; raises a ModelError if they cannot work."""

Watch = Callable[[Lane], LaneWatch | None]
"""Who sees a lane's predictions."""


@dataclass(slots=True)
class Progress:
    """A lane in training."""

    lane: Lane
    epochs: int
    started: float = field(default_factory=time.time)
    seconds: float = 0.0
    curves: dict[str, list[float]] = field(default_factory=dict)
    running: bool = True
    watch: LaneWatch | None = None
    callbacks: LaneCallbacks | None = None
    together: bool = False
    ends: bool = False

    def result(self, *, finished: bool = False) -> FoldResult:
        """What has been trained so far."""
        found = FoldResult(self.lane.fold, freeze(self.curves), self.started, self.seconds)
        if self.callbacks is None or not finished:
            return found
        return replace(found, stopped=found.epochs < self.epochs, kept=self.callbacks.kept)


@dataclass(slots=True)
class Group:
    """Lanes that share a dispatch, with their state on the device."""

    lanes: list[Progress]
    state: State
    numbers: Values
    counts: jax.Array
    validation: Batches
    rates: list[float]


class Training:
    """Trains lanes of one signature from start to end.

    Args:
        program: Compiled.
        data: Rows and targets.
        seed: The study's seed, for the row orders.
        lanes: To train.
        dispatch: Runs the groups' epochs, as many at a time as it has threads.
        watch: Whoever sees a lane's predictions must have them returned by the program.
        callbacks: Of each lane; by default none.
    """

    def __init__(
        self,
        program: Program,
        data: DeviceData,
        *,
        seed: int,
        lanes: Sequence[Lane],
        dispatch: Executor,
        watch: Watch,
        callbacks: CallbacksOf | None = None,
    ) -> None:
        self._program, self._data, self._seed, self._executor = program, data, seed, dispatch
        self._callbacks: CallbacksOf = callbacks or (lambda _lane, _start: None)
        self._refused: list[Event] = []
        progress = [Progress(lane, epochs_of(lane.config), watch=watch(lane)) for lane in lanes]
        width = program.width
        self._groups = [self._group(progress[i : i + width]) for i in range(0, len(progress), width)]

    def events(self, stopped: Stopped) -> Iterator[Event]:
        """Epoch by epoch until every lane has ended.

        Raises:
            Exception: JAX's own, when memory runs out.
        """
        yield from self._refused
        yield from self._stop(stopped)
        epoch = 0
        batches = self._batches(epoch)
        while self._groups:
            clock = time.perf_counter()
            yield from self._begin(epoch)
            waiting = [self._dispatch(group, batch) for group, batch in zip(self._groups, batches, strict=True)]
            batches = self._batches(epoch + 1)  # while the device works
            for group, ran in zip(self._groups, waiting, strict=True):
                yield from self._collect(group, ran, epoch)
            self._share(time.perf_counter() - clock)
            yield from self._end(epoch)
            yield from self._stop(stopped)
            if self._repack():
                batches = self._batches(epoch + 1)
            epoch += 1

    def _group(self, lanes: list[Progress]) -> Group:
        starts = [self._program.recipe.start(one.lane) for one in lanes]
        for one, start in zip(lanes, starts, strict=True):
            try:
                one.callbacks = self._callbacks(one.lane, start)
                one.together = one.callbacks is not None and one.callbacks.together
            except ModelError as error:
                one.running, one.callbacks = False, LaneCallbacks((), {}, rate=0.0)  # it keeps its place
                self._refused.append(failed(one.lane, error))
        state, numbers = self._program.stack(starts), self._program.numbers(starts)
        return Group(lanes, state, numbers, self._counts(lanes), self._validation(lanes), self._rates(lanes))

    def _padded(self, lanes: list[Progress]) -> list[Progress]:
        return [*lanes, *[lanes[-1]] * (self._program.width - len(lanes))]

    def _counts(self, lanes: list[Progress]) -> jax.Array:
        folds = [one.lane.fold for one in self._padded(lanes)]
        return jnp.array(np.array([[self._data.n_train(f), self._data.n_validation(f)] for f in folds], np.int32))

    def _validation(self, lanes: list[Progress]) -> Batches:
        batches = stacked([self._data.validation_batches(one.lane.fold) for one in self._padded(lanes)])
        on_device: Batches = jax.tree.map(jnp.array, batches)
        return on_device

    def _batches(self, epoch: int) -> list[Batches]:
        return [stacked([self._order(one, epoch) for one in self._padded(group.lanes)]) for group in self._groups]

    def _order(self, one: Progress, epoch: int) -> Batches:
        lane = one.lane
        order = order_of(self._seed, lane.trial, lane.fold, shuffle=shuffle_of(lane.config))
        return self._data.epoch_batches(lane.fold, order(self._data.n_train(lane.fold), epoch), self._program.batch)

    def _dispatch(self, group: Group, batches: Batches) -> Dispatched:
        return self._executor.submit(
            self._program.run, group.state, group.numbers, batches, group.counts, group.validation
        )

    def _begin(self, epoch: int) -> Iterator[Event]:
        """Let callbacks set the learning rates of an epoch."""
        for group in self._groups:
            for one in group.lanes:
                if one.running and one.callbacks is not None:
                    try:
                        one.callbacks.begin(epoch)
                    except Exception as error:  # a schedule of the user's may raise anything
                        one.running = False
                        yield failed(one.lane, error, epoch=epoch + 1)
            index, rates = self._program.recipe.rate_index, self._rates(group.lanes)
            if index is not None and rates != group.rates:
                group.rates, group.state = rates, with_rates(group.state, index, rates)

    def _rates(self, lanes: list[Progress]) -> list[float]:
        """The learning rates of a group's lanes; empty if they are none that can be set."""
        rates = [one.callbacks.rate for one in self._padded(lanes) if one.callbacks is not None]
        known = [rate for rate in rates if rate is not None]
        return known if len(known) == self._program.width else []

    def _collect(self, group: Group, ran: Dispatched, epoch: int) -> Iterator[Event]:
        group.state, metrics, predicted = ran.result()
        values = {name: np.asarray(value) for name, value in metrics.items()}
        outputs = None if predicted is None else jax.tree.map(np.asarray, predicted)
        for place, one in enumerate(group.lanes):
            if not one.running:
                continue
            mine = {name: as_number(name, value[place]) for name, value in values.items()}
            try:
                check_finite(mine, epoch)
                if outputs is not None and one.watch is not None:
                    rows = self._data.n_validation(one.lane.fold)
                    own = jax.tree.map(lambda some, at=place, end=rows: some[at, :end], outputs)
                    mine |= one.watch(own, mine.keys())
                if one.callbacks is not None:
                    mine, one.ends = one.callbacks.end(epoch, mine)
            except (DivergedError, ModelError) as error:
                one.running = False
                yield diverged(one.lane, error) if isinstance(error, DivergedError) else failed(one.lane, error)
                continue
            append(one.curves, mine)
            yield EpochFinished(one.lane.trial, one.lane.fold, epoch, mine)

    def _running(self) -> list[Progress]:
        return [one for group in self._groups for one in group.lanes if one.running]

    def _share(self, seconds: float) -> None:
        running = self._running()
        for one in running:
            one.seconds += seconds / len(running)

    def _end(self, epoch: int) -> Iterator[Event]:
        for one in self._running():
            if one.ends or epoch + 1 >= one.epochs:
                one.running = False
                if one.watch is not None:
                    one.watch.finish()
                yield LaneFinished(one.lane.trial, one.result(finished=True), self._program.recipe.parameters)

    def _stop(self, stopped: Stopped) -> Iterator[Event]:
        ending = stopped()
        for one in self._running() if ending else ():
            if one.lane.trial in ending:
                one.running = False
                if one.watch is not None and one.together:
                    one.watch.finish()  # it may be complete
                yield LaneStopped(one.lane.trial, one.result(), self._program.recipe.parameters)

    def _repack(self) -> bool:
        """Move the lanes that go on into as few groups as possible; returns whether anything moved."""
        needed = -(-len(self._running()) // self._program.width)
        if needed >= len(self._groups):
            return False
        keep = [(group, place) for group in self._groups for place, one in enumerate(group.lanes) if one.running]
        width = self._program.width
        self._groups = [self._merge(keep[i : i + width]) for i in range(0, len(keep), width)]
        return True

    def _merge(self, places: list[tuple[Group, int]]) -> Group:
        lanes = [group.lanes[place] for group, place in places]
        full = [*places, *[places[-1]] * (self._program.width - len(places))]

        def gather(*leaves: jax.Array) -> jax.Array:
            return jnp.array(np.stack([leaf[place] for leaf, (_, place) in zip(leaves, full, strict=True)]))

        # Through the host, so that no program is compiled for every way of picking lanes.
        states = [jax.tree.map(np.asarray, (group.state, group.numbers)) for group, _ in full]
        state, numbers = jax.tree.map(gather, *states)
        return Group(lanes, state, numbers, self._counts(lanes), self._validation(lanes), self._rates(lanes))
