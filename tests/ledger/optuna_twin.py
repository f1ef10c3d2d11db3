"""Trials entered by the ledger, and the same ones entered by Optuna's own storage."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import optuna
from optuna.trial import FrozenTrial

from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.ledger import Ledger
from hpsearch.ledger.trial_writer import distribution_of, searched_values
from hpsearch.testing.synthetic import make_record, make_spec

MEANS = (0.1 + 0.2, math.nan, math.inf, -math.inf, -1e-320)
STATES = {
    TrialState.COMPLETE: optuna.trial.TrialState.COMPLETE,
    TrialState.PRUNED: optuna.trial.TrialState.PRUNED,
    TrialState.FAILED: optuna.trial.TrialState.FAIL,
}


def check_that_optuna_reads_its_own(ledger: Ledger) -> None:
    """Compare, through ``optuna.load_study``, what both have written into the ledger's database."""
    exact = not ledger.remarks  # Optuna's public interface takes no time for the end of a trial
    record = make_record(make_spec(ledger.uri, name="ours"))
    ledger.create(record)
    storage = optuna.storages.RDBStorage(ledger.uri.reveal())
    theirs = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "theirs")
    configs = [{name: p.values()[0] if p.values() else p.low for name, p in record.space.items()}] * len(STATES)
    for number, (state, config) in enumerate(zip(STATES, configs, strict=True)):
        trial = Trial(number, config, started=1_700_000_000.25)
        result = FoldResult(0, {"val_accuracy": MEANS}, started=1.0, seconds=2.0)
        score = None if state is TrialState.FAILED else 0.1 + number
        ledger.start_trial("ours", trial, record.space)
        ledger.add_fold("ours", number, result, 4321)
        done = replace(trial, state=state, folds=(result,), score=score, finished=1_700_000_009.5)
        ledger.finish_trial("ours", done, "val_accuracy")

        searched = searched_values(trial, record.space)
        distributions = {name: distribution_of(record.space[name]) for name in searched}
        template = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING, params=searched, distributions=distributions
        )
        template.datetime_start = datetime.fromtimestamp(trial.started)
        twin = storage.create_new_trial(theirs, template)
        for key, value in _trials(ledger, "ours")[number].user_attrs.items():
            storage.set_trial_user_attr(twin, key, value)
        for key, value in _trials(ledger, "ours")[number].system_attrs.items():
            storage.set_trial_system_attr(twin, key, value)
        for step, mean in enumerate(MEANS):
            storage.set_trial_intermediate_value(twin, step, mean)
        storage.set_trial_state_values(twin, STATES[state], None if score is None else [score])
    assert [_told(one) for one in _trials(ledger, "ours")] == [_told(one) for one in _trials(ledger, "theirs")]
    for one in _trials(ledger, "ours"):
        assert one.datetime_complete is not None
        assert (one.datetime_complete.astimezone(UTC).timestamp() == 1_700_000_009.5) == exact


def _trials(ledger: Ledger, name: str) -> list[FrozenTrial]:
    return optuna.load_study(study_name=name, storage=ledger.uri.reveal()).trials


def _told(trial: FrozenTrial) -> str:
    """All that Optuna tells of a trial but when it ended; as text, in which NaN is like NaN."""
    parts = (trial.number, trial.state, trial.values, trial.params, trial.distributions, trial.datetime_start)
    held = (trial.user_attrs, trial.system_attrs, trial.intermediate_values)
    return repr((*parts, *(sorted(one.items()) for one in held)))
