"""Modules imported in a thread beside others, which takes seconds, without harm to any of them."""

import importlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_SETS_VARIABLES = ("polars",)
"""What MLflow imports where it is installed, and what changes the environment when it is imported."""

_importing: list[threading.Thread] = []
_lock = threading.Lock()
"""Whoever holds it finds only threads that have started in the list."""


@contextmanager
def mlflow_ahead(bring: Callable[[], None]) -> Iterator[None]:
    """Import MLflow in a thread while the block does something else. The block ends when the import has.

    Args:
        bring: Does the imports.
    """
    _import_before_mlflow()
    thread = import_ahead(bring, "hpsearch-import-mlflow")
    try:
        yield
    finally:
        thread.join()


def import_ahead(bring: Callable[[], None], name: str) -> threading.Thread:
    """Import modules in a thread, after those that other threads are importing ahead.

    Modules of one package import each other. Of two threads that import them at once, one may find a module half made:
    so whoever is about to use them, or code that may, calls :func:`wait_for_imports`.

    Args:
        bring: Does the imports.
        name: The thread's.
    """

    def run() -> None:
        try:
            for thread in before:
                thread.join()
            bring()
        finally:
            with _lock:
                _importing.remove(threading.current_thread())

    # No daemon: Python may crash at its exit if that cuts an import short.
    thread = threading.Thread(target=run, name=name)
    with _lock:
        before = list(_importing)
        thread.start()
        _importing.append(thread)
    return thread


def wait_for_imports() -> None:
    """Return when no other thread is importing modules ahead."""
    with _lock:
        threads = list(_importing)
    if threading.current_thread() not in threads:
        for thread in threads:
            thread.join()


def _import_before_mlflow() -> None:
    """Import in this thread what else a thread that imports MLflow would, and take back what it sets.

    A thread that changes the environment may crash another one that reads it, in C or in Python.
    """
    before = dict(os.environ)
    for name in _SETS_VARIABLES:
        with suppress(ImportError):
            importlib.import_module(name)
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
