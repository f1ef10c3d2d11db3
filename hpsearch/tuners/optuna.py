"""Optuna's samplers as tuners: ``tpe``, ``gp``, ``random``, ``qmc`` and ``grid`` (``cmaes`` has its own module).

An in-memory Optuna study mirrors the history. It is only a cache; the ledger is a different study. The mirror holds:

- COMPLETE trials with their score.
- PRUNED trials with their score as the intermediate value of its epoch. TPE ranks them below all complete trials; the
  other samplers ignore them.
- DIVERGED trials with the score :func:`hpsearch.tuners.outcome.penalty`.
- INFEASIBLE trials with their score, or the penalty if they were not trained. In a study with limits, all of these have
  the margins of the limits as Optuna's constraints. TPE ranks trials that break some below all others, by the sum of
  what they are beyond; GP models every constraint.
- FAILED trials as failed.

Trials whose config is not in the space are left out.
"""

import importlib.util
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from hpsearch.core.constraints import NO_CONSTRAINTS, Constraints
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import Trial, TrialState
from hpsearch.errors import SpecError
from hpsearch.tuners.base import Tuner, TunerSettings
from hpsearch.tuners.dimensions import Dimension, Dimensions, Number
from hpsearch.tuners.distinct import Algorithm, DistinctTuner, GridTuner, Seen
from hpsearch.tuners.enumeration import Enumeration
from hpsearch.tuners.history import replaced
from hpsearch.tuners.outcome import is_worst, penalty, reached
from hpsearch.tuners.window import Window

STARTUP_TRIALS: Mapping[str, int] = {"tpe": 10, "gp": 10, "cmaes": 1}
"""Random trials at the beginning of a study: Optuna's defaults."""


def make(algorithm: str, settings: TunerSettings) -> Tuner:
    """A tuner with one of Optuna's algorithms.

    ``grid`` does not use Optuna's ``GridSampler``, which repeats points if trials run in parallel, and drops points
    whose trial failed. It goes through ``space.grid(grid_points)`` in a random order that depends on the seed. So a
    grid that the budget cuts short still covers the whole space.

    Raises:
        SpecError: ``gp`` needs PyTorch, which is not installed; or a grid has too many configs to count.
    """
    if algorithm == "grid":
        grid = Enumeration(settings.space, settings.grid_points)
        if grid.size is None:
            raise SpecError(
                "search.algorithm: the conditions of the space make too many configs for a grid",
                code="large-grid",
                hint='use another algorithm, such as "random"',
                key="search.algorithm",
            )
        return GridTuner(settings.space, lambda: grid.shuffled(derive(settings.seed, "grid")))
    if algorithm == "cmaes":
        from hpsearch.tuners.optuna_cmaes import CmaEs

        return DistinctTuner(settings, CmaEs(settings))
    if algorithm == "qmc":
        return DistinctTuner(settings, QuasiRandom(settings))
    startup = settings.startup_trials or STARTUP_TRIALS.get(algorithm, 0)
    if algorithm == "random":
        return DistinctTuner(settings, Sampled(settings, lambda seed: RandomSampler(seed=seed), reads=lambda _: ()))
    if algorithm == "tpe":
        return DistinctTuner(
            settings,
            Sampled(
                settings,
                lambda seed: TPESampler(seed=seed, n_startup_trials=startup),
                reads=Window(settings.direction).of,
            ),
        )
    if importlib.util.find_spec("torch") is None:
        raise SpecError(
            "algorithm 'gp' needs PyTorch, which is not installed",
            code="missing-package",
            hint="pip install 'hpsearch[gp]', or use 'tpe'",
            algorithm="gp",
            package="torch",
        )
    # Only one redraw: the model is slow, and nearly always proposes the same config again.
    return DistinctTuner(
        settings,
        Sampled(
            settings,
            lambda seed: GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False),
            redraws=1,
        ),
    )


_MOST_DROPPED = 1000
"""Trials that were asked for only: a mirror with more of them is made anew, because a sampler goes through them."""


class Sampled(Algorithm):
    """A sampler without state: a fresh one for each proposal, seeded by the trial's number.

    Hyperparameters without a condition are sampled jointly. One with a condition is sampled only if it is active, and
    separately: TPE uses the trials that had it, GP draws it at random. So is one that code may ask for.

    Args:
        settings: The study's.
        sampler: Makes a sampler from a seed.
        redraws: See :class:`~hpsearch.tuners.distinct.Algorithm`.
        reads: The part of a history that the sampler gets.
    """

    def __init__(
        self,
        settings: TunerSettings,
        sampler: Callable[[int], BaseSampler],
        redraws: int = 5,
        reads: Callable[[Sequence[Trial]], Sequence[Trial]] = lambda history: history,
    ) -> None:
        self.redraws, self._reads = redraws, reads
        self._seed = settings.seed
        self._sampler = sampler
        self._dimensions = Dimensions(settings.space)
        known = distributions(self._dimensions)
        unconditional = (name for name, one in settings.space.items() if not one.when and not one.asked)
        self._joint = {name: known[name] for name in sorted(unconditional) if name in known}
        self._mirror = Mirror(self._dimensions, settings.direction, settings.constraints)

    def propose(self, history: Sequence[Trial], seen: Seen, attempt: int) -> Config:
        """The sampler's suggestion after the whole history."""
        study = self._mirror.follow(self._reads(history))
        study.sampler = Joint(self._sampler(derive(self._seed, "suggest", len(history), attempt)), self._joint)
        trial = study.ask()
        config = self._dimensions.build(lambda dimension: _suggest(trial, dimension))
        self._mirror.drop(trial)
        return config


class QuasiRandom(Algorithm):
    """A scrambled Sobol sequence over the whole box: trial number n takes point n.

    Hyperparameters that are inactive at a point ignore their coordinate. In a finite space, random untried configs
    replace repetitions.
    """

    redraws = 0

    def __init__(self, settings: TunerSettings) -> None:
        self._dimensions = Dimensions(settings.space)
        self._distributions = distributions(self._dimensions)
        with warnings.catch_warnings():
            # "QMCSampler is experimental", since 2022. Users can do nothing about it.
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = QMCSampler(scramble=True, seed=derive(settings.seed, "qmc"), warn_independent_sampling=False)
        self._study = new_study(settings.direction)
        self._study.sampler = Joint(sampler, self._distributions)
        self._points: list[Mapping[str, Number]] = []

    def propose(self, history: Sequence[Trial], seen: Seen, attempt: int) -> Config:
        """The point with the trial's number."""
        while len(self._points) <= len(history):
            trial = self._study.ask(self._distributions)
            self._points.append(dict(trial.params))
            self._study.tell(trial, state=OptunaState.FAIL)
        point = self._points[len(history)]
        return self._dimensions.build(lambda dimension: point[dimension.name])


class Joint(BaseSampler):
    """A sampler with a fixed set of hyperparameters to sample jointly.

    Optuna infers this set from the trials, which takes time for every trial and fails with conditions: QMC takes the
    first trial's hyperparameters for the whole space, and CMA-ES gives up for good if the set changes.
    """

    def __init__(self, sampler: BaseSampler, space: Mapping[str, BaseDistribution]) -> None:
        self._wrapped = sampler
        self._space = dict(space)

    def infer_relative_search_space(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
    ) -> dict[str, BaseDistribution]:
        """The fixed set."""
        return self._space

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, object]:
        """The wrapped sampler's values."""
        return self._wrapped.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> object:
        """The wrapped sampler's value."""
        value: object = self._wrapped.sample_independent(study, trial, param_name, param_distribution)
        return value


class Mirror:
    """An in-memory Optuna study with the trials of a history."""

    def __init__(self, dimensions: Dimensions, direction: str, constraints: Constraints = NO_CONSTRAINTS) -> None:
        self._dimensions, self._constraints = dimensions, constraints
        self._distributions = distributions(dimensions)
        self._direction = direction
        self._trials: list[Trial] = []
        self._penalty, self._dropped = 0.0, 0
        self._restart()

    def follow(self, history: Sequence[Trial]) -> optuna.Study:
        """The study with the trials of `history`. Rebuilt if `history` does not continue the last one."""
        known = self._trials
        changed = replaced(known, history)
        continued = len(known) <= len(history) and all(_is_continued(known[i], history[i]) for i in changed)
        if not continued or self._dropped > _MOST_DROPPED:
            self._restart()
            known, changed = [], []
        news: Sequence[int] = [*changed, *range(len(known), len(history))]
        self._scores.add(history[place] for place in news)
        # Finished Optuna trials cannot change, so a new penalty for old trials needs a new study. This is rare, because
        # it takes a new worst or best score.
        if self._scores.penalty != self._penalty and any(map(is_worst, known)):
            self._restart()
            known, news = [], range(len(history))
            self._scores.add(history)
        self._penalty = self._scores.penalty
        for place in news:
            trial = history[place]
            if place == len(self._ids):
                self._ids.append(self._add(trial))
            elif known[place].state.finished:
                continue
            if trial.state.finished:
                self._finish(self._ids[place], trial)
        self._trials = list(history)
        return self._study

    def drop(self, trial: optuna.Trial) -> None:
        """An asked trial comes back with the next history. So a mirror that was kept and one made anew are the same."""
        self._study.tell(trial, state=OptunaState.FAIL)
        self._dropped += 1

    def _restart(self) -> None:
        self._dropped = 0
        self._storage = InMemoryStorage()
        self._study = new_study(self._direction, self._storage)
        self._study_id = self._storage.get_study_id_from_name(self._study.study_name)
        self._trials = []
        self._ids: list[int | None] = []
        self._scores = _Scores(self._direction)
        self._penalty = 0.0

    def _add(self, trial: Trial) -> int | None:
        """Add a trial as running. The id is None if the space does not contain its config."""
        numbers = self._dimensions.encode(trial.config)
        if numbers is None:
            return None
        own = {name: distribution for name, distribution in self._distributions.items() if name in numbers}
        params = {name: numbers[name] for name in own}
        template = create_trial(state=OptunaState.RUNNING, params=params, distributions=own)
        return self._storage.create_new_trial(self._study_id, template_trial=template)

    def _finish(self, trial_id: int | None, trial: Trial) -> None:
        if trial_id is None:
            return
        score = self._penalty if is_worst(trial) else reached(trial)
        if score is not None:
            for key, margin in self._constraints.for_optuna(trial.measured).items():
                self._storage.set_trial_system_attr(trial_id, key, margin)
        if score is None:
            self._storage.set_trial_state_values(trial_id, OptunaState.FAIL)
        elif trial.state is TrialState.PRUNED:
            self._storage.set_trial_intermediate_value(trial_id, (trial.epoch or 1) - 1, score)
            self._storage.set_trial_state_values(trial_id, OptunaState.PRUNED, [score])
        else:
            self._storage.set_trial_state_values(trial_id, OptunaState.COMPLETE, [score])


class _Scores:
    """The range of the scores so far, which says what a diverged trial gets."""

    def __init__(self, direction: str) -> None:
        self._direction = direction
        self._ends: tuple[float, ...] = ()
        self.penalty = penalty((), direction)

    def add(self, trials: Iterable[Trial]) -> None:
        found = [score for trial in trials if (score := reached(trial)) is not None]
        if found:
            known = (*self._ends, *found)
            self._ends = min(known), max(known)
            self.penalty = penalty(self._ends, self._direction)


def _is_continued(old: Trial, new: Trial) -> bool:
    """Whether `new` is `old`, or a later state of it."""
    if old.config != new.config:
        return False
    return not old.state.finished or (old.state, old.score, old.epoch) == (new.state, new.score, new.epoch)


def distributions(dimensions: Dimensions) -> dict[str, BaseDistribution]:
    """The searched dimensions as Optuna distributions."""
    return {dimension.name: _distribution(dimension) for dimension in dimensions.searched}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.kind == "choice":
        return CategoricalDistribution(range(int(dimension.high) + 1))
    if dimension.kind == "int":
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=dimension.step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _suggest(trial: optuna.Trial, dimension: Dimension) -> Number:
    name, low, high = dimension.name, dimension.low, dimension.high
    if dimension.kind == "choice":
        return trial.suggest_categorical(name, range(int(high) + 1))
    if dimension.kind == "int":
        return trial.suggest_int(name, int(low), int(high), log=dimension.log, step=dimension.step)
    return trial.suggest_float(name, low, high, log=dimension.log)


def new_study(direction: str, storage: InMemoryStorage | None = None) -> optuna.Study:
    """An in-memory study, without the line that Optuna logs for each new study."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction=StudyDirection[direction.upper()], storage=storage)
    finally:
        optuna.logging.set_verbosity(verbosity)
