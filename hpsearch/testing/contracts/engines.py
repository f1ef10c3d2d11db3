"""What every engine must promise. Trains a few small models."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from hpsearch.core.events import Bundle, EpochFinished, Lane, LaneFailed, LaneFinished, LaneStopped
from hpsearch.testing.contracts.lanes import UNKNOWN_OPTIMIZER, check_events, make_bundle, make_spec
from hpsearch.training.engines.base import Engine
from hpsearch.training.problem import Problem


@dataclass(frozen=True, slots=True)
class EngineCase:
    """An engine to check.

    Attributes:
        engine: An engine for the small study.
        name: As study files write it.
    """

    engine: Engine
    name: str


def check_engine(engine: type[Engine], name: str) -> None:
    """Check an engine against all of :data:`ENGINE_RULES`.

    Args:
        engine: The class that the entry point names.
        name: The entry point's name.

    Raises:
        AssertionError: A rule is broken; the text says which.
    """
    case = EngineCase(engine(Problem.load(make_spec())), name)
    for rule in ENGINE_RULES:
        rule(case)


def plans_under_its_name(case: EngineCase) -> None:
    """The plan names the engine as study files do: a resumed study asks for it by that name."""
    plan = case.engine.plan()
    assert plan.engine == case.name, f"the plan must name engine {case.name!r}, but names {plan.engine!r}"
    assert plan.trials_per_bundle >= 1, f"trials_per_bundle >= 1 must hold, but got {plan.trials_per_bundle}"


def trains_all_lanes(case: EngineCase) -> None:
    """Epochs come one by one, then each lane's end with its curves."""
    bundle = make_bundle(epochs=3)
    events = list(case.engine.train(bundle, frozenset))
    check_events(bundle, events)
    for event in events:
        if isinstance(event, LaneFinished):
            assert event.result.epochs == 3, f"a lane must train its 3 epochs, but has {event.result.epochs}"
            assert event.parameters > 0, "a finished lane must count its weights"
    assert sum(isinstance(event, LaneFinished) for event in events) == 2, f"both lanes must finish, but got {events}"


def trains_a_lane_alike_in_any_company(case: EngineCase) -> None:
    """A result depends on seed, trial, fold and config only."""
    together, alone = (_losses(case.engine, make_bundle(epochs=3, folds=folds)) for folds in ((0, 1), (1,)))
    close = all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(together, alone, strict=True))
    assert close, f"fold 1 must train alike alone and with fold 0, but its losses are {alone} and {together}"


def fails_by_event(case: EngineCase) -> None:
    """What a lane's code raises is an event of that lane; the engine goes on."""
    lanes = (Lane(0, 0, UNKNOWN_OPTIMIZER), *make_bundle(epochs=1, folds=(1,)).lanes)
    bundle = Bundle(0, lanes)
    events = list(case.engine.train(bundle, frozenset))
    check_events(bundle, events)
    failed = [event.fold for event in events if isinstance(event, LaneFailed)]
    assert failed == [0], f"only the lane of fold 0 must fail, but got {events}"


def stops_between_epochs(case: EngineCase) -> None:
    """Asked to stop a trial, the engine ends its lanes before the next epoch and keeps what they have."""
    begun: list[int] = []
    events = []
    for event in case.engine.train(make_bundle(epochs=50, folds=(0,)), lambda: frozenset(begun)):
        events.append(event)
        if isinstance(event, EpochFinished):
            begun.append(event.trial)
    stopped = [event for event in events if isinstance(event, LaneStopped)]
    assert len(stopped) == 1, f"the lane must end with LaneStopped, but got {events[-1:]}"
    assert 1 <= stopped[0].result.epochs < 50, f"it must stop early, but has {stopped[0].result.epochs} epochs"


ENGINE_RULES: tuple[Callable[[EngineCase], None], ...] = (
    plans_under_its_name,
    trains_all_lanes,
    trains_a_lane_alike_in_any_company,
    fails_by_event,
    stops_between_epochs,
)
"""All rules for engines."""


def _losses(engine: Engine, bundle: Bundle) -> tuple[float, ...]:
    for event in engine.train(bundle, frozenset):
        if isinstance(event, LaneFinished) and event.result.fold == 1:
            return event.result.curves["loss"]
    raise AssertionError("the lane of fold 1 must finish")
