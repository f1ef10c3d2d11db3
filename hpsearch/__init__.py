"""hpsearch: hyperparameter search for Keras models, with folds, a ledger and MLflow."""

__version__ = "0.1.0"
