"""A recipe: all that training the lanes of one signature needs, short of the compiled program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import keras
import numpy as np

from hpsearch.core.events import Lane
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config, Space, config_key
from hpsearch.models.sharing import shared_layers
from hpsearch.training.engines.fused.identity import Identity, identity
from hpsearch.training.engines.fused.initial import Source, explained, seed_sequence, sources
from hpsearch.training.engines.fused.lifting import numbers_in, telling_config
from hpsearch.training.engines.fused.template import Slot, Template, UnfusableError
from hpsearch.training.problem import Problem


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


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a lane's own model has where the program takes inputs."""

    slots: tuple[float, ...]
    rate: float | None


class Recipe:
    """Template, slots and initial values for one signature.

    Args:
        problem: Builds the models.
        config: A config of the signature.
        folds: Folds whose models are one program.
        space: The study's space.
        lifted: Hyperparameters to lift.

    Attributes:
        slots: Where models of the signature have numbers that differ from config to config: the program's inputs.
        structure: See :class:`~hpsearch.training.engines.fused.identity.Identity`.

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
        self._numbers: dict[object, Numbers | None] = {}
        self._patterns: dict[frozenset[int], list[Source] | None] = {}
        self.config = telling_config(config, space, self._lifted, which=0)
        other = telling_config(config, space, self._lifted, which=1)
        model = self.build(self.config, folds[0], seed=1)
        # The twin differs in everything that must not matter: lifted values, fold and seed.
        twin = self.build(other, folds[-1], seed=2)
        check_unshared(model, twin)
        self.parameters = int(model.count_params())
        here, there = dict(numbers_in(model)), dict(numbers_in(twin))
        self.slots: list[Slot] = [slot for slot, value in here.items() if there.get(slot, value) != value]
        self._constants = {slot: value for slot, value in here.items() if slot not in self.slots}
        self._layers = _layers(model)
        self._read_sources(model, twin)
        self.template = Template(model, *few_rows(problem))
        rate = model.optimizer._learning_rate
        self._rate_index = next((i for i, v in enumerate(model.optimizer.variables) if v is rate), None)
        found = self._identity(self.template)
        if _layers(twin) != self._layers or self._identity(Template(twin, *few_rows(problem))) != found:
            raise self._difference(found, other)
        self.structure = found.structure

    def _identity(self, template: Template) -> Identity:
        """See :func:`identity`.

        Raises:
            NotLiftedError: Code somewhere branches on a number that is to be an input.
        """
        try:
            return identity(template, self.slots, *few_rows(self._problem))
        except (jax.errors.JAXTypeError, AttributeError) as error:
            if not self._lifted:
                raise
            raise NotLiftedError(self._lifted) from error

    def _difference(self, wanted: Identity, other: Config) -> Exception:
        """Why two models that should be one program are two."""

        def same(config: Config, fold: int, seed: int) -> bool:
            try:
                model = self.build(config, fold, seed=seed)
                if _layers(model) != self._layers:
                    return False
                return self._identity(Template(model, *few_rows(self._problem))) == wanted
            except Exception:  # the build function need not take such a value at all
                return False

        first = self._folds[0]
        if not same(self.config, first, 2):
            return UnfusableError("a model built anew, with another seed, is another program")
        if not same(self.config, self._folds[-1], 1):
            return UnfusableError("its program depends on the rows of the fold")
        bad = {name for name in self._lifted if not same({**self.config, name: other[name]}, first, 1)}
        return NotLiftedError(frozenset(bad or self._lifted))

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

    def build(self, config: Config, fold: int, *, seed: int) -> keras.Model:
        """A model of the problem for one fold."""
        rows = self._problem.folds[fold].train
        return self._problem.build(config, self._problem.dataset.train.take(rows), seed=seed)

    def numbers(self, config: Config) -> Numbers | None:
        """Numbers of a config for the slots and the learning rate, read off a model of its own.

        Returns:
            None where that model is another program after all, such as one that leaves a layer out for a rate of 0.
        """
        address = config_key({name: value for name, value in config.items() if name in self._lifted})
        if address not in self._numbers:
            model = self.build(config, self._folds[0], seed=1)
            found = dict(numbers_in(model))
            same = _layers(model) == self._layers and found.keys() <= {*self.slots, *self._constants}
            same = same and all(found.get(slot) == value for slot, value in self._constants.items())
            same = same and self._has_constants(model)
            rate = model.optimizer._learning_rate
            # What is left out, a regularizer or a weight decay, is one of strength 0.
            self._numbers[address] = (
                Numbers(
                    tuple(found.get(slot, 0.0) for slot in self.slots),
                    float(rate.value) if isinstance(rate, keras.Variable) else None,
                )
                if same
                else None
            )
        return self._numbers[address]

    def _has_constants(self, model: keras.Model) -> bool:
        """Whether what is neither trained nor drawn has the template's initial values in another model of its fold."""
        if self._sources is None:
            return True
        values = self._by_fold[self._folds[0]]
        known = _values_by(model, self.template.model)
        constant = [i for i in self._fixed if self._sources[i].place is None]
        return all(np.array_equal(known.get(i, values[i]), values[i]) for i in constant)

    def start(self, lane: Lane) -> Start:
        """Where a lane starts: the values that Keras would give its own model."""
        seed = derive(self._problem.spec.seed, "weights", lane.trial, lane.fold)
        numbers = self.numbers(lane.config)
        assert numbers is not None, "asked before"
        slots = list(numbers.slots)
        optimizer = list(self.template.optimizer)
        if numbers.rate is not None and self._rate_index is not None:
            optimizer[self._rate_index] = np.asarray(numbers.rate, optimizer[self._rate_index].dtype)
        found = self._sources_for(lane.config, numbers)
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

    def _sources_for(self, config: Config, numbers: Numbers) -> list[Source] | None:
        """Sources of the trainable variables for a config; None where they are not understood.

        A rate of 0 makes no seed generator in Keras, so that later layers draw other seeds.
        """
        if self._sources is None:
            return None
        zeros = frozenset(
            index
            for index, (slot, value) in enumerate(zip(self.slots, numbers.slots, strict=True))
            if slot.owner == "layer" and value == 0
        )
        if not zeros:
            return [self._sources[i] for i in self._trainable]
        if zeros not in self._patterns:
            self._patterns[zeros] = self._sources_with_zeros(config)
        return self._patterns[zeros]

    def _sources_with_zeros(self, config: Config) -> list[Source] | None:
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
        mine = self.template.model.variables
        known = _values_by(model, self.template.model)
        trainable = [v.value for v in model.trainable_variables]
        if [t.shape for t in trainable] != [t.shape for t in self.template.trainable]:
            raise UnfusableError("models of one signature differ in their shapes")
        return trainable, [known.get(i, np.asarray(mine[i].value)) for i in self._fixed]


def check_unshared(one: keras.Model, other: keras.Model) -> None:
    """A template's layers are patched, and traced by several threads at once: they must be no other model's.

    Raises:
        UnfusableError: With the name of a layer.
    """
    if shared := shared_layers(one, other):
        raise UnfusableError(f"its models share layers with each other, such as {shared[0].name!r}")


def few_rows(problem: Problem) -> tuple[Any, Any]:
    """Two rows and their targets, to build and to trace with."""
    part = problem.dataset.train.take(np.arange(2))
    x = {k: np.asarray(v) for k, v in part.x.items()} if isinstance(part.x, Mapping) else part.x
    return x, part.y


def _layers(model: keras.Model) -> list[tuple[str, list[tuple[int, ...]]]]:
    """Kind of every layer, and the shapes of its weights that train."""
    return [
        (type(layer).__name__, [tuple(v.shape) for v in layer.trainable_variables])
        for layer in model._flatten_layers(include_self=False)
    ]


def _values_by(model: keras.Model, like: keras.Model) -> dict[int, Any]:
    """Values of a model's variables, by the places of those of another model with the same layers.

    A layer with a rate of 0 lacks its seed generator's state.
    """
    found: dict[int, Any] = {}
    for one, other in zip(model._flatten_layers(), like._flatten_layers(), strict=True):
        alike = len(one.variables) == len(other.variables)
        mine, theirs = (layer.variables if alike else _undrawn(layer) for layer in (one, other))
        found |= {id(to): np.asarray(v.value) for v, to in zip(mine, theirs, strict=True)}
    return {i: found[id(v)] for i, v in enumerate(like.variables) if id(v) in found}


def _undrawn(layer: keras.layers.Layer) -> list[keras.Variable]:
    return [v for v in layer.variables if not v.path.endswith("seed_generator_state")]
