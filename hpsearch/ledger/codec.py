"""The JSON in the ledger: how it is written, and how all its versions are read.

The stored form is independent of the study file's schema. A study stays readable when a key of the study file is
renamed or removed. hpsearch 0.1 wrote format 1; its studies can be read and continued.
"""

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, get_args

from pydantic import BaseModel

from hpsearch.core.addresses import REVEALED
from hpsearch.core.facts import StudyFacts
from hpsearch.core.space import Choice, Condition, Constant, Float, Int, Parameter, Space, Value
from hpsearch.core.trial import Champion, Failure, FailureKind, FoldResult, Origin, Trial, TrialState
from hpsearch.core.wire import Json, JsonObject, Wire
from hpsearch.core.words import quoted
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.spec import READ_BACK, StudySpec

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from hpsearch.ledger.fast_reader import StoredTrial

    Stored = FrozenTrial | StoredTrial

FORMAT = 6
"""Format of a study's head. It is raised when older versions cannot read what this one writes."""

SPEC_UPGRADES: dict[int, Callable[[JsonObject], JsonObject]] = {}
"""Format → a function that turns a spec of this format into one of the next. Every renamed key needs an entry.

Removed keys need none: the reader drops keys that it does not know.
"""

FOLD_PREFIX, PARAMETERS, STARTED, FOUND, OUTCOME = "fold:", "parameters", "started", "found", "outcome"
FIXED, MEASURED = "fixed", "measured"
"""System attributes of a trial. Before format 5, they were user attributes, and fixed values were parameters: Optuna's
dashboard shows both."""


class NewerFormatError(Exception):
    """A study was written by a newer hpsearch.

    Attributes:
        found: The format it has.
    """

    def __init__(self, found: int) -> None:
        super().__init__(found)
        self.found = found


# The study's head


def head_to_json(record: StudyRecord, *, home: str = "") -> JsonObject:
    """The part of a study that is known when it begins; `home` is the ledger's own folder."""
    return {
        "home": home,
        "format": FORMAT,
        "spec": spec_to_json(record.spec),
        "study_file": record.study_file,
        "space": space_to_json(record.space),
        "facts": record.facts.to_json(),
        "created": record.created,
    }


def record_from_json(name: str, attrs: Mapping[str, Json], trials: Iterable["Stored"]) -> StudyRecord:
    """A study from its attributes and Optuna's trials.

    Raises:
        NewerFormatError: A newer hpsearch wrote it.
        ValueError: A value breaks a rule of this version.
    """
    head = _object(attrs["hpsearch"])
    if (format := int(_number(head["format"]))) > FORMAT:
        raise NewerFormatError(format)
    frozen = sorted(trials, key=lambda one: one.number)
    space = space_from_json(_object(head["space"]))
    for one in frozen:
        space = space.extended(found_by(one))
    spec = spec_from_json(_object(head["spec"]), format)
    champion, notes = attrs.get("champion"), attrs.get("notes") or []
    if not isinstance(notes, list):
        raise ValueError(f"must be a list, but got {quoted(notes)}")
    return StudyRecord(
        name=name,
        spec=spec,
        study_file=spec.tracking.hide_in(str(head["study_file"])),
        space=space,
        facts=facts_from_json(_object(head["facts"]), _object(attrs.get("facts", {}))),
        trials=tuple(trial_from_optuna(one, space) for one in frozen),
        state=StudyState(str(attrs.get("state", "running"))),
        created=_number(head["created"]),
        champion=None if champion is None else Champion.from_json(_object(champion)),
        notes=tuple(str(note) for note in notes),
        behind=str(attrs.get("behind") or ""),
    )


def facts_from_json(first: JsonObject, later: JsonObject) -> StudyFacts:
    """A study's facts.

    Args:
        first: Those in the study's head.
        later: Those entered since; empty if there are none. They replace the first ones. hpsearch 0.1 wrote no version
            and only what was new, so there they are merged.
    """
    return StudyFacts.from_json(later if "version" in later else {**first, **later})


def home_in(attrs: Mapping[str, Json]) -> str:
    """The folder that the ledger was in when a study's head was written; empty if it does not say."""
    return str(_object(attrs["hpsearch"]).get("home") or "")


def made_by(attrs: Mapping[str, Json]) -> str:
    """The version of hpsearch that created a study, for messages."""
    head = attrs.get("hpsearch")
    facts = head.get("facts") if isinstance(head, dict) else None
    machine = facts.get("machine", facts) if isinstance(facts, dict) else None
    versions = machine.get("versions") if isinstance(machine, dict) else None
    found = versions.get("hpsearch") if isinstance(versions, dict) else None
    return "another version" if found is None else str(found)


# The study file


def spec_to_json(spec: StudySpec) -> JsonObject:
    """A study file as the ledger keeps it."""
    fields: JsonObject = spec.model_dump(mode="json", context=REVEALED)
    return {**fields, "folder": spec.folder}


def spec_from_json(raw: JsonObject, format: int = FORMAT) -> StudySpec:
    """A study file from the ledger. Keys that this version does not know are dropped.

    Raises:
        ValueError: A value breaks a rule of this version.
    """
    for step in range(format, FORMAT):
        raw = SPEC_UPGRADES.get(step, dict)(raw)
    spec: StudySpec = StudySpec.model_validate(_known(StudySpec, raw), context=READ_BACK)
    return spec


def _known(section: type[BaseModel], raw: JsonObject) -> JsonObject:
    """The keys of `raw` that `section` has, and the same of the sections below it."""
    known: JsonObject = {}
    for key, value in raw.items():
        field = section.model_fields.get(key)
        if field is None:
            if section.model_config.get("extra") == "allow":
                known[key] = value
            continue
        kinds = (field.annotation, *get_args(field.annotation))
        below = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        known[key] = _known(below, value) if below is not None and isinstance(value, dict) else value
    return known


# The space


def space_to_json(space: Mapping[str, Parameter]) -> JsonObject:
    """A space, or a part of one, as the ledger keeps it."""
    return {name: _parameter_to_json(parameter) for name, parameter in space.items()}


def space_from_json(raw: JsonObject) -> Space:
    """A space from the ledger.

    Raises:
        ValueError: A hyperparameter breaks a rule of this version.
    """
    return Space(_parameters(raw))


def _parameters(raw: JsonObject) -> dict[str, Parameter]:
    return {name: _parameter_from_json(_object(one)) for name, one in raw.items()}


def _parameter_to_json(parameter: Parameter) -> JsonObject:
    fields: JsonObject
    match parameter:
        case Float() | Int():
            # JSON distinguishes 1.0 from 1, and so does the reader: a range of real numbers stays one.
            fields = {"low": parameter.low, "high": parameter.high}
            if parameter.log:
                fields["log"] = True
            if parameter.step is not None:
                fields["step"] = parameter.step
        case Choice():
            fields = {"values": list(parameter.options)}
        case Constant():
            fields = {"value": parameter.value}
    if parameter.when:
        fields["when"] = {name: list(values) for name, values in parameter.when.items()}
    if parameter.asked:
        fields["asked"] = True
    return fields


def _parameter_from_json(raw: JsonObject) -> Parameter:
    when: Condition = {name: _values(values) for name, values in _object(raw.get("when", {})).items()}
    asked = raw.get("asked") is True
    if "value" in raw:
        return Constant(_value(raw["value"]), when=when, asked=asked)
    if "values" in raw:
        return Choice(_values(raw["values"]), when=when, asked=asked)
    low, high, step = _number(raw["low"]), _number(raw["high"]), raw.get("step")
    log = raw.get("log") is True
    width = None if step is None else _number(step)
    if isinstance(low, int) and isinstance(high, int) and not isinstance(width, float):
        return Int(low, high, log=log, step=1 if width is None else width, when=when, asked=asked)
    return Float(low, high, log=log, step=width, when=when, asked=asked)


# Trials


@dataclass(frozen=True, slots=True)
class Outcome(Wire):
    """How a trial ended: its user attribute ``outcome``.

    Attributes:
        state: See :class:`TrialState`.
        finished: Unix time, seconds.
        score: As in :class:`Trial`, and so are ``std``, ``epoch``, ``fold_scores``, ``failure`` and ``measured``.
        folds: All folds of a trial that has not all of them, including those that were stopped early. None for one that
            has: its folds have their own attributes.
    """

    VERSION: ClassVar[int] = 2

    state: TrialState
    finished: float | None = None
    score: float | None = None
    std: float | None = None
    epoch: int | None = None
    fold_scores: tuple[float, ...] = ()
    failure: Failure | None = None
    folds: tuple[FoldResult, ...] | None = None
    measured: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, trial: Trial) -> "Outcome":
        """The outcome of a trial that has ended."""
        was_trained = trial.state is TrialState.INFEASIBLE and trial.score is not None
        return cls(
            state=trial.state,
            finished=trial.finished,
            score=trial.score,
            std=trial.std,
            epoch=trial.epoch,
            fold_scores=trial.fold_scores,
            failure=trial.failure,
            folds=None if trial.state is TrialState.COMPLETE or was_trained else trial.folds,
            measured=trial.measured,
        )

    @classmethod
    def upgrade(cls, fields: JsonObject, version: int) -> JsonObject:
        """Version 0 kept the folds in an object, by number; before version 2, epochs counted from 0."""
        failure = fields.get("failure")
        for one in (fields, failure if isinstance(failure, dict) else {}):
            if isinstance(epoch := one.get("epoch"), int):
                one["epoch"] = epoch + 1
        folds = fields.get("folds")
        if isinstance(folds, dict):
            by_number = sorted((int(number), _object(fold)) for number, fold in folds.items())
            fields["folds"] = [{"fold": number, **fold} for number, fold in by_number]
        return fields


def trial_from_optuna(frozen: "Stored", space: Space) -> Trial:
    """A trial from Optuna's parameters and our attributes.

    Raises:
        ValueError: An attribute breaks a rule of this version.
    """
    attrs = trial_attrs(frozen)
    if STARTED not in attrs:
        return _foreign(frozen)
    fixed = {name: _value(value) for name, value in _object(attrs.get(FIXED, {})).items()}
    values = {**frozen.params, **fixed}
    config = {name: values[name] for name in space if name in values}
    started, parameters = _number(attrs[STARTED]), attrs.get(PARAMETERS)
    if parameters is not None and not isinstance(parameters, int):
        raise ValueError(f"must be a whole number, but got {quoted(parameters)}")
    if OUTCOME in attrs:
        outcome = Outcome.from_json(_object(attrs[OUTCOME]))
    else:
        outcome = Outcome(TrialState.FAILED if frozen.state.is_finished() else TrialState.RUNNING)
    return Trial(
        number=frozen.number,
        config=config,
        state=outcome.state,
        score=outcome.score,
        std=outcome.std,
        epoch=outcome.epoch,
        fold_scores=outcome.fold_scores,
        folds=_folds(attrs) if outcome.folds is None else outcome.folds,
        failure=outcome.failure,
        started=started,
        finished=outcome.finished,
        parameters=parameters,
        found=found_by(frozen),
        measured=outcome.measured or {name: _number(one) for name, one in _object(attrs.get(MEASURED, {})).items()},
    )


def trial_attrs(frozen: "Stored") -> Mapping[str, Json]:
    """What hpsearch has entered for a trial, in whichever format."""
    return ChainMap(frozen.system_attrs, frozen.user_attrs)  # type: ignore[arg-type]  # nobody writes into it


def found_by(frozen: "Stored") -> Mapping[str, Parameter]:
    """What a trial has added to the space."""
    return _parameters(_object(trial_attrs(frozen).get(FOUND, {})))


def _foreign(frozen: "Stored") -> Trial:
    """A trial that another program has entered: waiting, or of no use because it has no folds."""
    if frozen.state.name == "WAITING":
        queued = frozen.system_attrs.get("fixed_params", frozen.params)
        return Trial(frozen.number, dict(queued), origin=Origin.QUEUED)  # type: ignore[arg-type]
    begun, ended = frozen.datetime_start, frozen.datetime_complete or frozen.datetime_start
    return Trial(
        number=frozen.number,
        config=dict(frozen.params),
        state=TrialState.FAILED,
        failure=Failure(
            FailureKind.ERROR,
            f"entered by another program, where it is {frozen.state.name.lower()}; hpsearch has not trained it, and "
            "neither ranks it nor learns from it",
        ),
        started=0.0 if begun is None else begun.timestamp(),
        finished=0.0 if ended is None else ended.timestamp(),
        origin=Origin.FOREIGN,
    )


def _folds(attrs: Mapping[str, Json]) -> tuple[FoldResult, ...]:
    """Finished folds, in order. In hpsearch 0.1, only the key has the number."""
    found = {int(key.removeprefix(FOLD_PREFIX)): key for key in attrs if key.startswith(FOLD_PREFIX)}
    return tuple(FoldResult.from_json({"fold": number, **_object(attrs[found[number]])}) for number in sorted(found))


# JSON values


def _object(raw: Json) -> JsonObject:
    if not isinstance(raw, dict):
        raise ValueError(f"must be an object, but got {quoted(raw)}")
    return raw


def _number(raw: Json) -> int | float:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise ValueError(f"must be a number, but got {quoted(raw)}")
    return raw


def _value(raw: Json) -> Value:
    if not isinstance(raw, bool | int | float | str):
        raise ValueError(f"must be a number, a text or a boolean, but got {quoted(raw)}")
    return raw


def _values(raw: Json) -> tuple[Value, ...]:
    if not isinstance(raw, list):
        raise ValueError(f"must be a list, but got {quoted(raw)}")
    return tuple(_value(one) for one in raw)
