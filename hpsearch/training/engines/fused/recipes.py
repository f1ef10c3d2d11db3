"""The recipes of a study: which lanes can share a program, and which hyperparameters are dynamic."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hpsearch.core.events import Lane
from hpsearch.core.space import Config, Space, config_key
from hpsearch.errors import HpsearchError, ModelError
from hpsearch.keras_internals.draws import quick_draws
from hpsearch.training.engines.fit import release
from hpsearch.training.engines.fused.checking import check_step
from hpsearch.training.engines.fused.dynamic import candidates, layer_configs, middle
from hpsearch.training.engines.fused.errors import NotDynamicError, UnfusableError, UntraceableError, tracing
from hpsearch.training.engines.fused.lru_cache import LRUCache
from hpsearch.training.engines.fused.program_digest import program_digest
from hpsearch.training.engines.fused.recipe import Recipe, check_unshared, few_rows
from hpsearch.training.engines.fused.template import Template
from hpsearch.training.problem import Problem

RECIPES_KEPT = 24

TIDY_AFTER = 8
"""New signatures after which JAX's caches are emptied of what led to them: some 25 MB each, measured."""

Signature = object
"""Everything in a config that changes the program."""


@dataclass(slots=True)
class Job:
    """Lanes of one signature on their way through the engine."""

    signature: Signature
    lanes: list[Lane]
    dynamic: frozenset[str]


@dataclass(frozen=True, slots=True)
class Parts:
    """A job's lanes, sorted.

    Attributes:
        programs: Lanes that can be trained, by program.
        failed: Lanes whose model cannot be built, and why.
    """

    programs: list[tuple[Recipe, Job]]
    failed: list[tuple[Lane, HpsearchError]]


class Recipes:
    """Makes recipes and keeps them.

    Args:
        problem: The study's data, folds and model.
        space: The study's effective space.
        lock: Held while models are built or traced, and while the set of dynamic hyperparameters changes.
    """

    def __init__(self, problem: Problem, space: Space, lock: threading.RLock) -> None:
        self._problem = problem
        self._space = space
        self._lock = lock
        self._beside = problem.spec.training.hyperparameters | {"epochs"}
        self._dynamic = candidates(space, self._beside)
        self._recipes: LRUCache[Recipe] = LRUCache(RECIPES_KEPT)
        self._fold_classes: LRUCache[tuple[int, ...]] = LRUCache(RECIPES_KEPT)
        self._checked: set[str] = set()
        self._made = 0

    @property
    def dynamic(self) -> frozenset[str]:
        """Hyperparameters in which trials that share a compiled program may differ, as far as is known."""
        return self._dynamic

    def first(self) -> Recipe:
        """A recipe from the middle of the space. Finds out whether the model can be fused at all.

        Raises:
            UnfusableError: It cannot; the text says why.
            ModelError: The model cannot be built.
        """
        try:
            return self._recipe_of(middle(self._space))
        except ModelError:  # this config may be the one that cannot be built
            return self._recipe_of(next(iter(self._space.grid(2))))

    def _recipe_of(self, config: Config) -> Recipe:
        while True:
            try:
                [job] = self.jobs([Lane(0, 0, config)])
                parts = self.parts(job)
                for _, error in parts.failed:
                    raise error
                [(recipe, _)] = parts.programs
                return recipe
            except NotDynamicError as error:
                self._dynamic -= error.names

    def not_dynamic(self, names: frozenset[str]) -> None:
        """Note that these hyperparameters decide the program. All recipes are made anew."""
        with self._lock:
            self._dynamic -= names
            self._recipes.clear()

    def jobs(self, lanes: Sequence[Lane]) -> list[Job]:
        """Lanes by signature."""
        jobs: dict[Signature, Job] = {}
        for lane in lanes:
            signature = _signature(lane.config, self._dynamic)
            jobs.setdefault(signature, Job(signature, [], self._dynamic)).lanes.append(lane)
        return list(jobs.values())

    def parts(self, job: Job) -> Parts:
        """The job's lanes by program: usually one for all. Some folds or single configs may need their own.

        Raises:
            NotDynamicError: Lanes that the job takes for one program are several.
            UnfusableError: They cannot be fused.
        """
        programs: dict[Signature, tuple[Recipe, Job]] = {}
        failed: list[tuple[Lane, HpsearchError]] = []
        with self.building(), tracing():
            if job.dynamic != self._dynamic:  # another job has found out meanwhile that its lanes differ in more
                raise NotDynamicError(job.dynamic - self._dynamic)
            for lane in job.lanes:
                try:
                    recipe, signature, dynamic = self._recipe_for(lane, job)
                except HpsearchError as error:  # the user's build function
                    failed.append((lane, error))
                else:
                    programs.setdefault(signature, (recipe, Job(signature, [], dynamic)))[1].lanes.append(lane)
        return Parts(list(programs.values()), failed)

    def _recipe_for(self, lane: Lane, job: Job) -> tuple[Recipe, Signature, frozenset[str]]:
        classes = self._classes(job.signature, lane.config)
        folds = [fold for fold, one in enumerate(classes) if one == classes[lane.fold]]
        dynamic = job.dynamic
        recipe = self.recipe((job.signature, folds[0]), lane.config, folds, dynamic)
        if not recipe.fits(lane):
            dynamic &= self._beside
        signature = _signature(lane.config, dynamic), folds[0]
        recipe = self.recipe(signature, lane.config, folds, dynamic)
        if not recipe.fits(lane):
            raise UnfusableError(f"the model of fold {lane.fold} is another program with another seed")
        return recipe, signature, dynamic

    @contextmanager
    def building(self) -> Iterator[None]:
        """Models and initial weights are made by one thread at a time: Keras draws their seeds from one sequence."""
        with self._lock, quick_draws():
            yield

    def _classes(self, signature: Signature, config: Config) -> tuple[int, ...]:
        """For every fold the number of its class: folds whose models are the same program share one."""
        # A predictable model knows its fold by what layers were adapted to, and their configs say so. Other code may
        # put anything that it counts in the fold's rows into its program.
        predictable = self._problem.is_predictable
        address = None if predictable else signature
        known = self._fold_classes.get(address)
        if known is not None:
            return known
        seen: list[object] = []
        classes = []
        before = None
        for fold in self._problem.folds:
            model = self._problem.build(config, self._problem.dataset.train.take(fold.train), seed=1)
            if before is not None:
                check_unshared(model, before)
            rows = few_rows(self._problem)
            mine = layer_configs(model) if predictable else program_digest(Template(model, *rows), (), *rows)
            if mine not in seen:
                seen.append(mine)
            classes.append(seen.index(mine))
            before = model
        self._fold_classes.put(address, tuple(classes))
        return tuple(classes)

    def recipe(self, signature: Signature, config: Config, folds: list[int], dynamic: frozenset[str]) -> Recipe:
        """The recipe of a signature; made, and checked against Keras' own steps, if it is new."""
        known = self._recipes.get(signature)
        if known is not None:
            return known
        self._made += 1
        if self._made % TIDY_AFTER == 0:
            release()  # compiled programs stay: the engine itself holds them
        recipe = self._make(config, folds, dynamic)
        if recipe.structure not in self._checked:
            check_step(recipe, self._problem, folds[0])
            self._checked.add(recipe.structure)
        self._recipes.put(signature, recipe)
        return recipe

    def _make(self, config: Config, folds: list[int], dynamic: frozenset[str]) -> Recipe:
        try:
            with tracing():
                return Recipe(self._problem, config, folds=folds, space=self._space, dynamic=dynamic)
        except (HpsearchError, UntraceableError):
            # The build function may refuse probe values. If the config itself is at fault, this raises again.
            Recipe(self._problem, config, folds=folds, space=self._space, dynamic=frozenset())
            raise NotDynamicError(dynamic) from None


def _signature(config: Config, dynamic: frozenset[str]) -> Signature:
    return config_key({name: value for name, value in config.items() if name not in dynamic})
