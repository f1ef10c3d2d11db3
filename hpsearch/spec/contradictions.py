"""What hyperparameters of a family cannot be together, and what together looks like a mistake."""

from collections.abc import Iterable, Iterator, Mapping

from hpsearch.core.hyperparameters import SCHEDULES, WITH_WARMUP
from hpsearch.core.space import Parameter, Space, Value, holder
from hpsearch.core.words import listed
from hpsearch.spec.messages import SpecProblem

Parameters = Mapping[str, Parameter]

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")

_IN_THE_LOSS = ("label_smoothing", "l1", "l2")


def contradictions(parameters: Parameters) -> Iterator[SpecProblem]:
    """Combinations that no model can have.

    Args:
        parameters: Of a family's study, each of them legal by itself.
    """
    without = [one for one in SCHEDULES if one not in WITH_WARMUP]
    if _is_more_than(parameters, "warmup", 0) and (met := _met(parameters, "warmup", "schedule", without)):
        yield SpecProblem(
            "space.warmup",
            "no-warmup",
            f"Keras has no warm-up for schedule = {listed(map(repr, met))}; write "
            'when = { schedule = ["constant", "cosine"] }',
            met[0],
        )
    if _can_be(parameters, "decay_to", 0.0) and _met(parameters, "decay_to", "schedule", ["exponential"]):
        text = "an exponential schedule never reaches 0; start from a share such as 0.01"
        yield SpecProblem("space.decay_to", "decays-to-nothing", text, 0)
    if _can_be(parameters, "residual", True) and _met(parameters, "residual", "padding", ["valid"]):
        text = 'blocks without their border cannot add their input; write when = { padding = ["same"] }'
        yield SpecProblem("space.residual", "residual-needs-same", text, True)
    clips = [name for name in _CLIPS if _is_more_than(parameters, name, 0) and not parameters[name].when]
    if len(clips) > 1:
        text = f"Keras clips in one way at a time, but {listed(clips)} are all in the space"
        yield SpecProblem(f"space.{clips[1]}", "conflicting-keys", text)


def doubtful(space: Space, metric: str) -> Iterator[str]:
    """What in a family's space may not do what it seems to.

    Args:
        space: The study's.
        metric: The objective's.
    """
    searched = [name for name in _IN_THE_LOSS if name in space.searched()]
    if searched and metric in ("val_loss", "loss"):
        yield (
            f"objective.metric: {metric} contains {listed(searched)}, so trials with less of it look better than they "
            'are; "val_log_loss" of classes and "val_mse" of amounts leave it out'
        )


def _can_be(parameters: Parameters, name: str, value: Value) -> bool:
    return name in parameters and holder(parameters[name])(value)


def _is_more_than(parameters: Parameters, name: str, least: float) -> bool:
    """Whether a hyperparameter can be above `least`."""
    if name not in parameters:
        return False
    values = parameters[name].grid(2)
    return any(isinstance(one, int | float) and one > least for one in values)


def _met(parameters: Parameters, name: str, other: str, values: Iterable[Value]) -> list[Value]:
    """Those of `values` that `other` can have while `name` is in use."""
    if other not in parameters:
        return []
    held, when = holder(parameters[other]), parameters[name].when.get(other)
    return [one for one in values if held(one) and (when is None or one in when)]
