"""Which rows a search may see: the held-out part, the outer folds of a nested validation, and the folds within."""

from hpsearch.problem import Problem
from hpsearch.spec import OuterSection, StudySpec, parse_spec

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
