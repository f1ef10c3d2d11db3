"""The live view of a running study: a panel on a terminal, plain lines elsewhere. All of it goes to stderr."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from hpsearch.core.events import EpochFinished
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.search.observer import Observer

MARKS = {
    TrialState.COMPLETE: "✓",
    TrialState.PRUNED: "✂",
    TrialState.DIVERGED: "∞",
    TrialState.FAILED: "✗",
}


class ProgressConsole(Console):
    """A console that falls silent once nobody reads it (``2>&1 | head``): Rich would end the study."""

    def on_broken_pipe(self) -> None:
        """Called by Rich."""
        self.quiet = True


@contextmanager
def watching() -> Iterator[Observer]:
    """An observer that shows progress on stderr while the block runs."""
    console = ProgressConsole(stderr=True, highlight=False)
    if console.is_terminal:
        panel = LivePanel()
        with Live(panel, console=console, refresh_per_second=4, transient=True) as live:
            panel.console = live.console
            yield panel
    else:
        yield PlainLines(console)


class Progressing(Observer):
    """Keeps count of what both views show."""

    def __init__(self) -> None:
        self.record: StudyRecord | None = None
        self.running: dict[int, dict[int, int]] = {}
        self.done: dict[int, Trial] = {}
        self.begun = time.monotonic()
        self.already = 0
        self.stage = "preparing data, model and engine"

    def open(self, record: StudyRecord) -> None:
        self.record = record
        self.done = {trial.number: trial for trial in record.trials if trial.state.finished}
        self.already = len(self.done)
        self.begun = time.monotonic()
        self.stage = "searching"

    def trial_started(self, trial: Trial) -> None:
        self.running[trial.number] = {fold.fold: fold.epochs for fold in trial.folds}

    def epoch_finished(self, event: EpochFinished) -> None:
        self.running.setdefault(event.trial, {})[event.fold] = event.epoch + 1

    def trial_finished(self, trial: Trial) -> None:
        self.running.pop(trial.number, None)
        self.done[trial.number] = trial

    def refit_started(self, trial: Trial) -> None:
        self.stage = f"refitting trial {trial.number} on all development rows"

    @property
    def best(self) -> Trial | None:
        """The best complete trial so far."""
        if self.record is None:
            return None
        complete = [trial for trial in self.done.values() if trial.state is TrialState.COMPLETE]
        return min(complete, key=self.record.objective.rank_key, default=None)

    @property
    def seconds_left(self) -> float | None:
        """Time for the remaining trials at the pace of this start; None before the first one."""
        fresh = len(self.done) - self.already
        if self.record is None or not fresh:
            return None
        per_trial = (time.monotonic() - self.begun) / fresh
        return per_trial * (self.record.spec.search.trials - len(self.done))

    def counts(self) -> str:
        """For example ``12/40 done · 2 pruned · 1 diverged · 3 running``."""
        total = "?" if self.record is None else str(self.record.spec.search.trials)
        parts = [f"{len(self.done)}/{total} done"]
        for state in (TrialState.PRUNED, TrialState.DIVERGED, TrialState.FAILED):
            if count := sum(trial.state is state for trial in self.done.values()):
                parts.append(f"{count} {state}")
        parts.append(f"{len(self.running)} running")
        return " · ".join(parts)


class LivePanel(Progressing):
    """A few lines, redrawn in place; what ends scrolls by above them."""

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
        progress.add_task(self.counts(), total=record.spec.search.trials, completed=len(self.done))
        lines = Table.grid(padding=(0, 2))
        n_folds = len(record.facts["data"]["folds"])
        for number, folds in sorted(self.running.items())[:4]:
            epochs = sum(folds.values())
            lines.add_row(f"t{number:03d}", f"fold {len(folds)}/{n_folds}", f"{epochs} epochs")
        best = self.best
        tail = [f"{self.stage}"]
        if best is not None:
            tail.append(f"best {record.objective.metric} {best.score:.4f} (t{best.number:03d})")
        if (left := self.seconds_left) is not None and self.stage == "searching":
            tail.append(f"about {duration(left)} left")
        return Group(progress, lines, Text(" · ".join(tail), style="dim"))


class PlainLines(Progressing):
    """One line per thing that happened, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def open(self, record: StudyRecord) -> None:
        super().open(record)
        plan, data = record.facts["plan"], record.facts["data"]
        self._print(
            f"study {record.name}: {data['rows']} rows + {data['test_rows']} test, {len(data['folds'])} folds, "
            f"engine {plan['engine']} ({plan['reason']}), {record.spec.search.tuner} {record.spec.search.algorithm}"
        )
        if self.already:
            self._print(f"going on after {self.already} finished trials")

    def trial_finished(self, trial: Trial) -> None:
        super().trial_finished(trial)
        left = "" if (seconds := self.seconds_left) is None else f"  ~{duration(seconds)} left"
        self._print(f"[{len(self.done)}/{self._total}] {describe(trial, self.record)}{left}")

    def fold_finished(self, trial: Trial, result: FoldResult) -> None:
        # Only where folds are slow: a line per fold of a fused bundle would be noise.
        if result.seconds > 20:
            self._print(f"t{trial.number:03d} fold {result.fold}: {result.epochs} epochs in {duration(result.seconds)}")

    def note(self, text: str) -> None:
        self._print(f"note: {text}")

    def refit_started(self, trial: Trial) -> None:
        super().refit_started(trial)
        self._print(self.stage)

    def close(self, record: StudyRecord) -> None:
        if record.state is StudyState.FINISHED:
            self._print(f"finished in {duration(time.monotonic() - self.begun)}")

    @property
    def _total(self) -> str:
        return "?" if self.record is None else str(self.record.spec.search.trials)

    def _print(self, text: str) -> None:
        self._console.print(escape(text), soft_wrap=True)


def describe(trial: Trial, record: StudyRecord | None) -> str:
    """One line for a trial that ended."""
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
    searched = record.space.searched() if record is not None else tuple(trial.config)
    values = " ".join(f"{name}={short(trial.config[name])}" for name in searched if name in trial.config)
    return f"{mark} t{trial.number:03d} {result}  {values}"


def short(value: object) -> str:
    """A value for a narrow place: four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 10 s`` or ``2 h 05 min``."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
