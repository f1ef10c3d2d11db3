"""Draws, noise, convolutions and pooling against JAX and Keras."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from hpsearch.keras_internals.draws import quick_draws
from hpsearch.keras_internals.threefry import is_exact, threefry_bits, uniform
from hpsearch.training.engines.convolution import convolution_of, max_pool, quick_pooling
from hpsearch.training.engines.fused.checking import _difference
from hpsearch.training.engines.fused.layers import RowMask, patch_layers, random_bits


@pytest.mark.parametrize("shape", [(3,), (64, 65), (3, 3, 1, 32)])
def test_draws_are_bit_for_bit_those_of_jax(shape):
    if not is_exact():
        pytest.skip("this JAX draws with another generator or rounding: quick draws are off here")
    key = jnp.array([123456789, 0], dtype=jnp.uint32)
    drawn = jax.random.uniform(key, shape, minval=-0.2, maxval=0.2)
    assert np.array_equal(uniform((123456789, 0), shape, -0.2, 0.2), np.asarray(drawn))
    assert np.array_equal(
        threefry_bits((9, 0), 1000), np.asarray(jax.random.bits(jnp.array([9, 0], jnp.uint32), (1000,)))
    )


def test_quick_draws_leave_weights_as_they_were():
    def weights():
        initializer = keras.initializers.GlorotUniform(seed=5)
        return np.asarray(initializer((40, 30)))

    plain = weights()
    with quick_draws():
        quick = weights()
    assert np.array_equal(plain, quick)


def test_quick_draws_take_what_keras_takes():
    with quick_draws():
        assert keras.random.uniform(5, seed=1).shape == (5,)
        with pytest.raises(OverflowError):
            keras.random.uniform((5,), seed=-1)


def test_threads_take_turns_with_quick_draws():
    original = keras.src.backend.random.uniform
    inside, overlaps = [], []

    def build():
        with quick_draws():
            inside.append(1)
            time.sleep(0.05)
            overlaps.append(len(inside) > 1)
            inside.pop()

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == [False] * 3
    assert keras.src.backend.random.uniform is original


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
def test_dropout_has_keras_distribution(rate):
    """Shares and neighbour correlations of a million draws; 5 standard deviations: odds of 1 in 800,000 per check."""
    layer = keras.layers.Dropout(rate)
    model = keras.Sequential([keras.Input((1000,)), layer])
    patch_layers(model, RowMask())
    x = jnp.ones((1000, 1000))
    seeds = [v.value for v in model.non_trainable_variables]
    out, after = model.stateless_call([], seeds, x, training=True)
    again, _ = model.stateless_call([], after, x, training=True)
    kept = np.asarray(out) > 0
    deviation = np.sqrt(rate * (1 - rate))
    assert abs(kept.mean() - (1 - rate)) < 5 * deviation / 1000
    np.testing.assert_allclose(np.asarray(out)[kept], 1 / (1 - rate), rtol=1e-6)
    centred = kept - kept.mean()
    for other in (
        np.roll(centred, 1, 1),
        np.roll(centred, 1, 0),
        np.roll(centred, 32),
        np.asarray(again > 0) - (1 - rate),
    ):
        assert abs((centred * other).mean()) < 5 * deviation**2 / 1000
    assert np.array_equal(model.stateless_call([], seeds, x, training=False)[0], x)


def test_bits_are_even():
    bits = np.asarray(random_bits(jnp.array([7, 3], jnp.uint32), (4096, 64)))
    shares = np.unpackbits(bits.view(np.uint8)).reshape(-1, 8).mean(axis=0)
    assert np.abs(shares - 0.5).max() < 5 * 0.5 / np.sqrt(bits.size * 4)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("channels", [1, 9])
@pytest.mark.parametrize(("size", "strides"), [(3, 1), ((4, 2), 1), (2, 2), ((5, 3), (2, 1))])
def test_convolution_and_its_gradients_equal_keras(padding, size, strides, channels):
    x = np.random.default_rng(0).normal(size=(3, 9, 8, channels)).astype(np.float32)
    layer = keras.layers.Conv2D(4, size, strides=strides, padding=padding)
    keras_op, kernel = layer.convolution_op, build(layer, x)
    check_gradients(convolution_of(layer), keras_op, x, kernel)


def test_convolution_along_one_axis_equals_keras():
    x = np.random.default_rng(0).normal(size=(3, 11, 9)).astype(np.float32)
    layer = keras.layers.Conv1D(4, 4, padding="same")
    keras_op, kernel = layer.convolution_op, build(layer, x)
    check_gradients(convolution_of(layer), keras_op, x, kernel)


def build(layer, x):
    layer.build(x.shape)
    return layer.kernel.value


def check_gradients(ours, wanted, x, kernel):
    """Values and both gradients of a weighted sum of the outputs."""
    weights = np.random.default_rng(1).normal(size=wanted(x, kernel).shape).astype(np.float32)
    np.testing.assert_allclose(ours(x, kernel), wanted(x, kernel), rtol=1e-5, atol=1e-5)

    def gradients(operation):
        return jax.grad(lambda a, b: (operation(a, b) * weights).sum(), (0, 1))(jnp.array(x), kernel)

    for one, other in zip(gradients(ours), gradients(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_other_convolutions_are_left_alone():
    assert convolution_of(keras.layers.Conv2D(4, 3, dilation_rate=2)) is None
    assert convolution_of(keras.layers.DepthwiseConv2D(3)) is None


def test_pooling_and_its_gradient_equal_xla_also_where_values_tie():
    x = np.random.default_rng(1).integers(0, 3, size=(2, 7, 6, 3)).astype(np.float32)

    def reference(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 3, 1), (1, 2, 3, 1), "VALID")

    weights = np.random.default_rng(2).normal(size=reference(x).shape)
    np.testing.assert_array_equal(max_pool(x, (2, 3)), reference(x))
    ours = jax.grad(lambda a: (max_pool(a, (2, 3)) * weights).sum())(x)
    np.testing.assert_allclose(ours, jax.grad(lambda a: (reference(a) * weights).sum())(x), rtol=1e-6)


def test_a_pooling_layer_may_be_shared_by_models_in_training():
    shared = keras.layers.MaxPooling2D()
    first, second = (keras.Sequential([keras.Input((4, 4, 1)), shared]) for _ in range(2))
    one, other = quick_pooling(first), quick_pooling(second)
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
    assert "call" not in vars(shared)


def test_quick_pooling_changes_no_number_and_is_gone_afterwards():
    x = np.random.default_rng(3).random((64, 8, 8, 1)).astype(np.float32)
    y = np.random.default_rng(4).integers(0, 3, 64)

    def losses(around):
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(4, 3, activation="relu"),
                keras.layers.MaxPooling2D(),
                keras.layers.Flatten(),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        with around(model):
            inside = [name for layer in model.layers for name in vars(layer) if name == "call"]
            history = model.fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"]
        return inside, history, [name for layer in model.layers for name in vars(layer) if name == "call"]

    plain, quick = losses(lambda _: nullcontext()), losses(quick_pooling)
    assert (plain[0], quick[0], quick[2]) == ([], ["call"], [])
    np.testing.assert_allclose(quick[1], plain[1], rtol=1e-6)


def test_quick_draws_leave_other_threads_alone():
    if not is_exact():
        pytest.skip("this JAX draws with another generator or rounding: quick draws are off here")

    def traced(_=None):
        return str(jax.make_jaxpr(lambda: keras.ops.zeros((3, 5)))())

    plain = traced()
    with quick_draws(), ThreadPoolExecutor(1) as pool:
        assert traced() != plain  # here, a constant
        assert pool.submit(traced).result() == plain


@pytest.mark.parametrize(
    ("off", "noise", "differs"),
    [
        (9e-6, 0.0, False),
        (2e-5, 0.0, True),
        (2e-5, 5e-6, False),  # a deep network: its own step changes nearly as much with the order of the rows
        (2e-5, 1e-6, True),
        (2e-3, 1.0, True),  # a model whose rows' order counts has no rounding to hide behind
    ],
)
def test_a_step_may_differ_from_keras_by_rounding_only(off, noise, differs):
    wanted = {"kernel": np.array([1.0, 0.3]), "bias": np.array([0.1])}
    ours = {"kernel": np.array([1.0, 0.3]), "bias": np.array([0.1 + off])}
    reordered = {"kernel": np.array([1.0, 0.3 + noise]), "bias": np.array([0.1])}
    found = _difference(ours, wanted, reordered)
    assert (found is not None) == differs
    if found:
        assert (found.place, found.off) == ("bias", pytest.approx(off))
