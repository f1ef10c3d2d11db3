"""Which rows a search may see: the held-out part, the outer folds of a nested validation, and the folds within."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from hpsearch.core.facts import EqualRows
from hpsearch.spec import OuterSection, StudySpec, parse_spec
from hpsearch.training.problem import Problem
from hpsearch.training.worker import Worker
from tests.raising import raises

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


def copied(folder: Path, role: str, method: str = "", *, n: int = 60) -> StudySpec:
    """A table in which every row stands three times, in no order; ``g`` differs between the copies of a row."""
    rng = np.random.default_rng(2)
    row = rng.permutation(np.repeat(np.arange(n), 3))
    x = ["", "", "", *(rng.permutation(n) / 8)]
    y = rng.normal(size=3 * n)
    lines = [f"{i % 40},{x[r]},{'abc'[r % 3]},{r},{y[i]:.3f}" for i, r in enumerate(row)]
    (folder / "rows.csv").write_text("\n".join(["g,x,c,t,y", *lines]))
    named = [name for name in "gt" if f'"{name}"' not in role]
    return parse_spec(TABLE.format(role=f"{role}\nignore = {named}", method=method), folder=folder)


def crossing(problem: Problem) -> tuple[int, int]:
    found = Worker(problem.spec).describe_data().equal_rows
    return found.validation, found.test


TOGETHER = 'duplicates = "group"'


def test_equal_rows_are_counted_after_ignored_columns_are_dropped(tmp_path: Path) -> None:
    spec = copied(tmp_path, "")
    facts = Worker(spec).describe_data()
    assert facts.equal_rows.validation > 100
    assert facts.equal_rows.test > 25
    assert facts.equal_rows.validation == facts.equal_rows.validation_differing
    assert any(TOGETHER in warning for warning in facts.warnings)
    assert Worker(copied(tmp_path, 'group = "t"')).describe_data().equal_rows == EqualRows()


@pytest.mark.parametrize("method", ["", 'method = "holdout"', "repeats = 2", 'method = "kfold"'])
def test_equal_rows_stay_together_everywhere(tmp_path: Path, method: str) -> None:
    spec = copied(tmp_path, TOGETHER, method)
    for problem in (Problem.load(spec), *(Problem.load(with_outer(spec, index)) for index in range(4))):
        assert crossing(problem) == (0, 0)
        # Equal rows are units of the test score, too.
        assert len(np.unique(problem.dataset.test.groups)) * 3 == len(problem.dataset.test)
    assert not Worker(spec).describe_data().warnings


@pytest.mark.parametrize("method", ["", 'method = "holdout"'])
def test_groups_and_equal_rows_stay_together_at_once(tmp_path: Path, method: str) -> None:
    both = f'group = "g"\n{TOGETHER}'
    with raises(
        "data.empty-part", unit="groups joined by equal rows", parts=(0, 1)
    ):  # 40 groups and 60 rows, all of them linked
        Problem.load(copied(tmp_path, both, method))
    spec = copied(tmp_path, 'group = "g"', method)
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    # Groups of copies: 0 and 1 share rows, and so do 2 and 3, and so on.
    rows = [f"{i // 4},{i // 8 * 4 + i % 4}.5,a,0,{i % 5}.5" for i in range(160)]
    (tmp_path / "rows.csv").write_text("\n".join([lines[0], *rows]))
    assert min(crossing(Problem.load(spec))) > 0
    spec = parse_spec(TABLE.format(role=f'{both}\nignore = ["t"]', method=method), folder=tmp_path)
    for problem in (Problem.load(spec), *(Problem.load(with_outer(spec, index)) for index in range(4))):
        assert crossing(problem) == (0, 0)
        assert len(np.unique(problem.dataset.test.groups)) * 8 == len(problem.dataset.test)


def test_rows_that_train_before_their_equals_validate_are_counted_in_time(tmp_path: Path) -> None:
    lines = [f"0,{i % 10},a,{i},{i % 7}.5" for i in range(60)]
    copied(tmp_path, "")
    (tmp_path / "rows.csv").write_text("\n".join(["g,x,c,t,y", *lines]))
    spec = parse_spec(TABLE.format(role='time = "t"\nignore = ["g"]', method=""), folder=tmp_path)
    facts = Worker(spec).describe_data()
    assert (facts.equal_rows.validation, facts.equal_rows.test) == (36, 12)
    assert facts.warnings[-1].endswith("drop them")


def test_a_source_with_a_test_part_keeps_it(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (40, 5, 5)).astype(np.uint8)
    y = np.arange(40) % 2
    twice = np.concatenate([x, x])
    np.savez(tmp_path / "rows.npz", x=twice, y=np.concatenate([y, y]), x_test=x[:10], y_test=1 - y[:10])
    text = TABLE.replace("rows.csv", "rows.npz").replace('target = "y"\n', "").replace("val_loss", "val_accuracy")
    for role, validation in (("", 50), (TOGETHER, 0)):
        spec = parse_spec(text.format(role=role, method=""), folder=tmp_path)
        facts = Worker(spec).describe_data()
        assert (facts.rows, facts.test_rows) == (80, 10)
        assert (facts.equal_rows.test, facts.equal_rows.test_differing) == (10, 10)
        assert (facts.equal_rows.validation > 0) == (validation > 0)
        assert facts.warnings[-1].endswith("stays as it is")
        assert (TOGETHER in facts.warnings[-1]) == (validation > 0)
    # The test part of an outer fold is hpsearch's, which keeps equal rows together.
    assert not Worker(with_outer(spec, 0)).describe_data().warnings
    spec = parse_spec(text.format(role="", method=""), folder=tmp_path)
    assert "own" not in Worker(with_outer(spec, 0)).describe_data().warnings[-1]


def test_the_folds_of_a_study_without_the_option_are_those_it_had(tmp_path: Path) -> None:
    """Computed with the version before it."""
    problem = Problem.load(copied(tmp_path, ""))
    digest = hashlib.blake2b(digest_size=6)
    for fold in problem.folds:
        digest.update(fold.train.astype(np.int64).tobytes() + fold.validation.astype(np.int64).tobytes())
    digest.update(problem.dataset.test.y.tobytes())
    assert digest.hexdigest() == "41447ef7451c"
