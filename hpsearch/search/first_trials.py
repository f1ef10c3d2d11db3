"""The configs that a study begins with: the model's defaults, what the study file wants tried, another study's best."""

from collections.abc import Mapping, Sequence

from hpsearch.core.facts import StudyFacts
from hpsearch.core.space import Config, Constant, Float, Parameter, Space, Value
from hpsearch.core.values import Steps, place_near
from hpsearch.core.words import closest, did_you_mean, listed, quoted
from hpsearch.errors import SpecError
from hpsearch.spec import StudySpec
from hpsearch.spec.families import FAMILIES


def default_config(spec: StudySpec, space: Space, of_code: Mapping[str, Value]) -> Config:
    """What the model is like without a search, as near as the space comes to it; empty if nobody can say.

    Args:
        spec: The study file.
        space: The study's space.
        of_code: The defaults of KerasTuner code; empty for other models.
    """
    known = FAMILIES[spec.model.family].defaults if spec.model.family else of_code
    found: dict[str, Value] = {}
    for name, parameter in space.items():
        if name in known and space.is_active(name, found):
            found[name] = nearest(parameter, known[name])
        elif (values := parameter.values()) is not None and len(values) == 1 and space.is_active(name, found):
            found[name] = values[0]
    return found if any(name in known for name in space.searched()) else {}


def nearest(parameter: Parameter, value: Value) -> Value:
    """The value of a parameter next to a given one; its first value if they cannot be compared."""
    if parameter.contains(value):
        return value
    number = None if isinstance(value, bool | str) else value
    if isinstance(parameter, Float) and parameter.values() is None:
        return parameter.low if number is None else min(max(float(number), parameter.low), parameter.high)
    values: Sequence[Value] = parameter.values() or ()
    if isinstance(values, range | Steps) and number is not None:
        return values[place_near(values, number)]
    numbers = [one for one in values if not isinstance(one, bool | str)]
    if number is None or len(numbers) < len(values):
        return values[0]
    return min(numbers, key=lambda one: abs(one - number))


def check_tries(spec: StudySpec, space: Space) -> None:
    """Refuse a ``[[search.try]]`` that the space does not have.

    Raises:
        SpecError: A hyperparameter or a value is not in the space, or the other values do not use it.
    """
    for number, config in enumerate(spec.search.tries):
        known = {**{name: one.value for name, one in space.items() if isinstance(one, Constant)}, **config}
        for name, value in config.items():
            key = f"search.try.{number}.{name}"
            if name not in space:
                if not space.is_exact:  # KerasTuner code may ask for it later
                    continue
                raise SpecError(
                    f"{key}: not in the space{did_you_mean(name, space)}; it has {listed(space, most=20)}",
                    code="unknown-hyperparameter",
                    key=key,
                    name=name,
                    closest=closest(name, space),
                )
            if not space[name].contains(value):
                raise SpecError(
                    f"{key}: {quoted(value)} is outside the space",
                    code="outside-space",
                    hint=f"widen {name} in [space], or try a value that it has",
                    key=key,
                    value=value,
                )
            if space.is_exact and not space.is_active(name, known):
                needed = " and ".join(
                    f"{one} = {listed(map(repr, wanted))}" for one, wanted in space[name].when.items()
                )
                raise SpecError(
                    f"{key}: {name} is used with {needed} only",
                    code="inactive-value",
                    hint=f"name that in the same [[search.try]], or leave {name} out",
                    key=key,
                    value=value,
                )


def first_configs(spec: StudySpec, facts: StudyFacts) -> Sequence[Config]:
    """What the first trials are, as far as it is given: values for some or all hyperparameters."""
    taken = () if facts.taken is None else facts.taken.configs
    return [*([facts.default] if facts.default else []), *spec.search.tries, *taken]
