"""The metric that fits a task and its classes. The only place that chooses one."""

from collections.abc import Sequence
from dataclasses import dataclass

from hpsearch.core.words import percent

_RARE = 0.25
"""Share of the rarer of two classes below which accuracy says little: always naming the other one scores above 75 %."""

_COMMON = 0.6
"""Share of the commonest of several classes above which accuracy says little."""


@dataclass(frozen=True, slots=True)
class Goal:
    """An ``[objective]``.

    Attributes:
        metric: As study files write it.
        direction: Of it.
        why: What speaks for it; empty if it is the usual one.
    """

    metric: str
    direction: str
    why: str = ""


def goal_for(task: str, counts: Sequence[int]) -> Goal:
    """The objective.

    Args:
        task: The task, as facts name it.
        counts: Rows of each class; empty without classes.
    """
    total = sum(counts)
    if task == "regression":
        return Goal("val_mae", "minimize")
    if task == "binary" and total and min(counts) < _RARE * total:
        share = percent(min(counts) / total, 2)
        return Goal("val_auc", "maximize", f"only {share} of the rows are of the rarer class: accuracy says little")
    if task == "multiclass" and total and max(counts) > _COMMON * total:
        share = percent(max(counts) / total, 2)
        why = f"{share} of the rows are of one class: accuracy says little"
        return Goal("val_balanced_accuracy", "maximize", why)
    if task == "multilabel":
        return Goal("val_auc", "maximize", "most labels are absent from most rows: accuracy says little")
    if task in ("binary", "multiclass"):
        return Goal("val_accuracy", "maximize")
    return Goal("val_loss", "minimize")
