"""Keras' training steps on TensorFlow, in a form that can be freed again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@contextmanager
def freeable_steps(model: "keras.Model") -> Iterator[None]:
    """Give a model step functions whose graphs are taken apart afterwards.

    TensorFlow (2.21) does not free a graph function that Python drops: its operations and the graph hold each other
    where Python's garbage collector cannot see it, 7 MB for every model trained. The steps themselves are Keras' own.
    Models that ask for several steps per execution, XLA or eager steps keep what Keras makes.
    """
    import keras

    plain = model.steps_per_execution == 1 and not model.jit_compile and not model.run_eagerly
    if keras.backend.backend() != "tensorflow" or not plain or model.train_function or model.test_function:
        yield
        return
    steps = [_traced(model.train_step), _traced(model.test_step)]
    model.train_function, model.test_function = steps
    try:
        yield
    finally:
        model.train_function = model.test_function = None
        for step in steps:
            _take_apart(step)


def _traced(step: Callable[[Any], Any]) -> Any:
    import tensorflow as tf

    def on_iterator(iterator: Any) -> Any:
        return step(iterator.get_next())

    return tf.function(tf.autograph.experimental.do_not_convert(on_iterator), reduce_retracing=True)


def _take_apart(step: Any) -> None:
    try:
        from tensorflow.python.framework.func_graph import dismantle_func_graph
    except ImportError:  # a later TensorFlow, which may no longer need it
        return
    for function in step._list_all_concrete_functions():
        dismantle_func_graph(function.graph)
