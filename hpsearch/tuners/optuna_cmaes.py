"""Optuna's CMA-ES sampler as an algorithm whose state depends on the history alone.

CMA-ES draws each generation of trials from one distribution, and moves the distribution when the generation is
complete. Optuna stores the generation of each trial in attributes, which a history does not have. But a draw is a
function of (seed, trial, generation). So a trial belongs to a generation if that draw gives its config.
"""

import math
import random
from collections.abc import Mapping, Sequence

from optuna.samplers import CmaEsSampler
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial

from hpsearch.core.seeds import derive
from hpsearch.core.space import Config, config_key
from hpsearch.core.trial import Trial, TrialState
from hpsearch.tuners.base import TunerSettings
from hpsearch.tuners.dimensions import Dimensions, Number
from hpsearch.tuners.distinct import Algorithm, Seen
from hpsearch.tuners.history import replaced
from hpsearch.tuners.optuna import Joint, distributions, new_study
from hpsearch.tuners.outcome import has_diverged, penalty, score_of

Attributes = Mapping[str, object]
"""Optuna's attributes of a trial; opaque here."""


class CmaEs(Algorithm):
    """CMA-ES over the numeric hyperparameters; choices are drawn at random.

    An inactive hyperparameter has a coordinate without effect. The distribution learns from complete, infeasible and
    diverged trials, in the order of their numbers, up to the first one that is still running. Optuna's sampler knows no
    constraints: a trial that breaks a limit counts as a diverged one. The distribution does not learn from trials of
    another origin: another algorithm, a replaced repetition, a smaller space, or a generation that was complete before
    they ended. So with w concurrent trials, each generation costs up to w trials more. A generation has
    ``4 + floor(3 ln d)`` trials for d numeric hyperparameters.

    First come ``startup_trials`` complete random trials (1 by default, as in Optuna). Without numeric hyperparameters,
    all trials are random.
    """

    redraws = 5

    def __init__(self, settings: TunerSettings) -> None:
        self._seed = settings.seed
        self._direction = settings.direction
        self._startup = 1 if settings.startup_trials is None else settings.startup_trials
        self._dimensions = Dimensions(settings.space)
        kinds = {dimension.name: dimension.kind for dimension in self._dimensions.searched}
        self._numeric = {n: d for n, d in distributions(self._dimensions).items() if kinds[n] != "choice"}
        self._population = 4 + math.floor(3 * math.log(len(self._numeric))) if self._numeric else 0
        self._restart()

    def propose(self, history: Sequence[Trial], seen: Seen, attempt: int) -> Config:
        """A draw from the newest distribution after `history`."""
        self._learn(history, seen)
        return self._draw(len(history), len(self._generations) - 1, attempt)[0]

    def _restart(self) -> None:
        self._read: list[Trial] = []
        self._complete = 0
        self._generations: list[Attributes] = []
        self._solutions: list[tuple[dict[str, Number], Attributes, float | None]] = []
        self._draws: dict[tuple[int, int, int], tuple[Config, dict[str, Number], Attributes]] = {}
        self._leave_startup()

    def _leave_startup(self) -> None:
        if self._numeric and not self._generations and self._complete >= self._startup:
            self._generations.append({})

    def _learn(self, history: Sequence[Trial], seen: Seen) -> None:
        if len(self._read) > len(history) or not all(
            _same(self._read[place], history[place]) for place in replaced(self._read, history)
        ):
            self._restart()
        while len(self._read) < len(history) and history[len(self._read)].state.finished:
            trial = history[len(self._read)]
            self._take(len(self._read), trial, seen)
            self._read.append(trial)
            self._draws = {at: draw for at, draw in self._draws.items() if at[0] >= len(self._read)}

    def _take(self, number: int, trial: Trial, seen: Seen) -> None:
        """Learn from one finished trial."""
        if trial.state not in (TrialState.COMPLETE, TrialState.INFEASIBLE, TrialState.DIVERGED):
            return
        origin = self._origin(number, trial.config, seen) if self._generations else None
        self._complete += 1
        self._leave_startup()
        if origin is not None:
            self._solutions.append((*origin, None if has_diverged(trial) else score_of(trial)))
        if self._solutions and len(self._solutions) >= self._population:
            self._generations.append(self._next_generation())
            self._solutions = []

    def _origin(self, number: int, config: Config, seen: Seen) -> tuple[dict[str, Number], Attributes] | None:
        """The numbers behind `config`, and Optuna's attributes; None if it is not of the newest generation."""
        for attempt in range(self.redraws + 1):
            drawn, numbers, attributes = self._draw(number, len(self._generations) - 1, attempt)
            used = self._part(drawn, config)
            if not seen.before(used, number):
                return (numbers, attributes) if config_key(used) == config_key(config) else None
        return None

    def _part(self, drawn: Config, config: Config) -> Config:
        """A draw without what the code did not ask for in the trial with `config`."""
        space = self._dimensions.space
        return {name: value for name, value in drawn.items() if name in config or not space[name].asked}

    def _draw(self, number: int, generation: int, attempt: int) -> tuple[Config, dict[str, Number], Attributes]:
        """A config, its numbers and Optuna's attributes; generation -1 is the random start."""
        at = number, generation, attempt
        if at not in self._draws:
            seed = derive(self._seed, "suggest", number, attempt)
            rng = random.Random(seed)
            point = {dimension.name: dimension.uniform(rng) for dimension in self._dimensions.searched}
            attributes: Attributes = {}
            if generation >= 0:
                numbers, attributes = self._ask(self._generations[generation], [], seed)
                point |= numbers
            config = self._dimensions.build(lambda dimension: point[dimension.name])
            # The sampler must learn the values that are trained, such as the nearest step.
            point |= self._dimensions.encode(config) or {}
            self._draws[at] = config, {name: point[name] for name in self._numeric}, attributes
        return self._draws[at]

    def _next_generation(self) -> Attributes:
        """Optuna's attributes for the distribution after the generation in ``self._solutions``."""
        bad = penalty((score for _, _, score in self._solutions if score is not None), self._direction)
        solutions = [(point, learned, bad if score is None else score) for point, learned, score in self._solutions]
        _, attributes = self._ask(self._generations[-1], solutions, seed=1)
        # The sampler stores the new distribution, but also the generation of the trial just asked. Drop the latter.
        return {name: value for name, value in attributes.items() if name not in solutions[0][1]}

    def _ask(
        self, distribution: Attributes, solutions: list[tuple[dict[str, Number], Attributes, float]], seed: int
    ) -> tuple[dict[str, Number], Attributes]:
        """Ask Optuna's sampler in a small study that contains everything the sampler reads."""
        sampler = CmaEsSampler(seed=seed, n_startup_trials=0, popsize=self._population, warn_independent_sampling=False)
        study = new_study(self._direction)
        study.sampler = Joint(sampler, self._numeric)
        if distribution:
            study.add_trial(create_trial(state=OptunaState.COMPLETE, value=0.0, system_attrs=dict(distribution)))
        for point, attributes, score in solutions:
            study.add_trial(
                create_trial(value=score, params=point, distributions=self._numeric, system_attrs=dict(attributes))
            )
        trial = study.ask(self._numeric)
        return dict(trial.params), study.get_trials(deepcopy=False)[-1].system_attrs


def _same(old: Trial, new: Trial) -> bool:
    return (old.config, old.state, old.score) == (new.config, new.state, new.score)
