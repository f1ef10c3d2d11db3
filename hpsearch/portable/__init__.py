"""What travels with every registered model, so that predicting needs no hpsearch. Imports nothing of hpsearch.

MLflow looks for ``_load_pyfunc`` in the package that it is told to load.
"""


def __getattr__(name: str) -> object:
    # Not imported ahead: the names of columns are needed where pandas is not.
    if name == "_load_pyfunc":
        from .predictor import _load_pyfunc

        return _load_pyfunc
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
