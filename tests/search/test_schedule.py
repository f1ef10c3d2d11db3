"""How wide a new study suggests."""

import pytest

from hpsearch.core.facts import EnginePlan
from hpsearch.core.schedule import Schedule
from hpsearch.core.space import Float, Space
from hpsearch.search.preparation import new_schedule
from hpsearch.testing.synthetic import make_spec
from hpsearch.tuners.base import TunerSettings

SPACE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
FUSED, FIT = EnginePlan("fused", "", trials_per_bundle=8), EnginePlan("fit", "")


@pytest.mark.parametrize(
    ("search", "plan", "slots", "on_gpu", "wanted"),
    [
        ("hpsearch bayesian", FUSED, 1, False, Schedule(6, 4)),
        ("hpsearch bayesian", FUSED, 4, False, Schedule(6, 4)),
        ("hpsearch bayesian", FUSED, 1, True, Schedule(6, 8)),
        ("hpsearch bayesian", FIT, 1, True, Schedule(6, 4)),
        ("hpsearch bayesian", FIT, 9, False, Schedule(6, 1, 8)),
        ("optuna tpe", FUSED, 2, False, Schedule(10, 4)),
        ("optuna cmaes", FUSED, 1, False, Schedule(1, 4)),
        ("optuna random", FUSED, 2, False, Schedule(0, 1, 63)),
        ("optuna grid", FIT, 1, False, Schedule(0, 1, 3)),
        ("keras-tuner bayesian", FIT, 1, False, Schedule(6, 4)),
    ],
)
def test_the_schedule_of_a_new_study(search: str, plan: EnginePlan, slots: int, on_gpu: bool, wanted: Schedule) -> None:
    tuner, algorithm = search.split()
    spec = make_spec("sqlite:///x.db", tuner=tuner, algorithm=algorithm)
    assert new_schedule(spec, TunerSettings(SPACE, "maximize", 1), plan, slots, on_gpu=on_gpu) == wanted


def test_the_study_file_decides_before_the_defaults() -> None:
    spec = make_spec("sqlite:///x.db", search="batch = 2")
    settings = TunerSettings(SPACE, "maximize", 1, startup_trials=3)
    assert new_schedule(spec, settings, FUSED, 1, on_gpu=True) == Schedule(3, 2)
