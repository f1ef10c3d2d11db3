"""The study's space: the defaults of a family or the model's own hyperparameters, changed by the study file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hpsearch.core.hyperparameters import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_EPOCHS,
    OF_COMPILING,
    OF_EVERY_MODEL,
    is_real,
    rule_of,
)
from hpsearch.core.optimizers import OPTIMIZER_ARGUMENTS, OWN_RATES
from hpsearch.core.space import Constant, Float, Int, Parameter, Space, holder
from hpsearch.core.words import closest, did_you_mean, listed, quoted
from hpsearch.spec.contradictions import contradictions, doubtful
from hpsearch.spec.families import FAMILIES, TRAINING, Family
from hpsearch.spec.messages import MOST_PROBLEMS, SpecProblem, broken_rules
from hpsearch.spec.parameters import parse_parameter
from hpsearch.spec.sections import StudySpec


def make_space(
    spec: StudySpec, discovered: Mapping[str, Parameter] | None = None, *, origin: str = "search space"
) -> Space:
    """The study's space: defaults, overridden by ``[space]``, then by the constants in ``[model]``.

    Args:
        spec: The study file.
        discovered: The hyperparameters that a KerasTuner model asks for; they replace a family's defaults.
        origin: Where the study file comes from, for messages.

    Raises:
        SpecError: Entries break rules; ``values["problems"]`` has all of them.
    """
    known = _known(spec, discovered)
    parameters, problems = dict(known.defaults), list[SpecProblem]()
    sections = {name: section for section, name in _given(spec)}
    for (section, name), value in _given(spec).items():
        if len(problems) >= MOST_PROBLEMS:
            break
        if not known.allows(name):
            problems.append(known.unknown(f"{section}.{name}", name))
            continue
        try:
            parameters[name] = _as_given(spec, name, value, (discovered or {}).get(name))
        except ValueError as error:
            problems.append(SpecProblem.of_rule(f"{section}.{name}", error, value))
    if "learning_rate" not in sections:
        parameters = _with_own_rates(parameters)
    for name, parameter in parameters.items():
        if len(problems) >= MOST_PROBLEMS:
            break
        key = f"{sections.get(name, 'space')}.{name}"
        if spec.model.family or name in (*OF_EVERY_MODEL, "learning_rate"):
            problems += _illegal_values(key, name, parameter)
        problems += _unknown_conditions(key, parameter, parameters)
    problems += _callback_problems(spec, parameters)
    if not problems and spec.model.family:
        problems += contradictions(parameters)
    if not problems:
        try:
            return Space(_reachable(parameters, set(sections)))
        except ValueError as error:
            problems.append(SpecProblem.of_rule("space", error))
    raise broken_rules(origin, problems)


def _callback_problems(spec: StudySpec, parameters: Mapping[str, Parameter]) -> list[SpecProblem]:
    """Hyperparameters that callbacks name and the space does not have, or that have values no callback can have."""
    problems = []
    for key, name, rule in spec.training.named():
        if name not in parameters:
            legal = [*parameters, *spec.space]
            text = f"names the hyperparameter {quoted(name)}, which is not in the space{did_you_mean(name, legal)}"
            problems.append(SpecProblem(key, "unknown-hyperparameter", text, name, closest(name, legal)))
        else:
            problems += [
                SpecProblem(
                    f"space.{name}", "illegal-value", f"must be {rule.words} for {key}, but got {quoted(one)}", one
                )
                for one in rule.broken_by(parameters[name])
            ]
    return problems


def steered(spec: StudySpec, name: str, declared: Parameter | None = None) -> Parameter | None:
    """What the study file says about a hyperparameter; None if it says nothing, or breaks a rule.

    Args:
        spec: The study file.
        name: The hyperparameter.
        declared: What the model's code declares: the study file changes its values and leaves its conditions.
    """
    found = None
    for (_, one), value in _given(spec).items():
        if one == name:
            try:
                found = _as_given(spec, name, value, declared)
            except ValueError:
                return None
    return found


def given_names(spec: StudySpec) -> tuple[str, ...]:
    """The hyperparameters that the study file names."""
    return tuple(dict.fromkeys(name for _, name in _given(spec)))


def doubts(spec: StudySpec, space: Space) -> list[str]:
    """What in ``[space]`` looks like a mistake, but need not be one.

    Args:
        spec: The study file.
        space: The space that it describes.
    """
    found = []
    for section, name in _given(spec):
        parameter = space.get(name)
        documented = rule_of(name) is not None and (spec.model.family or name in OF_EVERY_MODEL)
        if isinstance(parameter, Int) and parameter.high == parameter.low + 1 and not documented:
            low, high = parameter.low, parameter.high
            found.append(
                f"{section}.{name}: the whole numbers {low} and {high} only; write {low}.0 and {high}.0 for real "
                "numbers"
            )
    if spec.model.family:
        found += doubtful(space, spec.objective.metric)
    return found


def _given(spec: StudySpec) -> dict[tuple[str, str], object]:
    given = {("space", name): value for name, value in spec.space.items()}
    return given | {("model", name): value for name, value in (spec.model.__pydantic_extra__ or {}).items()}


def _as_given(spec: StudySpec, name: str, value: object, declared: Parameter | None) -> Parameter:
    real = is_real(name, family=spec.model.family is not None)
    real = real or (spec.model.family is not None and isinstance(FAMILIES[spec.model.family].space.get(name), Float))
    parameter = parse_parameter(value, real=real or isinstance(declared, Float))
    if declared is None or parameter.when:
        return parameter
    return replace(parameter, when=declared.when, asked=declared.asked)


@dataclass(frozen=True, slots=True)
class _Known:
    """Which hyperparameters a model has.

    Attributes:
        defaults: Those that are in the space without being named.
        optional: Those that a study file may add; None if it may add any.
        owner: The model, for messages.
    """

    defaults: Mapping[str, Parameter]
    optional: frozenset[str] | None
    owner: str

    def allows(self, name: str) -> bool:
        return self.optional is None or name in self.defaults or name in self.optional

    def unknown(self, key: str, name: str) -> SpecProblem:
        legal = [*self.defaults, *sorted((self.optional or frozenset()) - self.defaults.keys())]
        named = [one for one in legal if one not in OPTIMIZER_ARGUMENTS or one in self.defaults]
        if name.startswith("learning_rate"):
            named += [one for one in legal if one in OWN_RATES]
        others = [one.name for one in _families() if name in (*one.space, *one.optional)]
        hint = f"; family {others[0]!r} has it" if others else did_you_mean(name, legal)
        rest = ", and those of its optimizer" if OPTIMIZER_ARGUMENTS & set(legal) - set(named) else ""
        text = f"not a hyperparameter of {self.owner}{hint}; it has {listed(named)}{rest}"
        return SpecProblem(key, "unknown-hyperparameter", text, name, closest(name, legal))


def _families() -> list[Family]:
    """Those whose code can be used."""
    return list(FAMILIES.usable(lambda _: None).values())


def _known(spec: StudySpec, discovered: Mapping[str, Parameter] | None) -> _Known:
    if spec.model.family:
        family = FAMILIES[spec.model.family]
        optional = frozenset({*TRAINING, *OF_EVERY_MODEL, *OPTIMIZER_ARGUMENTS, *OF_COMPILING, *family.optional})
        optional |= spec.training.hyperparameters
        return _Known(family.space, optional, f"family {spec.model.family!r}")
    # Build functions get Keras' defaults for what hpsearch itself needs.
    optional = frozenset(OF_EVERY_MODEL) | spec.training.hyperparameters
    own = {"batch_size": Constant(DEFAULT_BATCH_SIZE), "epochs": Constant(DEFAULT_EPOCHS), **(discovered or {})}
    return _Known(own, optional if discovered else None, repr(spec.model.build))


def _with_own_rates(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """The default learning rate is for the optimizers that have none of their own; without such, it is left out."""
    own = {optimizer for name, optimizer in OWN_RATES.items() if name in parameters}
    optimizers = parameters["optimizer"].values() if "optimizer" in parameters else None
    if not own or optimizers is None or "learning_rate" not in parameters:
        return {**parameters}
    rest = tuple(one for one in optimizers if one not in own)
    if not rest:
        return {name: one for name, one in parameters.items() if name != "learning_rate"}
    if len(rest) == len(optimizers):
        return {**parameters}
    return {**parameters, "learning_rate": replace(parameters["learning_rate"], when={"optimizer": rest})}


def _reachable(parameters: Mapping[str, Parameter], given: set[str]) -> dict[str, Parameter]:
    """Without what can no longer be active, because the study file narrows the choices of `given` hyperparameters.

    Only the conditions of defaults and of the model's code are adapted. A condition in the study file itself must be
    possible.
    """
    kept = dict(parameters)
    for name, parameter in parameters.items():
        if name in given or not (given & parameter.when.keys()):
            continue
        when = {}
        for other, allowed in parameter.when.items():
            held = holder(parameters[other]) if other in parameters else lambda _value: False
            when[other] = tuple(value for value in allowed if held(value))
        if all(when.values()):
            kept[name] = replace(parameter, when=when)
        else:
            del kept[name]
    return {name: one for name, one in kept.items() if all(other in kept for other in one.when)}


def _illegal_values(key: str, name: str, parameter: Parameter) -> list[SpecProblem]:
    """Values that a documented hyperparameter can never have."""
    if (rule := rule_of(name)) is None:
        return []
    return [
        SpecProblem(
            key,
            "illegal-value",
            f"must be {rule.words}, but got {quoted(value)}{did_you_mean(value, rule.options)}",
            value,
            closest(value, rule.options),
        )
        for value in rule.broken_by(parameter)
    ]


def _unknown_conditions(key: str, parameter: Parameter, parameters: Mapping[str, Parameter]) -> list[SpecProblem]:
    """Conditions on hyperparameters that the space does not have."""
    return [
        SpecProblem(
            key,
            "unknown-condition",
            f"'when' names {quoted(other)}, which is not in the space{did_you_mean(other, parameters)}; "
            f"it has {listed(parameters)}",
            other,
            closest(other, parameters),
        )
        for other in parameter.when
        if other not in parameters
    ]
