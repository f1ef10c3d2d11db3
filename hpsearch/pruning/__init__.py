"""When trials are stopped early: epoch by epoch, over all folds at once, by rules that see nothing but curves."""

from hpsearch.core.objective import Objective
from hpsearch.pruning.base import FoldCurves, Pruner
from hpsearch.pruning.halving import HalvingPruner
from hpsearch.pruning.median import MedianPruner
from hpsearch.pruning.racing import RacingPruner
from hpsearch.spec import PruningSection


def make_pruner(spec: PruningSection, objective: Objective, *, validation_ratio: float | None = None) -> Pruner | None:
    """The rule that a study file asks for.

    Args:
        spec: The ``[pruning]`` section.
        objective: What the study optimises; curves are of its metric.
        validation_ratio: Validation rows per training row of a fold, for `racing`; None for K plain folds, where it
            is ``1 / (K - 1)``. Repeated folds need it: from the number of lanes alone it would look too small.

    Returns:
        None for ``method = "none"``.
    """
    match spec.method:
        case "median":
            return MedianPruner(objective, min_epochs=spec.min_epochs, startup_trials=spec.startup_trials)
        case "successive-halving":
            return HalvingPruner(objective, min_epochs=spec.min_epochs, reduction_factor=spec.reduction_factor)
        case "racing":
            return RacingPruner(
                objective,
                min_epochs=spec.min_epochs,
                startup_trials=spec.startup_trials,
                confidence=spec.confidence,
                validation_ratio=validation_ratio,
            )
        case "none":
            return None


__all__ = ["FoldCurves", "HalvingPruner", "MedianPruner", "Pruner", "RacingPruner", "make_pruner"]
