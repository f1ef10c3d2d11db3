"""The live view: its plain lines and its panel."""

import io
import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from hpsearch.core.events import EpochFinished
from hpsearch.core.trial import TrialState
from hpsearch.ledger.record import StudyState
from hpsearch.live import MAX_RUNNING, LivePanel, PlainLines, ProgressConsole
from hpsearch.search import progress
from hpsearch.search.progress import Progress, Running
from hpsearch.testing.factories import make_record, make_trial

RECORD = make_record([make_trial(0), make_trial(1, TrialState.PRUNED)])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """Each look at the clock finds it a second later."""
    seconds = itertools.count(100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    return seconds


def run(view: Progress) -> None:
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
    assert lines[3] == "note: something [bold]odd[/]"
    assert lines[4] == "refitting trial 0 on all development rows"
    assert lines[5].startswith("finished in ")


def test_the_panel_shows_counts_running_trials_and_the_best() -> None:
    panel = LivePanel()
    run(panel)
    total = RECORD.spec.search.trials
    assert panel.summary() == f"3/{total} trials · 1 complete · 1 pruned · 1 failed · 1 running"
    console = Console(file=io.StringIO(), width=120)
    console.print(panel)
    shown = console.file.getvalue()
    assert "t003  epoch 5/20, fold 1 of 5" in shown
    assert " so far" in shown
    assert f"best val_accuracy {make_trial(0).score:.4f} (t000)" in shown


@pytest.mark.parametrize("view", [LivePanel, lambda: PlainLines(Console(file=io.StringIO()))])
def test_the_time_left_is_told_once_epochs_have_ended_and_only_falls_until_the_next_one(view, clock) -> None:
    view = view()
    view.open(RECORD)
    assert view.left() == ""
    view.trial_started(replace(make_trial(2, TrialState.RUNNING), folds=()))
    for epoch in range(5):
        view.epoch_finished(EpochFinished(2, fold=0, epoch=epoch, metrics={}))
    told = [view.seconds_left for _ in range(3)]
    assert told[0] > told[1] > told[2] > 0
    assert view.left().endswith(" left")


def test_a_running_trial_is_told_by_its_folds() -> None:
    one = Running(epochs=20, since=0.0)
    assert one.words(5, now=12.9) == "compiling, or in its first epoch (12 s)"
    side_by_side = Running(20, 0.0, dict.fromkeys(range(5), 4), fresh=False)
    assert side_by_side.words(5, now=1.0) == "epoch 4/20, 5 folds"
    in_turn = Running(20, 0.0, {0: 20, 1: 7}, fresh=False)
    assert in_turn.words(5, now=1.0) == "epoch 7/20, fold 2 of 5"
    between = Running(20, 0.0, {0: 20, 1: 20}, fresh=False)
    assert between.words(5, now=1.0) == "2 of 5 folds trained"
    assert (in_turn.left(5), between.left(2)) == (73, 0)


def test_the_panel_names_some_running_trials_and_counts_the_others() -> None:
    panel = LivePanel()
    panel.open(make_record([]))
    for number in range(MAX_RUNNING + 2):
        panel.trial_started(replace(make_trial(number, TrialState.RUNNING), folds=()))
    console = Console(file=io.StringIO(), width=60)
    console.print(panel)
    shown = console.file.getvalue()
    assert [f"t{number:03d}" in shown for number in (0, MAX_RUNNING - 1, MAX_RUNNING)] == [True, True, False]
    assert "+2 more" in shown


def test_what_does_not_fit_goes_on_under_the_text() -> None:
    panel = LivePanel()
    panel.open(make_record([]))
    panel.console = Console(file=io.StringIO(), width=40)
    panel.trial_finished(make_trial(3))
    panel.note("[data] duplicates of rows " + "are many " * 8)
    first, *rest = panel.console.file.getvalue().splitlines()
    under, notes = rest[: (at := [line[:4] for line in rest].index("note"))], rest[at:]
    assert first.startswith("✓ t003 ")
    assert under
    assert {line[:8].count(" ") for line in under} == {7}
    assert notes[0].startswith("note: [data] duplicates")
    assert {line[:7].count(" ") for line in notes[1:]} == {6}
    assert max(map(len, [first, *rest])) <= 40


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


def test_a_further_study_begins_with_a_clock_of_its_own(clock: Iterator[float]) -> None:
    view = PlainLines(Console(file=io.StringIO()))
    view.open(RECORD)
    view.trial_started(make_trial(2, TrialState.RUNNING))
    first = view.elapsed
    view.open(RECORD)
    assert view.elapsed < first
    assert view.running == {}
