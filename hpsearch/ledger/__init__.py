"""The ledger: one Optuna storage that alone rebuilds every study."""

from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger

__all__ = ["Ledger", "StudyRecord", "StudyState"]
