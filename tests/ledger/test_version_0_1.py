"""Ledgers of hpsearch 0.1: read record by record as it read them itself, and written on."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.core.facts import NestedScores, StudyFacts
from hpsearch.core.schedule import Schedule
from hpsearch.core.trial import Failure, FailureKind, FoldResult, Trial, TrialState
from hpsearch.ledger import Ledger, StudyState
from hpsearch.ledger.places import study_folder
from hpsearch.testing.factories import make_champion

FIXTURES = Path(__file__).parents[1] / "fixtures"
WRITTEN = json.loads((FIXTURES / "ledger-0.1.json").read_text())
"""Per study, what hpsearch 0.1 read from its own ledger."""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.executescript((FIXTURES / "ledger-0.1.sql").read_text())
    connection.close()
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


@pytest.mark.parametrize("name", WRITTEN)
def test_a_study_reads_as_hpsearch_0_1_read_it(ledger: Ledger, name: str) -> None:
    record, written = ledger.load(name), WRITTEN[name]
    assert record.state == written["state"]
    trials = [[t.number, t.state, t.score, len(t.folds), dict(t.config)] for t in record.trials]
    assert trials == written["trials"]
    champion = record.champion
    found = None if champion is None else [champion.trial, champion.epochs, champion.model_uri]
    assert found == written["champion"]
    assert list(record.notes) == written["notes"]
    for trial in record.trials:
        assert [fold.fold for fold in trial.folds] == sorted(fold.fold for fold in trial.folds)
        assert all(fold.epochs > 0 for fold in trial.folds)
        assert (trial.failure is not None) == (trial.state not in (TrialState.COMPLETE, TrialState.RUNNING))


def test_every_study_of_the_ledger_is_compared(ledger: Ledger) -> None:
    assert ledger.names() == list(WRITTEN)
    fates = {trial.state for trial in ledger.load("every fate").trials}
    assert fates == set(TrialState) - {TrialState.INFEASIBLE}  # 0.1 had no limits


def test_the_facts_of_hpsearch_0_1_are_typed(ledger: Ledger) -> None:
    facts = ledger.load("flowers").facts
    assert (facts.data.n_folds, facts.data.rows, facts.data.test_rows) == (3, 120, 30)
    assert facts.data.input_shape == (4,)
    assert facts.data.classes == ("setosa", "versicolor", "virginica")
    assert (facts.schedule, facts.backend) == (Schedule(lag=7), "jax")
    assert (facts.plan.engine, facts.plan.trials_per_bundle) == ("fused", 8)
    assert facts.machine.versions["hpsearch"] == "0.1.0"
    assert facts.machine.device == "cpu: cpu"
    assert facts.host.cores == 2
    assert facts.compile_seconds == 29.24796461599982
    assert facts.nested is None
    facts = ledger.load("every fate").facts
    assert facts.compile_seconds == 1.5
    assert facts.nested == NestedScores("accuracy", (0.9, 0.91), (0.93, 0.92))


def test_failures_of_hpsearch_0_1_are_typed(ledger: Ledger) -> None:
    failed = {trial.state: trial.failure for trial in ledger.load("every fate").trials}
    assert failed[TrialState.DIVERGED] == Failure(FailureKind.DIVERGED, "loss is nan", fold=1, epoch=4)
    error = failed[TrialState.FAILED]
    assert error is not None
    assert error.traceback.startswith("Traceback")


def test_a_killed_study_of_hpsearch_0_1_can_be_written_on(ledger: Ledger) -> None:
    before = ledger.load("killed")
    running = [trial for trial in before.trials if trial.state is TrialState.RUNNING]
    assert len(running) == 8
    result = FoldResult(0, {"val_accuracy": (0.5, 0.75)}, started=5.0, seconds=1.5)
    ended = replace(
        running[0],
        state=TrialState.COMPLETE,
        folds=(result,),
        score=0.75,
        epoch=1,
        fold_scores=(0.75,),
        finished=9.0,
        parameters=412,
    )
    ledger.add_fold("killed", ended.number, result, 412)
    ledger.finish_trial("killed", ended, "val_accuracy")
    started = Trial(len(before.trials), before.trials[0].config, started=11.0)
    ledger.start_trial("killed", started, before.space)
    facts = replace(before.facts, compile_seconds=7.0)
    ledger.set_facts("killed", facts)
    champion = replace(make_champion(ended), mlflow_model="somewhere")
    ledger.set_champion("killed", champion)
    ledger.set_state("killed", StudyState.FINISHED)
    record = Ledger(ledger.uri).load("killed")
    untouched = [trial for trial in before.trials if trial.number != ended.number]
    assert [trial for trial in record.trials if trial.number not in (ended.number, started.number)] == untouched
    assert record.trials[ended.number] == ended
    assert record.trials[-1] == started
    assert (record.facts, record.state) == (facts, StudyState.FINISHED)
    # A champion's files are in its study's folder, wherever the ledger was when they were written.
    files = study_folder(ledger.uri, "killed")
    here = replace(champion, path=str(files / "champion.keras"), mlflow_model=str(files / "somewhere"))
    assert record.champion == here


def test_a_new_study_file_brings_a_study_of_hpsearch_0_1_to_the_present_form(ledger: Ledger) -> None:
    before = ledger.load("every fate")
    longer = before.spec.model_copy(update={"search": before.spec.search.model_copy(update={"trials": 50})})
    record = ledger.set_spec("every fate", longer)
    assert record == replace(before, spec=longer)
    assert isinstance(record.facts, StudyFacts)
    assert record.facts.nested is not None
