"""The fit engine: a bundle lane by lane, each with Keras ``fit``, on any backend."""

import gc
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hpsearch.core.events import Bundle, EpochFinished, Event, Lane, LaneFinished, LaneStopped
from hpsearch.core.facts import EnginePlan
from hpsearch.core.hyperparameters import batch_size_of, epochs_of, shuffle_of
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import Curves, FoldResult
from hpsearch.data.dataset import Part
from hpsearch.errors import ModelError
from hpsearch.keras_internals.tf_gradients import tie_gradients_to_graphs
from hpsearch.training.engines.base import Engine, Stopped
from hpsearch.training.engines.failures import diverged, failed
from hpsearch.training.engines.loop import DivergedError, Order, append, freeze, order_of, train_epochs
from hpsearch.training.engines.watching import watch_of
from hpsearch.training.named_outputs import own_names
from hpsearch.training.problem import Problem

if TYPE_CHECKING:
    import keras

    from hpsearch.models.callbacks import Callbacks
    from hpsearch.training.engines.continuous import Continuous


class FitEngine(Engine):
    """Trains lane after lane with Keras ``fit``. Any Keras model will do.

    Args:
        problem: The study's data, folds and model.
        reason: Why this engine, in plain words for the user.
    """

    def __init__(self, problem: Problem, *, reason: str = "asked for in the study file") -> None:
        self._problem = problem
        self._reason = reason
        self._notes: list[str] = []

    def plan(self) -> EnginePlan:
        """One trial per bundle: lanes share nothing, and a wider bundle would only delay the tuner's news."""
        return EnginePlan("fit", self._reason)

    def take_notes(self) -> tuple[str, ...]:
        """See :meth:`Engine.take_notes`."""
        notes, self._notes[:] = tuple(dict.fromkeys(self._notes)), []
        return notes

    def train(self, bundle: Bundle, stopped: Stopped) -> Iterator[Event]:
        """See :meth:`Engine.train`. Lanes are trained in the bundle's order.

        With pruning, or if the folds of a trial end together, they take turns, epoch by epoch. Rules compare all folds
        of a trial at the same epoch, and could save nothing if the last fold began after the others had ended. All
        models of a bundle stay in memory. Else, only several trainings of a fold take turns: an epoch has ended when
        it has for all of them.
        """
        for lanes in self._in_turns(bundle):
            running = deque(self._guarded(lane, stopped) for lane in lanes)
            while running:
                lane_events = running.popleft()
                for event in lane_events:
                    yield event
                    if isinstance(event, EpochFinished):
                        running.append(lane_events)
                        break
            release()

    def _in_turns(self, bundle: Bundle) -> Sequence[Sequence[Lane]]:
        """Groups of lanes, of which each takes turns."""
        spec, folds = self._problem.spec, self._problem.scored_folds
        if spec.pruning.method != "none" or spec.training.ends_together:
            return [bundle.lanes]
        groups: dict[tuple[int, int], list[Lane]] = {}
        for lane in bundle.lanes:
            groups.setdefault((lane.trial, lane.fold % folds if folds else lane.fold), []).append(lane)
        return [*groups.values()]

    def _guarded(self, lane: Lane, stopped: Stopped) -> Iterator[Event]:
        try:
            yield from self._train_lane(lane, stopped)
        except DivergedError as error:
            yield diverged(lane, error)
        except Exception as error:  # the user's code may raise anything; it must not end the worker
            yield failed(lane, error)

    def _train_lane(self, lane: Lane, stopped: Stopped) -> Iterator[Event]:
        started, clock = time.time(), time.perf_counter()
        curves: dict[str, list[float]] = {}

        def result(*, stopped: bool = False, kept: int | None = None) -> FoldResult:
            return FoldResult(lane.fold, freeze(curves), started, time.perf_counter() - clock, stopped, kept)

        if lane.trial in stopped():
            yield LaneStopped(lane.trial, result())
            return
        seed = self._problem.spec.seed
        train, validation = self._problem.fold_parts(lane.fold)
        found = self._problem.callbacks(lane.config)
        model = self._problem.build(lane.config, train, seed=derive(seed, "weights", lane.trial, lane.fold))
        last = epochs_of(lane.config)
        order = order_of(seed, lane.trial, lane.fold, shuffle=shuffle_of(lane.config))
        watch = watch_of(self._problem, lane, own_names(model), note=self._notes.append)
        callbacks = continuous(self._problem, found, model, lane.config, len(train), epochs=last)
        history = train_epochs(
            model,
            self._problem.to_train(train),
            validation=validation,
            config=lane.config,
            epochs=last,
            order=order,
            watch=watch,
            callbacks=callbacks,
        )
        for epoch, metrics in enumerate(history):
            append(curves, metrics)
            yield EpochFinished(lane.trial, lane.fold, epoch, metrics)
            if epoch + 1 < last and lane.trial in stopped():
                if watch is not None and self._problem.spec.training.together(lane.config) is not None:
                    watch.finish()  # it may be complete
                yield LaneStopped(lane.trial, result(), model.count_params())
                return
        if watch is not None:
            watch.finish()
        kept = None if callbacks is None else callbacks.kept
        yield LaneFinished(lane.trial, result(stopped=result().epochs < last, kept=kept), model.count_params())


def release() -> None:
    """Free what Keras' backend keeps of models that are gone. Other threads may be building and tracing theirs."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        # Compiled steps of models that are gone would stay: 14 MB per lane, measured. Keras' session keeps nothing
        # here, and to clear it would destroy the state of what other threads are tracing.
        jax.clear_caches()
    else:
        keras.utils.clear_session(free_memory=False)
        tie_gradients_to_graphs()
    gc.collect()


def continuous(
    problem: Problem,
    found: "Callbacks",
    model: "keras.Model",
    config: Config,
    rows: int,
    *,
    epochs: int,
    rates: Sequence[float] = (),
) -> "Continuous | None":
    """A model's callbacks, ready to be called; None if it has none."""
    from hpsearch.training.engines.continuous import Continuous

    if not (found.items or rates):
        return None
    steps, objective = -(-rows // batch_size_of(config)), problem.spec.make_objective()
    return Continuous(found, model, objective, epochs=epochs, steps=steps, rates=rates)


def train_whole(
    problem: Problem,
    part: Part,
    config: Config,
    *,
    epochs: int,
    weights: int,
    order: Order,
    rates: Sequence[float] = (),
) -> tuple["keras.Model", Curves]:
    """Train one model on some rows, without validation.

    Args:
        problem: The study's data and model.
        part: The rows.
        config: Hyperparameter values, except ``epochs``.
        epochs: Epochs to train.
        weights: Seed of the initial weights.
        order: Row order of each epoch.
        rates: The learning rate of each epoch, for a model whose callbacks lower it by what they see on validation
            rows.

    Returns:
        The trained model and its training curves.

    Raises:
        ModelError: The model cannot be built, or training diverges; the text has value and epoch.
    """
    found = problem.callbacks(config)
    model = problem.build(config, part, seed=weights)
    rates, found = rates if found.lowers_rate else (), found.without_validation()
    callbacks = continuous(problem, found, model, config, len(part), epochs=epochs, rates=rates)
    part = problem.to_train(part)
    curves: dict[str, list[float]] = {}
    history = train_epochs(model, part, validation=None, config=config, epochs=epochs, order=order, callbacks=callbacks)
    try:
        for metrics in history:
            append(curves, metrics)
    except DivergedError as error:
        raise ModelError(
            f"the refit of the best trial diverged: {error}",
            code="refit-diverged",
            hint="narrow [space] learning_rate to lower values, or resume with more trials",
            epoch=error.epoch,
        ) from None
    return model, freeze(curves)
