"""Custom gradients on TensorFlow, which keep every trained model's graphs alive."""

import inspect
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any


def tie_gradients_to_graphs() -> None:
    """Let custom gradients go with the graphs they belong to.

    TensorFlow (2.21) enters every custom gradient that it meets while tracing in a registry, for good. The gradient
    holds its graph: some 4 MB for each small model trained, because Keras' optimizers add up gradients in a step that
    has one. Here the graph gets to hold its gradients, and the registry only finds them. A function of the user's
    module that outlives the model keeps the gradients that later models ask it for.

    Without access to the registry nothing happens, and memory grows with every model.
    """
    entries = registered_gradients()
    for name, entry in list(entries.items()):
        if not name.startswith("CustomGradient-"):
            continue
        gradient = entry["type"]
        graph = _graph_of(gradient)
        if graph is not None:
            graph.custom_gradients = [*getattr(graph, "custom_gradients", ()), gradient]
            entry["type"] = _found(weakref.ref(gradient, partial(entries.pop, name)))


def registered_gradients() -> dict[str, Any]:
    """TensorFlow's registry of gradients, which has no public handle; empty if it is gone."""
    try:
        from tensorflow.python.framework.ops import gradient_registry

        entries: dict[str, Any] = gradient_registry._registry
    except (ImportError, AttributeError):
        return {}
    return entries


def _graph_of(gradient: Callable[..., Any]) -> Any:
    """The graph that a registered gradient belongs to; None if that is unknown, or if it is tied already."""
    import tensorflow as tf

    inner = inspect.getclosurevars(gradient).nonlocals.get("tape_grad_fn")
    if inner is None:
        return None
    results = tf.nest.flatten(inspect.getclosurevars(inner).nonlocals.get("result"), expand_composites=True)
    return next((tensor.graph for tensor in results if tf.is_symbolic_tensor(tensor)), None)


def _found(gradient: Callable[[], Any]) -> Callable[..., Any]:
    def call(op: Any, *results: Any) -> Any:
        return gradient()(op, *results)  # its graph asks, so it is there

    return call
