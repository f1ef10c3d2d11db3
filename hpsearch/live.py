"""The live view of a running study on stderr: a panel on a terminal, plain lines otherwise."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from hpsearch.core.events import EpochFinished
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.core.words import duration
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.search.observer import Observer

MARKS = {
    TrialState.COMPLETE: "✓",
    TrialState.PRUNED: "✂",
    TrialState.DIVERGED: "∞",
    TrialState.FAILED: "✗",
}

MAX_RUNNING = 4
"""Maximum number of running trials in the panel."""

SLOW_FOLD_SECONDS = 20
"""Plain lines report a single fold only if it took longer. A line for every fold of a fused bundle would be noise."""


class ProgressConsole(Console):
    """A console that goes silent when its reader is gone (``2>&1 | head``). Rich would end the study."""

    def on_broken_pipe(self) -> None:
        """Called by Rich."""
        self.quiet = True


@contextmanager
def watching() -> Iterator[Observer]:
    """An observer that shows progress on stderr while the block runs."""
    console = ProgressConsole(stderr=True, highlight=False)
    if console.is_terminal or console.is_jupyter:
        panel = LivePanel()
        with Live(panel, console=console, refresh_per_second=4, transient=True) as live:
            panel.console = live.console
            yield panel
    else:
        yield PlainLines(console)


class ProgressView(Observer):
    """The state that both views show."""

    def __init__(self) -> None:
        self.record: StudyRecord | None = None
        self.running: dict[int, dict[int, int]] = {}
        self.ended: dict[int, Trial] = {}
        self.started = time.monotonic()
        self.ended_before = 0
        self.stage = "preparing data, model and engine"

    def open(self, record: StudyRecord) -> None:
        self.record = record
        self.ended = {trial.number: trial for trial in record.trials if trial.state.finished}
        self.ended_before = len(self.ended)
        self.started = time.monotonic()
        self.stage = "searching"

    def trial_started(self, trial: Trial) -> None:
        self.running[trial.number] = {fold.fold: fold.epochs for fold in trial.folds}

    def epoch_finished(self, event: EpochFinished) -> None:
        self.running.setdefault(event.trial, {})[event.fold] = event.epoch + 1

    def trial_finished(self, trial: Trial) -> None:
        self.running.pop(trial.number, None)
        self.ended[trial.number] = trial

    def refit_started(self, trial: Trial) -> None:
        kind = self.record.spec.champion.kind if self.record else "refit"
        if kind == "refit":
            self.stage = f"refitting trial {trial.number} on all development rows"
        else:
            self.stage = f"training the champion ({kind}) of trial {trial.number}"

    @property
    def best(self) -> Trial | None:
        """The best complete trial so far."""
        if self.record is None:
            return None
        complete = [trial for trial in self.ended.values() if trial.state is TrialState.COMPLETE]
        return min(complete, key=self.record.objective.rank_key, default=None)

    @property
    def seconds_left(self) -> float | None:
        """Estimated time for the remaining trials; None before a trial has ended since the start."""
        fresh = len(self.ended) - self.ended_before
        if self.record is None or not fresh:
            return None
        per_trial = (time.monotonic() - self.started) / fresh
        return per_trial * (self.record.spec.search.trials - len(self.ended))

    @property
    def total(self) -> str:
        """Number of trials of the study; ``?`` before it is known."""
        return "?" if self.record is None else str(self.record.spec.search.trials)

    def summary(self) -> str:
        """For example ``12/40 done · 2 pruned · 1 diverged · 3 running``."""
        parts = [f"{len(self.ended)}/{self.total} done"]
        if self.record is not None:
            counts = replace(self.record, trials=tuple(self.ended.values())).counts
            parts += [f"{count} {state}" for state, count in counts.items() if state is not TrialState.COMPLETE]
        return " · ".join([*parts, f"{len(self.running)} running"])


class LivePanel(ProgressView):
    """A few lines, redrawn in place. Trials that end are printed above them."""

    def __init__(self) -> None:
        super().__init__()
        self.console: Console | None = None

    def trial_finished(self, trial: Trial) -> None:
        super().trial_finished(trial)
        self._print(describe(trial, self.record))

    def note(self, text: str) -> None:
        self._print(f"note: {text}")

    def _print(self, text: str) -> None:
        if self.console is not None:
            self.console.print(escape(text))

    def __rich__(self) -> Group:
        record = self.record
        if record is None:
            return Group(Text(f"{self.stage} …", style="dim"))
        progress = Progress(TextColumn("{task.description}"), BarColumn(bar_width=None), expand=True)
        progress.add_task(self.summary(), total=record.spec.search.trials, completed=len(self.ended))
        lines = Table.grid(padding=(0, 2))
        for number, folds in sorted(self.running.items())[:MAX_RUNNING]:
            epochs = sum(folds.values())
            lines.add_row(f"t{number:03d}", f"fold {len(folds)}/{record.facts.data.n_folds}", f"{epochs} epochs")
        status = [self.stage]
        if (best := self.best) is not None:
            status.append(f"best {record.objective.metric} {best.score:.4f} (t{best.number:03d})")
        if (left := self.seconds_left) is not None and self.stage == "searching":
            status.append(f"about {duration(round(left))} left")
        return Group(progress, lines, Text(" · ".join(status), style="dim"))


class PlainLines(ProgressView):
    """One line per event, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def open(self, record: StudyRecord) -> None:
        super().open(record)
        plan, data, search = record.facts.plan, record.facts.data, record.spec.search
        self._print(
            f"study {record.name}: {data.rows} rows + {data.test_rows} test, {data.n_folds} folds, "
            f"engine {plan.engine} ({plan.reason}), {search.tuner} {search.algorithm}"
        )
        if self.ended_before:
            self._print(f"continuing after {self.ended_before} finished trials")

    def trial_finished(self, trial: Trial) -> None:
        super().trial_finished(trial)
        left = "" if (seconds := self.seconds_left) is None else f"  ~{duration(round(seconds))} left"
        self._print(f"[{len(self.ended)}/{self.total}] {describe(trial, self.record)}{left}")

    def fold_finished(self, trial: Trial, result: FoldResult) -> None:
        if result.seconds > SLOW_FOLD_SECONDS:
            self._print(f"t{trial.number:03d} fold {result.fold}: {result.epochs} epochs in {duration(result.seconds)}")

    def note(self, text: str) -> None:
        self._print(f"note: {text}")

    def refit_started(self, trial: Trial) -> None:
        super().refit_started(trial)
        self._print(self.stage)

    def close(self, record: StudyRecord) -> None:
        if record.state is StudyState.FINISHED:
            self._print(f"finished in {duration(round(time.monotonic() - self.started))}")

    def _print(self, text: str) -> None:
        self._console.print(escape(text), soft_wrap=True)


def describe(trial: Trial, record: StudyRecord | None) -> str:
    """One line for a trial that has ended."""
    mark = MARKS.get(trial.state, "?")
    if trial.score is not None:
        spread = "" if trial.std is None else f" ± {trial.std:.4f}"
        result = f"{trial.score:.4f}{spread}"
    else:
        result = str(trial.state)
    if trial.state is TrialState.PRUNED and trial.epoch is not None:
        result += f" pruned after {max(fold.epochs for fold in trial.folds)} epochs"
    elif trial.failure is not None:
        result += f": {trial.failure.message}"
    fixed = () if record is None else set(record.space) - set(record.space.searched())
    searched = [name for name in trial.config if name not in fixed]  # also what was found in the code since
    values = " ".join(f"{name}={short(trial.config[name])}" for name in searched)
    return f"{mark} t{trial.number:03d} {result}  {values}"


def short(value: object) -> str:
    """A value in a few characters: numbers have four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
