"""Early stopping of trials: epoch by epoch, over all folds together, by rules that see only curves."""

from hpsearch.core.objective import Objective
from hpsearch.pruning.base import FoldCurves, Pruner
from hpsearch.pruning.halving import HalvingPruner
from hpsearch.pruning.median import MedianPruner
from hpsearch.pruning.racing import RacingPruner
from hpsearch.spec import PruningSection


def make_pruner(spec: PruningSection, objective: Objective, *, validation_ratio: float) -> Pruner | None:
    """The rule that a study file asks for.

    Args:
        spec: The ``[pruning]`` section.
        objective: What the study optimises. All curves are of its metric.
        validation_ratio: Validation rows per training row, as the study's data facts have it; `racing` needs it.

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
                validation_ratio=validation_ratio,
                min_epochs=spec.min_epochs,
                startup_trials=spec.startup_trials,
                confidence=spec.confidence,
            )
        case "none":
            return None


__all__ = ["FoldCurves", "HalvingPruner", "MedianPruner", "Pruner", "RacingPruner", "make_pruner"]
