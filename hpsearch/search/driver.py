"""The driver's loop: suggest → dispatch bundles → collect events → prune → ledger → observers.

A suggestion knows the results that the study's :class:`~hpsearch.core.schedule.Schedule` gives its number; later
trials count as running, whatever their true state. So the sequence of suggestions depends on seed and scores, never on
timing, and a resumed study goes on with it.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from hpsearch.core.events import (
    Bundle,
    BundleFinished,
    EpochFinished,
    Event,
    LaneFailed,
    LaneFinished,
    LaneStopped,
    ModelMeasured,
    WorkerDied,
    lane_of,
    without,
)
from hpsearch.core.hyperparameters import epochs_of
from hpsearch.core.rehearsed import left_out_by_fold
from hpsearch.core.trial import Failure, FailureKind, Origin, Trial, TrialState
from hpsearch.executors.base import Executor
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search.claims import Claims
from hpsearch.search.entering import Entering
from hpsearch.search.failing import FailuresInARow
from hpsearch.search.limits import Limits
from hpsearch.search.lining_up import next_lanes
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.observer import Observer
from hpsearch.search.recording import Recording
from hpsearch.search.results import Live, Results, end_after, lost_folds
from hpsearch.search.suggesting import Suggester
from hpsearch.search.together import Together
from hpsearch.search.visible import Visible
from hpsearch.search.watchdog import Watchdog, trials_in_words

POLL_SECONDS = 0.25


class Driver:
    """Searches one study to its end.

    Args:
        record: The study as the ledger has it; running trials in it are continued.
        ledger: Where everything is entered, by this object alone.
        executor: Trains bundles.
        suggester: Suggests configs.
        monitor: Says which running trials to stop.
        observer: Told of everything that happens.
        interrupted: Asked all the time; True ends the search after the epochs in flight.
        watchdog: Knows which workers take too long.
        claims: Which trials are this driver's; by default, all.
    """

    def __init__(
        self,
        record: StudyRecord,
        ledger: Ledger,
        *,
        executor: Executor,
        suggester: Suggester,
        monitor: PruningMonitor,
        observer: Observer,
        interrupted: Callable[[], bool],
        watchdog: Watchdog,
        claims: Claims | None = None,
    ) -> None:
        self._record, self._spec, self._objective = record, record.spec, record.objective
        self._ledger, self._executor, self._suggester = ledger, executor, suggester
        self._plan, self._observer = record.facts.plan, observer
        self._claims = claims or Claims(record, ledger)
        self._shown, self._one_by_one = Visible(), self._plan.trials_per_bundle == 1
        self._entering = Entering(record, ledger, suggester, self._note, self._claims)
        self._n_folds, self._left_out = record.facts.data.n_folds, left_out_by_fold(record.facts.undefined)
        self._results = Results(self._objective, self._n_folds, self._left_out)
        self._interrupted, self._watchdog, self._monitor = interrupted, watchdog, monitor
        self._together = Together(record, self._left_out)
        self._recording = Recording(record, ledger, self._claims, self._results, self._together, observer)
        self._trials = list(record.trials)
        self._live: dict[int, Live] = {}
        self._let_go: set[tuple[int, int]] = set()  # lanes in training whose trials other drivers have by now
        self._bundles, self.compile_seconds, self._stopping = 0, 0.0, False
        self._limits = Limits(record, self._claims, self._entering, self._note)
        self._failures = FailuresInARow(record)

    def search(self) -> bool:
        """Train until the study has its trials, its space is exhausted, or it is interrupted.

        Returns:
            Whether the search came to its end (False: interrupted).

        Raises:
            ModelError: The very first trial failed in the user's code.
            StudyError: ``max_failures`` trials failed in a row.
            ExecutorError: So they did, the last because its worker kept dying.
            LedgerError: Another program has enqueued a trial that cannot be trained.
        """
        self._entering.check(self._trials)
        for trial in tuple(self._trials):
            self._begin(trial)
        while True:
            if self._interrupted() and not self._stopping:
                self._begin_to_stop()
            more = self._fill()
            done = self._stopping or not (self._live or self._claims.await_others())
            if done and self._executor.idle == self._executor.slots:
                return not self._stopping
            begun = time.monotonic()
            events = self._executor.events(0.0 if more else POLL_SECONDS)
            self._observer.driver_waited(time.monotonic() - begun)
            for event in events:
                self._watchdog.heard(event)
                self._handle(without(event, self._left_out))
                if self._one_by_one and isinstance(event, BundleFinished):
                    self._fill()
            self._look_after_workers()
            if self._watchdog.out_of_patience:
                self._note(f"{self._watchdog.running} did not end an epoch in time: the search stops at once")
                return False

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials so far, in order of their number."""
        return self._trials

    def _begin_to_stop(self) -> None:
        self._stopping = True
        awaited = self._watchdog.stop()
        self._observer.note(f"stopping: waiting for {awaited}; Ctrl-C again stops at once" if awaited else "stopping")
        self._executor.stop(frozenset(self._live))

    def _look_after_workers(self) -> None:
        """End those that take too long. Called when all that they have reported is known."""
        for bundle, reason in self._watchdog.overdue():
            self._executor.end(bundle, reason)
        for remark in self._watchdog.silent():
            self._note(remark)

    # Suggesting

    def _fill(self) -> bool:
        """Suggest trials and give idle slots something to train.

        Returns:
            Whether more trials could be suggested at once. Where a bundle is one trial, no slot waits for suggestions
            that others will train: those are made one by one, between events.
        """
        if self._stopping:
            return False
        self._hear_of_others()
        more = self._one_by_one or self._suggest()
        self._dispatch()
        while self._one_by_one and (more := self._suggest(most=1)):
            self._dispatch()
            if not self._executor.idle:
                break
        self._dispatch()
        return more

    def _suggest(self, most: float = math.inf) -> bool:
        """Suggest so many trials at most; returns whether that many have been."""
        made = 0
        while made < most and self._limits.allow(self._trials, self._suggester.space) and not self._must_wait():
            made += 1
            number = len(self._trials)
            entered = self._entering.next(self._visible(number))
            if not entered:
                self._limits.exhausted(number)
                return False
            self._hear(entered)
        return made >= most

    def _begin(self, trial: Trial) -> None:
        """Train a trial that has been entered, unless it has ended or is another driver's."""
        late = any(number == trial.number for number, _ in self._let_go)
        if trial.state.finished or late or (mine := self._claims.take(trial, self._suggester.space)) is None:
            return
        if mine.origin is Origin.QUEUED:
            mine = self._entering.adopt(mine, self._visible(mine.number))
        self._trials[mine.number] = mine
        self._continue(mine)

    def _hear_of_others(self) -> None:
        """Note what other drivers have begun and ended. Take over what they have left, and let go what they have."""
        for number in self._claims.lost():
            self._lose(number)
        self._hear(self._claims.news(len(self._trials), self._suggester.space, at_once=not self._must_wait()))

    def _hear(self, trials: Sequence[Trial]) -> None:
        """These trials are new in the ledger, or have changed there."""
        for trial in trials:
            if trial.number == len(self._trials):
                self._suggester.learn(trial.found)
            self._trials[trial.number : trial.number + 1] = [trial]
        self._entering.check(trials)
        for trial in trials:
            if trial.state.finished:
                self._monitor.finish(trial)
            self._begin(trial)
            if trial.number not in self._live:
                self._observer.others_trial(trial)

    def _lose(self, number: int) -> None:
        """Another driver has a trial that this one trains."""
        if (live := self._live.pop(number, None)) is None:
            return
        self._let_go |= {(number, fold) for fold in live.training}
        self._executor.stop(frozenset({number}))
        self._monitor.finish(self._trials[number])
        self._together.finish(number)
        self._observer.others_trial(self._trials[number])
        self._observer.note(f"trial {number}: another driver has taken it over")

    def _must_wait(self) -> bool:
        """Whether a suggestion needs a worker that is not idle, or one that would have nothing to train afterwards."""
        if not (self._suggester.asks or self._claims.joined):
            return False
        waiting = sum(bool(live.waiting) for live in self._live.values())
        return waiting >= self._executor.idle * self._plan.trials_per_bundle

    def _visible(self, number: int) -> list[Trial]:
        return self._shown.to(self._claims.known(number), self._trials)

    def _continue(self, trial: Trial) -> None:
        """Put a trial's missing folds in line."""
        done = {result.fold: result for result in trial.folds}
        live = Live(waiting=set(range(self._n_folds)) - done.keys(), results=done)
        self._live[trial.number] = live
        self._monitor.start(trial)
        self._together.start(trial)
        self._observer.trial_started(trial)
        self._give_up(trial.number, self._results.too_large(trial), TrialState.INFEASIBLE)
        for result in trial.folds:
            self._give_up(trial.number, self._results.problem_in_fold(result))
        self._judge(trial.number)
        if not live.waiting:
            self._end(trial.number)

    # Dispatching

    def _dispatch(self) -> None:
        most, one = self._plan.trials_per_bundle, self._monitor.fold_by_fold
        while idle := self._executor.idle:
            lanes = next_lanes(self._live, self._trials, idle=idle, most=most, fold_by_fold=one)
            if not lanes:
                return
            for lane in lanes:
                live = self._live[lane.trial]
                live.waiting.discard(lane.fold)
                live.training.add(lane.fold)
            bundle = Bundle(self._bundles, tuple(lanes), self._entering.to_measure(lanes, self._trials))
            trained = [result.seconds for one in bundle.trials for result in self._live[one].results.values()]
            self._watchdog.submitted(bundle, sum(trained))
            self._executor.submit(bundle)
            self._bundles += 1

    # Collecting

    def _handle(self, event: Event) -> None:
        if (lane := lane_of(event)) in self._let_go:
            self._let_go.discard(lane)
            return
        match event:
            case ModelMeasured() if event.trial in self._live:
                self._on_measured(event)
            case EpochFinished():
                self._on_epoch(event)
            case LaneFinished():
                self._on_lane(event)
            case LaneStopped() if self._together.ended(event.trial):
                self._on_lane(event)
            case LaneStopped():
                live = self._live[event.trial]
                live.partial[event.result.fold] = self._results.curves_of(event.result)
                self._lane_ended(event.trial, event.result.fold)
            case LaneFailed():
                self._give_up(event.trial, *end_after(event))
                self._lane_ended(event.trial, event.fold)
            case BundleFinished():
                self.compile_seconds += event.compile_seconds
                for note in event.notes:
                    self._note(note)
            case WorkerDied():
                self._on_death(event)

    def _on_measured(self, event: ModelMeasured) -> None:
        if (trial := self._entering.measured(self._trials[event.trial], event)) is None:
            return self._lose(event.trial)
        self._trials[event.trial] = trial

    def _on_epoch(self, event: EpochFinished) -> None:
        live = self._live.get(event.trial)
        if live is None:
            return
        if (problem := self._results.problem_in_epoch(event)) is not None:
            self._give_up(event.trial, problem)
            return
        event = self._results.numbers_of(event)
        self._observer.epoch_finished(event)
        epochs = epochs_of(self._trials[event.trial].config)
        reason = self._monitor.epoch(event, epochs)
        if self._together.epoch(event):
            self._executor.stop(frozenset({event.trial}))
        ends = live.ending is not None or self._together.ended(event.trial)
        if reason is not None and not ends and event.epoch + 1 < epochs:
            self._give_up(event.trial, Failure(FailureKind.PRUNED, reason, epoch=event.epoch + 1), TrialState.PRUNED)

    def _on_lane(self, event: LaneFinished | LaneStopped) -> None:
        live, trial = self._live[event.trial], self._trials[event.trial]
        problem, result = self._results.problem_in_fold(event.result), self._results.curves_of(event.result)
        live.training.discard(result.fold)
        if problem is not None or live.ending is not None:
            live.partial[result.fold] = result
            self._give_up(event.trial, problem)
        else:
            live.results[result.fold] = result
            self._monitor.fold_ended(event.trial, result)
            news = event.parameters if trial.parameters is None else None
            if news is not None:
                self._trials[event.trial] = trial = replace(trial, parameters=news)
            if not self._recording.fold(trial, result, news):
                return self._lose(event.trial)
            self._judge(event.trial)
        self._lane_ended(event.trial, result.fold)

    def _judge(self, number: int) -> None:
        """End a trial whose folds so far are too poor."""
        live = self._live[number]
        known = self._trials[: self._claims.known(number)] if self._monitor.fold_by_fold else ()
        if live.results and (reason := self._monitor.folds(live.results, known)) and live.ending is None:
            live.judged = True
            self._give_up(number, Failure(FailureKind.PRUNED, reason, fold=max(live.results)), TrialState.PRUNED)

    def _give_up(self, number: int, failure: Failure | None, state: TrialState = TrialState.FAILED) -> None:
        """Let the trial's other lanes end if there is a reason; the first one counts."""
        live = self._live[number]
        if failure is not None and live.ending is None:
            live.ending, live.failure = state, failure
            live.waiting.clear()
            self._executor.stop(frozenset({number}))

    def _lane_ended(self, number: int, fold: int) -> None:
        live = self._live[number]
        live.training.discard(fold)
        if live.training or live.waiting:
            return
        if live.ending is None and len(live.results) < self._n_folds:
            return  # interrupted: stays running in the ledger, its finished folds kept
        self._end(number)

    def _end(self, number: int) -> None:
        trial = self._recording.end(self._trials[number], self._live[number])
        if trial is None:
            return self._lose(number)
        del self._live[number]
        self._trials[number] = trial
        self._monitor.finish(trial)
        self._observer.trial_finished(trial)
        self._failures.add(trial)

    def _on_death(self, event: WorkerDied) -> None:
        """Put the lost lanes in line again, or fail trials that were lost too often or took too long by themselves."""
        self._let_go -= {(lane.trial, lane.fold) for lane in event.bundle.lanes}
        lost = lost_folds(event.bundle, self._live)
        most = self._spec.resources.max_retries
        for number, folds in lost.items():
            live = self._live[number]
            live.training -= folds
            self._monitor.restart(number, folds)
            self._together.restart(number, folds)
            if event.ended:
                live.suspect = True
                if len(lost) == 1:
                    self._give_up(number, Failure(FailureKind.TIMEOUT, event.reason, traceback=event.traceback))
            else:
                live.retries += 1
                if live.retries > most:
                    message = f"{event.reason} ({live.retries} times; max_retries = {most})"
                    self._give_up(number, Failure(FailureKind.WORKER, message, traceback=event.traceback))
            if live.ending is None:
                live.waiting |= folds
            elif not live.training:
                self._end(number)
        which = trials_in_words(tuple(lost) or event.bundle.trials)
        if not event.ended or len(lost) > 1:
            how = "each alone" if event.ended else f"{most} times at most"
            self._note(f"{event.reason}; {which}: trained again, {how}")

    def _note(self, text: str) -> None:
        self._ledger.add_note(self._record.name, text)
        self._observer.note(text)
