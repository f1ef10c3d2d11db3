"""A recipe: all that training the lanes of one signature needs, short of the compiled program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from hpsearch.engines.fused.initial import Source, explained, seed_sequence, sources
from hpsearch.engines.fused.lifting import ZERO_IS_OFF, facts, find_slots, rate_of, telling_config, unexplained
from hpsearch.engines.fused.template import Slot, Template, UnfusableError
from hpsearch.models.sharing import shared_layers
from hpsearch.problem import Problem
from hpsearch.seeds import derive
from hpsearch.space import Config, Space
from hpsearch.trial import Lane


class NotLiftedError(Exception):
    """Hyperparameters that were taken for mere numbers decide the program after all."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(names)))
        self.names = names


@dataclass(frozen=True, slots=True)
class Start:
    """Where a lane starts: values of the trainable, the other and the optimizer's variables, and of the slots."""

    trainable: list[Any]
    fixed: list[Any]
    optimizer: list[Any]
    slots: list[float]


class Recipe:
    """Template, slots and initial values for one signature.

    Args:
        problem: Builds the models.
        config: A config of the signature.
        folds: Folds whose models are one program.
        space: The study's space.
        lifted: Hyperparameters to lift.

    Raises:
        UnfusableError: The model cannot be trained by a fused program.
        NotLiftedError: Some of `lifted` decide the program.
    """

    def __init__(
        self, problem: Problem, config: Config, *, folds: Sequence[int], space: Space, lifted: frozenset[str]
    ) -> None:
        self._problem = problem
        self._folds = tuple(folds)
        self._lifted = lifted & config.keys()
        self._patterns: dict[frozenset[str], list[Source] | None] = {}
        self.config = telling_config(config, space, self._lifted, which=0)
        other = telling_config(config, space, self._lifted, which=1)
        model = self.build(self.config, folds[0], seed=1)
        self.parameters = int(model.count_params())
        self.named = find_slots(model, self.config, self._lifted)
        self._slot_names = [name for name in sorted(self.named) for _ in self.named[name]]
        self.slots: list[Slot] = [slot for name in sorted(self.named) for slot in self.named[name]]
        self._rate = rate_of(model, self.config, self._lifted)
        # The twin differs in everything that must not matter: lifted values, fold and seed.
        twin = self.build(other, folds[-1], seed=2)
        if shared := shared_layers(model, twin):
            # The template's layers are patched, and traced by several threads at once.
            raise UnfusableError(f"its models share layers with each other, such as {shared[0].name!r}")
        self._check_lifted(facts(model), facts(twin), other)
        self._read_sources(model, twin)
        self.template = Template(model, *self._few_rows())
        learning_rate = model.optimizer._learning_rate
        self._rate_index = next((i for i, v in enumerate(model.optimizer.variables) if v is learning_rate), None)

    def _read_sources(self, model: keras.Model, twin: keras.Model) -> None:
        """Find out where initial values come from: seeds, the fold's data, or neither."""
        values = [np.asarray(v.value) for v in model.variables]
        places = {id(v): i for i, v in enumerate(model.variables)}
        self._trainable = [places[id(v)] for v in model.trainable_variables]
        self._fixed = [places[id(v)] for v in model.non_trainable_variables]
        found = sources(model, 1)
        # Untouched statistics are all 0 or all 1; anything else was adapted to the fold's rows.
        adapted = frozenset(
            i for i in self._fixed if found[i].place is None and not ((values[i] == 0).all() or (values[i] == 1).all())
        )
        self._sources = found if explained(twin, 2, found, values, adapted) else None
        self._by_fold = dict.fromkeys(self._folds, values)
        if adapted:
            for fold in self._folds[1:]:
                own = self.build(self.config, fold, seed=1)
                self._by_fold[fold] = [np.asarray(v.value) for v in own.variables]

    def _few_rows(self) -> tuple[Any, Any]:
        part = self._problem.dataset.train.take(np.arange(2))
        x = {k: np.asarray(v) for k, v in part.x.items()} if isinstance(part.x, Mapping) else part.x
        return x, part.y

    def build(self, config: Config, fold: int, *, seed: int) -> keras.Model:
        """A model of the problem for one fold."""
        rows = self._problem.folds[fold].train
        return self._problem.build(config, self._problem.dataset.train.take(rows), seed=seed)

    def start(self, lane: Lane) -> Start:
        """Where a lane starts: the values that Keras would give its own model."""
        seed = derive(self._problem.spec.seed, "weights", lane.trial, lane.fold)
        slots = [float(lane.config[name]) for name in self._slot_names]
        optimizer = list(self.template.optimizer)
        if self._rate is not None and self._rate_index is not None:
            optimizer[self._rate_index] = np.asarray(lane.config[self._rate], optimizer[self._rate_index].dtype)
        found = self._sources_for(lane.config)
        if found is None:
            trainable, fixed = self._from_model(lane, seed)
            return Start(trainable, fixed, optimizer, slots)
        seeds = seed_sequence(seed)
        base = self._by_fold[lane.fold]
        variables = self.template.model.variables

        def value(source: Source, index: int) -> Any:
            return base[index] if source.place is None else source.value(seeds, variables[index])

        trainable = [value(source, index) for source, index in zip(found, self._trainable, strict=True)]
        fixed = [value(self._sources[index], index) for index in self._fixed]  # type: ignore[index]
        return Start(trainable, fixed, optimizer, slots)

    @property
    def lane_bytes(self) -> int:
        """Device memory of one lane's state."""
        template = self.template
        return sum(v.nbytes for v in (*template.trainable, *template.fixed, *template.optimizer))

    def _sources_for(self, config: Config) -> list[Source] | None:
        """Sources of the trainable variables for a config; None where they are not understood.

        A rate of 0 makes no seed generator in Keras, so that later layers draw other seeds.
        """
        if self._sources is None:
            return None
        zeros = frozenset(name for name, slots in self.named.items() if slots and config[name] == 0)
        if not zeros:
            return [self._sources[i] for i in self._trainable]
        if zeros not in self._patterns:
            self._patterns[zeros] = self._sources_with_zeros(zeros)
        return self._patterns[zeros]

    def _sources_with_zeros(self, zeros: frozenset[str]) -> list[Source] | None:
        config = {**self.config, **dict.fromkeys(zeros, 0.0)}
        model = self.build(config, self._folds[0], seed=1)
        twin = self.build(config, self._folds[0], seed=2)
        places = {id(v): i for i, v in enumerate(model.variables)}
        found = sources(model, 1)
        values = [np.asarray(v.value) for v in model.variables]
        if not explained(twin, 2, found, values, frozenset(places[id(v)] for v in model.non_trainable_variables)):
            return None
        mine = [found[places[id(v)]] for v in model.trainable_variables]
        return mine if len(mine) == len(self._trainable) else None

    def _from_model(self, lane: Lane, seed: int) -> tuple[list[Any], list[Any]]:
        """The slow way: build the lane's own model."""
        model = self.build(lane.config, lane.fold, seed=seed)
        known = {_path(v): v.value for v in model.variables}
        mine = self.template.model
        trainable = [v.value for v in model.trainable_variables]
        if [t.shape for t in trainable] != [t.shape for t in self.template.trainable]:
            raise UnfusableError("models of one signature differ in their shapes")
        return trainable, [known.get(_path(v), v.value) for v in mine.non_trainable_variables]

    def _check_lifted(self, first: Mapping[str, Any], second: Mapping[str, Any], other: Config) -> None:
        """Every difference between the two telling configs must be a number that the program takes as an input.

        Raises:
            NotLiftedError: With the hyperparameters to take out.
        """
        bad = {name for name, slots in self.named.items() if any(slot.path[-1] in ZERO_IS_OFF for slot in slots)}
        if self._differ(first, second, other):
            bad |= {name for name in self._lifted if self._decides(name, other, first)} or self._lifted
        if bad:
            raise NotLiftedError(frozenset(bad))

    def _decides(self, name: str, other: Config, first: Mapping[str, Any]) -> bool:
        config = {**self.config, name: other[name]}
        try:
            second = facts(self.build(config, self._folds[0], seed=1))
        except Exception:  # the build function need not take such a value at all
            return True
        return self._differ(first, second, config)

    def _differ(self, first: Mapping[str, Any], second: Mapping[str, Any], other: Config) -> bool:
        known = {value for name in self.named for value in [self.config[name]]} | {
            self.config[name] for name in (self._rate,) if name
        }
        return bool(unexplained(first, second, self.config, other, known))


def _path(variable: keras.Variable) -> str:
    """A variable's path without the model's name, which Keras numbers."""
    return str(variable.path).split("/", 1)[-1]
