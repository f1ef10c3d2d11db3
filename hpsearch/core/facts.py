"""What a study learns about its data, engine and machine before the first trial: frozen values with a JSON form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import Literal

from hpsearch.core.space import Value
from hpsearch.core.wire import Json, JsonObject, Wire


class Task(StrEnum):
    """What the targets ask for. It decides loss, metrics and the output layer."""

    REGRESSION = "regression"
    BINARY = "binary"
    MULTICLASS = "multiclass"


@dataclass(frozen=True, slots=True)
class Column:
    """One input column of a table; ``kind`` is what the model makes of it."""

    name: str
    kind: Literal["number", "category"]


@dataclass(frozen=True, slots=True)
class FoldSize:
    """Numbers of rows in one fold."""

    train: int
    validation: int


@dataclass(frozen=True, slots=True)
class DataFacts(Wire):
    """A study's data, without the rows.

    Attributes:
        source: The source as written in the study file.
        rows: Development rows: all that the search may see.
        test_rows: Held-out rows; 0 if nothing is held out.
        fingerprint: Digest of all rows and targets.
        task: See :class:`Task`.
        classes: Names of the classes in order of their numbers; empty for regression.
        columns: Input columns of a table in order; empty if a row is one array.
        input_shape: Shape of one row; for a table, ``(number of columns,)``.
        folds: Size of every fold.
        extra: What the source says about itself, such as ``{"words": 10000}``.
    """

    source: str
    rows: int
    test_rows: int
    fingerprint: str
    task: Task
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    input_shape: tuple[int, ...]
    folds: tuple[FoldSize, ...]
    extra: Mapping[str, Value] = field(default_factory=dict)

    @property
    def n_folds(self) -> int:
        """Number of folds, repeats included."""
        return len(self.folds)

    @property
    def validation_ratio(self) -> float:
        """Validation rows per training row, averaged over folds: q in the corrected t-test of Nadeau & Bengio 2003.

        K plain folds have ``1 / (K - 1)``. Folds of a time series differ, and so do their ratios; their mean keeps the
        variance of the mean difference unbiased where every fold has its own correlation.
        """
        return fmean(fold.validation / fold.train for fold in self.folds)

    @classmethod
    def upgrade(cls, fields: JsonObject, version: int) -> JsonObject:
        """Version 0 called the shape ``input`` and wrote folds as pairs."""
        folds = fields.get("folds") or []
        assert isinstance(folds, list)
        pairs: list[Json] = [{"train": fold[0], "validation": fold[1]} for fold in folds if isinstance(fold, list)]
        return {**fields, "input_shape": fields.get("input"), "folds": pairs}


@dataclass(frozen=True, slots=True)
class EnginePlan(Wire):
    """How an engine wants its bundles. All that the driver knows about engines.

    Attributes:
        engine: Its name, such as ``"fit"`` or ``"fused"``.
        reason: Why this engine, for the user.
        dynamic: Dynamic hyperparameters found so far: those that are inputs of a compiled program, so that trials which
            differ in nothing else share it.
        trials_per_bundle: How many trials to put into a bundle at most.
    """

    VERSION = 1

    engine: str
    reason: str
    dynamic: tuple[str, ...] = ()
    trials_per_bundle: int = 1

    @classmethod
    def upgrade(cls, fields: JsonObject, version: int) -> JsonObject:
        """Version 0 said ``lifted``, and meant hyperparameters that may differ within a bundle: all of them."""
        return {name: value for name, value in fields.items() if name != "lifted"}


@dataclass(frozen=True, slots=True)
class MachineFacts(Wire):
    """Where the workers run.

    Attributes:
        versions: Package name → version, Python included.
        backend: The Keras backend.
        device: The device that trains, in words.
    """

    versions: Mapping[str, str]
    backend: str
    device: str


@dataclass(frozen=True, slots=True)
class HostFacts(Wire):
    """Where the driver runs."""

    platform: str = ""
    cores: int | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal(Wire):
    """What building and evaluating the model once has shown.

    Attributes:
        parameters: Number of weights.
        metrics: Names of the curves that training will record.
    """

    parameters: int
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NestedScores(Wire):
    """What nested validation measured.

    Attributes:
        metric: The test metric, such as ``"accuracy"``.
        scores: The winner's test score on every outer fold.
        searched: The cross-validation score that each of these searches had promised.
    """

    metric: str
    scores: tuple[float, ...]
    searched: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class StudyFacts(Wire):
    """All that a study knows besides its file and its trials.

    Attributes:
        data: The data.
        plan: The engine and how it wants its bundles.
        machine: Where the workers run.
        backend: The Keras backend that the workers are started with.
        window: How many trials may be suggested before the first of them has ended. Part of the study: suggestions
            depend on it.
        host: Where the driver ran when the study began.
        git_commit: Commit of the working directory; None outside git.
        model_source: SHA-256 of the build function's file; None for families.
        compile_seconds: Time spent building and compiling so far.
        nested: What nested validation measured; None without it.
    """

    VERSION = 2

    data: DataFacts
    plan: EnginePlan
    machine: MachineFacts
    backend: str
    window: int
    host: HostFacts = field(default_factory=HostFacts)
    git_commit: str | None = None
    model_source: str | None = None
    compile_seconds: float = 0.0
    nested: NestedScores | None = None

    @classmethod
    def upgrade(cls, fields: JsonObject, version: int) -> JsonObject:
        """hpsearch 0.1 wrote no version, and put backend and window into the plan, the machine at the top level."""
        data, plan, host = fields.get("data"), fields.get("plan"), fields.get("host")
        assert isinstance(data, dict)
        assert isinstance(plan, dict)
        known = {name: fields[name] for name in ("git_commit", "model_source", "nested") if fields.get(name)}
        return {
            "data": DataFacts.upgrade(data, 0),
            "plan": EnginePlan.upgrade(plan, 0),
            "machine": {
                "versions": fields.get("versions") or {},
                "backend": fields.get("backend") or plan.get("backend") or "",
                "device": fields.get("device") or "",
            },
            "backend": plan.get("backend") or "tensorflow",
            "window": plan.get("window") or 1,
            "host": host if isinstance(host, dict) else {},
            "compile_seconds": fields.get("compile_seconds") or 0.0,
            **known,
        }
