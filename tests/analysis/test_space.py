"""Importance, edges, the next study, and what the space's figures draw."""

import math
import tomllib
from dataclasses import replace

import pytest

from hpsearch import analysis
from hpsearch.analysis.edges import edge_of, widen
from hpsearch.analysis.landscape import MAX_PARALLEL, MAX_SLICE, thinned
from hpsearch.analysis.toml import toml_document, toml_parameter, toml_value
from hpsearch.core.space import Choice, Constant, Float, Int, Space
from hpsearch.errors import StudyError
from hpsearch.spec import make_space, parse_parameter, parse_spec
from hpsearch.testing.factories import make_record, make_trials
from hpsearch.testing.searched import make_searched


def test_importance_finds_what_the_surface_was_made_of():
    """The learning rate explains most, the units next. The odds that 40 noisy trials hide this are below 1 in 50 per
    seed, and the seed is fixed."""
    info = analysis.importance_info(make_searched(40))
    assert [row.name for row in info.rows[:2]] == ["learning_rate", "units"]
    assert all(row.told for row in info.rows[:2])
    assert sum(row.share for row in info.rows) < 0.95, "noise keeps its share"
    assert info.sentence.startswith("learning_rate, units")
    assert info.sentence.endswith("cannot be told from chance.")
    assert {row.name for row in info.rows if row.conditional} == {"momentum"}
    assert "epochs" not in {row.name for row in info.rows}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (make_record(make_trials(5)), "it needs at least 8 complete trials, but there are 4"),
        (make_record(), "it needs at least 8 complete trials, but there are 0"),
        (
            replace(make_searched(12), trials=tuple(replace(t, score=0.5) for t in make_searched(12).trials)),
            "all complete trials have the same score",
        ),
        (replace(make_searched(12), space=Space({"units": Constant(3)})), "all hyperparameters are constants"),
    ],
)
def test_importance_gives_a_reason_if_there_is_none(record, reason):
    info = analysis.importance_info(record)
    assert info.rows == ()
    assert info.reason == reason


def test_importance_copes_with_mixed_choices_and_values_outside_the_space():
    record = make_searched(15)
    mixed = Choice((1, True, "1", 0.5))
    trials = tuple(
        replace(t, config={**t.config, "odd": mixed.options[t.number % 4], "learning_rate": 0.5}) for t in record.trials
    )
    space = Space({**record.space, "odd": mixed})
    assert {"odd", "units"} <= {
        row.name for row in analysis.importance_info(replace(record, trials=trials, space=space)).rows
    }


@pytest.mark.parametrize(
    ("name", "parameter", "value", "side", "wider"),
    [
        ("learning_rate", Float(0.01, 0.04), 0.0395, "high", Float(0.01, 0.12)),
        ("learning_rate", Float(0.01, 0.04), 0.0103, "low", Float(0.0033, 0.04)),
        ("learning_rate", Float(0.01, 0.04), 0.02, None, None),
        ("learning_rate", Float(0.01, 0.04), 0.0112, None, None),  # 4 % of the range, but 8 % of its logarithm
        ("dropout", Float(0.0, 0.5, step=0.05), 0.0, "low", None),
        ("dropout", Float(0.0, 0.5, step=0.05), 0.5, "high", Float(0.0, 0.75, step=0.05)),
        ("units", Int(32, 512, log=True), 512, "high", Int(32, 2048, log=True)),
        ("layers", Int(1, 4), 1, "low", None),
        ("epochs", Int(10, 100, step=10), 100, "high", Int(10, 140, step=10)),
        ("batch_size", Choice((16, 32, 64)), 64, "high", Choice((16, 32, 64, 128))),
        ("batch_size", Choice((16, 32, 64)), 16, "low", Choice((8, 16, 32, 64))),
        ("optimizer", Choice(("sgd", "adam", "rmsprop")), "sgd", None, None),
        ("units", Constant(64), 64, None, None),
    ],
)
def test_edges_and_their_widening(name, parameter, value, side, wider):
    assert edge_of(name, parameter, value) == side
    if side is not None:
        assert widen(name, parameter, side) == wider


def test_edges_of_a_study_come_with_advice():
    record = make_searched(40)
    best = record.best
    trials = tuple(
        replace(t, config={**t.config, "dropout": 0.0, "units": 512}) if t is best else t for t in record.trials
    )
    rows = {row.name: row for row in analysis.edges_info(replace(record, trials=trials))}
    assert (
        rows["dropout"].advice
        == "dropout = 0 is at the lower edge, which is its natural limit: there is nothing to widen."
    )
    assert rows["units"].advice.startswith("units = 512 is at the upper edge of its range")
    assert rows["units"].wider == Int(32, 2048, log=True)


def test_more_epochs_where_the_best_trial_still_improves():
    record = make_searched(20, epochs=5)
    row = next(row for row in analysis.edges_info(record) if row.name == "epochs")
    assert (row.side, row.value) == ("high", 20)
    assert row.wider == Constant(40)
    assert not [row for row in analysis.edges_info(make_searched(20, epochs=60)) if row.name == "epochs"]


@pytest.mark.parametrize("seed", range(4))
def test_the_next_study_file_is_a_legal_study(seed):
    record = make_searched(30, seed=seed)
    text = analysis.next_study_file(record)
    spec = parse_spec(text)
    space = make_space(spec)
    assert spec.name == "digits-dnn-next"
    assert spec.objective == record.spec.objective
    rows = {row.name: row for row in analysis.suggested_space(record)}
    assert {name: space[name] for name in rows} == {name: row.parameter for name, row in rows.items()}
    assert any(row.why for row in rows.values())
    for name, row in rows.items():
        assert isinstance(row.parameter, type(record.space[name]) | Constant), name
        assert space[name].contains(record.best.config.get(name, row.parameter.grid(2)[0])), name


def test_the_next_study_keeps_secrets_unexpanded_and_odd_names_harmless(monkeypatch):
    monkeypatch.setenv("TRACKING_PASSWORD", "secret")
    record = make_searched(12, name="odd name\u2028# \U0001f600")
    tracked = record.study_file + '\n[tracking]\nuri = "http://u:${TRACKING_PASSWORD}@host"\n'
    text = analysis.next_study_file(replace(record, study_file=tracked, spec=parse_spec(tracked)))
    assert "secret" not in text
    assert tomllib.loads(text)["tracking"]["uri"] == "http://u:${TRACKING_PASSWORD}@host"
    assert tomllib.loads(text)["name"] == record.name + "-next"


def test_no_next_study_without_a_result():
    with pytest.raises(StudyError) as caught:
        analysis.next_study_file(make_record())
    assert caught.value.code == "study.no-complete-trial"
    assert caught.value.values == {"study": "digits"}
    assert "`hpsearch show digits`" in caught.value.hint


@pytest.mark.parametrize(
    "parameter",
    [
        Constant('a"b\\c\x7f\n'),
        Constant(True),
        Constant(1e-05, when={"x": ("a",)}),
        Choice((1, 2.5, "x", False)),
        Choice((1, 2), when={"x": ("a", "b")}),
        Float(0.0, 1.0),
        Float(1e-05, 1.0, log=True),
        Float(0.0, 0.5, step=0.05),
        Int(1, 10, step=3, when={"x": ("a",)}),
        Int(1, 10),
    ],
)
def test_parameters_survive_being_written(parameter):
    read = tomllib.loads(f"entry = {toml_parameter(parameter)}")["entry"]
    assert parse_parameter(read) == parameter


def test_comments_cannot_break_out_and_other_values_are_refused():
    text = toml_document({"a": 1, "s": {"x": 2}}, head=["one\ntwo = 3"], special={"s": {"x": ("2", "why\nevil = 1")}})
    assert tomllib.loads(text) == {"a": 1, "s": {"x": 2}}
    with pytest.raises(TypeError, match="but got None"):
        toml_value(None)


def test_thinning_the_figures_of_large_studies_keeps_the_best_trial():
    record = make_searched(1300, folds=2, epochs=2)
    slices, parallel = analysis.slice_info(record), analysis.parallel_info(record)
    assert slices.total == parallel.total == len(record.ranked) > MAX_SLICE
    assert (slices.shown, len(parallel.trials)) == (MAX_SLICE, MAX_PARALLEL)
    assert record.best.number in slices.slices[0].trials
    assert parallel.trials[-1] == record.best.number
    assert len({trial.number for trial in thinned(record.ranked, 7)}) == 7


def test_conditional_hyperparameters_have_gaps_in_lines_and_fewer_dots():
    record = make_searched(40)
    parallel = analysis.parallel_info(record)
    place = [axis.name for axis in parallel.axes].index("momentum")
    gaps = sum(line[place] is None for line in parallel.positions)
    with_momentum = sum("momentum" in trial.config for trial in record.ranked)
    assert gaps == len(record.ranked) - with_momentum > 0
    assert len(next(s for s in analysis.slice_info(record).slices if s.axis.name == "momentum").trials) == with_momentum


def test_what_has_one_value_in_all_trials_is_no_axis_and_log_spaces_have_log_axes():
    record = make_searched(20)
    trials = tuple(replace(trial, config={**trial.config, "dropout": 0.2}) for trial in record.trials)
    axes = {axis.name: axis for axis in analysis.parallel_info(replace(record, trials=trials)).axes}
    assert "dropout" not in axes
    assert {name for name, axis in axes.items() if axis.log} == {"learning_rate", "units"}
    assert axes["learning_rate"].ends == (pytest.approx(-3), pytest.approx(math.log10(0.04)))


def test_the_contour_has_only_trials_with_both_and_its_star_is_the_best_trial():
    record = make_searched(60)
    having = [trial.number for trial in record.ranked if "momentum" in trial.config]
    info = analysis.contour_info(record, names=("momentum", "learning_rate"))
    assert sorted(info.trials) == sorted(having)
    assert info.best == (record.best.number if "momentum" in record.best.config else None)
    assert analysis.contour_info(record, names=("units", "learning_rate")).best == record.best.number


def test_contour_follows_the_surface():
    info = analysis.contour_info(make_searched(150), names=("learning_rate", "units"))
    top = max((z, x) for row in info.grid for z, x in zip(row, info.grid_x, strict=True) if z is not None)
    assert 0.005 < top[1] < 0.03  # the surface was made with its best at 0.012
    assert analysis.contour_info(make_record()).reason
