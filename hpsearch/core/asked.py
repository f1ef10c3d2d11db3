"""What KerasTuner code asks for. The code decides which hyperparameters a config has; a space can only learn it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hpsearch.core.space import Config, Parameter, Space, Value
from hpsearch.errors import ModelError


@dataclass(frozen=True, slots=True)
class Asked:
    """The hyperparameters that code uses when it is built with one config.

    Attributes:
        declared: Those that it declares and gets a value of, with their ranges, in the order in which it asks.
        read: Those that it, Keras or an engine only reads.
        finished: Whether the code came to its end. If it raised, it may ask for more with other values.
        values: What it got for those that it declares: the config's values, or its own defaults.
    """

    declared: Mapping[str, Parameter]
    read: frozenset[str] = frozenset()
    finished: bool = True
    values: Mapping[str, Value] = field(default_factory=dict)

    def part(self, config: Config) -> dict[str, Value]:
        """What of `config` is used, in its order."""
        return {name: value for name, value in config.items() if name in self.declared or name in self.read}

    def path(self, config: Config) -> tuple[tuple[str, Value], ...]:
        """The same in the order in which the code asks; the others follow."""
        part = self.part(config)
        names = [name for name in self.declared if name in part]
        return tuple((name, part[name]) for name in (*names, *(name for name in part if name not in self.declared)))


def learn(space: Space, config: Config, asked: Asked) -> dict[str, Parameter]:
    """What `asked` shows to be missing or wrong in a space.

    Args:
        space: What is known.
        config: A config of the space.
        asked: What the code asked for with it.

    Returns:
        New hyperparameters, and known ones without the condition that has turned out to be wrong. Both are ``asked``:
        one more build shows that a condition is wrong, but none that it is right.
    """
    changes = {name: replace(one, when={}, asked=True) for name, one in asked.declared.items() if name not in space}
    wrong = [name for name in asked.declared if name in space and name not in config]
    if asked.finished:
        used = asked.part(config)
        wrong += [name for name in config if name in space and name not in used]
    return changes | {name: replace(space[name], when={}, asked=True) for name in wrong if not space[name].asked}


def endless_space(names: Sequence[str]) -> ModelError:
    """The error for code that makes up the names of its hyperparameters."""
    return ModelError(
        f"the code asks for new hyperparameters in every build, such as {', '.join(names[-3:])}",
        code="endless-space",
        hint="names of hyperparameters must not depend on real numbers or on chance",
        names=tuple(names),
    )
