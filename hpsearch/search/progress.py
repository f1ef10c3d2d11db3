"""What the live view knows of a running study: trials by state, epochs, the best so far, the time left."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hpsearch.core.events import EpochFinished
from hpsearch.core.hyperparameters import epochs_of
from hpsearch.core.time_left import TimeLeft
from hpsearch.core.trial import Trial, TrialState
from hpsearch.core.words import duration
from hpsearch.ledger.record import StudyRecord
from hpsearch.search.observer import Observer


@dataclass(slots=True)
class Running:
    """A trial that trains.

    Attributes:
        epochs: Epochs that each fold will have.
        since: When it was suggested.
        done: Fold → epochs that it has.
        fresh: Whether no epoch has ended since it was suggested, or continued.
    """

    epochs: int
    since: float
    done: dict[int, int] = field(default_factory=dict)
    fresh: bool = True

    def left(self, folds: int) -> int:
        """Epochs of single folds that remain."""
        return max(0, self.epochs * folds - sum(self.done.values()))

    def words(self, folds: int, now: float) -> str:
        """For example ``epoch 4/20, 5 folds``."""
        if self.fresh:
            return f"compiling, or in its first epoch ({duration(int(now - self.since))})"
        training = [done for done in self.done.values() if done < self.epochs]
        if not training:
            return f"{len(self.done)} of {folds} folds trained"
        side_by_side = f"{len(training)} folds" if len(training) > 1 else f"fold {len(self.done)} of {folds}"
        return f"epoch {max(training)}/{self.epochs}, {side_by_side}"


class Progress(Observer):
    """Keeps what has been told of a study, with the times of a monotonic clock."""

    def __init__(self) -> None:
        self.record: StudyRecord | None = None
        self.running: dict[int, Running] = {}
        self.ended: dict[int, Trial] = {}
        self.ended_before = 0
        self.stage = "preparing data, model and engine"
        self._began = time.monotonic()
        self._opened = False
        self._left = TimeLeft(self._began)
        self._ended_here = self._epochs_of_ended = 0
        self._epochs_left = self._epochs_begun = 0  # of single folds of running trials; their sums at every epoch cost

    def open(self, record: StudyRecord) -> None:
        self.record = record
        self.ended = {trial.number: trial for trial in record.trials if trial.state.finished}
        self.ended_before = len(self.ended)
        self.running = {}
        self._ended_here = self._epochs_of_ended = 0
        self._epochs_left = self._epochs_begun = 0
        self.stage = "searching"
        self._began = time.monotonic() if self._opened else self._began  # the first one counts from the call
        self._opened = True
        self._left = TimeLeft(time.monotonic(), _programs(record))

    def trial_started(self, trial: Trial) -> None:
        epochs = epochs_of(trial.config)
        self._forget(trial.number)
        running = Running(epochs, time.monotonic(), {one.fold: one.epochs for one in trial.folds})
        self.running[trial.number] = running
        self._epochs_left += running.left(self._folds)
        self._epochs_begun += epochs * self._folds
        dynamic = self.record.facts.plan.dynamic if self.record else ()
        self._left.trial_started(
            trial.number, tuple((name, one) for name, one in trial.config.items() if name not in dynamic)
        )

    def epoch_finished(self, event: EpochFinished) -> None:
        now, one = time.monotonic(), self.running.get(event.trial)
        if one is None:
            return
        self._left.epoch(event.trial, now)
        before = one.left(self._folds)
        one.done[event.fold], one.fresh = event.epoch + 1, False
        self._epochs_left += one.left(self._folds) - before
        self._estimate(now)

    def trial_finished(self, trial: Trial) -> None:
        self._forget(trial.number)
        self.ended[trial.number] = trial
        self._ended_here += 1
        self._epochs_of_ended += sum(one.epochs for one in trial.folds)
        self._estimate(time.monotonic())

    def others_trial(self, trial: Trial) -> None:
        self.running.pop(trial.number, None)
        if trial.state.finished:
            self.ended[trial.number] = trial

    def refit_started(self, trial: Trial) -> None:
        kind = self.record.spec.champion.kind if self.record else "refit"
        if kind == "refit":
            self.stage = f"refitting trial {trial.number} on all development rows"
        else:
            self.stage = f"training the champion ({kind}) of trial {trial.number}"

    def _estimate(self, now: float) -> None:
        if self.record is None:
            return
        waiting = max(0, self.record.spec.search.trials - len(self.ended) - len(self.running))
        if self._ended_here:
            usual = self._epochs_of_ended / self._ended_here
        else:
            usual = self._epochs_begun / max(1, len(self.running))
        self._left.estimate(now, epochs=self._epochs_left + waiting * usual, trials=waiting)

    def _forget(self, number: int) -> None:
        """A trial does not run any more."""
        if (one := self.running.pop(number, None)) is not None:
            self._epochs_left -= one.left(self._folds)
            self._epochs_begun -= one.epochs * self._folds

    @property
    def _folds(self) -> int:
        return 0 if self.record is None else self.record.facts.data.n_folds

    @property
    def best(self) -> Trial | None:
        """The best complete trial so far."""
        if self.record is None:
            return None
        complete = [trial for trial in self.ended.values() if trial.state is TrialState.COMPLETE]
        return min(complete, key=self.record.objective.rank_key, default=None)

    @property
    def elapsed(self) -> float:
        """Seconds since the call; of a further study since it began."""
        return time.monotonic() - self._began

    @property
    def seconds_left(self) -> float | None:
        """Estimated time for what remains of the search; None as long as too little is known."""
        return self._left.at(time.monotonic())

    def left(self) -> str:
        """For example ``3 min 10 s left``; empty if nothing is known or nothing is left."""
        seconds = self.seconds_left
        return "" if seconds is None or seconds < 1 else f"{duration(round(seconds))} left"

    @property
    def total(self) -> str:
        """Number of trials of the study; ``?`` before it is known."""
        return "?" if self.record is None else str(self.record.spec.search.trials)

    def summary(self) -> str:
        """For example ``12/40 trials · 10 complete · 2 pruned · 3 running``."""
        parts = [f"{len(self.ended)}/{self.total} trials"]
        if self.record is not None:
            counts = replace(self.record, trials=tuple(self.ended.values())).counts
            parts += [f"{count} {state}" for state, count in counts.items()]
        return " · ".join([*parts, f"{len(self.running)} running"])

    def running_lines(self, most: int) -> Iterator[tuple[str, str]]:
        """Trial and how far it is, for so many running trials; one line says how many more there are."""
        folds, now = self.record.facts.data.n_folds if self.record else 0, time.monotonic()
        shown = sorted(self.running.items())
        for number, one in shown[:most]:
            yield f"t{number:03d}", one.words(folds, now)
        if len(shown) > most:
            yield "", f"+{len(shown) - most} more"


def _programs(record: StudyRecord) -> float:
    """Most programs that its trials can need: one per combination of what a program is compiled for."""
    listed = (one.values() for name, one in record.space.items() if name not in record.facts.plan.dynamic)
    return math.prod(math.inf if values is None else len(values) for values in listed)
