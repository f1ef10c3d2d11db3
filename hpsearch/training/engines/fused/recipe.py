"""A recipe: all that training the lanes of one signature needs, short of the compiled program."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import keras
import numpy as np

from hpsearch.core.events import Lane
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config, Space, config_key
from hpsearch.data.dataset import keras_inputs, keras_targets
from hpsearch.errors import HpsearchError
from hpsearch.keras_internals.layers import flatten_layers
from hpsearch.keras_internals.numbers import NumberSlot, numbers_in
from hpsearch.keras_internals.optimizers import learning_rate_of
from hpsearch.models.sharing import shared_layers
from hpsearch.training.engines.fused.dynamic import probe_config
from hpsearch.training.engines.fused.errors import NotDynamicError, UnfusableError, tracing
from hpsearch.training.engines.fused.initial import Prediction, Sample, UnpredictableError, Value
from hpsearch.training.engines.fused.layers import needs_patch
from hpsearch.training.engines.fused.program_digest import ProgramDigest, program_digest
from hpsearch.training.engines.fused.pytree import HostInputs, PyTree
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


_Address = tuple[object, int | None, int | None]
"""The dynamic hyperparameters of a lane, its trial and its fold; without trial, or both, for all lanes of a config."""


@dataclass(frozen=True, slots=True)
class Own:
    """What the model of a single lane says about it.

    Attributes:
        in_slots: Its numbers where the program takes inputs, one per slot.
        learning_rate: None if it is no variable, as with a schedule.
        trainable: Initial values of the trainable variables; None if they are predicted.
        non_trainable: Initial values of the non-trainable variables; None likewise.
    """

    in_slots: tuple[float, ...]
    learning_rate: float | None
    trainable: list[Value] | None
    non_trainable: list[Value] | None


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
        rate_index: Which of the optimizer's variables is the learning rate; None if none is, as with a schedule.

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
        self._own: dict[_Address, Own | None] = {}
        self.config = probe_config(config, space, self._dynamic, which=0)
        other = probe_config(config, space, self._dynamic, which=1)
        model = self.build(self.config, folds[0], seed=1)
        # The twin differs in everything that must not matter: dynamic hyperparameters, fold and seed.
        twin = self.build(other, folds[-1], seed=2)
        check_unshared(model, twin)
        self.parameters = int(model.count_params())
        here, there = dict(numbers_in(model)), dict(numbers_in(twin))
        # Of a family, the schedule's steps differ between folds, also where those of these two are alike.
        self._by_fold = problem.is_predictable and any(slot.counts_steps for slot in here)
        self.slots: list[NumberSlot] = [
            slot
            for slot, value in here.items()
            if there.get(slot, value) != value or (self._by_fold and slot.counts_steps)
        ]
        self._constants = {slot: value for slot, value in here.items() if slot not in self.slots}
        self._layers = _layers(model)
        self._prediction = self._predict(Sample(model, folds[0], 1), Sample(twin, folds[-1], 2))
        self.template = Template(model, *few_rows(problem))
        rate = learning_rate_of(model.optimizer)
        self.rate_index = next((i for i, v in enumerate(model.optimizer.variables) if v is rate), None)
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
            of_weights = self._starts_from_weights(first)
            return UnfusableError(of_weights or "a model built anew, with another seed, is another program")
        if not same(self.config, self._folds[-1], 1):
            return UnfusableError("its program depends on the rows of the fold")
        bad = {name for name in self._dynamic if not same({**self.config, name: other[name]}, first, 1)}
        return NotDynamicError(frozenset(bad or self._dynamic))

    def _starts_from_weights(self, fold: int) -> str:
        """A sentence if the optimizer's own variables start as copies of the weights; empty if not."""
        model = self.build(self.config, fold, seed=2)
        before = [np.asarray(v) for v in self.template.optimizer]
        after = [np.asarray(v) for v in Template(model, *few_rows(self._problem)).optimizer]
        alike = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        return "" if alike else f"what {type(model.optimizer).__name__} keeps starts from the initial weights"

    def _predict(self, first: Sample, last: Sample) -> Prediction | None:
        """Find out where initial values come from; None if that takes a model for every lane."""
        if not self._problem.is_predictable:
            return None
        between = [
            Sample(self.build(self.config, fold, seed=number), fold, number)
            for number, fold in enumerate(self._folds[1:-1], start=3)
        ]
        try:
            return Prediction([first, *between, last])
        except UnpredictableError:
            return None

    def build(self, config: Config, fold: int, *, seed: int) -> keras.Model:
        """A model of the problem for one fold."""
        rows = self._problem.folds[fold].train
        return self._problem.build(config, self._problem.dataset.train.take(rows), seed=seed)

    def fits(self, lane: Lane) -> bool:
        """Whether the lane's own model is this program, judged by its layers and numbers.

        It is not if, for example, it leaves a layer out for a rate of 0.
        """
        return self._own_of(lane) is not None

    def start(self, lane: Lane) -> Start:
        """Where a lane starts: with what Keras gives its own model."""
        own = self._own_of(lane)
        if own is None:
            raise UnfusableError("a model built anew is another program")
        if own.trainable is None or own.non_trainable is None:
            assert self._prediction is not None, "the values are left out only then"
            trainable, non_trainable = self._prediction.values(lane.fold, self._seed(lane))
        else:
            trainable, non_trainable = own.trainable, own.non_trainable
            del self._own[self._address(lane)]  # values of many lanes take memory; should it start again, it is built
        optimizer: list[Value] = list(self.template.optimizer)
        if own.learning_rate is not None and self.rate_index is not None:
            optimizer[self.rate_index] = np.asarray(own.learning_rate, optimizer[self.rate_index].dtype)
        return Start(trainable, non_trainable, optimizer, list(own.in_slots))

    def _seed(self, lane: Lane) -> int:
        return derive(self._problem.spec.seed, "weights", lane.trial, lane.fold)

    def _address(self, lane: Lane) -> _Address:
        config = config_key({name: value for name, value in lane.config.items() if name in self._dynamic})
        shared = self._shared_address(config, lane)
        return shared if shared in self._own else (config, lane.trial, lane.fold)

    def _shared_address(self, config: object, lane: Lane) -> _Address:
        return config, None, lane.fold if self._by_fold else None

    def _own_of(self, lane: Lane) -> Own | None:
        """What the lane's own model says. Where starts can be predicted, one model speaks for all lanes of a config."""
        address = self._address(lane)
        if address not in self._own:
            own = self._read(self.build(lane.config, lane.fold, seed=self._seed(lane)))
            # For a rate of 0, Keras makes no seed generator, so that later layers draw other seeds.
            if own is not None and self._prediction is not None and 0 not in self._rates(own):
                address = self._shared_address(address[0], lane)
                own = replace(own, trainable=None, non_trainable=None)
            self._own[address] = own
        return self._own[address]

    def _rates(self, own: Own) -> list[float]:
        return [value for slot, value in zip(self.slots, own.in_slots, strict=True) if slot.owner == "layer"]

    def _read(self, model: keras.Model) -> Own | None:
        """Numbers and initial values of a lane's own model; None if it is another program after all."""
        found = dict(numbers_in(model))
        rate = learning_rate_of(model.optimizer)
        same = _layers(model) == self._layers and found.keys() <= {*self.slots, *self._constants}
        same = same and all(found.get(slot) == value for slot, value in self._constants.items())
        same = same and isinstance(rate, keras.Variable) == (self.rate_index is not None)
        values = _values_by(model, self.template.model) if same else None
        if values is None:
            return None
        template = self.template
        return Own(
            # What is left out, such as a regularizer or a weight decay, is one of strength 0.
            tuple(found.get(slot, 0.0) for slot in self.slots),
            float(rate.value) if isinstance(rate, keras.Variable) else None,
            [values[id(v)] for v in template.model.trainable_variables],
            [values.get(id(v), v.value) for v in template.model.non_trainable_variables],
        )

    @property
    def lane_bytes(self) -> int:
        """Device memory of one lane's state."""
        template = self.template
        return sum(v.nbytes for v in (*template.trainable, *template.non_trainable, *template.optimizer))


def check_unshared(one: keras.Model, other: keras.Model) -> None:
    """Refuse models that share layers with weights, or such that a template patches, as several threads trace them.

    Raises:
        UnfusableError: With the name of a layer.
    """
    for layer in shared_layers(one, other):
        if layer.weights or needs_patch(layer):
            raise UnfusableError(f"its models share layers with each other, such as {layer.name!r}")


def few_rows(problem: Problem) -> tuple[HostInputs, PyTree]:
    """Two rows and their targets, to build and to trace with."""
    part = problem.dataset.train.take(np.arange(2))
    return keras_inputs(part.x), keras_targets(part.y)


def _layers(model: keras.Model) -> list[tuple[str, list[tuple[int, ...]]]]:
    """Kind of every layer, and the shapes of its weights that train."""
    return [
        (type(layer).__name__, [tuple(v.shape) for v in layer.trainable_variables])
        for layer in flatten_layers(model, include_self=False)
    ]


def _values_by(model: keras.Model, like: keras.Model) -> dict[int, Value] | None:
    """Values of a model's variables, by the ids of those of another model with the same layers; None if shapes differ.

    A layer with a rate of 0 lacks its seed generator's state.
    """
    found: dict[int, Value] = {}
    for one, other in zip(flatten_layers(model), flatten_layers(like), strict=True):
        alike = len(one.variables) == len(other.variables)
        mine, theirs = (layer.variables if alike else _undrawn(layer) for layer in (one, other))
        if [(v.shape, v.dtype) for v in mine] != [(v.shape, v.dtype) for v in theirs]:
            return None
        found |= {id(to): np.asarray(v.value) for v, to in zip(mine, theirs, strict=True)}
    return found


def _undrawn(layer: keras.layers.Layer) -> list[keras.Variable]:
    return [v for v in layer.variables if not v.path.endswith("seed_generator_state")]
