"""Which rows a search may see: the held-out part, the outer folds of a nested validation, and the folds within."""

from pathlib import Path

import numpy as np
import pytest

from hpsearch.spec import OuterSection, StudySpec, parse_spec
from hpsearch.training.problem import Problem

STUDY = """
name = "rows"
seed = 4
[data]
source = "sklearn:iris"
test_fraction = 0.2
[validation]
folds = 3
[model]
family = "mlp"
[objective]
metric = "val_accuracy"
direction = "maximize"
"""


def with_outer(spec: StudySpec, index: int) -> StudySpec:
    validation = spec.validation.model_copy(update={"outer": OuterSection(folds=4, index=index)})
    return spec.model_copy(update={"validation": validation})


def rows(x) -> list[tuple[float, ...]]:
    return sorted(tuple(row) for row in x.tolist())


def test_the_held_out_part_and_the_development_part_are_all_rows_once() -> None:
    problem = Problem.load(parse_spec(STUDY))
    assert (len(problem.dataset.train), len(problem.dataset.test)) == (120, 30)
    everything = Problem.load(parse_spec(STUDY.replace("0.2", "0.0")))
    assert everything.dataset.test is None
    assert rows(problem.dataset.train.x) + rows(problem.dataset.test.x) != rows(everything.dataset.train.x)
    assert sorted(rows(problem.dataset.train.x) + rows(problem.dataset.test.x)) == rows(everything.dataset.train.x)


def test_outer_folds_share_out_the_development_rows_and_leave_the_test_part_alone() -> None:
    spec = parse_spec(STUDY)
    plain = Problem.load(spec)
    outer = [Problem.load(with_outer(spec, index)) for index in range(4)]
    left_out = sorted(row for problem in outer for row in rows(problem.dataset.test.x))
    assert left_out == rows(plain.dataset.train.x)
    for problem in outer:
        assert (len(problem.dataset.train), len(problem.dataset.test)) == (90, 30)
        assert sorted(rows(problem.dataset.train.x) + rows(problem.dataset.test.x)) == rows(plain.dataset.train.x)
        assert len(problem.folds) == 3
        assert max(fold.train.max() for fold in problem.folds) < 90


def test_same_file_same_rows_in_the_same_folds() -> None:
    first, again = Problem.load(parse_spec(STUDY)), Problem.load(parse_spec(STUDY))
    assert first.dataset.fingerprint() == again.dataset.fingerprint()
    assert all((a.train == b.train).all() for a, b in zip(first.folds, again.folds, strict=True))
    other = Problem.load(parse_spec(STUDY.replace("seed = 4", "seed = 5")))
    assert other.dataset.fingerprint() != first.dataset.fingerprint()


TABLE = """
name = "rows"
[data]
source = "rows.csv"
target = "y"
{role}
[validation]
folds = 3
{method}
[model]
family = "mlp"
[objective]
metric = "val_loss"
direction = "minimize"
"""
N_STEPS = 20
"""Time steps and groups of the table; each has 6 rows, in no order."""


@pytest.fixture
def table(tmp_path: Path):
    """A study file for a table whose one input, ``x``, tells each row's group or time."""
    step = np.random.default_rng(0).permutation(np.repeat(np.arange(N_STEPS), 6))
    y = np.random.default_rng(1).normal(size=len(step))
    lines = [f"{s},{s},{s},{v:.3f}" for s, v in zip(step, y, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["g,t,x,y", *lines]))

    def study(role: str, method: str = "") -> StudySpec:
        other = "t" if "group" in role else "g"
        return parse_spec(TABLE.format(role=f'{role}\nignore = ["{other}"]', method=method), folder=tmp_path)

    return study


def steps(part) -> np.ndarray:
    return part.x["x"]


def parts(problem: Problem) -> list[tuple[np.ndarray, np.ndarray]]:
    """What trains and what tests it: the held-out part, then every fold."""
    found = [(steps(problem.dataset.train), steps(problem.dataset.test))]
    for fold in range(len(problem.folds)):
        train, validation = problem.fold_parts(fold)
        found.append((steps(train), steps(validation)))
    return found


@pytest.mark.parametrize("method", ["", 'method = "group"', 'method = "holdout"'])
def test_a_group_column_alone_keeps_groups_whole_everywhere(table, method: str) -> None:
    spec = table('group = "g"', method)
    for problem in (Problem.load(spec), *(Problem.load(with_outer(spec, index)) for index in range(4))):
        made = parts(problem)
        assert len(made) == (2 if "holdout" in method else 4)
        for train, test in made:
            assert not set(train) & set(test)


@pytest.mark.parametrize("method", ["", 'method = "time-series"', 'method = "holdout"'])
def test_a_time_column_alone_trains_on_the_past_everywhere(table, method: str) -> None:
    spec = table('time = "t"', method)
    for problem in (Problem.load(spec), *(Problem.load(with_outer(spec, index)) for index in range(1, 4))):
        made = parts(problem)
        assert len(made) == (2 if "holdout" in method else 4)
        for train, test in made:
            assert train.max() < test.min()


def test_rows_in_the_order_of_time_are_tested_on_the_last_of_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.arange(50.0).reshape(-1, 1), y=np.linspace(0, 1, 50))
    text = TABLE.replace("rows.csv", "rows.npz").replace('target = "y"\n', "")
    problem = Problem.load(parse_spec(text.format(role="", method='method = "time-series"'), folder=tmp_path))
    assert problem.dataset.test.x[:, 0].tolist() == list(range(40, 50))
