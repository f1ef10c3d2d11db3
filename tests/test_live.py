"""The live view: its plain lines and its panel."""

import io
import os
from dataclasses import replace

import pytest
from rich.console import Console

from hpsearch.core.events import EpochFinished
from hpsearch.core.trial import TrialState
from hpsearch.ledger.record import StudyState
from hpsearch.live import LivePanel, PlainLines, ProgressConsole, ProgressView
from hpsearch.testing.factories import make_record, make_trial

RECORD = make_record([make_trial(0), make_trial(1, TrialState.PRUNED)])


def run(view: ProgressView) -> None:
    """Continue a study with a pruned trial, then fail one trial and train another."""
    view.open(RECORD)
    view.trial_started(make_trial(2, TrialState.RUNNING))
    view.trial_finished(make_trial(2, TrialState.FAILED))
    view.trial_started(replace(make_trial(3, TrialState.RUNNING), folds=()))
    view.epoch_finished(EpochFinished(3, fold=0, epoch=4, metrics={}))
    view.note("something [bold]odd[/]")


def test_plain_lines_report_each_event() -> None:
    stream = io.StringIO()
    view = PlainLines(Console(file=stream, width=200))
    run(view)
    view.refit_started(make_trial(0))
    view.close(replace(RECORD, state=StudyState.FINISHED))
    lines = stream.getvalue().splitlines()
    total = RECORD.spec.search.trials
    assert lines[0].startswith("study digits: 1438 rows + 359 test, 5 folds, engine ")
    assert lines[1] == "continuing after 2 finished trials"
    assert lines[2].startswith(f"[3/{total}] ✗ t002 failed: ")
    assert " left" in lines[2]
    assert lines[3] == "note: something [bold]odd[/]"
    assert lines[4] == "refitting trial 0 on all development rows"
    assert lines[5].startswith("finished in ")


def test_the_panel_shows_counts_running_trials_and_the_best() -> None:
    panel = LivePanel()
    run(panel)
    total = RECORD.spec.search.trials
    assert panel.summary() == f"3/{total} done · 1 pruned · 1 failed · 1 running"
    console = Console(file=io.StringIO(), width=120)
    console.print(panel)
    shown = console.file.getvalue()
    assert "t003  fold 1/5  5 epochs" in shown
    assert f"best val_accuracy {make_trial(0).score:.4f} (t000)" in shown


@pytest.mark.parametrize("view", [LivePanel, lambda: PlainLines(Console(file=io.StringIO()))])
def test_there_is_no_estimate_before_a_trial_has_ended(view) -> None:
    view = view()
    assert view.seconds_left is None
    view.open(RECORD)
    assert view.seconds_left is None
    view.trial_finished(make_trial(2))
    assert view.seconds_left is not None


def test_losing_the_reader_of_the_progress_does_not_end_the_study() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1, closefd=True) as stream:
        console = ProgressConsole(file=stream)
        lines = PlainLines(console)
        lines.note("one")
        lines.note("two")
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # receives the rest when it is closed
    assert console.quiet
