"""hpsearch: hyperparameter search for Keras models on K folds, with a ledger that survives and MLflow.

>>> import hpsearch
>>> study = hpsearch.run("studies/digits.toml")
>>> study.best.config
>>> study.trials_dataframe()
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "HpsearchError",
    "KerasSearchCV",
    "Study",
    "delete",
    "load",
    "resume",
    "run",
    "run_nested",
    "run_null",
    "sync",
]

if TYPE_CHECKING:
    from hpsearch.controls import run_nested, run_null
    from hpsearch.errors import HpsearchError
    from hpsearch.ledger.deletion import delete
    from hpsearch.scikit_learn import KerasSearchCV
    from hpsearch.study import Study, load, resume, run, sync
else:  # a type checker would take any name for one of this module
    _HOMES = {
        "HpsearchError": "errors",
        "KerasSearchCV": "scikit_learn",
        "delete": "ledger.deletion",
        "run_nested": "controls",
        "run_null": "controls",
    }

    def __getattr__(name):
        # Importing the whole stack takes a second; `import hpsearch` and `hpsearch --help` should not.
        if name not in __all__:
            raise AttributeError(f"module 'hpsearch' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"hpsearch.{_HOMES.get(name, 'study')}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
