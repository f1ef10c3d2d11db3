"""Which lanes train next."""

import math
from collections.abc import Mapping, Sequence

from hpsearch.core.events import Lane
from hpsearch.core.trial import Trial
from hpsearch.search.results import Live


def next_lanes(
    live: Mapping[int, Live], trials: Sequence[Trial], *, idle: int, most: int, fold_by_fold: bool
) -> list[Lane]:
    """Missing lanes of the oldest trials: any lanes may share a bundle, and the engine sorts them by program.

    Args:
        live: Trials that train or wait.
        trials: All trials.
        idle: Places for bundles.
        most: Trials that may share a bundle.
        fold_by_fold: Whether the folds of a trial train one after the other.
    """
    waiting = sorted(
        number
        for number, one in live.items()
        if one.waiting and one.ending is None and not (fold_by_fold and one.training)
    )
    if waiting and live[waiting[0]].goes_alone:
        chosen = waiting[:1]
    else:
        fresh = [number for number in waiting if not live[number].goes_alone]
        chosen = fresh[: min(most, math.ceil(len(fresh) / idle))]
    return [
        Lane(number, fold, trials[number].config)
        for number in chosen
        for fold in sorted(live[number].waiting)[: 1 if fold_by_fold else None]
    ]
