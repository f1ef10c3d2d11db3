"""The sections of a study file: frozen, strictly checked values, and their JSON Schema."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from hpsearch.core.addresses import DEFAULT_LEDGER, DEFAULT_TRACKING, expanded
from hpsearch.core.objective import Objective
from hpsearch.core.registries import DATA_SOURCES, ENGINES, EXECUTORS, MODEL_FAMILIES, PRUNERS, TUNERS
from hpsearch.core.registry import Registry
from hpsearch.core.words import did_you_mean, listed
from hpsearch.errors import SpecError
from hpsearch.spec.parameters import RawParameter
from hpsearch.tuners.base import TunerProvider

READ_BACK = "read back"
"""Validation context for a study file from the ledger. What its addresses and names stand for need not be there to look
at results, and its folds are those that its trials have had."""


def _named(registry: Registry, *others: str) -> tuple[AfterValidator, FieldInfo]:
    """A string that is a name in a registry, or one of `others`."""

    def check(name: str, info: ValidationInfo) -> str:
        return name if info.context == READ_BACK else registry.check(name, *others)

    def offer(schema: JsonDict) -> None:
        schema["enum"] = [*others, *registry.names()]

    return AfterValidator(check), Field(json_schema_extra=offer)


def _offer_sources(schema: JsonDict) -> None:
    schema["examples"] = [*DATA_SOURCES.names(), "table.csv", "my_package.data:load"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class DataSection(_Section):
    """Where rows and targets come from."""

    source: str = Field(
        description='"keras:mnist", "sklearn:digits", a .csv/.parquet/.npz file (relative to the study file), '
        'or "package.module:function"',
        json_schema_extra=_offer_sources,
    )
    test_fraction: float = Field(0.2, ge=0, lt=1, description="held-out share; ignored where the source has its own")
    target: str | list[str] | None = Field(None, description="target column(s) of a table")
    ignore: list[str] = Field([], description="columns to leave out")
    group: str | None = Field(None, description="column whose groups stay whole, in folds and in the test part")
    time: str | None = Field(None, description="column that orders rows in time: every fold is tested on later rows")
    task: Literal["regression", "binary", "multiclass"] | None = Field(
        None, description="inferred from the targets if not given"
    )
    labels: Literal["integer", "one-hot"] = Field("integer", description="how class labels reach the loss")
    max_rows: int | None = Field(None, ge=2, description="use a random sample of so many rows, for a quick look")
    options: dict[str, Any] = Field({}, description="passed on to the source, such as { words = 10000 }")

    @field_validator("time")
    @classmethod
    def _without_group(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("group") is not None and info.context != READ_BACK:
            raise ValueError(
                "must not be given together with data.group, because later rows can be of groups met before: keep time "
                "where the model is to predict the future, group where it is to predict new groups, and name the "
                "other column in ignore"
            )
        return value

    @property
    def fold_method(self) -> Literal["group", "time-series"] | None:
        """The one way to make several folds without a leak; None where rows may be shared out freely."""
        return "group" if self.group is not None else "time-series" if self.time is not None else None


class OuterSection(_Section):
    """One outer fold of a nested validation, which takes the place of the test part; `run --nested` sets it."""

    folds: int = Field(ge=2, description="number of outer folds")
    index: int = Field(ge=0, description="which of them, from 0")

    @field_validator("index")
    @classmethod
    def _is_there(cls, value: int, info: ValidationInfo) -> int:
        if value >= info.data.get("folds", value + 1):
            raise ValueError(f"must be less than the number of outer folds, {info.data['folds']}")
        return value


class ValidationSection(_Section):
    """How trials are validated."""

    method: Literal["kfold", "stratified", "group", "time-series", "holdout"] | None = Field(
        None,
        description="if not given: group or time-series where [data] names such a column, else stratified for classes "
        "and kfold for regression",
    )
    folds: int = Field(5, ge=2, description="folds per repeat; holdout has one")
    repeats: int = Field(1, ge=1, description="split anew so often (kfold and stratified)")
    fraction: float = Field(0.3, gt=0, lt=1, description="validation share of holdout")
    outer: OuterSection | None = Field(None, description="set by `run --nested`: search all but one outer fold")

    @field_validator("repeats")
    @classmethod
    def _only_where_it_applies(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("method") in ("group", "time-series", "holdout"):
            raise ValueError(f"repeats works with kfold and stratified, not with {info.data['method']}")
        return value


class ModelSection(BaseModel):
    """What is trained: a documented family, or a build function of one's own. Further keys fix hyperparameters."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, protected_namespaces=())

    family: Annotated[str, *_named(MODEL_FAMILIES)] | None = Field(None, description="see `hpsearch models`")
    build: str | None = Field(
        None, description='"package.module:function" of build(config, data), or KerasTuner\'s build(hp) or HyperModel'
    )

    @field_validator("build")
    @classmethod
    def _shape(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w.]+:\w+", value):
            raise ValueError('must look like "package.module:function"')
        return value


class ObjectiveSection(_Section):
    """What is optimised."""

    metric: str = Field(description='name of a curve, such as "val_accuracy" or "val_mae"')
    direction: Literal["minimize", "maximize"] = Field(description="never guessed")
    epoch: Literal["best", "last"] = Field("best", description="which epoch of the mean curve is the score")


class SearchSection(_Section):
    """Who proposes configs, and how many."""

    tuner: Annotated[str, *_named(TUNERS)] = Field("optuna", description="who proposes configs")
    algorithm: str = Field("tpe", description="optuna: tpe gp cmaes qmc random grid; keras-tuner: bayesian random grid")
    trials: int = Field(20, ge=1, description="how many trials; a grid may end sooner")
    max_hours: float | None = Field(None, gt=0, description="start no further trial after so long")
    startup_trials: int | None = Field(None, ge=1, description="random trials before a model takes over")
    grid_points: int = Field(6, ge=2, description="values that a grid takes from a continuous range")
    max_failures: int = Field(3, ge=1, description="stop after so many failed trials in a row")

    @field_validator("algorithm")
    @classmethod
    def _of_the_tuner(cls, value: str, info: ValidationInfo) -> str:
        tuner = None if info.context == READ_BACK else info.data.get("tuner")
        legal = () if tuner is None else TUNERS.load_class(tuner, TunerProvider).algorithms
        if tuner is not None and value not in legal:
            raise ValueError(f"must be one of {listed(legal)} with tuner = {tuner!r}{did_you_mean(value, legal)}")
        return value


class PruningSection(_Section):
    """When trials are stopped early."""

    method: Annotated[str, *_named(PRUNERS, "none")] = Field("none", description="the rule")
    min_epochs: int = Field(3, ge=1, description="no trial is stopped before it has so many epochs")
    startup_trials: int = Field(
        5, ge=1, description="trials to wait for: complete ones (median), or as far along (racing)"
    )
    reduction_factor: int = Field(3, ge=2, description="successive-halving: one in so many goes on at each rung")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="racing: how sure to be before stopping a trial")


class ResourcesSection(_Section):
    """What trains, and on what."""

    engine: Annotated[str, *_named(ENGINES, "auto")] = Field(
        "auto", description="auto: fused where the model allows it"
    )
    backend: Literal["auto", "tensorflow", "jax"] = Field("auto", description="Keras backend of the fit engine")
    executor: Annotated[str, *_named(EXECUTORS)] = Field("processes", description="where workers run")
    workers: int | Literal["auto"] = Field("auto", description="processes; auto: one per GPU, else one")
    gpus: list[int] | Literal["auto"] = Field("auto", description="GPU numbers to use; [] for none")
    threads: int | Literal["auto"] = Field("auto", description="CPU threads per worker; auto: cores / workers")
    trials_per_bundle: int | Literal["auto"] = Field("auto", description="trials that train together (fused)")
    max_retries: int = Field(2, ge=0, description="how often a bundle is retried after its worker died")

    @field_validator("workers", "threads", "trials_per_bundle")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError('must be at least 1, or "auto"')
        return value


class TrackingSection(_Section):
    """Where the record goes. ``${NAME}`` is replaced by the environment variable."""

    uri: str = Field(DEFAULT_TRACKING, description="MLflow: a database or http(s) address")
    ledger: str = Field(DEFAULT_LEDGER, description="Optuna storage of the ledger")
    artifacts: str | None = Field(None, description="artifact root; default mlruns/artifacts for local databases")

    @field_validator("uri", "ledger", "artifacts")
    @classmethod
    def _check(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or info.context == READ_BACK:
            return value
        address = expanded(value)
        if info.field_name == "uri" and not re.match(
            r"(sqlite|postgresql|mysql|mssql)(\+\w+)?://|https?://|databricks", address
        ):
            raise ValueError("must be a database or http(s) address, such as sqlite:///mlruns/mlflow.db")
        if info.field_name == "ledger":
            if not re.match(r"(sqlite|postgresql|mysql)(\+\w+)?://", address):
                raise ValueError("must be a database address, such as sqlite:///mlruns/ledger.db")
            if value == info.data.get("uri"):
                raise ValueError("must not be MLflow's database: both keep their schema version in one table")
        # The text with ${NAME} is what is kept and shown, so that no password gets into the ledger or MLflow.
        return value

    def resolved(self) -> "TrackingSection":
        """The same section with environment variables filled in; for use, not for keeping.

        Raises:
            SpecError: A variable is not set.
        """
        found = {}
        for name, text in self.model_dump(exclude_none=True).items():
            try:
                found[name] = expanded(text)
            except ValueError as error:
                hint = "set it in the environment and try again"
                raise SpecError(f"tracking.{name}: {text!r} {error}", hint=hint) from None
        return self.model_copy(update=found)


class StudySpec(_Section):
    """A whole study file. Sections that are left out have their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, title="hpsearch study file")

    name: str = Field(description="the study's name: also the MLflow experiment's", min_length=1, max_length=200)
    seed: int = Field(0, ge=0, le=2**31 - 1)
    data: DataSection
    validation: ValidationSection = Field(ValidationSection(), validate_default=True)
    model: ModelSection
    space: dict[str, RawParameter] = Field({}, description="overrides the family's defaults; both ends inclusive")
    objective: ObjectiveSection
    search: SearchSection = SearchSection()
    pruning: PruningSection = PruningSection()
    resources: ResourcesSection = ResourcesSection()
    tracking: TrackingSection = TrackingSection()
    folder: str = Field(".", exclude=True, description="set by the reader: folder that relative data files start from")

    @field_validator("name")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        if value != value.strip() or re.search(r"[/\\\x00-\x1f]", value) or value[:1] in (".", "-"):
            raise ValueError(
                "must be usable as a folder name: no slashes, control characters or outer blanks, no dot or dash first"
            )
        if len(value.encode()) > 240:
            raise ValueError(f"must be usable as a folder name: at most 240 bytes, {len(value.encode())} as UTF-8")
        return value

    @field_validator("validation")
    @classmethod
    def _without_leaks(cls, value: ValidationSection, info: ValidationInfo) -> ValidationSection:
        data = info.data.get("data")
        if data is None or data.fold_method is None or info.context == READ_BACK:
            return value
        # Validated anew, so that repeats are checked against the method.
        value = ValidationSection(**{**value.model_dump(), "method": value.method or data.fold_method})
        if value.method not in (data.fold_method, "holdout"):
            role, shared = ("group", "groups") if data.group is not None else ("time", "the future")
            raise ValueError(
                f"needs method = {data.fold_method!r} or 'holdout' with data.{role} = {getattr(data, role)!r}: "
                f"{value.method} would share {shared} between training and validation (where that is no matter, name "
                "the column in data.ignore instead)"
            )
        return value

    @field_validator("model")
    @classmethod
    def _one_of_two(cls, value: ModelSection) -> ModelSection:
        if (value.family is None) == (value.build is None):
            raise ValueError("needs exactly one of family and build")
        return value

    @field_validator("pruning")
    @classmethod
    def _folds_to_compare(cls, value: PruningSection, info: ValidationInfo) -> PruningSection:
        validation = info.data.get("validation")
        if value.method == "racing" and validation is not None and validation.method == "holdout":
            raise ValueError(
                "needs several folds for racing, but validation.method = 'holdout' has one; "
                "use median or successive-halving"
            )
        return value

    def make_objective(self) -> Objective:
        """The objective as the vocabulary's value."""
        return Objective(self.objective.metric, self.objective.direction, self.objective.epoch)
