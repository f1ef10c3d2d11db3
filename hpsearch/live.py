"""The live view of a running study on stderr: a panel on a terminal, plain lines otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import wrap

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.core.words import duration
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.report.console import SafeConsole
from hpsearch.search.observer import Observer
from hpsearch.search.progress import Progress

MARKS = {
    TrialState.COMPLETE: "✓",
    TrialState.INFEASIBLE: "⊘",
    TrialState.PRUNED: "✂",
    TrialState.DIVERGED: "∞",
    TrialState.FAILED: "✗",
}

MAX_RUNNING = 8
"""Maximum number of running trials in the panel."""

SLOW_FOLD_SECONDS = 20
"""Plain lines report a single fold only if it took longer. A line for every fold of a fused bundle would be noise."""


class ProgressConsole(SafeConsole):
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
        with Live(panel, console=console, refresh_per_second=4, transient=True):
            panel.console = console
            yield panel
    else:
        yield PlainLines(console)


class LivePanel(Progress):
    """A few lines, redrawn in place. Trials that end are printed above them."""

    def __init__(self) -> None:
        super().__init__()
        self.console: SafeConsole | None = None

    def trial_finished(self, trial: Trial) -> None:
        super().trial_finished(trial)
        self._print(describe(trial, self.record))

    def note(self, text: str) -> None:
        self._print(f"note: {text}")

    def _print(self, text: str) -> None:
        if self.console is None:
            return
        # What does not fit goes on under the text, so that trials and notes stay a list.
        mark = len("note: ") if text.startswith("note: ") else len("✓ t000 ")
        lines = wrap(text, self.console.width, subsequent_indent=" " * mark) or [text]
        self.console.print(escape("\n".join(lines)))

    def __rich__(self) -> Group:
        record = self.record
        if record is None:
            return Group(Text(f"{self.stage} …", style="dim"))
        bar = Table.grid(expand=True)  # a bar alone ends no line
        bar.add_row(ProgressBar(total=record.spec.search.trials, completed=len(self.ended)))
        lines = Table.grid(padding=(0, 2))
        for number, how_far in self.running_lines(MAX_RUNNING):
            lines.add_row(number, how_far)
        status = [self.stage]
        if (best := self.best) is not None:
            status.append(f"best {record.objective.metric} {best.score:.4f} (t{best.number:03d})")
        status.append(f"{duration(int(self.elapsed))} so far")
        if self.stage == "searching" and (left := self.left()):
            status.append(f"about {left}")
        return Group(Text(self.summary()), bar, lines, Text(" · ".join(status), style="dim"))


class PlainLines(Progress):
    """One line per event, for logs and pipes."""

    def __init__(self, console: SafeConsole) -> None:
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
        left = self.left()
        self._print(f"[{len(self.ended)}/{self.total}] {describe(trial, self.record)}{f'  ~{left}' if left else ''}")

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
            self._print(f"finished in {duration(round(self.elapsed))}")

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
    elif trial.state is TrialState.INFEASIBLE and trial.failure is not None:
        result = f"{'' if trial.score is None else f'{result} '}infeasible: {trial.failure.message}"
    elif trial.stopped_epochs:
        result += f" after {trial.epochs_trained} epochs"
    elif trial.failure is not None:
        result += f": {trial.failure.message}"
    fixed = () if record is None else set(record.space) - set(record.space.searched())
    searched = [name for name in trial.config if name not in fixed]  # also what was found in the code since
    values = " ".join(f"{name}={short(trial.config[name])}" for name in searched)
    return f"{mark} t{trial.number:03d} {result}  {values}"


def short(value: object) -> str:
    """A value in a few characters: numbers have four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
