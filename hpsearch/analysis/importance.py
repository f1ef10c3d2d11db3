"""Which hyperparameters matter, and which cannot be told from chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis import words
from hpsearch.analysis.chance import MIN_ROWS, Column, Effect, effects, level_column, number_column
from hpsearch.core.seeds import derive
from hpsearch.core.space import Float, Int, Parameter
from hpsearch.core.trial import Trial
from hpsearch.ledger.record import StudyRecord

METHOD = "Smooth fits to the ranks of the scores, with a floor from permuted scores"
MAX_TRIALS = 250
"""Maximum number of complete trials; more are thinned out evenly by rank."""

UNTOLD = "cannot be told from chance"


@dataclass(frozen=True, slots=True)
class ImportanceRow:
    """What one hyperparameter explains beyond the rows above it that are `told`.

    Attributes:
        name: The hyperparameter.
        share: Part of the variance of the scores' ranks over all trials, less what chance explains on average. Shares
            need not sum to 1.
        floor: What chance alone reaches in 5 % of all studies; None if too few trials have the hyperparameter.
        told: Whether it can be told from chance: its share is above its floor.
        trials: Number of trials that have it. It is judged among these.
        conditional: Whether some trials do not have it.
    """

    name: str
    share: float
    floor: float | None
    told: bool
    trials: int
    conditional: bool

    @property
    def why(self) -> str:
        """What to say of it where it is not `told`."""
        return UNTOLD if self.floor is not None else f"only {words.several(self.trials, 'trial')} to judge it by"


@dataclass(frozen=True, slots=True)
class PairRow:
    """Two hyperparameters that act together: they explain more than each by itself, and more than chance.

    Attributes:
        names: The hyperparameters.
        share: As in :class:`ImportanceRow`.
        floor: Likewise.
        trials: Number of trials that have both.
    """

    names: tuple[str, str]
    share: float
    floor: float
    trials: int

    @property
    def label(self) -> str:
        return " × ".join(self.names)


@dataclass(frozen=True, slots=True)
class ImportanceBar:
    """One row of a picture or table: a hyperparameter or a pair, and its share in words."""

    label: str
    share: float
    floor: float | None
    text: str
    told: bool


@dataclass(frozen=True, slots=True)
class ImportanceInfo:
    """Hyperparameters that can be told from chance, most important first, then the others.

    Attributes:
        method: How they were judged.
        rows: First those that can be told from chance, most important first, then the others in the space's order;
            empty if there is a `reason`.
        pairs: Pairs that act together.
        reason: Why nothing was judged; empty otherwise.
        sentence: What follows, in words; empty if there is a `reason`.
        trials: Number of complete trials behind it.
    """

    method: str
    rows: tuple[ImportanceRow, ...]
    pairs: tuple[PairRow, ...]
    reason: str
    sentence: str
    trials: int

    @property
    def bars(self) -> tuple[ImportanceBar, ...]:
        """All rows as pictures and tables show them: those above their floor, then pairs, then the others."""
        told = [_bar(row.name, row.share, row.floor) for row in self.rows if row.told]
        pairs = [_bar(pair.label, pair.share, pair.floor) for pair in self.pairs]
        rest = [ImportanceBar(row.name, row.share, row.floor, row.why, False) for row in self.rows if not row.told]
        return (*told, *pairs, *rest)


def importance_info(record: StudyRecord) -> ImportanceInfo:
    """How much of the scores' variance each searched hyperparameter explains, beside what chance would explain.

    A conditional hyperparameter is judged only among the trials that have it. Constants are left out, and so is what
    has the same value in all complete trials. :func:`hpsearch.analysis.chance.effects` has the method and its sources;
    ``python -m benchmarks.importance`` measures it on spaces with known truth.
    """
    trials = [trial for trial in record.ranked if trial.score is not None and math.isfinite(trial.score)]
    names = varied(record, trials)
    reason = _reason(record, trials, names)
    if reason:
        return ImportanceInfo(METHOD, (), (), reason, "", len(trials))
    kept = _thin(trials)
    columns = [_column(record.space[name], kept, name) for name in names]
    scores = np.array([trial.score for trial in kept], dtype=float)
    found = effects(scores, columns, seed=derive(record.spec.seed, "importance"))
    rows = tuple(_row(effect, names, len(kept)) for effect in _in_order(found))
    pairs = tuple(
        PairRow((names[effect.columns[0]], names[effect.columns[1]]), effect.share, effect.floor, effect.rows)
        for effect in found
        if len(effect.columns) == 2
    )
    return ImportanceInfo(METHOD, rows, pairs, "", _sentence(rows, pairs), len(kept))


def _bar(label: str, share: float, floor: float | None) -> ImportanceBar:
    return ImportanceBar(label, share, floor, words.percent(share) if share >= 0.005 else "< 1 %", True)


def varied(record: StudyRecord, trials: Sequence[Trial]) -> list[str]:
    """The searched hyperparameters that have more than one value in these trials, in the space's order."""
    return [
        name
        for name in record.space.searched()
        if len({repr(trial.config[name]) for trial in trials if name in trial.config}) > 1
    ]


def _reason(record: StudyRecord, trials: Sequence[Trial], names: Sequence[str]) -> str:
    if len(trials) < MIN_ROWS:
        return f"it needs at least {MIN_ROWS} complete trials, but there are {len(trials)}"
    if not record.space.searched():
        return "all hyperparameters are constants"
    if not names:
        return "all complete trials have the same config"
    if len({trial.score for trial in trials}) == 1:
        return "all complete trials have the same score"
    return ""


def _thin(trials: list[Trial]) -> list[Trial]:
    """At most MAX_TRIALS of the ranked trials, taken evenly from the ranks, the best one included."""
    if len(trials) <= MAX_TRIALS:
        return trials
    return [trials[i * len(trials) // MAX_TRIALS] for i in range(MAX_TRIALS)]


def _column(parameter: Parameter, trials: Sequence[Trial], name: str) -> Column:
    values = [trial.config.get(name) for trial in trials]
    numbers = [math.nan if value is None or isinstance(value, str | bool) else float(value) for value in values]
    if isinstance(parameter, Float | Int) and sum(map(math.isnan, numbers)) == values.count(None):
        return number_column(np.array(numbers))
    # 1, 1.0 and True are different choices. Their texts differ.
    return level_column([None if value is None else repr(value) for value in values])


def _in_order(found: Sequence[Effect]) -> list[Effect]:
    """Those found first; then the others in the space's order, because theirs would come from chance."""
    singles = [effect for effect in found if len(effect.columns) == 1]
    return sorted(singles, key=lambda effect: (not effect.found, 0 if effect.found else effect.columns[0]))


def _row(effect: Effect, names: Sequence[str], total: int) -> ImportanceRow:
    floor = None if math.isnan(effect.floor) else effect.floor
    share = max(effect.share, 0.0)
    return ImportanceRow(names[effect.columns[0]], share, floor, effect.found, effect.rows, effect.rows < total)


def _sentence(rows: Sequence[ImportanceRow], pairs: Sequence[PairRow]) -> str:
    told, untold = [row.name for row in rows if row.told], [row.name for row in rows if not row.told]
    parts = []
    if told:
        parts.append(f"{words.joined(told)} {'matters' if len(told) == 1 else 'matter'}.")
    parts += [f"{pair.names[0]} and {pair.names[1]} act together." for pair in pairs]
    if not parts:
        return f"No hyperparameter {UNTOLD.replace('cannot', 'can')}."
    if untold:
        alone = " alone" if {name for pair in pairs for name in pair.names} & set(untold) else ""
        parts.append(f"Whether {words.joined(untold)} {'matters' if len(untold) == 1 else 'matter'}{alone} {UNTOLD}.")
    return " ".join(parts)
