"""``[search]`` of a study file."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, ValidationInfo, field_validator, model_validator

from hpsearch.core.registries import TUNERS
from hpsearch.core.rules import RuleError
from hpsearch.core.words import closest, listed
from hpsearch.spec.section import READ_BACK, Section, named
from hpsearch.tuners.base import TunerProvider


class SearchSection(Section):
    """How configs are proposed, and how many."""

    tuner: Annotated[str, *named(TUNERS)] = Field(
        "hpsearch", description="what proposes configs; default: hpsearch, or optuna if the algorithm is one of its own"
    )
    algorithm: str = Field(
        "bayesian",
        description="hpsearch: bayesian; optuna: tpe gp cmaes qmc random grid; keras-tuner: bayesian random grid",
    )
    from_study: str | None = Field(
        None,
        validation_alias=AliasChoices("from", "from_study"),
        serialization_alias="from",
        description="a study of the same ledger to begin with: its best configs, and its results as a hint",
    )
    trials: int = Field(20, ge=1, le=1_000_000, description="number of trials; a finite space may end sooner")
    stop: Literal["none", "auto"] = Field(
        "none", description="auto: end the search once it can gain less than the folds' noise hides"
    )
    max_hours: float | None = Field(None, gt=0, description="start no new trial after this time")
    startup_trials: int | None = Field(
        None, ge=1, le=1_000_000, description="first trials, suggested before the algorithm uses its model"
    )
    batch: int | None = Field(
        None,
        ge=1,
        le=1_000,
        description="trials suggested together once results count; default: 4, with fused on a GPU 8",
    )
    grid_points: int = Field(
        6, ge=2, le=1_000, description="number of values that a grid takes from a continuous range"
    )
    max_failures: int = Field(3, ge=1, description="stop after this many failed trials in a row")
    tries: list[dict[str, bool | int | float | str]] = Field(
        [],
        validation_alias=AliasChoices("try", "tries"),
        description="configs to train first; what they leave open is suggested",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_says_the_other(cls, values: object) -> object:
        """A tuner without an algorithm has its recommended one; an algorithm without a tuner is of whom has it."""
        if not isinstance(values, dict):
            return values
        tuner, algorithm = values.get("tuner"), values.get("algorithm")
        if algorithm is None and isinstance(tuner, str) and tuner in TUNERS.names():
            return {**values, "algorithm": TUNERS.load_class(tuner, TunerProvider).algorithms[0]}
        if tuner is None and algorithm is not None and algorithm != cls.model_fields["algorithm"].default:
            return {**values, "tuner": "optuna"}
        return values

    @field_validator("algorithm")
    @classmethod
    def _of_the_tuner(cls, value: str, info: ValidationInfo) -> str:
        tuner = None if info.context == READ_BACK else info.data.get("tuner")
        if tuner is None:
            return value
        # An algorithm without a tuner is of one of the first two, so both say what they have.
        tuners = dict.fromkeys((tuner, "hpsearch", "optuna")) if tuner in ("hpsearch", "optuna") else (tuner,)
        legal = {name: TUNERS.load_class(name, TunerProvider).algorithms for name in tuners}
        if value not in legal[tuner]:
            everything = [algorithm for algorithms in legal.values() for algorithm in algorithms]
            words = ", or ".join(
                f"{'one of ' if len(algorithms) > 1 else ''}{listed(algorithms)} with tuner = {name!r}"
                for name, algorithms in legal.items()
            )
            near = None if value in everything else closest(value, everything)
            raise RuleError(f"must be {words}", "not-one-of", closest=near)
        return value
