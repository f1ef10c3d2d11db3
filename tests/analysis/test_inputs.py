"""Input columns: where the winner errs, and what the champion relies on."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hpsearch import analysis
from hpsearch.analysis.inputs import Inputs, _chance
from hpsearch.analysis.thresholds import threshold_curves
from hpsearch.core.facts import Task
from hpsearch.core.metrics import values_of
from hpsearch.errors import StudyError
from hpsearch.report import figures, input_figures
from hpsearch.testing.factories import make_record

RNG = np.random.default_rng(2)
N = 400
SIZE = RNG.integers(0, 4, N).astype(np.uint8)
INPUTS = Inputs(
    ranges={"size": ("up to 1", "1 to 2", "2 to 3", "above 3"), "color": ("red", "blue"), "rare": ("most", "few")},
    codes={"size": SIZE, "color": RNG.integers(0, 2, N).astype(np.uint8), "rare": (np.arange(N) < 3).astype(np.uint8)},
    names=("color", "size"),
    worse=np.array([[0.01, -0.01, 0.0], [0.2, 0.22, 0.18]]),
    metric="auc",
    whole=0.9,
    rows=100,
)


def record_of(task, classes=()):
    record = make_record()
    data = replace(record.facts.data, task=task, classes=classes, rows=N - 100)
    return replace(record, facts=replace(record.facts, data=data))


def test_errors_of_classes_are_counted_in_each_range_and_told_from_chance():
    y = RNG.integers(0, 2, N)
    wrong = RNG.random(N) < np.array([0.05, 0.1, 0.2, 0.5])[SIZE]
    seen = analysis.Predictions(y, np.where(wrong, 1 - y, y).astype(float), np.arange(N))
    info = analysis.inputs_info(record_of(Task.BINARY, ("a", "b")), INPUTS, out_of_fold=seen, test=None)
    size, color = info.columns  # three rows are too few for a range, and one range says nothing
    assert (size.name, size.told, color.name, color.told) == ("size", True, "color", False)
    assert [one.error for one in size.ranges] == pytest.approx([wrong[code == SIZE].mean() for code in range(4)])
    assert sum(one.rows for one in size.ranges) == N
    assert {one.bias for one in size.ranges} == {None}
    assert (info.error, info.error_name, info.of) == (pytest.approx(wrong.mean()), "error rate", "validation row")
    assert info.importance[0].name == "size"
    assert info.importance[0].worse == pytest.approx(0.2)
    assert info.sentence == "The champion relies most on size. 1 other column shows no clear effect."
    drawn = input_figures.errors_by_range(info, 0)
    assert list(drawn.data[0].y) == ["above 3", "2 to 3", "1 to 2", "up to 1"]
    assert input_figures.input_importance(info).data[0].y[-1] == "size"


def test_a_row_that_several_folds_predict_counts_once():
    """Ten repeats say no more of the ranges than one: rows that are hard are hard in each of them."""
    record, rng, repeats = record_of(Task.BINARY, ("a", "b")), np.random.default_rng(1), 10
    told = []
    for _ in range(100):
        y = rng.integers(0, 2, N)
        seen = analysis.Predictions(
            np.tile(y, repeats),
            np.tile(np.where(rng.random(N) < 0.2, 1.0 - y, y), repeats),
            np.tile(np.arange(N), repeats),
        )
        size = {one.name: one for one in analysis.inputs_info(record, INPUTS, out_of_fold=seen, test=None).columns}[
            "size"
        ]
        assert sum(one.rows for one in size.ranges) == N
        told.append(size.told)
    assert np.mean(told) < 0.1
    off = rng.normal(size=(3, 100))
    seen = analysis.Predictions(np.zeros(300), off.ravel(), np.tile(np.arange(100), 3))
    info = analysis.inputs_info(record_of(Task.REGRESSION), INPUTS, out_of_fold=seen, test=None)
    size = {one.name: one for one in info.columns}["size"]
    assert size.ranges[0].error == pytest.approx(np.abs(off)[:, SIZE[:100] == 0].mean())
    assert size.ranges[0].bias == pytest.approx(off[:, SIZE[:100] == 0].mean())


def test_values_have_a_bias_in_each_range_and_the_test_rows_come_after_the_development_rows():
    y = RNG.normal(size=100)
    tested = SIZE[N - 100 :]
    seen = analysis.Predictions(y, y + 2.0 * (tested == 3) + 0.1 * RNG.normal(size=100), np.arange(100))
    info = analysis.inputs_info(record_of(Task.REGRESSION), INPUTS, out_of_fold=None, test=seen)
    assert info.of == "held-out row"
    size = info.columns[0]
    assert [one.rows for one in size.ranges] == np.bincount(tested).tolist()
    assert size.ranges[3].bias == pytest.approx(2.0, abs=0.1)
    assert size.ranges[0].bias == pytest.approx(0.0, abs=0.1)


def test_labels_count_each_label_and_other_forms_have_no_errors():
    y = RNG.integers(0, 2, (N, 3)).astype(np.float32)
    off = y.copy()
    off[SIZE == 2, 0] = 1 - off[SIZE == 2, 0]
    record = record_of(Task.MULTILABEL, ("a", "b", "c"))
    info = analysis.inputs_info(
        record, INPUTS, out_of_fold=analysis.Predictions(y, 0.2 + 0.6 * off, np.arange(N)), test=None
    )
    assert [one.error for one in info.columns[0].ranges] == pytest.approx([0, 0, 1 / 3, 0])
    maps = analysis.Predictions(y[:, None, :], off[:, None, :], np.arange(N))
    assert analysis.inputs_info(record, INPUTS, out_of_fold=maps, test=None).columns == ()


def test_columns_that_say_nothing_rarely_have_a_clear_effect_however_many_there_are():
    """The metric of the rows as they are is then one more draw of what it is with the column permuted."""
    rng, record, columns = np.random.default_rng(0), record_of(Task.BINARY, ("a", "b")), 10
    names = tuple(f"c{number}" for number in range(columns))
    infos = []
    for _ in range(200):
        draws = rng.normal(size=(columns, 6))
        infos.append(
            analysis.inputs_info(
                record,
                replace(INPUTS, names=names, worse=draws[:, :1] - draws[:, 1:], ranges={}),
                out_of_fold=None,
                test=None,
            )
        )
    seen = [info.sentence != "No column on its own shows a clear effect." for info in infos]
    assert np.mean(seen) < 0.1
    constant = replace(INPUTS, worse=np.array([[-0.1] * 5, [0.1] * 5]))
    info = analysis.inputs_info(record, constant, out_of_fold=None, test=None)
    assert [one.told for one in info.importance] == [True, False]
    colors = input_figures.input_importance(info).data[0].marker.color  # the most important one comes last
    assert colors == (input_figures.LIGHT, input_figures.BLUE)


def test_long_names_that_begin_alike_have_bars_of_their_own():
    names = ("monthly average temperature in May", "monthly average temperature in June", "<b>")
    given = replace(INPUTS, names=names, worse=np.array([[0.3] * 5, [0.2] * 5, [0.1] * 5]))
    info = analysis.inputs_info(record_of(Task.BINARY, ("a", "b")), given, out_of_fold=None, test=None)
    shown = list(input_figures.input_importance(info).data[0].y)
    assert shown[::-1] == ["monthly average tempera… (1)", "monthly average tempera… (2)", "&lt;b&gt;"]


def test_without_a_worker_there_is_a_reason_and_nothing_to_draw():
    info = analysis.inputs_info(record_of(Task.BINARY, ("a", "b")), None, out_of_fold=None, test=None)
    assert "no champion" in info.reason
    for draw in (lambda: input_figures.input_importance(info), lambda: input_figures.errors_by_range(info, 0)):
        with pytest.raises(StudyError) as caught:
            draw()
        assert caught.value.code == "study.nothing-to-draw"


def test_ranges_without_a_difference_are_rarely_told_from_chance():
    rng = np.random.default_rng(0)
    tries = [_chance([(rng.random(n) < 0.1).astype(float) for n in (30, 60, 200)]) for _ in range(400)]
    assert np.mean(np.array(tries) < 0.05) < 0.1
    groups = [rng.normal(scale=scale, size=50) for scale in (1, 2)]  # two groups: Welch's t test
    assert _chance(groups) == pytest.approx(stats.ttest_ind(*groups, equal_var=False).pvalue)
    assert _chance([np.zeros(9), np.zeros(9)]) == 1.0
    assert _chance([np.zeros(50), np.ones(50)]) < 1e-6


def test_curves_have_the_areas_of_the_metrics_and_one_of_two_classes_says_all():
    y = RNG.integers(0, 3, N)
    shares = RNG.dirichlet(np.ones(3), N)
    curves = threshold_curves(np.eye(3, dtype=bool)[y], shares, ["a", "b", "c"], exclusive=True)
    assert [one.name for one in curves] == ["a", "b", "c"]
    areas = [np.trapezoid(one.recall, one.false_positive_rate) for one in curves]
    assert np.mean(areas) == pytest.approx(values_of(Task.MULTICLASS, y, shares)["auc"], abs=0.01)
    assert all(len(one.recall) == len(one.precision) <= 201 for one in curves)
    two = np.eye(2, dtype=bool)[(y > 0).astype(int)], np.stack([shares[:, 0], 1 - shares[:, 0]], 1)[:, ::-1]
    assert [one.name for one in threshold_curves(*two, ["no", "yes"], exclusive=True)] == ["yes"]
    assert len(threshold_curves(*two, ["no", "yes"], exclusive=False)) == 2
    assert threshold_curves(np.eye(9, dtype=bool)[y], np.eye(9)[y], list("abcdefghi"), exclusive=True) == ()
    info = analysis.PredictionsInfo("classes", thresholds=curves)
    assert len(figures.roc(info).data) == 4
    assert len(figures.precision_recall(info).data) == 6
    evil = replace(info, thresholds=(replace(curves[0], name="<b>x</b>"),))
    assert figures.roc(evil).data[1].name == "&lt;b&gt;x&lt;/b&gt;"
