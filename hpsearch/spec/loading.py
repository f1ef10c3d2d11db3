"""The study file: TOML → frozen, fully checked values. All errors come at once; nothing else happens before."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.json_schema import WithJsonSchema

from hpsearch.core.hyperparameters import limit_of
from hpsearch.core.objective import Objective
from hpsearch.core.space import Choice, Constant, Float, Int, Parameter, Space, Value
from hpsearch.errors import SpecError
from hpsearch.spec.families import FAMILIES, TRAINING
from hpsearch.tuners import ALGORITHMS

READ_BACK = "read back"
"""Validation context of a study file from the ledger: what its addresses name need not be here to look at results, and
its folds are those that its trials have had."""

_RANGE_KEYS = {"low", "high", "step", "log", "when"}
_SCALAR = {"type": ["number", "string", "boolean"]}
_WHEN = {"type": "object", "additionalProperties": {"type": "array", "items": _SCALAR}}
_PARAMETER_SCHEMA = {
    "description": "a constant, a list of choices, or a table",
    "anyOf": [
        _SCALAR,
        {"type": "array", "items": _SCALAR, "minItems": 1},
        {
            "type": "object",
            "properties": {
                "low": {"type": "number", "description": "smallest value, included"},
                "high": {"type": "number", "description": "largest value, included"},
                "step": {"type": "number", "exclusiveMinimum": 0},
                "log": {"type": "boolean", "description": "search on a logarithmic scale"},
                "when": _WHEN,
            },
            "required": ["low", "high"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"values": {"type": "array", "items": _SCALAR, "minItems": 1}, "when": _WHEN},
            "required": ["values"],
            "additionalProperties": False,
        },
    ],
}

RawParameter = Annotated[Any, WithJsonSchema(_PARAMETER_SCHEMA)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class DataSection(_Section):
    """Where rows and targets come from."""

    source: str = Field(
        description='"keras:mnist", "sklearn:digits", a .csv/.parquet/.npz file (relative to the study file), '
        'or "package.module:function"'
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

    family: str | None = Field(None, description="see `hpsearch models`")
    build: str | None = Field(
        None, description='"package.module:function" of build(config, data), or KerasTuner\'s build(hp) or HyperModel'
    )

    @field_validator("family")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in FAMILIES:
            raise ValueError(f"must be one of {_listed(FAMILIES)}{closest(value, FAMILIES)}")
        return value

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

    tuner: Literal["optuna", "keras-tuner"] = "optuna"
    algorithm: str = Field("tpe", description="optuna: tpe gp cmaes qmc random grid; keras-tuner: bayesian random grid")
    trials: int = Field(20, ge=1, description="how many trials; a grid may end sooner")
    max_hours: float | None = Field(None, gt=0, description="start no further trial after so long")
    startup_trials: int | None = Field(None, ge=1, description="random trials before a model takes over")
    grid_points: int = Field(6, ge=2, description="values that a grid takes from a continuous range")
    max_failures: int = Field(3, ge=1, description="stop after so many failed trials in a row")

    @field_validator("algorithm")
    @classmethod
    def _of_the_tuner(cls, value: str, info: ValidationInfo) -> str:
        tuner = info.data.get("tuner")
        if tuner is not None and value not in ALGORITHMS[tuner]:
            legal = ALGORITHMS[tuner]
            raise ValueError(f"must be one of {_listed(legal)} with tuner = {tuner!r}{closest(value, legal)}")
        return value


class PruningSection(_Section):
    """When trials are stopped early."""

    method: Literal["none", "median", "successive-halving", "racing"] = "none"
    min_epochs: int = Field(3, ge=1, description="no trial is stopped before it has so many epochs")
    startup_trials: int = Field(
        5, ge=1, description="trials to wait for: complete ones (median), or as far along (racing)"
    )
    reduction_factor: int = Field(3, ge=2, description="successive-halving: one in so many goes on at each rung")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="racing: how sure to be before stopping a trial")


class ResourcesSection(_Section):
    """What trains, and on what."""

    engine: Literal["auto", "fused", "fit"] = Field("auto", description="auto: fused where the model allows it")
    backend: Literal["auto", "tensorflow", "jax"] = Field("auto", description="Keras backend of the fit engine")
    executor: Literal["inline", "processes"] = "processes"
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

    uri: str = Field("sqlite:///mlruns/mlflow.db", description="MLflow: a database or http(s) address")
    ledger: str = Field("sqlite:///mlruns/ledger.db", description="Optuna storage of the ledger")
    artifacts: str | None = Field(None, description="artifact root; default mlruns/artifacts for local databases")

    @field_validator("uri", "ledger", "artifacts")
    @classmethod
    def _check(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or info.context == READ_BACK:
            return value
        address = _expanded(value)
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
                found[name] = _expanded(text)
            except ValueError as error:
                hint = "set it in the environment and try again"
                raise SpecError(f"tracking.{name}: {text!r} {error}", hint=hint) from None
        return self.model_copy(update=found)


def without_password(text: str) -> str:
    """`text` with the passwords of its URIs starred out, for messages."""
    return re.sub(r"(://[^/:@\s]*):[^@\s]+@", r"\1:***@", text)


def _expanded(text: str) -> str:
    missing = [name for name in re.findall(r"\$\{(\w+)\}", text) if name not in os.environ]
    if missing:
        raise ValueError(f"names the environment variable {missing[0]}, which is not set")
    return re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], text)


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

    def make_space(self, discovered: Mapping[str, Parameter] | None = None) -> Space:
        """The effective space: defaults, overridden by ``[space]``, then by the constants in ``[model]``.

        Args:
            discovered: Hyperparameters found in a KerasTuner model; they take the place of a family's defaults.

        Raises:
            SpecError: An entry breaks a rule; all of them are listed.
        """
        family = FAMILIES[self.model.family] if self.model.family else None
        defaults: Mapping[str, Parameter] = family.space if family else {**_untuned(), **(discovered or {})}
        owner, extra = f"family {self.model.family!r}", TRAINING.keys() | _OPTIMIZER_NAMES
        if family:
            extra |= set(family.optional)
        elif discovered:
            owner, extra = repr(self.model.build), set()
        legal = defaults if family or discovered else None
        raw = {("space", name): value for name, value in self.space.items()}
        raw |= {("model", name): value for name, value in (self.model.__pydantic_extra__ or {}).items()}
        parameters, problems = dict(defaults), []
        for (section, name), value in raw.items():
            if legal is not None and name not in legal and name not in extra:
                known = [*legal, *sorted(extra - legal.keys())]
                problems.append(
                    f"{section}.{name}: not a hyperparameter of {owner}{closest(name, known)}; it has {_listed(known)}"
                )
                continue
            try:
                parameters[name] = parse_parameter(value)
            except ValueError as error:
                problems.append(f"{section}.{name}: {error}")
        sections = {name: section for section, name in raw}
        for name, parameter in parameters.items():
            section = sections.get(name, "space")
            if family or name in ("batch_size", "epochs", "learning_rate"):
                problems += _beyond_limits(section, name, parameter)
            problems += [
                f"{section}.{name}: 'when' names {other!r}, which is not in the space{closest(other, parameters)}; "
                f"it has {_listed(parameters)}"
                for other in parameter.when
                if other not in parameters
            ]
        if not problems:
            try:
                return Space(_reachable(parameters, {name for _, name in raw}))
            except ValueError as error:
                problems.append(f"space.{error}")
        raise SpecError("the search space is wrong:\n" + "\n".join(f"  - {line}" for line in problems))

    def make_objective(self) -> Objective:
        """The objective as the vocabulary's value."""
        return Objective(self.objective.metric, self.objective.direction, self.objective.epoch)


_OPTIMIZER_NAMES = frozenset({"momentum", "nesterov", "weight_decay", "beta_1", "beta_2", "rho", "epsilon", "clipnorm"})


def _reachable(parameters: Mapping[str, Parameter], given: set[str]) -> dict[str, Parameter]:
    """Without what can no longer be active: a study file that narrows `given` choices leaves no rule about the others.

    Only conditions of defaults are adapted; one that the study file states itself must hold as it stands.
    """
    kept = dict(parameters)
    for name, parameter in parameters.items():
        if name in given or not (given & parameter.when.keys()):
            continue
        when = {}
        for other, allowed in parameter.when.items():
            values = parameters[other].values() if other in parameters else ()
            when[other] = allowed if values is None else tuple(value for value in allowed if value in values)
        if all(when.values()):
            kept[name] = replace(parameter, when=when)
        else:
            del kept[name]
    return {name: one for name, one in kept.items() if all(other in kept for other in one.when)}


def _untuned() -> dict[str, Parameter]:
    """Training-level constants for build functions of one's own: Keras' defaults."""
    return {"batch_size": Constant(32), "epochs": Constant(20)}


def parse_parameter(raw: object) -> Parameter:
    """One ``[space]`` entry.

    Raises:
        ValueError: It is none of the four forms, or breaks a rule; the message names rule and value.
    """
    if isinstance(raw, bool | int | float | str):
        return Constant(raw)
    if isinstance(raw, list):
        return Choice(_scalars(raw))
    if not isinstance(raw, dict):
        raise ValueError(f"must be a constant, a list or a table, but got {raw!r}")
    when = _condition(raw.get("when", {}))
    if "values" in raw or "value" in raw:
        name = "values" if "values" in raw else "value"
        _only(raw, {name, "when"})
        if name == "value":
            return Constant(_scalars([raw["value"]])[0], when=when)
        if not isinstance(raw["values"], list):
            raise ValueError(f"values must be a list, but got {raw['values']!r}")
        return Choice(_scalars(raw["values"]), when=when)
    _only(raw, _RANGE_KEYS)
    if missing := [name for name in ("low", "high") if name not in raw]:
        raise ValueError(f"a range needs low and high, but {' and '.join(missing)} is missing in {raw!r}")
    log = raw.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"log must be true or false, but got {log!r}")
    low, high, step = raw["low"], raw["high"], raw.get("step")
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in (low, high, 1 if step is None else step))
    if whole:
        return Int(low, high, log=log, step=1 if step is None else step, when=when)
    return Float(low, high, log=log, step=step, when=when)


def load_spec(path: str | Path) -> tuple[StudySpec, str]:
    """Read and check a study file.

    Returns:
        The checked values and the file's text.

    Raises:
        SpecError: The file is missing, not TOML, or breaks rules; all of them are listed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SpecError(f"{path}: cannot be read: {reason}", hint=_similar_files(path)) from None
    return parse_spec(text, origin=str(path), folder=path.resolve().parent), text


def parse_spec(text: str, *, origin: str = "study file", folder: str | Path = ".") -> StudySpec:
    """Check the text of a study file; see :func:`load_spec`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{origin}: not valid TOML: {error}") from None
    problems: list[str] = []
    if "folder" in raw:
        problems.append("folder: unknown key; relative files start from the study file's folder")
    try:
        spec = StudySpec.model_validate({**raw, "folder": str(folder)})
    except ValidationError as error:
        problems += [_problem(one) for one in error.errors()]
        raise SpecError(_report(origin, problems + _space_problems(raw))) from None
    if problems:
        raise SpecError(_report(origin, problems))
    if spec.model.family is None:
        return spec  # what a build function's space holds is known once its code has been seen
    try:
        spec.make_space()
    except SpecError as error:
        raise SpecError(f"{origin}: {error.what}") from None
    return spec


def _space_problems(raw: Mapping[str, Any]) -> list[str]:
    """Problems of [space] that can be told even while other sections are wrong."""
    problems = []
    space = raw.get("space", {})
    for name, value in space.items() if isinstance(space, dict) else ():
        try:
            parse_parameter(value)
        except ValueError as error:
            problems.append(f"space.{name}: {error}")
    return problems


def _beyond_limits(section: str, name: str, parameter: Parameter) -> list[str]:
    """Values that a documented hyperparameter can never take."""
    if (limit := limit_of(name)) is None:
        return []
    return [
        f"{section}.{name}: must be {limit.words}, but got {value!r}{closest(value, limit.options)}"
        for value in limit.broken_by(parameter)
    ]


def _scalars(values: list[object]) -> tuple[Value, ...]:
    for value in values:
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"values must be numbers, texts or booleans, but got {value!r}")
    return tuple(values)  # type: ignore[arg-type]


def _condition(raw: object) -> dict[str, tuple[Value, ...]]:
    if not isinstance(raw, dict):
        raise ValueError(f'when must be a table such as {{ optimizer = ["sgd"] }}, but got {raw!r}')
    return {name: _scalars(values if isinstance(values, list) else [values]) for name, values in raw.items()}


def _only(raw: Mapping[str, object], legal: set[str]) -> None:
    for name in raw:
        if name not in legal:
            raise ValueError(f"unknown key {name!r}{closest(name, legal)}; legal: {_listed(sorted(legal))}")


def _problem(error: Mapping[str, Any]) -> str:
    """One line for one pydantic error: key, rule, value received, closest legal name."""
    location, kind, received = error["loc"], error["type"], error["input"]
    path = ".".join(str(part) for part in location if not (isinstance(part, str) and ("[" in part or part in _TAGS)))
    if kind == "extra_forbidden":
        legal = _fields(location[:-1])
        return f"{path}: unknown key{closest(str(location[-1]), legal)}; legal: {_listed(legal)}"
    if kind == "missing":
        return f"{path}: is required"
    if kind == "literal_error":
        legal = [part.strip("'\" ") for part in re.split(r", | or ", error["ctx"]["expected"])]
        return f"{path}: must be one of {_listed(legal)}, but got {received!r}{closest(received, legal)}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    message = message if message.startswith(("must", "needs", "names", "repeats")) else f"must be {message}"
    shown = "" if isinstance(received, BaseModel) else f", but got {received!r}"
    offer = "" if "did you mean" not in message else message[message.index(" (did you mean") :]
    return f"{path}: {message.removesuffix(offer) if offer else message}{shown}{offer}"


_TAGS = {"str", "int", "float", "bool", "list", "dict"}


def _fields(location: tuple[object, ...]) -> list[str]:
    model: Any = StudySpec
    for part in location:
        model = model.model_fields[part].annotation
    return [name for name in model.model_fields if name != "folder"]


def _report(origin: str, problems: list[str]) -> str:
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return f"{origin}: {count}:\n" + "\n".join(f"  - {line}" for line in dict.fromkeys(problems))


def _listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names)


def closest(name: object, legal: Iterable[object]) -> str:
    """A remark naming the legal name that is nearest to `name`; empty where none is near."""
    found = difflib.get_close_matches(str(name), [str(one) for one in legal], n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _similar_files(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path()
    names = [str(p) for p in [*sorted(folder.glob("*.toml")), *sorted(Path("studies").glob("*.toml"))]]
    found = difflib.get_close_matches(str(path), names, n=1, cutoff=0.5)
    return f"did you mean {found[0]}?" if found else "`hpsearch init` writes a new study file"
