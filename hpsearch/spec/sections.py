"""The sections of a study file: frozen, strictly checked values, and their JSON Schema."""

import math
import re
import tomllib
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from hpsearch.core.addresses import DEFAULT_LEDGER, DEFAULT_TRACKING, Uri
from hpsearch.core.meanings import documented
from hpsearch.core.objective import Objective
from hpsearch.core.registries import MODEL_FAMILIES, PRUNERS
from hpsearch.core.rules import RuleError
from hpsearch.errors import SpecError
from hpsearch.spec.objective import ObjectiveSection
from hpsearch.spec.parameters import RawParameter
from hpsearch.spec.resources import ResourcesSection
from hpsearch.spec.rows import DataSection, ValidationSection, without_leaks
from hpsearch.spec.search import SearchSection
from hpsearch.spec.section import READ_BACK, Section, named
from hpsearch.spec.training import TrainingSection

_UNEQUAL_FOLDS = {
    "holdout": "there is only one",
    "time-series": "the first of them have seen only the oldest rows",
}
"""Methods of validation whose fold models make no good mean, and why."""


class ModelSection(BaseModel):
    """What is trained: a documented family, or your own build function. Further keys set hyperparameters."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, protected_namespaces=())

    family: Annotated[str, *named(MODEL_FAMILIES)] | None = Field(None, description="see `hpsearch models`")
    build: str | None = Field(
        None, description='"package.module:function" of build(config, data), or KerasTuner\'s build(hp) or HyperModel'
    )

    class_weight: Literal["balanced"] | dict[str, float] | None = Field(
        None,
        description='class → what its training rows count in the loss, as for Keras\' fit; "balanced": the same for '
        "each class, counted in the fold's training rows",
    )

    @field_validator("class_weight")
    @classmethod
    def _weights(cls, value: str | dict[str, float] | None) -> str | dict[str, float] | None:
        for name, weight in value.items() if isinstance(value, dict) else ():
            if not (math.isfinite(weight) and weight >= 0):
                rule = f"must be finite numbers of 0 or more, but class {name!r} has {weight:g}"
                raise RuleError(rule, "out-of-range", received=weight)
        return value

    @field_validator("build")
    @classmethod
    def _shape(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w.]+:\w+", value):
            raise RuleError('must look like "package.module:function"', "bad-address")
        return value


class PruningSection(Section):
    """When trials stop early."""

    method: Annotated[str, *named(PRUNERS, "none")] = Field("none", description="the rule")
    min_epochs: int = Field(3, ge=1, description="no trial stops before this many epochs")
    startup_trials: int = Field(
        5, ge=1, description="trials to wait for: complete ones (median), or equally advanced ones (racing)"
    )
    reduction_factor: int = Field(
        3, ge=2, description="successive-halving, hyperband: one in so many goes on at a rung"
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="racing: confidence that is needed to stop a trial")
    folds: Literal["none", "forgiving", "aggressive"] = Field(
        "none", description="train the folds one by one, and stop trials whose first folds are poor; without a method"
    )

    @field_validator("folds")
    @classmethod
    def _epochs_or_folds(cls, value: str, info: ValidationInfo) -> str:
        method = info.data.get("method", "none")
        if value != "none" and method != "none":
            raise RuleError(
                f"folds = {value!r} trains the folds one by one, but method = {method!r} compares them epoch by epoch; "
                "remove one of the two",
                "conflicting-keys",
                received=value,
            )
        return value


_KINDS = r"refit|folds|top-([2-9]|1\d|20)"


class ChampionSection(Section):
    """What is made of the best trial when the search has ended."""

    kind: str = Field(
        "refit",
        json_schema_extra={"pattern": f"^({_KINDS})$"},
        description='"refit": the best trial, trained once more on all development rows; "folds": the mean of its fold '
        'models; "top-5" (2 to 20): the mean of so many best trials, each trained on all development rows',
    )
    compare: bool = Field(False, description="train the other kinds too, and test them all")

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        if not re.fullmatch(_KINDS, value):
            raise RuleError('must be "refit", "folds", or "top-2" to "top-20"', "not-one-of", received=value)
        return value

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds to train: the champion's own first."""
        others = ("refit", "folds", self.kind if self.kind.startswith("top") else "top-5")
        return tuple(dict.fromkeys((self.kind, *others))) if self.compare else (self.kind,)


class TrackingSection(Section):
    """Where the record is stored. The environment variable ``NAME`` replaces ``${NAME}``."""

    model_config = ConfigDict(hide_input_in_errors=True)

    uri: Uri = Field(Uri(DEFAULT_TRACKING), description="MLflow: address of a database or server")
    ledger: Uri = Field(Uri(DEFAULT_LEDGER), description="the ledger: address of an Optuna storage")
    artifacts: Uri | None = Field(None, description="artifact root; default mlruns/artifacts for local databases")
    predictions: Literal["none", "top", "all"] = Field(
        "top", description="keep the predictions for the validation rows of no trial, the best 20 at least, or all"
    )
    system_metrics: bool = Field(True, description="processor, memory and GPU of the driver's machine, in MLflow")
    shared: bool = Field(False, description="let others on this machine read new files, as far as your umask does")

    @field_validator("uri", "ledger", "artifacts")
    @classmethod
    def _check(cls, value: Uri | None, info: ValidationInfo) -> Uri | None:
        if value is None or info.context == READ_BACK:
            return value
        expanded = value.expanded()
        expanded.check()
        address = expanded.reveal()
        if info.field_name == "uri" and not re.match(
            r"(sqlite|postgresql|mysql|mssql)(\+\w+)?://|https?://|databricks", address
        ):
            raise RuleError("must be a database or http(s) address, such as sqlite:///mlruns/mlflow.db", "bad-address")
        if info.field_name == "ledger":
            if not re.match(r"(sqlite|postgresql|mysql)(\+\w+)?://", address):
                raise RuleError("must be a database address, such as sqlite:///mlruns/ledger.db", "bad-address")
            if value == info.data.get("uri"):
                rule = "must not be MLflow's database: both store their schema version in the same table"
                raise RuleError(rule, "shared-database")
        # Keep and show the text with ${NAME}, so that no password gets into the ledger or MLflow.
        return value

    def resolved(self) -> "TrackingSection":
        """A copy with the values of environment variables, to use but not to store.

        Raises:
            SpecError: A variable is not set.
        """
        found = {}
        for name in ("uri", "ledger", "artifacts"):
            written: Uri | None = getattr(self, name)
            try:
                found[name] = written and written.expanded()
            except RuleError as error:
                raise SpecError(
                    f"tracking.{name}: {error}",
                    code=error.code,
                    hint="set it and try again",
                    key=f"tracking.{name}",
                    variable=error.received,
                ) from None
        return self.model_copy(update=found)

    def doubts(self) -> list[str]:
        """What looks like a mistake: passwords that are written out."""
        return [
            f"tracking.{name} has a password, which the ledger has to keep; ${{NAME}} in its place leaves it in the "
            "environment variable NAME"
            for name in self._with_secrets()
        ]

    def _with_secrets(self) -> dict[str, Uri]:
        written = {"uri": self.uri, "ledger": self.ledger, "artifacts": self.artifacts}
        return {name: one for name, one in written.items() if one is not None and one.has_secret}

    def hide_in(self, study_file: str) -> str:
        """The text of the study file that has this section, without its passwords."""
        written = self._with_secrets().values()
        for one in written:
            study_file = study_file.replace(one.reveal(), str(one))
        if written and self._is_in(study_file):  # TOML may write a character in other ways
            return "# This study file is not kept: it has a password.\n"
        return study_file

    @staticmethod
    def _is_in(study_file: str) -> bool:
        """Whether a study file still has a password."""
        section = tomllib.loads(study_file).get("tracking", {})
        texts = [section.get(name) for name in ("uri", "ledger", "artifacts")]
        return any(isinstance(one, str) and Uri(one).has_secret for one in texts)


class StudySpec(Section):
    """A whole study file. Missing sections have their defaults."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, title="hpsearch study file", hide_input_in_errors=True
    )

    name: str = Field(description="name of the study and of the MLflow experiment", min_length=1, max_length=200)
    seed: int = Field(0, ge=0, le=2**31 - 1)
    data: DataSection
    validation: ValidationSection = Field(ValidationSection(), validate_default=True)
    model: ModelSection
    space: dict[str, RawParameter] = Field({}, description="overrides the family's defaults; ranges include both ends")
    objective: ObjectiveSection
    training: TrainingSection = TrainingSection()
    search: SearchSection = SearchSection()
    pruning: PruningSection = PruningSection()
    resources: ResourcesSection = ResourcesSection()
    champion: ChampionSection = ChampionSection()
    tracking: TrackingSection = TrackingSection()
    folder: str = Field(".", exclude=True, description="set by the reader: the folder that relative paths start from")

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The JSON Schema. It names the documented hyperparameters, so that editors offer them; others are legal."""
        schema = super().model_json_schema(*args, **kwargs)
        any_other = "#/properties/space/additionalProperties"
        schema["properties"]["space"]["properties"] = {
            name: {"$ref": any_other, "description": meaning} for name, meaning in documented().items()
        }
        return schema

    @field_validator("name")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        if value != value.strip() or re.search(r"[/\\\x00-\x1f]", value) or value[:1] in (".", "-"):
            raise RuleError(
                "must work as a folder name: no slashes or control characters, no spaces at the ends, no leading dot "
                "or dash",
                "bad-name",
            )
        if (size := len(value.encode())) > 240:
            raise RuleError(f"must work as a folder name: at most 240 bytes as UTF-8, not {size}", "bad-length")
        return value

    @field_validator("validation")
    @classmethod
    def _without_leaks(cls, value: ValidationSection, info: ValidationInfo) -> ValidationSection:
        data = info.data.get("data")
        if data is None or info.context == READ_BACK:
            return value
        return without_leaks(data, value)

    @field_validator("search")
    @classmethod
    def _not_from_itself(cls, value: SearchSection, info: ValidationInfo) -> SearchSection:
        if value.from_study is not None and value.from_study == info.data.get("name"):
            raise RuleError(
                f"{value.from_study!r} is this study itself; name another one",
                "from-itself",
                received=value.from_study,
                key="from",
            )
        return value

    @field_validator("model")
    @classmethod
    def _one_of_two(cls, value: ModelSection) -> ModelSection:
        if (value.family is None) == (value.build is None):
            raise RuleError("exactly one of family and build is required", "conflicting-keys")
        return value

    @field_validator("pruning")
    @classmethod
    def _folds_to_compare(cls, value: PruningSection, info: ValidationInfo) -> PruningSection:
        validation = info.data.get("validation")
        if value.method == "racing" and validation is not None and validation.method == "holdout":
            raise RuleError(
                "racing compares folds, but validation.method = 'holdout' has only one; use median, "
                "successive-halving or hyperband",
                "one-fold",
                received=value.method,
            )
        if value.folds != "none" and validation is not None and validation.method == "holdout":
            raise RuleError(
                f"folds = {value.folds!r} stops trials between folds, but validation.method = 'holdout' has only one",
                "one-fold",
                received=value.folds,
            )
        training = info.data.get("training")
        if value.folds != "none" and training is not None and training.ends_together:
            raise RuleError(
                f"folds = {value.folds!r} trains the folds one by one, but EarlyStopping of scope = 'mean' follows "
                "all of them together; remove one of the two",
                "conflicting-keys",
                received=value.folds,
            )
        return value

    @field_validator("champion")
    @classmethod
    def _folds_to_average(cls, value: ChampionSection, info: ValidationInfo) -> ChampionSection:
        method = getattr(info.data.get("validation"), "method", None)
        if value.kind == "folds" and method in _UNEQUAL_FOLDS:
            raise RuleError(
                f"kind = 'folds' is the mean of fold models, but with validation.method = {method!r} "
                f"{_UNEQUAL_FOLDS[method]}; use refit or top-5",
                "no-fold-models",
                received=value.kind,
            )
        return value

    @property
    def champion_kinds(self) -> tuple[str, ...]:
        """The kinds of champion to train and to test, the chosen one first: those that the folds allow."""
        can_average = self.validation.method not in _UNEQUAL_FOLDS
        return tuple(kind for kind in self.champion.kinds if kind != "folds" or can_average)

    @property
    def is_null(self) -> bool:
        """Whether this is a null search: with permuted targets, and without refit, report and tracking."""
        return self.validation.null is not None

    def scores_in_other_units(self, other: "StudySpec") -> bool:
        """Whether the objective is a loss that is of standardized targets in one of two studies only."""
        of_loss = self.objective.metric in ("loss", "val_loss")
        return of_loss and self.data.standardize_targets != other.data.standardize_targets

    def make_objective(self) -> Objective:
        """The objective that the search uses.

        Limits on curves do not bind a null search: with permuted targets, hardly a trial would keep them.
        """
        constraints = self.objective.constraints
        constraints = constraints.of_model if self.is_null else constraints
        return Objective(self.objective.curve, self.objective.direction, self.objective.epoch, constraints)
