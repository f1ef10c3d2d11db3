"""What a study will cost before it runs: programs to compile, seconds, memory, and what in the space costs them.

Programs are counted in configs drawn at random from the space. Seconds come from a short measurement of the real
programs (:mod:`hpsearch.training.measuring`); without one, there are none.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from hpsearch.core.draws import draws, expected_programs, signature
from hpsearch.core.hyperparameters import batch_size_of, epochs_of
from hpsearch.core.measured import Measured, steps_of_epoch
from hpsearch.core.space import Choice, Config, Constant, Float, Int, Parameter, Space, Value
from hpsearch.core.words import duration
from hpsearch.errors import ModelError
from hpsearch.search.first_trials import nearest
from hpsearch.search.preparation import PreparedStudy
from hpsearch.spec.families import FAMILIES
from hpsearch.training.protocol import WorkerProtocol

_WORTH_SAYING = 10.0
"""Seconds of compiling from which the space is looked at for what costs them."""

_SAVES = 0.7
"""Share of the programs that must go before a change is worth proposing."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a study will cost.

    Attributes:
        trials: Trials that it is for.
        programs: Programs to compile; with the ``fit`` engine, models to trace, one per lane.
        compile_seconds: For these, one after the other; None if nothing was measured.
        train_seconds: For all epochs of all trials, one after the other; None likewise.
        memory_bytes: Of the worker; None likewise.
        basis: What it was estimated from, or why it was not, one sentence.
        instead: Hyperparameter → values that would need far fewer programs; empty if nothing is worth it.
        programs_then: Programs with these values.
        measured: The measurement; None without one.
    """

    trials: int
    programs: int
    compile_seconds: float | None = None
    train_seconds: float | None = None
    memory_bytes: int | None = None
    basis: str = ""
    instead: Mapping[str, Parameter] | None = None
    programs_then: int = 0
    measured: Measured | None = None


def forecast(prepared: PreparedStudy, *, measure: bool = True) -> Forecast:
    """What a prepared study will cost. Its executor must still be open if it is to be measured."""
    trials, dynamic = _trials(prepared), prepared.facts.plan.dynamic
    folds = prepared.facts.data.n_folds
    fused = prepared.facts.plan.engine != "fit"
    programs = max(1, round(expected_programs(prepared.space, dynamic, trials))) if fused else trials * folds
    found = Forecast(trials, programs, basis="not measured")
    if not measure:
        return found
    try:
        measured = prepared.executor.call(WorkerProtocol.measure, configs_to_measure(prepared))
    except ModelError as error:
        return replace(found, basis=f"not measured: {error.what.splitlines()[0]}")
    found = replace(found, programs=programs * measured.configs[0].programs if fused else programs, measured=measured)
    found = replace(
        found,
        compile_seconds=compile_seconds(measured, found.programs),
        train_seconds=trials * trial_seconds(prepared, measured),
        memory_bytes=measured.memory_bytes,
        basis=_basis(measured, prepared),
    )
    return _with_advice(found, prepared) if fused else found


def _trials(prepared: PreparedStudy) -> int:
    trials, size = prepared.spec.search.trials, prepared.space.size()
    return trials if size is None else min(trials, size)


def configs_to_measure(prepared: PreparedStudy) -> list[Config]:
    """The default config, and a large or a small one with a program of its own: what each further program costs."""
    first = prepared.facts.default or next(iter(prepared.space.grid(2)))
    dynamic = prepared.facts.plan.dynamic
    others = (_varied(prepared, first, end) for end in (-1, 0))
    return [first, *[one for one in others if signature(one, dynamic) != signature(first, dynamic)][:1]]


def _varied(prepared: PreparedStudy, first: Config, end: int) -> Config:
    """The first config with all numbers that decide the program at one end of their ranges."""
    space, dynamic = prepared.space, prepared.facts.plan.dynamic
    config: dict[str, Value] = {}
    for name, parameter in space.items():
        if space.is_active(name, config):
            keep = name in first and (name in dynamic or name in ("batch_size", "epochs"))
            config[name] = first[name] if keep else _at_end(parameter, end, first.get(name))
    return config


def _at_end(parameter: Parameter, end: int, otherwise: Value | None) -> Value:
    if isinstance(parameter, Int):
        return parameter.values()[end]
    if isinstance(parameter, Float):
        return (parameter.low, parameter.high)[end] if otherwise is None else otherwise
    values = parameter.values()
    numbers = sorted(one for one in values if not isinstance(one, bool | str))
    if len(numbers) == len(values):
        return numbers[end]
    return values[0] if otherwise is None else otherwise


def compile_seconds(measured: Measured, programs: int) -> float:
    """For some programs, the first of which pays for what is done once."""
    first, *others = (one.compile_seconds / one.programs for one in measured.configs)
    later = fmean(others) if others else first
    return first + (programs - 1) * min(later, first)


def trial_seconds(prepared: PreparedStudy, measured: Measured) -> float:
    """Training a trial on all folds, on average over the space."""
    folds, lockstep = [fold.train for fold in prepared.facts.data.folds], measured.configs[0].lockstep
    step = fmean(one.step_seconds for one in measured.configs)
    configs = [config for some in draws(prepared.space, 20) for config in some]
    return step * fmean(
        epochs_of(config) * steps_of_epoch(folds, batch_size_of(config), lockstep=lockstep) for config in configs
    )


def _basis(measured: Measured, prepared: PreparedStudy) -> str:
    searched = prepared.space.searched()
    shown = "; ".join(
        ", ".join(f"{name} {_short(value)}" for name, value in one.config.items() if name in searched)
        for one in measured.configs
    )
    rows = max(fold.train for fold in prepared.facts.data.folds)
    some = f" on {measured.rows:,} of {rows:,} rows" if measured.rows < rows else ""
    count = len(measured.configs)
    what = f"{count} config{'s' * (count > 1)}" + (f" ({shown})" if shown else "")
    return (
        f"an estimate: {what} compiled and trained for a moment{some} on this machine, as busy as it is; "
        "programs counted in configs drawn at random, no pruning, one after the other"
    )


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _with_advice(found: Forecast, prepared: PreparedStudy) -> Forecast:
    """Say what to write instead, if compiling takes longer than training and fewer values would change that."""
    seconds, training = found.compile_seconds, found.train_seconds
    if seconds is None or training is None or seconds < _WORTH_SAYING or seconds < training:
        return found
    instead, programs = fewer_programs(prepared, found.trials)
    if not instead or programs > _SAVES * found.programs:
        return found
    return replace(found, instead=instead, programs_then=programs)


def fewer_programs(prepared: PreparedStudy, trials: int) -> tuple[dict[str, Parameter], int]:
    """Values that need far fewer programs, the hyperparameter that saves most first, and how many they need."""
    space, dynamic = prepared.space, prepared.facts.plan.dynamic
    now, instead = expected_programs(space, dynamic, trials), dict[str, Parameter]()
    defaults = FAMILIES[prepared.spec.model.family].defaults if prepared.spec.model.family else {}
    while now > max(3.0, trials / 3):
        ways = [
            (expected_programs(other, dynamic, trials), name, parameter, other)
            for name, parameter in _narrower(space, dynamic, defaults)
            if name not in instead
            for other in [Space({**space, name: parameter})]
        ]
        best = min(ways, key=lambda way: way[0], default=None)
        if best is None or best[0] > 0.9 * now:
            break
        now, name, parameter, space = best
        instead[name] = parameter
    return instead, max(1, round(now))


def _narrower(space: Space, dynamic: Collection[str], defaults: Mapping[str, Value]) -> Iterator[tuple[str, Parameter]]:
    """Every hyperparameter that decides the program, with few of its values; none that others depend on."""
    deciding = {other for parameter in space.values() for other in parameter.when}
    for name in space.searched():
        parameter = space[name]
        if name in dynamic or name in deciding:
            continue
        if name == "batch_size":  # it says more about speed than about the model
            yield name, Constant(nearest(parameter, defaults.get(name, 32)), when=parameter.when)
        elif isinstance(parameter, Choice):
            if len(parameter.options) > 3:
                options = parameter.options
                yield name, Choice((options[0], options[len(options) // 2], options[-1]), when=parameter.when)
        elif isinstance(parameter, Int | Float):
            few = _three(parameter)
            if len(few) > 1:
                yield name, Choice(few, when=parameter.when)


def _three(parameter: Int | Float) -> tuple[Value, ...]:
    values = Float(float(parameter.low), float(parameter.high), parameter.log).grid(3)
    return tuple(dict.fromkeys(nearest(parameter, value) for value in values))


def warning_of(found: Forecast) -> str | None:
    """A sentence if the space defeats sharing: which hyperparameter costs it, and what to write instead."""
    from hpsearch.analysis.toml import toml_parameter

    if not found.instead or found.compile_seconds is None or found.train_seconds is None or found.measured is None:
        return None
    lines = " and ".join(f"{name} = {toml_parameter(parameter)}" for name, parameter in found.instead.items())
    names = " and ".join(found.instead)
    then = compile_seconds(found.measured, found.programs_then)
    costs = "cost" if len(found.instead) > 1 else "costs"
    return (
        f"space: {names} {costs} most of the time: {found.trials} trials need about {found.programs} compiled programs "
        f"(an estimated {duration(found.compile_seconds)}) to train for {duration(found.train_seconds)}. With {lines}, "
        f"about {found.programs_then} ({duration(then)})"
    )
