"""What is specific to Optuna's samplers."""

from collections.abc import Sequence

import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from hpsearch.core.space import Float, Int, Space
from hpsearch.core.trial import Trial, TrialState
from hpsearch.testing.contracts.simulation import MIXED, simulate
from hpsearch.tuners import TunerSettings, make_tuner
from hpsearch.tuners.dimensions import Dimensions
from hpsearch.tuners.distinct import DistinctTuner
from hpsearch.tuners.optuna import Mirror
from hpsearch.tuners.optuna_cmaes import CmaEs

from .support import SQUARE, best, square

POINT = {"x": 1.0, "y": 2.0}


def held_by(study: optuna.Study) -> list[tuple[OptunaState, float | None, dict[int, float]]]:
    return [(trial.state, trial.value, trial.intermediate_values) for trial in study.get_trials(deepcopy=False)]


def mirror(direction: str = "minimize") -> Mirror:
    return Mirror(Dimensions(SQUARE), direction)


class TestMirror:
    def test_each_state_has_its_optuna_form(self) -> None:
        history = [
            Trial(0, POINT, TrialState.COMPLETE, score=1.0, epoch=4),
            Trial(1, POINT, TrialState.PRUNED, score=3.0, epoch=3),
            Trial(2, POINT, TrialState.DIVERGED),
            Trial(3, POINT, TrialState.FAILED),
            Trial(4, POINT),
            Trial(5, {"x": 99.0, "y": 0.0}, TrialState.COMPLETE, score=0.0),  # not of the space
        ]
        assert held_by(mirror().follow(history)) == [
            (OptunaState.COMPLETE, 1.0, {}),
            (OptunaState.PRUNED, 3.0, {2: 3.0}),
            (OptunaState.COMPLETE, 4.5, {}),  # 3 + half of 3 - 0: also a foreign score is a score
            (OptunaState.FAIL, None, {}),
            (OptunaState.RUNNING, None, {}),
        ]

    def test_a_running_trial_ends_in_its_place(self) -> None:
        kept = mirror()
        first = kept.follow([Trial(0, POINT), Trial(1, POINT)])
        second = kept.follow([Trial(0, POINT), Trial(1, POINT, TrialState.COMPLETE, score=5.0), Trial(2, POINT)])
        assert second is first
        assert [state for state, _, _ in held_by(second)] == [
            OptunaState.RUNNING, OptunaState.COMPLETE, OptunaState.RUNNING,
        ]  # fmt: skip

    def test_old_diverged_trials_stay_worse_than_a_new_worst(self) -> None:
        kept = mirror("maximize")
        history = [Trial(0, POINT, TrialState.COMPLETE, score=0.5), Trial(1, POINT, TrialState.DIVERGED)]
        assert held_by(kept.follow(history))[1][1] == pytest.approx(0.475)
        history.append(Trial(2, POINT, TrialState.COMPLETE, score=0.1))
        assert held_by(kept.follow(history))[1][1] == pytest.approx(-0.1)

    @pytest.mark.parametrize(
        "other",
        [
            [],
            [Trial(0, POINT, TrialState.COMPLETE, score=2.0)],
            [Trial(0, {"x": 0.0, "y": 0.0}, TrialState.COMPLETE, score=1.0)],
            [Trial(0, POINT)],
        ],
        ids=["shorter", "another score", "another config", "running again"],
    )
    def test_is_rebuilt_for_another_history(self, other: list[Trial]) -> None:
        kept = mirror()
        kept.follow([Trial(0, POINT, TrialState.COMPLETE, score=1.0)])
        assert held_by(kept.follow(other)) == held_by(mirror().follow(other))


def test_the_grid_is_shuffled_but_complete() -> None:
    space = Space({"x": Float(0.0, 1.0), "n": Int(1, 3)})
    suggested = simulate(make_tuner("optuna", "grid", TunerSettings(space, "minimize", 1, grid_points=4)).suggest, 20)
    ordered = list(space.grid(4))
    assert suggested[:-1] != ordered
    assert sorted(map(str, suggested[:-1])) == sorted(map(str, ordered))
    assert suggested[-1] is None


def test_qmc_spreads_better_than_chance() -> None:
    """The first 16 points of a Sobol sequence: one in each sixteenth of every axis."""
    tuner = make_tuner("optuna", "qmc", TunerSettings(SQUARE, "minimize", 3))
    configs = simulate(tuner.suggest, 16)
    for name in ("x", "y"):
        assert sorted(int((float(config[name]) + 5.0) / 10.0 * 16) for config in configs if config) == list(range(16))


class TestCmaEs:
    def suggest(self, history: Sequence[Trial], startup_trials: int | None = None) -> object:
        settings = TunerSettings(SQUARE, "minimize", 1, startup_trials)
        return make_tuner("optuna", "cmaes", settings).suggest(history)

    def history(self, count: int, running: int | None = None) -> list[Trial]:
        tuner = make_tuner("optuna", "cmaes", TunerSettings(SQUARE, "minimize", 1))
        trials: list[Trial] = []
        for number in range(count):
            config = tuner.suggest(trials)
            assert config is not None
            ended = Trial(number, config, TrialState.COMPLETE, score=square(config))
            trials.append(Trial(number, config) if number == running else ended)
        return trials

    def test_nothing_is_learned_within_a_generation(self) -> None:
        """One random trial, then generations of 4 + floor(3 ln 2) = 6 trials."""
        history = self.history(6)
        worse = [*history[:1], *(Trial(t.number, t.config, TrialState.COMPLETE, score=50.0) for t in history[1:])]
        assert self.suggest(history) == self.suggest(worse)

    def test_a_complete_generation_moves_the_distribution(self) -> None:
        history = self.history(7)
        turned = [Trial(t.number, t.config, TrialState.COMPLETE, score=-(t.score or 0.0)) for t in history]
        assert self.suggest(history) != self.suggest(turned)

    def test_trials_from_elsewhere_do_not_count_for_a_generation(self) -> None:
        history = self.history(7)
        foreign = [*history[:6], Trial(6, POINT, TrialState.COMPLETE, score=0.0)]
        other = [*history[:6], Trial(6, POINT, TrialState.COMPLETE, score=100.0)]
        assert self.suggest(foreign) == self.suggest(other) != self.suggest(history)

    def test_nothing_is_learned_past_a_running_trial(self) -> None:
        history = self.history(10, running=3)
        worse = [*history[:4], *(Trial(t.number, t.config, TrialState.COMPLETE, score=50.0) for t in history[4:])]
        assert self.suggest(history) == self.suggest(worse)

    def test_second_draws_count_for_their_generation(self) -> None:
        """In a space of 121 configs many first draws repeat an earlier one; without the second ones, there would be 4
        generations after 60 trials."""
        settings = TunerSettings(Space({"x": Int(-5, 5), "y": Int(-5, 5)}), "minimize", 1)
        algorithm = CmaEs(settings)
        assert best(DistinctTuner(settings, algorithm), 61, 1.0) == 0.0
        assert len(algorithm._generations) == 8

    def test_startup_trials_are_random(self) -> None:
        history = self.history(3)
        assert self.suggest(history, startup_trials=8) != self.suggest(history)

    def test_works_with_conditions_and_choices(self) -> None:
        settings = TunerSettings(MIXED, "minimize", 1)
        configs = simulate(make_tuner("optuna", "cmaes", settings).suggest, 60)
        assert len({config["optimizer"] for config in configs if config}) > 1
