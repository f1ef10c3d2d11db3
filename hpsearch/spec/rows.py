"""The sections of a study file that say which rows there are, and how they are split."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic.config import JsonDict

from hpsearch.core.registries import DATA_SOURCES
from hpsearch.core.rules import RuleError
from hpsearch.core.words import quoted
from hpsearch.spec.section import READ_BACK, Section


def _offer_sources(schema: JsonDict) -> None:
    schema["examples"] = [*DATA_SOURCES.names(), "table.csv", "my_package.data:load"]


INPUTS, NONE = "inputs", "none"
"""Values of ``target`` that name no column: the rows themselves, and no targets at all."""

_EQUAL_IN_TIME = (
    "cannot be combined with {}: a row cannot stay with an equal row of another time, and a model that predicts the "
    "future does know the past; drop rows that are copies from the data"
)


class DataSection(Section):
    """Where rows and targets come from."""

    source: str = Field(
        description='"keras:mnist", "sklearn:digits", a .csv/.parquet/.npz file (relative to the study file), '
        'or "package.module:function"',
        json_schema_extra=_offer_sources,
    )
    test_fraction: float = Field(
        0.2, ge=0, lt=1, description="share of rows in the test part; ignored if the source has its own test split"
    )
    target: str | list[str] | None = Field(
        None,
        description='target column(s) of a table; "inputs": the rows themselves, as for an autoencoder; "none": the '
        "model has losses of its own",
    )
    ignore: list[str] = Field([], description="columns to leave out")
    group: str | None = Field(None, description="column whose groups are never split, in folds and in the test part")
    time: str | None = Field(None, description="column with the time of each row: every fold validates on later rows")
    weight: str | None = Field(
        None,
        description="column with each row's weight in the loss and in weighted metrics: Keras' sample_weight",
    )
    text: list[str] = Field([], description="columns of free text, which a build function's own layers take apart")
    duplicates: Literal["allow", "group"] = Field(
        "allow", description="group: rows that are equal in all inputs are never split, in folds and in the test part"
    )
    task: Literal["regression", "binary", "multiclass", "multilabel"] | None = Field(
        None, description="default: inferred from the targets"
    )
    labels: Literal["integer", "one-hot"] = Field("integer", description="form of the class labels in the loss")
    unit: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="amounts to predict are divided by this; scores are in this unit, predictions are not",
    )
    standardize_targets: bool = Field(
        False,
        description="the network learns amounts in standard deviations from their mean; scores and predictions are "
        "in their own unit, but for the loss",
    )
    missing_targets: Literal["refuse", "drop"] = Field(
        "refuse", description="drop: leave out rows whose target is missing; nothing can be learned from them"
    )
    max_rows: int | None = Field(None, ge=2, description="use only a random sample of this many rows, for a quick look")
    options: dict[str, object] = Field({}, description="passed to the source, such as { words = 10000 }")

    @field_validator("time")
    @classmethod
    def _without_group(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("group") is not None and info.context != READ_BACK:
            raise RuleError(
                "cannot be combined with data.group, because later rows can belong to earlier groups: keep time if the "
                "model predicts the future, keep group if it predicts new groups, and name the other column in ignore",
                "conflicting-keys",
            )
        return value

    @field_validator("duplicates")
    @classmethod
    def _without_time(cls, value: str, info: ValidationInfo) -> str:
        if value == "group" and info.data.get("time") is not None and info.context != READ_BACK:
            raise RuleError(_EQUAL_IN_TIME.format("data.time"), "conflicting-keys", received=value)
        return value

    @field_validator("standardize_targets")
    @classmethod
    def _without_unit(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("unit") is not None and info.context != READ_BACK:
            raise RuleError(
                "cannot be combined with data.unit: standardized targets need no unit, and scores are in their own",
                "conflicting-keys",
                received=value,
            )
        return value

    @property
    def fold_method(self) -> Literal["group", "time-series"] | None:
        """The only method that makes several folds without a leak; None if all methods do."""
        return "group" if self.group is not None else "time-series" if self.time is not None else None


class OuterSection(Section):
    """One outer fold of a nested validation. It replaces the test part. `run --nested` sets it."""

    folds: int = Field(ge=2, description="number of outer folds")
    index: int = Field(ge=0, description="index of this one, from 0")

    @field_validator("index")
    @classmethod
    def _is_there(cls, value: int, info: ValidationInfo) -> int:
        if value >= info.data.get("folds", value + 1):
            raise RuleError(f"must be less than the number of outer folds, {info.data['folds']}", "out-of-range")
        return value


class ValidationSection(Section):
    """How trials are validated."""

    method: Literal["kfold", "stratified", "group", "time-series", "holdout"] | None = Field(
        None,
        description="default: group or time-series if [data] names such a column, else stratified for classes and "
        "kfold for regression",
    )
    folds: int = Field(5, ge=2, description="folds per repeat; holdout has one")
    repeats: int = Field(1, ge=1, le=1_000, description="number of different splits (kfold and stratified)")
    seeds: int = Field(
        1, ge=1, le=100, description="trainings of every fold, each with initial weights of its own; scores are means"
    )
    fraction: float = Field(0.3, gt=0, lt=1, description="share of rows that holdout validates on")
    outer: OuterSection | None = Field(None, description="set by `run --nested`: search on all but one outer fold")
    null: int | None = Field(None, ge=0, description="set by `run --null`: search with permuted targets; which ones")

    @field_validator("repeats")
    @classmethod
    def _only_where_it_applies(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("method") in ("group", "time-series", "holdout"):
            raise RuleError(f"must be 1 with method = {info.data['method']!r}", "not-repeatable")
        return value


def without_leaks(data: DataSection, value: ValidationSection) -> ValidationSection:
    """The validation with the method that the data's roles ask for.

    Raises:
        RuleError: Its method would separate rows that belong together, or mix past and future.
    """
    if data.duplicates == "group" and value.method == "time-series":
        rule = f"method 'time-series' {_EQUAL_IN_TIME.format('data.duplicates')}"
        raise RuleError(rule, "conflicting-keys", received=value.method)
    if data.fold_method is None:
        return value
    # Validated again, to check repeats against the method.
    value = ValidationSection(**{**value.model_dump(), "method": value.method or data.fold_method})
    if value.method not in (data.fold_method, "holdout"):
        role, shared = ("group", "groups") if data.group is not None else ("time", "the future")
        raise RuleError(
            f"method {value.method!r} would share {shared} between training and validation, because "
            f"data.{role} = {quoted(getattr(data, role))}: use {data.fold_method!r} or 'holdout', or name the column "
            "in data.ignore instead",
            "leaking-folds",
            received=value.method,
        )
    return value
