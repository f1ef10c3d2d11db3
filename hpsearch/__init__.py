"""hpsearch: hyperparameter search for Keras models on K folds, with a ledger that survives and MLflow.

>>> import hpsearch
>>> study = hpsearch.run("studies/digits.toml")
>>> study.best.config
>>> study.to_dataframe()
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["HpsearchError", "Study", "load", "resume", "run"]

if TYPE_CHECKING:
    from hpsearch.errors import HpsearchError
    from hpsearch.study import Study, load, resume, run


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    # Importing the whole stack takes a second; `import hpsearch` and `hpsearch --help` should not.
    if name not in __all__:
        raise AttributeError(f"module 'hpsearch' has no attribute {name!r}")
    if name == "HpsearchError":
        from hpsearch import errors

        return errors.HpsearchError
    from hpsearch import study

    return getattr(study, name)
