"""What the driver and the process that runs KerasTuner send to each other: one JSON object per line."""

from typing import Literal, TypedDict, final

Numbers = dict[str, int | float]
"""Hyperparameter → number; see :class:`hpsearch.tuners.dimensions.Dimension`."""


class DimensionMessage(TypedDict):
    """One hyperparameter. ``when``: other hyperparameter → the numbers for which this one is active."""

    name: str
    kind: Literal["float", "int", "choice", "fixed"]
    low: int | float
    high: int | float
    log: bool
    step: int
    when: dict[str, list[int | float]]


class TrialMessage(TypedDict):
    """One trial. ``score`` is None while the trial runs."""

    number: int
    values: Numbers
    score: float | None


@final
class SampleRequest(TypedDict):
    """Asks for one combination of a ``bayesian`` or ``random`` oracle.

    ``startup`` is the number of scores before ``bayesian`` uses its model, ``trials`` the history for that model.
    """

    algorithm: Literal["bayesian", "random"]
    direction: str
    space: list[DimensionMessage]
    seed: int
    startup: int
    trials: list[TrialMessage]


@final
class GridRequest(TypedDict):
    """Asks for the combination of a grid that follows ``after``; None asks for the first."""

    algorithm: Literal["grid"]
    direction: str
    space: list[DimensionMessage]
    after: Numbers | None


Request = SampleRequest | GridRequest


@final
class Answer(TypedDict):
    """The combination; None after the last one of a grid."""

    answer: Numbers | None


@final
class Refusal(TypedDict):
    """The oracle failed: why, and what to do."""

    error: str
    hint: str


Reply = Answer | Refusal
