"""The section ``[objective]``: what the search optimises, and the limits that a trial must keep."""

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.config import JsonDict

from hpsearch.core.constraints import UNITS, Constraints, said
from hpsearch.core.metrics import direction_of
from hpsearch.core.rules import RuleError
from hpsearch.spec.section import READ_BACK, Section

Limit = Annotated[float, Field(allow_inf_nan=False)]


def _without_direction(schema: JsonDict) -> None:
    """A known metric has its direction, which no schema can say."""
    schema["required"] = ["metric"]


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
        "val_loss at the epoch of the score",
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
        if ":" in value and not re.fullmatch(r"[\w.]+:\w+", value) and info.context != READ_BACK:
            raise RuleError('must look like "sklearn:roc_auc" or "package.module:function"', "bad-address")
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
            most = info.data.get("at_most", {}).get(name)
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
        return Constraints.of(self.at_most, self.at_least)

    @property
    def curve(self) -> str:
        """The curve that the metric is read from."""
        return f"val_{self.metric.partition(':')[2]}" if ":" in self.metric else self.metric
