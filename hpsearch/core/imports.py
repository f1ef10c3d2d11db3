"""Imports that must not happen in a thread beside others."""

import importlib
import os
from contextlib import suppress

_SETS_VARIABLES = ("polars",)
"""What MLflow imports where it is installed, and what changes the environment when it is imported."""


def import_before_mlflow() -> None:
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
