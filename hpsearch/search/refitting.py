"""Trains trials of a study again: on all development rows, as its champion is."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from hpsearch.core.addresses import AnyUri
from hpsearch.core.callbacks import RATE
from hpsearch.core.trial import Trial
from hpsearch.errors import StudyError
from hpsearch.ledger.record import StudyRecord
from hpsearch.search.changes import check_data
from hpsearch.search.preparation import open_executor
from hpsearch.training.protocol import RefitOrder, ToRefit, WorkerProtocol


def to_refit(trial: Trial) -> ToRefit:
    """A scored trial, to be trained to the epoch of its score, or the median over folds that ended apart."""
    rates = [tuple(fold.curves.get(RATE, ())) for fold in trial.folds]
    return ToRefit(
        trial.number,
        dict(trial.config),
        trial.refit_epochs,
        fold_epochs=tuple(trial.epoch_of(fold) for fold in trial.folds),
        rates=_medians(rates) if all(rates) else (),
        fold_rates=tuple(rates) if all(rates) else (),
    )


def _medians(rates: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The median learning rate of each epoch over folds; those that have ended keep their last one."""
    epochs = max(map(len, rates), default=0)
    return tuple(median(one[min(epoch, len(one) - 1)] for one in rates) for epoch in range(epochs))


def refit_trials(record: StudyRecord, ledger_uri: AnyUri, trials: Sequence[Trial], folder: Path) -> list[Path]:
    """Train each of these trials on all development rows. Nothing of it is entered anywhere.

    Args:
        record: The study.
        ledger_uri: Where its ledger is.
        trials: Some of its trials.
        folder: For the models.

    Returns:
        Their files, in the order of `trials`.

    Raises:
        StudyError: A trial has no score, and so no number of epochs.
        LedgerError: The study's data have changed.
        HpsearchError: The model cannot be trained or saved.
    """
    for trial in trials:
        if trial.epoch is None:
            raise StudyError(
                f"trial {trial.number} of study {record.name!r} is {trial.state}, so it has no best epoch to train to",
                code="trial-without-score",
                hint="take a complete trial",
                study=record.name,
                trial=trial.number,
            )
    with open_executor(record.worker_spec, record.facts.backend, ledger=ledger_uri, note=warnings.warn) as executor:
        executor.fingerprint = record.facts.data.fingerprint
        check_data(record, executor.call(WorkerProtocol.describe_data).fingerprint)
        orders = [RefitOrder((to_refit(trial),), folder / str(trial.number)) for trial in trials]
        return [executor.call(WorkerProtocol.refit_model, order) for order in orders]
