"""Tuners: who proposes the next config."""

ALGORITHMS: dict[str, tuple[str, ...]] = {
    "optuna": ("tpe", "gp", "cmaes", "qmc", "random", "grid"),
    "keras-tuner": ("bayesian", "random", "grid"),
}
"""Algorithm names per tuner, as a study file writes them."""
