"""Early stopping of trials: epoch by epoch over all folds together, by rules that see only curves, or fold by fold."""

from hpsearch.core.objective import Objective
from hpsearch.core.registries import PRUNERS
from hpsearch.pruning.base import FoldCurves, Pruner
from hpsearch.pruning.folds import fold_stop_reason
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
    if spec.method == "none":
        return None
    return PRUNERS.load_class(spec.method, Pruner).from_section(spec, objective, validation_ratio=validation_ratio)


__all__ = ["FoldCurves", "Pruner", "fold_stop_reason", "make_pruner"]
