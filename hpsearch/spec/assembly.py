"""The effective space: a family's defaults or a model's own hyperparameters, and what the study file says about them."""

from collections.abc import Mapping
from dataclasses import replace

from hpsearch.core.hyperparameters import ANY_OPTIMIZER, DEFAULT_BATCH_SIZE, DEFAULT_EPOCHS, OPTIMIZERS, rule_of
from hpsearch.core.space import Constant, Parameter, Space
from hpsearch.core.words import did_you_mean, listed
from hpsearch.errors import SpecError
from hpsearch.spec.families import FAMILIES, TRAINING
from hpsearch.spec.parameters import parse_parameter
from hpsearch.spec.sections import StudySpec


def make_space(spec: StudySpec, discovered: Mapping[str, Parameter] | None = None) -> Space:
    """The effective space: defaults, overridden by ``[space]``, then by the constants in ``[model]``.

    Args:
        spec: The study file.
        discovered: Hyperparameters found in a KerasTuner model; they take the place of a family's defaults.

    Raises:
        SpecError: An entry breaks a rule; all of them are listed.
    """
    family = FAMILIES[spec.model.family] if spec.model.family else None
    defaults: Mapping[str, Parameter] = family.space if family else {**_untuned(), **(discovered or {})}
    owner, extra = f"family {spec.model.family!r}", TRAINING.keys() | _OPTIMIZER_NAMES
    if family:
        extra |= set(family.optional)
    elif discovered:
        owner, extra = repr(spec.model.build), set()
    legal = defaults if family or discovered else None
    raw = {("space", name): value for name, value in spec.space.items()}
    raw |= {("model", name): value for name, value in (spec.model.__pydantic_extra__ or {}).items()}
    parameters, problems = dict(defaults), []
    for (section, name), value in raw.items():
        if legal is not None and name not in legal and name not in extra:
            known = [*legal, *sorted(extra - legal.keys())]
            problems.append(
                f"{section}.{name}: not a hyperparameter of {owner}{did_you_mean(name, known)}; it has {listed(known)}"
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
            problems += _broken_rules(section, name, parameter)
        problems += [
            f"{section}.{name}: 'when' names {other!r}, which is not in the space{did_you_mean(other, parameters)}; "
            f"it has {listed(parameters)}"
            for other in parameter.when
            if other not in parameters
        ]
    if not problems:
        try:
            return Space(_reachable(parameters, {name for _, name in raw}))
        except ValueError as error:
            problems.append(f"space.{error}")
    raise SpecError("the search space is wrong:\n" + "\n".join(f"  - {line}" for line in problems))


_OPTIMIZER_NAMES = frozenset({*ANY_OPTIMIZER, *(name for names in OPTIMIZERS.values() for name in names)})


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
    return {"batch_size": Constant(DEFAULT_BATCH_SIZE), "epochs": Constant(DEFAULT_EPOCHS)}


def _broken_rules(section: str, name: str, parameter: Parameter) -> list[str]:
    """Values that a documented hyperparameter can never take."""
    if (rule := rule_of(name)) is None:
        return []
    return [
        f"{section}.{name}: must be {rule.words}, but got {value!r}{did_you_mean(value, rule.options)}"
        for value in rule.broken_by(parameter)
    ]
