"""Facts about a study's data, engine and machine, known before the first trial: frozen values with a JSON form."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean

from hpsearch.core.rehearsed import Baseline, Undefined
from hpsearch.core.schedule import Schedule
from hpsearch.core.space import Value
from hpsearch.core.transfer import Transferred
from hpsearch.core.wire import Json, JsonObject, Wire
from hpsearch.portable.columns import Column

__all__ = [
    "Column",
    "DataFacts",
    "EnginePlan",
    "EqualRows",
    "FoldSize",
    "HostFacts",
    "MachineFacts",
    "NestedScores",
    "NullScores",
    "Output",
    "Schema",
    "StudyFacts",
    "Task",
]


class Task(StrEnum):
    """The kind of targets. It decides the loss, the metrics and the output layer.

    Classes of a row exclude each other; labels, of which a row may have any number, do not. With several outputs, each
    has a task of its own; without targets, the model's own losses say what it learns.
    """

    REGRESSION = "regression"
    BINARY = "binary"
    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"
    SEVERAL = "several"
    NONE = "none"

    @property
    def has_one_output(self) -> bool:
        """Whether the model has one output, and rows a target for it."""
        return self not in (Task.SEVERAL, Task.NONE)

    @property
    def has_classes(self) -> bool:
        """Whether each row has one of several classes."""
        return self in (Task.BINARY, Task.MULTICLASS)


@dataclass(frozen=True, slots=True)
class Output:
    """One of several outputs.

    Attributes:
        name: Of its targets.
        task: Its kind.
        classes: Names of its classes or labels; empty for regression.
    """

    name: str
    task: Task
    classes: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        """Number of classes or labels; 0 for regression."""
        return len(self.classes)


@dataclass(frozen=True, slots=True)
class Schema:
    """What reading a study's data has found out, so that later rows are read alike and not judged anew.

    Attributes:
        categories: Category column → the texts of its categories in all rows of the study's data, in order.
        packed: Whether the number columns of a table are one input of the model.
        in_order: Whether the model takes its several inputs as a list, in the order of the columns, not by name.
        dtype: Of an array's values, as the model takes them; empty for a table.
        value_range: Smallest and largest value of an array; None for a table.
    """

    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    packed: bool = False
    in_order: bool = False
    dtype: str = ""
    value_range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class FoldSize:
    """Numbers of rows in one fold."""

    train: int
    validation: int


@dataclass(frozen=True, slots=True)
class EqualRows:
    """Rows that a model cannot tell apart from a row on the other side of a split.

    Attributes:
        validation: Development rows with an equal row among the training rows of a fold in which they validate.
        validation_differing: Those of them with such a row of another target.
        test: Test rows with an equal development row.
        test_differing: Those of them with such a row of another target.
    """

    validation: int = 0
    validation_differing: int = 0
    test: int = 0
    test_differing: int = 0


@dataclass(frozen=True, slots=True)
class DataFacts(Wire):
    """Facts about a study's data.

    Attributes:
        source: The source as written in the study file.
        rows: Number of development rows, the only ones that the search may see.
        test_rows: Number of held-out rows; 0 without a test part.
        fingerprint: Digest of all rows and targets.
        task: See :class:`Task`.
        classes: Names of the classes, in the order of their numbers, or of the labels; empty for regression.
        columns: Input columns of a table, in order; empty if a row is one array.
        input_shape: Shape of one row; for a table, ``(number of columns,)``.
        folds: Size of every fold.
        extra: What models need to know about the source, such as ``{"words": 10000}``.
        schema: How the data were read; None in ledgers of hpsearch 0.1.
        class_counts: Number of development and test rows of each class or label, in their order.
        warnings: What looks like a mistake in the data, one sentence each.
        equal_rows: Rows that stand on both sides of a split; None in ledgers written before they were counted.
        outputs: The outputs of targets that have several; else empty.
        permuted: How the targets of a null search were permuted, if not over all rows; empty for other studies.
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
    schema: Schema | None = None
    class_counts: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    equal_rows: EqualRows | None = None
    permuted: str = ""
    outputs: tuple[Output, ...] = ()

    @property
    def n_folds(self) -> int:
        """Number of folds, repeats included."""
        return len(self.folds)

    @property
    def validation_ratio(self) -> float:
        """Validation rows per training row, averaged over folds: q in the corrected t-test of Nadeau & Bengio 2003.

        With K folds of equal size it is ``1 / (K - 1)``. The folds of a time series differ in size, and each has its
        own correlation. The mean of their ratios keeps the variance of the mean difference unbiased.
        """
        return self.validation_ratio_of(())

    def validation_ratio_of(self, left_out: Collection[int]) -> float:
        """The same without some folds."""
        return fmean(fold.validation / fold.train for i, fold in enumerate(self.folds) if i not in left_out)

    @classmethod
    def upgrade(cls, fields: JsonObject, version: int) -> JsonObject:
        """Version 0 called the shape ``input``, and stored folds as pairs."""
        folds = fields.get("folds") or []
        assert isinstance(folds, list)
        pairs: list[Json] = [{"train": fold[0], "validation": fold[1]} for fold in folds if isinstance(fold, list)]
        return {**fields, "input_shape": fields.get("input"), "folds": pairs}


@dataclass(frozen=True, slots=True)
class EnginePlan(Wire):
    """The engine, and the bundles that it prefers. The driver knows nothing else about engines.

    Attributes:
        engine: Its name, such as ``"fit"`` or ``"fused"``.
        reason: Why this engine was chosen, for the user.
        dynamic: The dynamic hyperparameters found so far. They are inputs of a compiled program, so trials that differ
            in nothing else share the program.
        trials_per_bundle: Largest number of trials in a bundle.
    """

    VERSION = 1

    engine: str
    reason: str
    dynamic: tuple[str, ...] = ()
    trials_per_bundle: int = 1

    @classmethod
    def upgrade(cls, fields: JsonObject, version: int) -> JsonObject:
        """Version 0 had ``lifted``: the hyperparameters that may differ within a bundle, which were all of them."""
        return {name: value for name, value in fields.items() if name != "lifted"}


@dataclass(frozen=True, slots=True)
class MachineFacts(Wire):
    """The machine that the workers run on.

    Attributes:
        versions: Package → version. Includes Python.
        backend: The Keras backend.
        device: The device that trains, in words.
        settings: Keras' settings that results depend on, such as ``floatx``; empty for studies of hpsearch 0.2.
    """

    versions: Mapping[str, str]
    backend: str
    device: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostFacts(Wire):
    """The machine that the driver runs on.

    Attributes:
        platform: The operating system, in words.
        cores: Number of cores.
        processor: Its name; empty for studies of hpsearch 0.1.
        memory_bytes: Its memory; None if unknown.
    """

    platform: str = ""
    cores: int | None = None
    processor: str = ""
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NestedScores(Wire):
    """Results of nested validation.

    Attributes:
        metric: The test metric, such as ``"accuracy"``.
        scores: The winner's test score on every outer fold.
        searched: The cross-validation score that each of these searches reported.
    """

    metric: str
    scores: tuple[float, ...]
    searched: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a search has ended before its last trial, with ``[search] stop``.

    Attributes:
        trials: Trials begun by then.
        planned: Trials that the study file asked for.
        gain: By how much the next trial was expected to be better than the best, at most.
        noise: Of a score over the folds.
        overruled: Whether the study was asked to go on all the same.
    """

    trials: int
    planned: int
    gain: float
    noise: float
    overruled: bool = False

    @property
    def text(self) -> str:
        """For the user."""
        later = "; it was asked to go on" if self.overruled else ""
        return (
            f"stopped after {self.trials} of {self.planned} trials: no untried config is expected to improve the score "
            f"by more than {self.gain:.2g}, and the folds' noise in it is {self.noise:.2g}{later}"
        )


@dataclass(frozen=True, slots=True)
class NullScores(Wire):
    """Results of searches with permuted targets.

    Attributes:
        scores: The best score of each search.
        trials: Number of trials of each, the study's own when they were made.
        how: How the targets were permuted, if not over all rows.
    """

    scores: tuple[float, ...]
    trials: int
    how: str = ""


@dataclass(frozen=True, slots=True)
class StudyFacts(Wire):
    """All facts of a study besides its file and its trials.

    Attributes:
        data: The data.
        plan: The engine, and the bundles that it prefers.
        machine: The machine that the workers run on.
        backend: The Keras backend that the workers are started with.
        schedule: Which results a suggestion may know.
        host: The machine that the driver ran on when the study began.
        git_commit: Commit of the working directory; None outside git.
        model_source: SHA-256 of the build function's file; None for families.
        compile_seconds: Time spent on building and compiling so far.
        nested: Results of nested validation; None without it.
        null: Results of searches with permuted targets; None without them.
        undefined: Metrics without a value in some folds.
        default: The config of trial 0 if it is the model's own, as far as it is given; empty if the study has none.
        baselines: What the objective is for predictions that look at no inputs, the best first; empty if it has no
            such value. Ledgers written earlier have the best one only.
        taken: What the study took from another one when it began; None if it took nothing.
        stopped: Why the search has ended early; None if it has not.
    """

    VERSION = 4

    data: DataFacts
    plan: EnginePlan
    machine: MachineFacts
    backend: str
    schedule: Schedule = field(default_factory=Schedule)
    host: HostFacts = field(default_factory=HostFacts)
    git_commit: str | None = None
    model_source: str | None = None
    compile_seconds: float = 0.0
    nested: NestedScores | None = None
    undefined: tuple[Undefined, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    default: Mapping[str, Value] = field(default_factory=dict)
    taken: Transferred | None = None
    stopped: Stopped | None = None
    null: NullScores | None = None

    @property
    def baseline(self) -> Baseline | None:
        """The best of the baselines."""
        return self.baselines[0] if self.baselines else None

    @property
    def guide(self) -> Transferred | None:
        """What the study's model follows of another study."""
        return self.taken if self.taken is not None and self.taken.model else None

    def undefined_in(self, metric: str) -> tuple[int, ...]:
        """The folds in which a metric has no value."""
        return next((one.folds for one in self.undefined if one.metric == metric), ())

    def validation_ratio(self, metric: str) -> float:
        """:meth:`DataFacts.validation_ratio` over the folds in which a metric has a value."""
        return self.data.validation_ratio_of(self.undefined_in(metric))

    @classmethod
    def upgrade(cls, fields: JsonObject, version: int) -> JsonObject:
        """Version 3 had the best baseline only, called ``baseline``.

        Version 2 had a window in place of the schedule: how many trials could be suggested before the first ended.

        Version 0 had backend and window in the plan, and the machine's facts at the top level.
        """
        if version in (2, 3):
            best = fields.pop("baseline", None)
            window = {"schedule": _schedule_of(fields.pop("window", 1))} if version == 2 else {}
            return {**fields, **window, "baselines": [] if best is None else [best]}
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
            "schedule": _schedule_of(plan.get("window")),
            "host": host if isinstance(host, dict) else {},
            "compile_seconds": fields.get("compile_seconds") or 0.0,
            **known,
        }


def _schedule_of(window: Json) -> JsonObject:
    return {"lag": window - 1 if isinstance(window, int) and window > 0 else 0}
