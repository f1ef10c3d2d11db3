"""A search as a scikit-learn estimator. Imported when :class:`hpsearch.KerasSearchCV` is first used."""

from hpsearch.scikit_learn.search import KerasSearchCV

__all__ = ["KerasSearchCV"]
