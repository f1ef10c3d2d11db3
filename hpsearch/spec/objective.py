"""The section ``[objective]``: what the search optimises, and the limits that a trial must keep."""

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.config import JsonDict

from hpsearch.core.constraints import UNITS, Constraints, said
from hpsearch.core.metrics import direction_of
from hpsearch.core.rules import RuleError
from hpsearch.spec.section import READ_BACK, Section

_ADDRESS = re.compile(r"[\w.]+:\w+")

Limit = Annotated[float, Field(allow_inf_nan=False)]


def _without_direction(schema: JsonDict) -> None:
    """A known metric has its direction, which no schema can say."""
    schema["required"] = ["metric"]


def _curve(address: str) -> str:
    """The curve that a metric is read from."""
    return f"val_{address.partition(':')[2]}" if ":" in address else address


def _check_address(value: str, **place: str) -> None:
    if ":" in value and not _ADDRESS.fullmatch(value):
        raise RuleError('must look like "sklearn:roc_auc" or "package.module:function"', "bad-address", **place)


class ObjectiveSection(Section):
    """What the search optimises."""

    model_config = ConfigDict(json_schema_extra=_without_direction)

    metric: str = Field(
        description='name of a curve, such as "val_accuracy", or of a metric of the task, such as "val_auc"; '
        '"sklearn:roc_auc" or another of scikit-learn\'s scorers; '
        'or "package.module:function" of targets and predictions'
    )
    direction: Literal["minimize", "maximize"] = Field(
        description="whether lower or higher is better; may be left out for val_loss and a metric of the task"
    )
    epoch: Literal["best", "last"] = Field("best", description="epoch of the mean curve that gives the score")
    at_most: dict[str, Limit] = Field(
        {},
        description="limits that a trial keeps to be ranked: parameters, model_mb, latency_ms, or a curve such as "
        "val_loss at the epoch of the score, or a metric as above",
    )
    at_least: dict[str, Limit] = Field({}, description="likewise, of curves such as val_recall")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        if isinstance(value, dict) and "direction" not in value and isinstance(value.get("metric"), str):
            found = direction_of(value["metric"])
            return value if found is None else {**value, "direction": found}
        return value

    @field_validator("metric")
    @classmethod
    def _shape(cls, value: str, info: ValidationInfo) -> str:
        if info.context != READ_BACK:
            _check_address(value)
        return value

    @field_validator("at_most", "at_least")
    @classmethod
    def _once(cls, value: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        if info.context == READ_BACK:
            return value
        metric, before = info.data.get("metric"), info.data.get("at_most", {})
        for name, limit in value.items():
            _check_address(name, key=name)
            # The objective's own curve may be named without its address.
            others = [metric] if isinstance(metric, str) and name != _curve(metric) else []
            for other in (*others, *value, *before):
                if other != name and _curve(other) == _curve(name):
                    raise RuleError(
                        f"{name} and {other} are both the curve {_curve(name)}: write one of them in all places, or "
                        "give one of the functions another name",
                        "two-names",
                        received=limit,
                        key=name,
                    )
        return value

    @field_validator("at_most")
    @classmethod
    def _possible(cls, value: dict[str, float]) -> dict[str, float]:
        for name, limit in value.items():
            if name in UNITS and limit <= 0:
                raise RuleError(f"must be more than 0, but got {said(limit)}", "out-of-range", received=limit, key=name)
        return value

    @field_validator("at_least")
    @classmethod
    def _of_curves(cls, value: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        for name, limit in value.items():
            if name in UNITS:
                raise RuleError(
                    f"only a curve can be at_least; use at_most for {name}, or narrow [space]",
                    "bad-limit",
                    received=limit,
                    key=name,
                )
            limits = {_curve(one): most for one, most in info.data.get("at_most", {}).items()}
            most = limits.get(_curve(name))
            if most is not None and most < limit:
                raise RuleError(
                    f"no trial can have at least {said(limit)} and, with at_most, at most {said(most)}",
                    "contradicting-limits",
                    received=limit,
                    key=name,
                )
        return value

    @property
    def constraints(self) -> Constraints:
        """What a trial must keep to be ranked."""
        most, least = ({_curve(name): limit for name, limit in one.items()} for one in (self.at_most, self.at_least))
        return Constraints.of(most, least)

    @property
    def addresses(self) -> tuple[str, ...]:
        """What may name code of the user's own: the metric, and limits on metrics."""
        return (self.metric, *self.at_most, *self.at_least)

    @property
    def curve(self) -> str:
        """The curve that the metric is read from."""
        return _curve(self.metric)
