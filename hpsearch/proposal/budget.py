"""Trials and epochs that a given time allows, by a short measurement of the study's real programs."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from hpsearch.core.draws import expected_programs
from hpsearch.core.space import Constant
from hpsearch.core.words import duration
from hpsearch.proposal.text import spec_of
from hpsearch.proposal.values import Proposal
from hpsearch.search.forecast import compile_seconds, forecast, trial_seconds
from hpsearch.search.preparation import prepare_study

_MOST_TRIALS, _LEAST_TRIALS, _LEAST_EPOCHS = 100, 5, 5
_GOOD_TRIALS = 15
"""Trials that are worth more than the last epochs of each: a search of fewer is hardly one."""

_SEARCH = 0.8
"""Share of the time that goes into the search. The rest is for the start, the refit and the report."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Trials, epochs of each, and the seconds that they take."""

    trials: int
    epochs: int
    seconds: float


def affordable(
    seconds: float, *, epochs: int, epoch_seconds: float, compiling: Callable[[int], float], once: float = 0.3
) -> Budget:
    """What a time allows: all epochs for as many trials as it can have, and fewer epochs where these are too few.

    Args:
        seconds: The time for the search.
        epochs: Epochs of a trial to aim at.
        epoch_seconds: An epoch of all folds.
        compiling: Seconds of compiling for a number of trials.
        once: What a trial costs besides.
    """

    def cost(trials: int, epochs: int) -> float:
        return compiling(trials) + trials * (epochs * epoch_seconds + once)

    for least, shorter in ((_GOOD_TRIALS, epochs), (_GOOD_TRIALS, epochs // 2), (_LEAST_TRIALS, epochs // 4)):
        shorter = min(epochs, max(_LEAST_EPOCHS, shorter))
        most = max((n for n in range(least, _MOST_TRIALS + 1) if cost(n, shorter) <= seconds), default=0)
        if most:
            return Budget(most, shorter, cost(most, shorter))
    shortest = min(epochs, _LEAST_EPOCHS)
    most = max((n for n in range(1, _MOST_TRIALS + 1) if cost(n, shortest) <= seconds), default=_LEAST_TRIALS)
    return Budget(most, shortest, cost(most, shortest))


def within(found: Proposal, folder: Path, minutes: float) -> Proposal:
    """The proposal with trials and epochs for a given time, and how they were chosen.

    Args:
        found: The proposal.
        folder: Of its study file.
        minutes: The time.

    Raises:
        HpsearchError: The study cannot be prepared.
    """
    with ExitStack() as stack:
        prepared = prepare_study(spec_of(found, folder), stack)
        cost = forecast(prepared)
    if cost.measured is None:
        return replace(found, budget=f"{minutes:g} minutes were asked for, but the cost is {cost.basis}")
    measured, dynamic = cost.measured, prepared.facts.plan.dynamic
    fused, folds = prepared.facts.plan.engine != "fit", prepared.facts.data.n_folds
    epochs = found.searched.parameters["epochs"]
    planned = epochs.value if isinstance(epochs, Constant) and isinstance(epochs.value, int) else 20
    epoch_seconds = trial_seconds(prepared, measured) / planned
    per_trial = measured.configs[0].programs

    def programs(trials: int) -> int:
        if not fused:
            return trials * folds
        return max(1, round(expected_programs(prepared.space, dynamic, trials))) * per_trial

    chosen = affordable(
        60 * minutes * _SEARCH,
        epochs=planned,
        epoch_seconds=epoch_seconds,
        compiling=lambda trials: compile_seconds(measured, programs(trials)),
    )
    short = "" if chosen.seconds <= 60 * minutes else " (more than was asked for, but fewer trials are no search)"
    each = compile_seconds(measured, 2) - compile_seconds(measured, 1)
    text = (
        f"for {minutes:g} minutes: an estimated {duration(chosen.seconds)} of search{short}. Measured on this machine: "
        f"{duration(each)} to compile each of about {programs(chosen.trials)} programs, {duration(epoch_seconds)} for "
        "an epoch of all folds"
    )
    searched = replace(found.searched, parameters={**found.searched.parameters, "epochs": Constant(chosen.epochs)})
    return replace(found, trials=chosen.trials, searched=searched, budget=text)
