"""``[search] from``: what a study takes from another one of the same ledger when it begins.

Its best configs are trained here first. Its results become a trend that this study's model may follow
(:mod:`hpsearch.tuners.other_study`). Both are kept in the study's facts, so that a resumed study needs the other one no
more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from hpsearch.core.facts import DataFacts
from hpsearch.core.registries import TUNERS
from hpsearch.core.space import Config, Float, Int, Parameter, Space, Value, config_key
from hpsearch.core.transfer import Axis, Observation, Transferred
from hpsearch.core.trial import Trial
from hpsearch.core.words import closest, did_you_mean, listed
from hpsearch.errors import SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search.first_trials import nearest
from hpsearch.spec import StudySpec, sqlite_path
from hpsearch.tuners.base import TunerProvider
from hpsearch.tuners.other_study import OtherStudy
from hpsearch.tuners.outcome import has_diverged, score_of

CONFIGS = 3
"""Configs of the other study that are trained first. If it misleads, these are the trials that it costs."""

_APART = 0.25
"""Share of a range by which they differ in one hyperparameter at least: neighbours say the same thing twice."""

_MOST = 100
"""Observations that are taken: the best half of them, and the latest."""

_LONGEST = 40
"""Characters of a value in a sentence."""


def other_study(spec: StudySpec) -> StudyRecord | None:
    """The study that ``[search] from`` names, as it stands; None if the file names none.

    Raises:
        SpecError: The ledger has none of that name, it has no complete trial, or it is a null search.
        LedgerError: The ledger or the study cannot be read.
    """
    name = spec.search.from_study
    if name is None:
        return None
    uri = spec.tracking.resolved().ledger
    is_there = (path := sqlite_path(uri)) is None or path.exists()
    names = [one for one in Ledger(uri).names() if one != spec.name] if is_there else []
    if name not in names:
        raise SpecError(
            f"search.from: no study {name!r} in the ledger{did_you_mean(name, names)}; "
            f"it has {listed(names, most=10) or 'no other studies'}",
            code="unknown-study",
            hint="`hpsearch list` shows what is there",
            key="search.from",
            study=name,
            closest=closest(name, names),
        )
    record = Ledger(uri).load(name)
    if record.spec.is_null:
        raise SpecError(
            f"search.from: study {name!r} is a null search, with permuted targets: its best configs are best by chance",
            code="from-null-search",
            hint="name another study, or remove `from`",
            key="search.from",
            study=name,
        )
    if record.best is None:
        counts = ", ".join(f"{n} {state}" for state, n in record.counts.items()) or "no trials"
        raise SpecError(
            f"search.from: study {name!r} has no complete trial to begin with ({counts})",
            code="no-complete-trial",
            hint=f"`{record.command('show')}` shows why; name another study, or remove `from`",
            key="search.from",
            study=name,
            counts={state.value: n for state, n in record.counts.items()},
        )
    return record


def take(other: StudyRecord, spec: StudySpec, space: Space) -> Transferred:
    """What a study takes from another one.

    Args:
        other: The other study.
        spec: The file of the study that begins.
        space: Its space.

    Raises:
        SpecError: The two search no hyperparameter in common.
    """
    theirs, ours = other.space.searched(), space.searched()
    common = [name for name in theirs if name in ours]
    if not common:
        raise SpecError(
            f"search.from: study {other.name!r} and this one search no hyperparameter in common: it searches "
            f"{listed(theirs, most=20)}; this one {listed(ours, most=20) or 'none'}",
            code="nothing-in-common",
            hint="remove `from`, or name a study of a similar model",
            key="search.from",
            study=other.name,
            theirs=tuple(theirs),
            ours=tuple(ours),
        )
    trials = [one for one in other.trials if score_of(one) is not None or has_diverged(one)]
    axes = _axes(other, space, trials)
    names = {axis.name for axis in axes}
    provider = TUNERS.load_class(spec.search.tuner, TunerProvider)
    taken = Transferred(
        study=other.name,
        metric=other.objective.metric,
        direction=other.objective.direction,
        trials=len(other.ranked),
        axes=axes,
        observations=tuple(
            Observation({name: value for name, value in one.config.items() if name in names}, score_of(one))
            for one in _best_and_latest(other, trials)
        ),
        dropped=tuple(name for name in theirs if name not in ours),
        opened=tuple(name for name in ours if name not in theirs),
        model=spec.search.algorithm in provider.learn_from_others,
    )
    return _with_configs(taken, space)


def doubts_about(taken: Transferred, other: StudyRecord, spec: StudySpec, data: DataFacts) -> Sequence[str]:
    """What the user should know about what was taken, one sentence each."""
    found = []
    if not taken.configs:
        found.append(f"search.from: this space has no value of the best configs of study {other.name!r}")
    if spec.scores_in_other_units(other.spec):
        found.append(
            f"search.from: the losses of study {other.name!r} are in other units, because only one of both has "
            "standardize_targets; its configs can be compared all the same, its scores cannot"
        )
    if not taken.model:
        search = spec.search
        found.append(
            f"search.from: {search.tuner} {search.algorithm} trains the best configs of study {other.name!r} first and "
            'cannot use its other results; algorithm = "bayesian" of hpsearch can'
        )
    if data.test_rows and _split(other.spec) != _split(spec) and other.spec.data.source == spec.data.source:
        found.append(
            f"search.from: study {other.name!r} split the same data source in another way, so it may have searched on "
            "rows that are test rows here: the test score may flatter"
        )
    return found


def _split(spec: StudySpec) -> tuple[object, ...]:
    """What decides which rows are held out."""
    data = spec.data
    return spec.seed, data.test_fraction, data.max_rows, data.group, data.time, spec.validation.outer


def _best_and_latest(other: StudyRecord, trials: Sequence[Trial]) -> Sequence[Trial]:
    if len(trials) <= _MOST:
        return trials
    best = {one.number for one in other.ranked[: _MOST // 2]}
    rest = [one for one in trials if one.number not in best]
    return sorted([*(one for one in trials if one.number in best), *rest[len(best) - _MOST :]], key=lambda t: t.number)


def _axes(other: StudyRecord, space: Space, trials: Sequence[Trial]) -> tuple[Axis, ...]:
    """An axis for every hyperparameter that the other study has searched, wide enough for both spaces."""
    found = []
    for name in other.space.searched():
        tried = [one.config[name] for one in (*other.ranked, *trials) if name in one.config]
        found.append(_axis(name, [one[name] for one in (other.space, space) if name in one], tried))
    return tuple(found)


def _axis(name: str, parameters: Sequence[Parameter], tried: Sequence[Value] = ()) -> Axis:
    """An axis on which these ranges and lists lie, and the values that were tried, the best one first."""
    usual = tried[0] if tried else None
    values = [*(one for parameter in parameters for one in _ends(parameter)), *tried]
    numbers = [float(one) for one in values if not isinstance(one, bool | str)]
    if len(numbers) < len(values):
        return Axis(name, tuple({config_key({"": one}): one for one in values}.values()), usual=usual)
    low, high = min(numbers), max(numbers)
    return Axis(name, (), low, high, low > 0 and any(map(_is_log, parameters)), usual)


def _ends(parameter: Parameter) -> Sequence[Value]:
    """The values that say what a hyperparameter can be: all of a list, both ends of a range."""
    return (parameter.low, parameter.high) if isinstance(parameter, Float | Int) else parameter.values()


def _is_log(parameter: Parameter) -> bool:
    """Whether equal steps are equal ratios. Listed numbers do not say so: their steps must show it."""
    if isinstance(parameter, Float | Int):
        return parameter.log
    numbers = sorted(float(one) for one in parameter.values() if not isinstance(one, bool | str))
    if len(numbers) < 3 or numbers[0] <= 0:
        return False
    steps = [after - before for before, after in pairwise(numbers)]
    ratios = [after / before for before, after in pairwise(numbers)]
    return max(ratios) / min(ratios) < max(steps) / min(steps)


def _with_configs(taken: Transferred, space: Space) -> Transferred:
    """With the configs that the other study believes to be the best: a few, and no neighbours."""
    configs = [one.config for one in taken.observations]
    # What its model believes, not what it saw: of noisy scores the largest is the luckiest.
    believed = OtherStudy(taken).expects(configs)
    common = [_axis(axis.name, [space[axis.name]]) for axis in taken.axes if axis.name in space.searched()]
    chosen: list[_Fitted] = []
    for i in sorted(range(len(configs)), key=lambda i: (-believed[i], i)):
        found = _fit(configs[i], space)
        if len(chosen) < CONFIGS and all(_apart(common, found.config, one.config) >= _APART for one in chosen):
            chosen.append(found)
    return replace(
        taken,
        configs=tuple(one.config for one in chosen if one.config),
        moved=tuple(dict.fromkeys(text for one in chosen for text in one.moved)),
        left_out=tuple(dict.fromkeys(text for one in chosen for text in one.left_out)),
    )


def _apart(axes: Sequence[Axis], one: Config, other: Config) -> float:
    pairs = (zip(axis.place(one), axis.place(other), strict=True) for axis in axes)
    return max((abs(a - b) for pair in pairs for a, b in pair), default=0.0)


@dataclass
class _Fitted:
    """A config of another study in this space; see :class:`Transferred`."""

    config: dict[str, Value] = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def _fit(config: Config, space: Space) -> _Fitted:
    """Numbers move to the nearest value that the space has. Names that it does not have are left out."""
    found = _Fitted()
    for name in space.searched():
        if name not in config:
            continue
        value, near = config[name], nearest(space[name], config[name])
        if not space[name].contains(near) or (
            near != value and (isinstance(value, bool | str) or isinstance(near, bool | str))
        ):
            found.left_out.append(f"{name} {str(value)[:_LONGEST]}")
            continue
        if not space[name].contains(value):
            found.moved.append(f"{name} {value:.4g} to {near:.4g}")
        found.config[name] = near
    return found
