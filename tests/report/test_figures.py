"""Figures show exactly the numbers of their infos. Terminal views are readable as plain text."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from hpsearch import analysis
from hpsearch.errors import StudyError
from hpsearch.report import ReportArtifacts, figures, terminal
from hpsearch.report.content import gather
from hpsearch.report.markdown import render_markdown
from hpsearch.report.notebook import Figures
from hpsearch.report.page import render_page
from hpsearch.report.style import BLUE, LIGHT
from hpsearch.testing.factories import make_record, make_trials
from hpsearch.testing.searched import make_searched

RECORD = make_searched(25)


def shown(renderable, width=140):
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(renderable)
    return console.file.getvalue()


def test_importance_bars_have_the_shares():
    info = analysis.importance_info(RECORD)
    bar, floor = figures.importance(info).data
    assert list(bar.x)[::-1] == [100 * one.share for one in info.bars]
    assert list(bar.y)[::-1] == [one.label for one in info.bars]
    colors = {one.label: color for one, color in zip(info.bars[::-1], bar.marker.color, strict=True)}
    assert {colors[row.name] for row in info.rows if row.told} == {BLUE}
    assert {colors[row.name] for row in info.rows if not row.told} == {LIGHT}
    floors = {one.label: 100 * one.floor for one in info.bars if one.floor is not None}
    assert dict(zip(floor.y, floor.x, strict=True)) == floors


def test_noise_is_said_to_be_noise_everywhere():
    """Scores that have nothing to do with the configs."""
    scores = [trial.score for trial in RECORD.ranked]
    mixed = {trial.number: scores[(7 * place) % len(scores)] for place, trial in enumerate(RECORD.ranked)}
    record = replace(RECORD, trials=tuple(replace(t, score=mixed.get(t.number, t.score)) for t in RECORD.trials))
    info = analysis.importance_info(record)
    assert info.sentence == "No hyperparameter can be told from chance."
    assert info.sentence in " ".join(shown(terminal.importance(info)).split())
    assert "cannot be told from chance" in shown(terminal.importance(info))
    content = gather(record)
    assert info.sentence in render_page(content)
    assert info.sentence in render_markdown(content)
    assert set(figures.importance(info).data[0].marker.color) == {LIGHT}


def test_the_star_of_the_contour_is_the_best_trial_or_none():
    info = analysis.contour_info(RECORD, names=("learning_rate", "units"))
    star = figures.contour(info).data[-1]
    assert star.marker.symbol == "star"
    place = info.trials.index(RECORD.best.number)
    assert (star.x[0], star.y[0]) == info.positions[place]
    assert figures.contour(replace(info, best=None)).data[-1].marker.symbol is None


def test_curves_have_means_bands_and_two_axes():
    info = analysis.curves_info(RECORD, top=1)
    one = info.trials[0]
    traces = {trace.name: trace for trace in figures.curves(info, one.trial).data if trace.name}
    assert list(traces["val_accuracy"].y) == list(one.curves["val_accuracy"].mean)
    assert list(traces["val_accuracy"].x) == list(range(1, 21))
    assert traces["val_loss"].yaxis == "y"
    assert traces["val_accuracy"].yaxis == "y2"


def test_slices_star_the_best_once_per_hyperparameter():
    info = analysis.slice_info(RECORD)
    stars = [t for t in figures.slices(info).data if t.marker.symbol == "star" and len(t.x)]
    having = [name for name in RECORD.space.searched() if name in RECORD.best.config]
    assert len(stars) == len(having)
    assert {trace.y[0] for trace in stars} == {RECORD.best.score}


def test_parallel_lines_reverse_their_colors_if_lower_is_better():
    info = analysis.parallel_info(RECORD)
    assert figures.parallel(info, direction="minimize").data[0].line.reversescale is True
    line = figures.parallel(info).data[0]
    assert line.line.reversescale is False
    assert list(line.dimensions[-1].values) == list(info.scores)


def test_names_cannot_become_markup_in_figures():
    info = analysis.importance_info(RECORD)
    evil = replace(info, rows=(replace(info.rows[0], name="<a href='x'>y</a>"),), pairs=())
    assert figures.importance(evil).data[0].y[0].startswith("&lt;a href")


def test_without_numbers_there_is_nothing_to_draw():
    contour, importance = analysis.contour_info(make_record()), analysis.importance_info(make_record())
    predictions = analysis.predictions_info(make_record(), None)
    for draw, info in (
        (figures.contour, contour),
        (figures.importance, importance),
        (figures.confusion, predictions),
        (figures.calibration, predictions),
        (figures.roc, predictions),
        (figures.precision_recall, predictions),
        (figures.residuals, predictions),
    ):
        with pytest.raises(StudyError) as caught:
            draw(info)
        assert caught.value.code == "study.nothing-to-draw"
        assert info.reason in caught.value.what


def test_curves_of_classes_are_drawn_one_by_one():
    data = replace(RECORD.facts.data, classes=("no", "yes", "perhaps"))
    record = replace(RECORD, facts=replace(RECORD.facts, data=data))
    truth = np.arange(60) % 3
    predictions = analysis.Predictions(truth, np.random.default_rng(0).dirichlet(np.ones(3), 60), np.arange(60))
    drawn = Figures(record, ReportArtifacts(predictions))
    names = {one.name for one in analysis.predictions_info(record, predictions).thresholds}
    assert names == {"no", "yes", "perhaps"}
    assert names < {trace.name for trace in drawn.roc().data}
    assert names <= {trace.name for trace in drawn.precision_recall().data}


def test_leaderboard_in_the_terminal():
    text = shown(terminal.leaderboard(analysis.leaderboard_info(RECORD), top=5))
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["trial", "val_accuracy", "learning_rate"]
    assert lines[1].split()[:2] == ["best", str(RECORD.best.number)]
    assert f"{RECORD.best.score:.4f} ± {RECORD.best.std:.4f}" in lines[1]
    assert f"{len(RECORD.ranked) - 5} more complete trials" in lines[-1]


def test_square_brackets_are_text_in_the_terminal():
    best = RECORD.best
    evil = replace(
        RECORD,
        name="[red]x",
        trials=tuple(
            replace(t, config={**t.config, "optimizer": "[bold]adam[/]"}) if t is best else t for t in RECORD.trials
        ),
    )
    assert "[bold]adam[/]" in shown(terminal.leaderboard(analysis.leaderboard_info(evil)))
    assert "hpsearch predict '[red]x' data.csv" in shown(terminal.verdict(analysis.verdict_info(evil)))


def test_bars_and_plots_of_text():
    assert terminal.bar(0.5, 4) == "██"
    assert terminal.bar(1 / 32, 4) == "▏"
    assert terminal.bar(2.0, 4) == "████"
    assert terminal.plot([(0.0, 0.5, 1.0)], n_epochs=3, width=3, height=3)[:3] == [
        " 1.000 ┤  ●",
        "       ┤ ●",
        "0.0000 ┤●",
    ]
    assert terminal.plot([(float("nan"),)], n_epochs=1) == ["no finite values"]
    assert "no importance: it needs at least 8" in shown(terminal.importance(analysis.importance_info(make_record())))


def test_curves_and_comparison_in_the_terminal():
    text = shown(terminal.curves(analysis.curves_info(RECORD, top=1)))
    assert f"trial {RECORD.best.number}: accuracy, val_accuracy (mean over folds)" in text
    assert "epoch 20" in text
    assert "no curves: no fold has finished" in shown(terminal.curves(analysis.curves_info(make_record())))
    info = analysis.compare_info(RECORD, RECORD, trial_b=RECORD.ranked[-1].number)
    assert info.sentence in shown(terminal.comparison(info)).replace("\n", " ")


def test_a_trial_of_any_state_can_be_shown():
    record = make_record(make_trials(10))
    for trial in record.trials:
        assert str(trial.state) in shown(terminal.trial(analysis.trial_summary(record, trial)))
