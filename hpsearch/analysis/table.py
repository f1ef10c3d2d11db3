"""All trials as one table."""

from typing import TYPE_CHECKING

from hpsearch.ledger.record import StudyRecord

if TYPE_CHECKING:
    import pandas as pd


def trials_table(record: StudyRecord) -> "pd.DataFrame":
    """One row per trial.

    Columns: number, state, score, std, epoch, seconds, parameters, failure, ``config.*``, and fold scores in
    ``fold_0``, ``fold_1`` … In a study with limits also ``limited.*``, what they are on, and ``violation``: by how much
    they are broken, 0 if they are kept.
    """
    import pandas as pd

    rows, constraints = [], record.objective.constraints
    for trial in record.trials:
        row: dict[str, object] = {"number": trial.number, "state": trial.state.value}
        row |= {name: getattr(trial, name) for name in ("score", "std", "epoch", "seconds", "parameters")}
        row["failure"] = None if trial.failure is None else trial.failure.message
        row |= {f"config.{name}": trial.config.get(name) for name in record.space}
        row |= {f"fold_{i}": value for i, value in trial.scores_by_fold(record.objective.metric).items()}
        if constraints and trial.state.finished:
            row |= {f"limited.{name}": trial.measured.get(name) for name in constraints.quantities}
            row["violation"] = constraints.violation(trial.measured) if trial.measured else None
        rows.append(row)
    return pd.DataFrame(rows)
