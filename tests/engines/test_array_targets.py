"""Targets that are arrays train in one program as with `fit`."""

from pathlib import Path

import pytest

from hpsearch.core.events import Lane
from hpsearch.spec import StudySpec
from hpsearch.training.engines import make_engine
from hpsearch.training.engines.fit import FitEngine
from hpsearch.training.engines.fused.engine import FusedEngine
from hpsearch.training.problem import Problem
from tests.training.test_array_targets import MODULE

from .conftest import results
from .test_fused import assert_same

pytestmark = pytest.mark.slow

CONFIG = {"batch_size": 8, "epochs": 2}


def problem_of(tmp_path: Path, build: str, options: dict[str, bool]) -> Problem:
    (tmp_path / "array_targets_fused.py").write_text(MODULE)
    spec = StudySpec.model_validate(
        {
            "name": "arrays",
            "data": {"source": "array_targets_fused:load", "options": options},
            "validation": {"folds": 3},
            "model": {"build": f"array_targets_fused:{build}"},
            "space": CONFIG,
            "objective": {"metric": "val_loss", "direction": "minimize"},
            "folder": str(tmp_path),
        }
    )
    return Problem.load(spec)


def test_masked_predictions_are_named_as_what_cannot_be_fused(tmp_path: Path) -> None:
    plan = make_engine(problem_of(tmp_path, "masked", {"flat": True})).plan()
    assert plan.engine == "fit"
    assert "its predictions are masked" in plan.reason, plan.reason


@pytest.mark.parametrize(
    ("build", "options"), [("image", {"classes": False}), ("classes", {}), ("classes", {"flat": True})]
)
def test_fused_and_fit_agree(tmp_path: Path, build: str, options: dict[str, bool]) -> None:
    problem = problem_of(tmp_path, build, options)
    engine = make_engine(problem)
    assert isinstance(engine, FusedEngine)
    lanes = [Lane(0, fold, CONFIG) for fold in range(3)]
    fused, fit = results(engine, lanes), results(FitEngine(problem), lanes)
    for lane in fused:
        assert_same(fused[lane].curves, fit[lane].curves, tolerance=1e-5)
