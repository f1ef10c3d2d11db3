"""Steps on padded batches must give what Keras' own steps give on the real rows. Numbers are compared."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from hpsearch.data.dataset import Part, keras_targets
from hpsearch.keras_internals.layers import flatten_layers, set_untracked
from hpsearch.keras_internals.numbers import RATE_LAYERS, NumberSlot
from hpsearch.keras_internals.steps import build_lazily_built, keras_step
from hpsearch.training.engines.fused.causes import cause_of_difference
from hpsearch.training.engines.fused.data import Batches, to_device
from hpsearch.training.engines.fused.epoch import validate
from hpsearch.training.engines.fused.errors import UnfusableError
from hpsearch.training.engines.fused.layers import strength_name
from hpsearch.training.engines.fused.pytree import Inputs, PyTree, Values
from hpsearch.training.engines.fused.recipe import Recipe
from hpsearch.training.engines.fused.template import Template
from hpsearch.training.problem import Problem

ROWS, PADDED = 37, 64
"""Rows that count, and rows of the padded batch: so many more that even a slight effect of them shows."""

ROUNDING, MOST_ROUNDING = 1e-5, 1e-3
"""Differences that are always taken for rounding, and never, relative to the largest number.

Between them counts what Keras' own step changes by when the rows come in another order, times :data:`_NOISE`: deep
networks with batch normalisation round by 1e-4, small ones by 3e-7.
"""

_NOISE = 10.0

_COMPARED = ("loss", "gradient", "state", "metrics", "validation", "validation in batches of another size")


@dataclass(frozen=True, slots=True)
class _Batch:
    x: Inputs
    y: PyTree
    weights: jax.Array | None

    @classmethod
    def of(cls, part: Part) -> "_Batch":
        few = part.take(np.arange(PADDED) % len(part))
        targets, weights = jax.tree.map(jnp.array, (keras_targets(few.y), few.weights))
        return cls(to_device(few.x), targets, weights)

    def real(self) -> "_Batch":
        """The rows that count."""
        return _Batch(*jax.tree.map(lambda column: column[:ROWS], self.parts))

    @property
    def parts(self) -> tuple[Inputs, PyTree, jax.Array | None]:
        """All of it, for JAX."""
        return self.x, self.y, self.weights


def check_step(recipe: Recipe, problem: Problem, fold: int) -> None:
    """Compare a template with the model it was made from.

    Compared are loss, metrics, gradients and statistics of a training step, and loss and metrics of a validation step,
    also in batches of half the size.

    Layers that the template replaces by noise of its own are switched off on both sides. All others draw by position,
    so that padding at the end changes no real row's noise.

    Raises:
        UnfusableError: They differ, so that a fused result would not be Keras' result.
    """
    batch = _Batch.of(problem.to_train(problem.dataset.train))
    head = batch.real()
    model = recipe.build(recipe.config, fold, seed=1)
    build_lazily_built(model, head.x, head.y)
    _silence(model)

    def fused(trainable: Values, non_trainable: Values) -> PyTree:
        return _fused_step(recipe.template, trainable, non_trainable, batch)

    def keras_own(trainable: Values, non_trainable: Values, x: Inputs, y: PyTree, w: jax.Array | None) -> PyTree:
        step = keras_step(model, trainable, non_trainable, x, y, w)
        return *step, step.validation_metrics

    start = (recipe.template.trainable, recipe.template.non_trainable)
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    with jax.default_matmul_precision("highest"):  # a GPU's default would hide what differs behind its rounding
        ours = jax.jit(fused).lower(*start).compile(compiler_options=options)(*start)
        own = jax.jit(keras_own).lower(*start, *head.parts).compile(compiler_options=options)
        theirs = own(*start, *head.parts)
        turned = own(*start, *jax.tree.map(lambda column: column[::-1], head.parts))
    for what, mine, wanted, reordered in zip(_COMPARED, ours, theirs, turned, strict=True):
        if (found := _difference(mine, wanted, reordered)) is not None:
            differing = _called(what, found.place, recipe.template.model)
            cause = cause_of_difference(recipe.template, batch.x, batch.y, ROWS, differing)
            how = f"(by {found.off:.3g} in its {what})"
            raise UnfusableError(f"a fused step would differ from Keras' own {how}: {cause}")


def _fused_step(template: Template, trainable: Values, non_trainable: Values, batch: _Batch) -> PyTree:
    """A training step, and validation of the same rows: all at once, and in halves."""
    x, y, weights = batch.parts
    silent = [
        NumberSlot("layer", i, (strength_name(layer),))
        for i, layer in enumerate(template.layers)
        if type(layer) in RATE_LAYERS
    ]
    mask = (jnp.arange(PADDED) < ROWS).astype(jnp.float32)
    with template.with_numbers(silent, [0.0] * len(silent)):
        (loss, (predicted, after)), gradients = template.gradients(
            trainable, non_trainable, template.optimizer, x, y, mask, weights
        )
        metrics = template.update_metrics(template.metrics, loss, y, predicted, mask, weights)
        metrics = template.update_over_batches(metrics, y, predicted, weights, jnp.int32(ROWS), (ROWS,))
        state = trainable, non_trainable, template.optimizer
        rows = [
            Batches(*jax.tree.map(lambda one, n=steps: one.reshape(n, -1), (jnp.arange(PADDED), weights)))
            for steps in (1, 2)
        ]
        whole, halves = (
            validate(template, state, some, jnp.int32(ROWS), x, y, sizes=(ROWS,), predictions=False)[0] for some in rows
        )
    return loss, gradients, after, template.results(metrics), whole, halves


@dataclass(frozen=True, slots=True)
class _Difference:
    """How far a leaf of two trees of numbers is off, and its key.

    Of several leaves it is the last: of gradients that of the layer next to the loss, where the difference arises.
    """

    off: float
    place: str | int | None


def _difference(ours: PyTree, theirs: PyTree, reordered: PyTree) -> _Difference | None:
    """Where ours and theirs differ by more than rounding, if they do.

    Args:
        ours: Numbers.
        theirs: The numbers that they should be.
        reordered: The same, computed from the same rows in another order.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(ours)
    leaves = [
        (path, np.asarray(mine), np.asarray(wanted), np.asarray(turned))
        for (path, mine), wanted, turned in zip(paths, jax.tree.leaves(theirs), jax.tree.leaves(reordered), strict=True)
        if jnp.issubdtype(mine.dtype, jnp.floating)
    ]
    # Rounding is as large as the largest numbers make it: a gradient that is truly 0 is computed as 1e-8.
    largest = max((float(np.abs(wanted).max(initial=0.0)) for _, _, wanted, _ in leaves), default=0.0)
    noise = max((_largest_gap(wanted, turned) for _, _, wanted, turned in leaves), default=0.0)
    largest = max(largest, 1e-6)
    allowed = min(max(ROUNDING * largest, _NOISE * noise), MOST_ROUNDING * largest)
    found = [
        _Difference(float(np.abs(mine - wanted).max()), _key(path))
        for path, mine, wanted, _ in leaves
        if not np.allclose(mine, wanted, rtol=0.0, atol=allowed, equal_nan=True)
    ]
    return found[-1] if found else None


def _largest_gap(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    return float(np.nanmax(np.abs(one - other), initial=0.0))


def _key(path: tuple[PyTree, ...]) -> str | int | None:
    if not path:
        return None
    place: str | int = path[0].key if isinstance(path[0], jax.tree_util.DictKey) else path[0].idx
    return place


def _called(what: str, place: str | int | None, model: keras.Model) -> str:
    """A leaf's name for people."""
    if what == "gradient" and isinstance(place, int):
        return f"the gradient of {model.trainable_variables[place].path!r}"
    if what == "state" and isinstance(place, int):
        return f"the statistic {model.non_trainable_variables[place].path!r}"
    return f"its metric {place!r}" if isinstance(place, str) else f"its {what}"


def _silence(model: keras.Model) -> None:
    for layer in flatten_layers(model):
        if type(layer) in RATE_LAYERS:
            set_untracked(layer, strength_name(layer), 0.0)
