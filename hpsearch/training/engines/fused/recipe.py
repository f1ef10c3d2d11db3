"""A recipe: all that training the lanes of one signature needs, short of the compiled program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import keras
import numpy as np

from hpsearch.core.events import Lane
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config, Space, config_key
from hpsearch.data.dataset import Array
from hpsearch.errors import HpsearchError
from hpsearch.keras_internals.layers import flatten_layers
from hpsearch.keras_internals.numbers import NumberSlot, numbers_in
from hpsearch.keras_internals.optimizers import learning_rate_of
from hpsearch.models.sharing import shared_layers
from hpsearch.training.engines.fused.dynamic import probe_config
from hpsearch.training.engines.fused.errors import NotDynamicError, UnfusableError, tracing
from hpsearch.training.engines.fused.initial import ArrayOnHost, Source, Value, explained, seed_sequence, sources
from hpsearch.training.engines.fused.program_digest import ProgramDigest, program_digest
from hpsearch.training.engines.fused.pytree import HostInputs
from hpsearch.training.engines.fused.template import Template
from hpsearch.training.problem import Problem


@dataclass(frozen=True, slots=True)
class Start:
    """Where a lane starts.

    Attributes:
        trainable: Values of the trainable variables.
        non_trainable: Values of the non-trainable variables.
        optimizer: Values of the optimizer's variables.
        numbers: Values for the recipe's slots.
    """

    trainable: list[Value]
    non_trainable: list[Value]
    optimizer: list[Value]
    numbers: list[float]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a lane's own model has where the program takes inputs.

    Attributes:
        in_slots: One per slot.
        learning_rate: None if it is no variable, as with a schedule.
    """

    in_slots: tuple[float, ...]
    learning_rate: float | None


class Recipe:
    """Template, slots and initial values for one signature.

    Args:
        problem: Builds the models.
        config: A config of the signature.
        folds: Folds whose models are one program.
        space: The study's space.
        dynamic: Hyperparameters that are to be inputs of the program.

    Attributes:
        slots: Where models of the signature have numbers that differ from config to config: the program's inputs.
        structure: See :class:`~hpsearch.training.engines.fused.program_digest.ProgramDigest`.

    Raises:
        UnfusableError: The model cannot be trained by a fused program.
        NotDynamicError: Some of `dynamic` decide the program.
    """

    def __init__(
        self, problem: Problem, config: Config, *, folds: Sequence[int], space: Space, dynamic: frozenset[str]
    ) -> None:
        self._problem = problem
        self._folds = tuple(folds)
        self._dynamic = dynamic & config.keys()
        self._numbers: dict[object, Numbers | None] = {}
        self._patterns: dict[frozenset[int], list[Source] | None] = {}
        self.config = probe_config(config, space, self._dynamic, which=0)
        other = probe_config(config, space, self._dynamic, which=1)
        model = self.build(self.config, folds[0], seed=1)
        # The twin differs in everything that must not matter: dynamic hyperparameters, fold and seed.
        twin = self.build(other, folds[-1], seed=2)
        check_unshared(model, twin)
        self.parameters = int(model.count_params())
        here, there = dict(numbers_in(model)), dict(numbers_in(twin))
        self.slots: list[NumberSlot] = [slot for slot, value in here.items() if there.get(slot, value) != value]
        self._constants = {slot: value for slot, value in here.items() if slot not in self.slots}
        self._layers = _layers(model)
        self._read_sources(model, twin)
        self.template = Template(model, *few_rows(problem))
        rate = learning_rate_of(model.optimizer)
        self._rate_index = next((i for i, v in enumerate(model.optimizer.variables) if v is rate), None)
        found = self._digest(self.template)
        if _layers(twin) != self._layers or self._digest(Template(twin, *few_rows(problem))) != found:
            raise self._difference(found, other)
        self.structure = found.structure

    def _digest(self, template: Template) -> ProgramDigest:
        """See :func:`program_digest`.

        Raises:
            NotDynamicError: Code somewhere branches on a number that is to be an input.
        """
        try:
            return program_digest(template, self.slots, *few_rows(self._problem))
        except (jax.errors.JAXTypeError, AttributeError) as error:
            if not self._dynamic:
                raise
            raise NotDynamicError(self._dynamic) from error

    def _difference(self, wanted: ProgramDigest, other: Config) -> UnfusableError | NotDynamicError:
        """Why two models that should be one program are two."""

        def same(config: Config, fold: int, seed: int) -> bool:
            try:
                with tracing():
                    model = self.build(config, fold, seed=seed)
                    if _layers(model) != self._layers:
                        return False
                    return self._digest(Template(model, *few_rows(self._problem))) == wanted
            except (HpsearchError, UnfusableError, NotDynamicError):  # the build function may refuse such a value
                return False

        first = self._folds[0]
        if not same(self.config, first, 2):
            return UnfusableError("a model built anew, with another seed, is another program")
        if not same(self.config, self._folds[-1], 1):
            return UnfusableError("its program depends on the rows of the fold")
        bad = {name for name in self._dynamic if not same({**self.config, name: other[name]}, first, 1)}
        return NotDynamicError(frozenset(bad or self._dynamic))

    def _read_sources(self, model: keras.Model, twin: keras.Model) -> None:
        """Find out where initial values come from: seeds, the fold's data, or neither."""
        values = [np.asarray(v.value) for v in model.variables]
        places = {id(v): i for i, v in enumerate(model.variables)}
        self._trainable = [places[id(v)] for v in model.trainable_variables]
        self._non_trainable = [places[id(v)] for v in model.non_trainable_variables]
        found = sources(model, 1)
        # Untouched statistics are all 0 or all 1. Anything else was adapted to the fold's rows.
        adapted = frozenset(
            i
            for i in self._non_trainable
            if found[i].place is None and not ((values[i] == 0).all() or (values[i] == 1).all())
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
            None if that model is another program after all, such as one that leaves a layer out for a rate of 0.
        """
        address = config_key({name: value for name, value in config.items() if name in self._dynamic})
        if address not in self._numbers:
            model = self.build(config, self._folds[0], seed=1)
            found = dict(numbers_in(model))
            same = _layers(model) == self._layers and found.keys() <= {*self.slots, *self._constants}
            same = same and all(found.get(slot) == value for slot, value in self._constants.items())
            same = same and self._has_constants(model)
            rate = learning_rate_of(model.optimizer)
            # What is left out, such as a regularizer or a weight decay, is one of strength 0.
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
        constant = [i for i in self._non_trainable if self._sources[i].place is None]
        return all(np.array_equal(known.get(i, values[i]), values[i]) for i in constant)

    def start(self, lane: Lane) -> Start:
        """Where a lane starts: the values that Keras would give its own model."""
        seed = derive(self._problem.spec.seed, "weights", lane.trial, lane.fold)
        numbers = self.numbers(lane.config)
        assert numbers is not None, "asked before"
        optimizer: list[Value] = list(self.template.optimizer)
        if numbers.learning_rate is not None and self._rate_index is not None:
            optimizer[self._rate_index] = np.asarray(numbers.learning_rate, optimizer[self._rate_index].dtype)
        drawn = self._sources_for(lane.config, numbers)
        if drawn is None or self._sources is None:
            trainable, non_trainable = self._from_model(lane, seed)
            return Start(trainable, non_trainable, optimizer, list(numbers.in_slots))
        seeds = seed_sequence(seed)
        base = self._by_fold[lane.fold]
        variables = self.template.model.variables

        def value(source: Source, index: int) -> Value:
            return base[index] if source.place is None else source.value(seeds, variables[index])

        trainable = [value(source, index) for source, index in zip(drawn, self._trainable, strict=True)]
        non_trainable = [value(self._sources[index], index) for index in self._non_trainable]
        return Start(trainable, non_trainable, optimizer, list(numbers.in_slots))

    @property
    def lane_bytes(self) -> int:
        """Device memory of one lane's state."""
        template = self.template
        return sum(v.nbytes for v in (*template.trainable, *template.non_trainable, *template.optimizer))

    def _sources_for(self, config: Config, numbers: Numbers) -> list[Source] | None:
        """Sources of the trainable variables for a config; None if they are not understood.

        For a rate of 0, Keras makes no seed generator, so that later layers draw other seeds.
        """
        if self._sources is None:
            return None
        zeros = frozenset(
            index
            for index, (slot, value) in enumerate(zip(self.slots, numbers.in_slots, strict=True))
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

    def _from_model(self, lane: Lane, seed: int) -> tuple[list[Value], list[Value]]:
        """The slow way: build the lane's own model."""
        model = self.build(lane.config, lane.fold, seed=seed)
        mine = self.template.model.variables
        known = _values_by(model, self.template.model)
        trainable: list[Value] = [v.value for v in model.trainable_variables]
        if [t.shape for t in trainable] != [t.shape for t in self.template.trainable]:
            raise UnfusableError("models of one signature differ in their shapes")
        return trainable, [known.get(i, np.asarray(mine[i].value)) for i in self._non_trainable]


def check_unshared(one: keras.Model, other: keras.Model) -> None:
    """Refuse models that share layers: a template's layers are patched, and several threads trace them.

    Raises:
        UnfusableError: With the name of a layer.
    """
    if shared := shared_layers(one, other):
        raise UnfusableError(f"its models share layers with each other, such as {shared[0].name!r}")


def few_rows(problem: Problem) -> tuple[HostInputs, Array]:
    """Two rows and their targets, to build and to trace with."""
    part = problem.dataset.train.take(np.arange(2))
    x = {k: np.asarray(v) for k, v in part.x.items()} if isinstance(part.x, Mapping) else part.x
    return x, part.y


def _layers(model: keras.Model) -> list[tuple[str, list[tuple[int, ...]]]]:
    """Kind of every layer, and the shapes of its weights that train."""
    return [
        (type(layer).__name__, [tuple(v.shape) for v in layer.trainable_variables])
        for layer in flatten_layers(model, include_self=False)
    ]


def _values_by(model: keras.Model, like: keras.Model) -> dict[int, ArrayOnHost]:
    """Values of a model's variables, by the places of those of another model with the same layers.

    A layer with a rate of 0 lacks its seed generator's state.
    """
    found: dict[int, ArrayOnHost] = {}
    for one, other in zip(flatten_layers(model), flatten_layers(like), strict=True):
        alike = len(one.variables) == len(other.variables)
        mine, theirs = (layer.variables if alike else _undrawn(layer) for layer in (one, other))
        found |= {id(to): np.asarray(v.value) for v, to in zip(mine, theirs, strict=True)}
    return {i: found[id(v)] for i, v in enumerate(like.variables) if id(v) in found}


def _undrawn(layer: keras.layers.Layer) -> list[keras.Variable]:
    return [v for v in layer.variables if not v.path.endswith("seed_generator_state")]
