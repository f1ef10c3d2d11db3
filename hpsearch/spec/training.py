"""``[training]`` of a study file: Keras' callbacks."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from hpsearch.core.callbacks import ARGUMENTS, KINDS, EarlyStopping, Stock, arguments_of, made
from hpsearch.core.hyperparameters import Rule
from hpsearch.core.rules import RuleError
from hpsearch.core.space import Config, Value
from hpsearch.core.words import closest, did_you_mean, listed, quoted
from hpsearch.spec.section import READ_BACK, Section

_OF_SPACE = re.compile(r"space\.(\w+)")

ELSEWHERE: Mapping[str, str] = {
    "ModelCheckpoint": "no fold's model is kept; EarlyStopping with restore_best_weights = true scores the best epoch, "
    "and the winner is refitted",
    "BackupAndRestore": "`hpsearch resume` repeats no finished fold",
    "TensorBoard": "MLflow has every curve: `hpsearch ui`",
    "CSVLogger": "MLflow has every curve: `hpsearch ui`",
}
"""Keras' callbacks that write files → what does their work."""


def _checked(table: Mapping[str, Value], info: ValidationInfo) -> Mapping[str, Value]:
    """A table of ``[[training.callbacks]]`` whose kind and arguments Keras has."""
    if info.context == READ_BACK:
        return table
    kind = table.get("kind")
    if kind is None:
        raise RuleError(f"is required, one of {listed(KINDS)}", "missing", key="kind")
    if kind not in KINDS:
        elsewhere = ELSEWHERE.get(str(kind))
        text = (
            f"unknown callback {quoted(kind)}{did_you_mean(kind, KINDS)}; here it may be {listed(KINDS)}, and "
            "callbacks(config) in the build module may return any"
        )
        text = f"{kind} has no use here: {elsewhere}" if elsewhere else text
        raise RuleError(text, "not-one-of", received=kind, closest=closest(kind, KINDS), key="kind")
    legal = arguments_of(str(kind))
    for name, value in table.items():
        if name == "kind":
            continue
        if name not in legal:
            text = f"unknown argument of {kind}{did_you_mean(name, legal)}; it has {listed(legal) or 'none'}"
            raise RuleError(text, "unknown-key", received=value, closest=closest(name, legal), key=name)
        if not _named(value) and not ARGUMENTS[name].allows(value):
            rule = ARGUMENTS[name]
            near = closest(value, rule.options)
            raise RuleError(f"must be {rule.words}", "illegal-value", received=value, closest=near, key=name)
    if kind == "LearningRateScheduler" and "schedule" not in table:
        raise RuleError('is required, such as "my_module:function" of (epoch, lr)', "missing", key="schedule")
    return table


def _named(value: Value) -> str | None:
    """The hyperparameter that a value stands for: ``space.patience``."""
    found = _OF_SPACE.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else None


_ARGUMENT: dict[str, Any] = {"type": ["number", "string", "boolean"]}
_SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": [*KINDS]}, **dict.fromkeys(ARGUMENTS, _ARGUMENT)},
    "required": ["kind"],
    "additionalProperties": False,
}

CallbackTable = Annotated[dict[str, bool | int | float | str], AfterValidator(_checked), WithJsonSchema(_SCHEMA)]


class TrainingSection(Section):
    """How a model is trained, besides its hyperparameters."""

    callbacks: list[CallbackTable] = Field(
        [],
        description="Keras' callbacks of every fold: kind and Keras' arguments, each a value or "
        '"space.NAME" for a hyperparameter',
    )

    @field_validator("callbacks")
    @classmethod
    def _one_mean(cls, value: list[dict[str, Value]], info: ValidationInfo) -> list[dict[str, Value]]:
        means = [place for place, one in enumerate(value) if one.get("scope") == "mean"]
        if len(means) > 1 and info.context != READ_BACK:
            raise RuleError("one EarlyStopping of scope 'mean' at most", "several-means", key=f"{means[1]}.scope")
        return value

    def named(self) -> Iterator[tuple[str, str, Rule]]:
        """The hyperparameters that arguments stand for: ``(key, hyperparameter, the argument's rule)``."""
        for place, table in enumerate(self.callbacks):
            for argument, value in table.items():
                if argument in ARGUMENTS and (name := _named(value)) is not None:
                    yield f"training.callbacks.{place}.{argument}", name, ARGUMENTS[argument]

    @property
    def hyperparameters(self) -> frozenset[str]:
        """The hyperparameters that arguments stand for."""
        return frozenset(name for _, name, _ in self.named())

    def stock(self, config: Config) -> tuple[Stock, ...]:
        """The callbacks of a config. An argument whose hyperparameter is not active has Keras' default."""
        found = []
        for table in self.callbacks:
            values = {name: value for name, value in table.items() if name != "kind"}
            names = {name: other for name, value in values.items() if (other := _named(value)) is not None}
            given = {name: config[other] for name, other in names.items() if other in config}
            plain = {name: value for name, value in values.items() if name not in names}
            found.append(made(str(table["kind"]), {**plain, **given}))
        return tuple(found)

    def together(self, config: Config) -> EarlyStopping | None:
        """The ``EarlyStopping`` that ends all folds of a trial together, by their mean."""
        found = (one for one in self.stock(config) if isinstance(one, EarlyStopping) and one.scope == "mean")
        return next(found, None)

    @property
    def ends_together(self) -> bool:
        """Whether the folds of some trials may end together."""
        return any(one.get("scope") == "mean" or _named(one.get("scope", "")) for one in self.callbacks)
