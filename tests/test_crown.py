"""Champions that are chosen by hand: what is refused, what is kept, and what later starts make of them; no Keras."""

from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch import study
from hpsearch.core.trial import Failure, FailureKind, TrialState
from hpsearch.errors import LedgerError, StudyError
from hpsearch.ledger import workspace
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.ledger.store import Ledger
from hpsearch.search.crowning import check_crown, crowned_spec
from hpsearch.search.session import has_wanted_champion
from hpsearch.spec import ChampionSection, OuterSection
from hpsearch.testing.factories import make_champion, make_record, make_trial
from tests.test_study import Executor, Listening, begun, write  # noqa: F401 - a fixture


@pytest.fixture
def finished(begun: Ledger) -> study.Study:  # noqa: F811 - the fixture
    return study.resume("synthetic", ledger=begun.uri)


def other_than_best(found: study.Study) -> int:
    return found.record.ranked[2].number


def test_a_crowned_trial_is_the_champion_in_the_ledger_with_date_and_note(finished: study.Study) -> None:
    winner, chosen = finished.best.number, other_than_best(finished)
    champion = finished.crown(chosen)
    assert (champion.trial, finished.champion) == (chosen, champion)
    read = study.load("synthetic", ledger=finished.ledger_uri)
    assert read.champion == champion
    assert read.champion.crowned > read.record.created
    assert read.champion.rechosen, "the winner's test score was known"
    assert read.champion.seal
    assert read.record.state is StudyState.FINISHED
    assert read.best.number == winner, "the ranking stays what it is"
    (note,) = [one for one in read.record.notes if "by hand" in one]
    assert note.startswith(f"trial {chosen} was made the champion by hand on 20")
    assert note.endswith(f", in place of trial {winner}; its test score was known by then")
    report = (read.folder / "report.html").read_text()
    assert f"Trial {chosen} was made the champion by hand on" in report


def test_a_trial_is_taken_for_its_number(finished: study.Study) -> None:
    assert finished.crown(finished.record.ranked[1]).trial == finished.record.ranked[1].number


def test_resume_keeps_a_crowned_champion_and_says_so_if_the_search_has_a_better_one(finished: study.Study) -> None:
    chosen = other_than_best(finished)
    crowned = finished.crown(chosen)
    again = study.resume("synthetic", ledger=finished.ledger_uri)
    assert replace(again.champion, model_uri="") == replace(crowned, model_uri="")
    heard = Listening()
    longer = study.resume("synthetic", ledger=finished.ledger_uri, trials=8, observer=heard)
    assert len(longer.trials) == 8
    assert replace(longer.champion, model_uri="") == replace(crowned, model_uri="")
    (said,) = [one for one in heard.said if one.startswith("the champion stays")]
    assert f"the champion stays trial {chosen}, which was chosen by hand on" in said
    assert f"`hpsearch crown synthetic {longer.best.number} --ledger" in said
    assert said in longer.record.notes


def test_run_with_another_kind_in_the_file_keeps_a_crowned_champion(finished: study.Study, tmp_path: Path) -> None:
    chosen = other_than_best(finished)
    before = finished.crown(chosen)
    path = tmp_path / "synthetic.toml"
    path.write_text(path.read_text() + '\n[champion]\nkind = "top-2"\n')
    changed = study.run(path)
    assert (changed.champion.trial, changed.champion.trials) == (chosen, (chosen,)), "not a mean of the best two"
    assert changed.champion.crowned == before.crowned


def test_a_crowned_champion_is_the_wanted_one_whatever_the_study_file_asks_for() -> None:
    trials = [make_trial(0), make_trial(1)]
    record = study_of(*trials, champion=make_champion(trials[1]))
    for kind in ("folds", "top-2"):
        wanted = record.spec.model_copy(update={"champion": ChampionSection(kind=kind)})
        changed = replace(record, spec=wanted)
        assert not has_wanted_champion(changed)
        assert has_wanted_champion(replace(changed, champion=replace(record.champion, crowned=1.0)))


def test_the_searchs_winner_can_be_crowned_back(finished: study.Study) -> None:
    winner = finished.best.number
    finished.crown(other_than_best(finished))
    assert finished.crown(winner).trial == winner
    assert finished.champion.crowned is not None


def test_a_lost_file_is_made_again_of_the_crowned_trial(finished: study.Study, tmp_path: Path) -> None:
    chosen = other_than_best(finished)
    before = finished.crown(chosen)
    (tmp_path / "champion.keras").unlink()
    after = study.resume("synthetic", ledger=finished.ledger_uri).champion
    assert (after.trial, after.crowned) == (chosen, before.crowned)
    assert (tmp_path / "champion.keras").exists()


def test_what_goes_wrong_leaves_the_study_as_it_was(finished: study.Study, monkeypatch) -> None:
    before = finished.champion

    def refuse(*_: object, **__: object) -> None:
        raise StudyError("the refit diverged")

    monkeypatch.setattr(Executor, "call", lambda self, method, *args: refuse() if method.__name__ == "refit"
                        else make_data(self) if method.__name__ == "describe_data" else None)  # fmt: skip
    with pytest.raises(StudyError, match="the refit diverged"):
        finished.crown(other_than_best(finished))
    read = study.load("synthetic", ledger=finished.ledger_uri)
    assert read.record.state is StudyState.FINISHED
    assert read.champion.trial == before.trial
    assert read.champion.crowned is None


def make_data(executor: Executor) -> object:
    from hpsearch.spec import load_spec
    from hpsearch.testing.synthetic import make_record as synthetic

    return synthetic(load_spec(executor.folder / "synthetic.toml")[0]).facts.data


def test_an_interrupted_study_can_have_a_champion_and_still_goes_on(begun: Ledger) -> None:  # noqa: F811
    stopped = study.load("synthetic", ledger=begun.uri)
    assert stopped.record.state is StudyState.INTERRUPTED
    chosen = next(one.number for one in stopped.record.ranked if one.number != stopped.champion.trial)
    stopped.crown(chosen)
    assert stopped.record.state is StudyState.INTERRUPTED
    ended = study.resume("synthetic", ledger=begun.uri)
    assert (len(ended.trials), ended.record.state, ended.champion.trial) == (6, StudyState.FINISHED, chosen)


def test_a_study_that_is_driven_is_refused(finished: study.Study) -> None:
    with workspace.driving(finished.ledger_uri, "synthetic"), pytest.raises(LedgerError) as caught:
        finished.crown(other_than_best(finished))
    assert caught.value.code == "ledger.study-taken"


def infeasible(number: int, *, trained: bool) -> object:
    failure = Failure(FailureKind.INFEASIBLE, "9,000 parameters, at most 500")
    one = replace(make_trial(number), state=TrialState.INFEASIBLE, failure=failure, measured={"parameters": 9000.0})
    return one if trained else replace(one, score=None, folds=())


def study_of(*trials: object, **changes: object) -> StudyRecord:
    return make_record(trials, state=StudyState.FINISHED, **changes)


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (9, "study.no-such-trial", "has no trial 9"),
        (1, "study.trial-not-complete", "trial 1 of study 'digits' is pruned: only a trial with a score of all folds"),
        (2, "study.trial-not-complete", "trial 2 of study 'digits' is failed"),
        (3, "study.trial-not-complete", "trial 3 of study 'digits' is infeasible (9,000 parameters, at most 500)"),
        (0, "study.champion-already", "trial 0 is the champion of study 'digits' already"),
    ],
)
def test_a_trial_that_cannot_be_the_champion_is_refused(number: int, code: str, said: str) -> None:
    trials = (make_trial(0), make_trial(1, TrialState.PRUNED), make_trial(2, TrialState.FAILED),
              infeasible(3, trained=False), infeasible(4, trained=True))  # fmt: skip
    record = study_of(*trials, champion=make_champion(trials[0]))
    with pytest.raises(StudyError) as caught:
        check_crown(record, number)
    assert caught.value.code == code
    assert said in caught.value.what
    assert caught.value.hint
    assert check_crown(record, 4).number == 4, "one that breaks a limit may be, if it was trained"


def test_null_searches_and_outer_folds_have_no_champion_by_hand() -> None:
    record = study_of(make_trial(0))
    for change, said in (({"null": 0}, "a null search"), ({"outer": OuterSection(folds=3, index=0)}, "an outer fold")):
        validation = record.spec.validation.model_copy(update=change)
        part = replace(record, spec=record.spec.model_copy(update={"validation": validation}))
        with pytest.raises(StudyError, match=said) as caught:
            check_crown(part, 0)
        assert caught.value.code == "study.no-crown-here"


@pytest.mark.parametrize(("kind", "made"), [("refit", "refit"), ("top-5", "refit"), ("folds", "folds")])
def test_one_trial_makes_one_model_or_the_mean_of_its_folds(kind: str, made: str) -> None:
    spec = make_record([make_trial(0)]).spec.model_copy(update={"champion": ChampionSection(kind=kind, compare=True)})
    assert crowned_spec(spec).champion_kinds == (made,)


def test_a_study_without_a_feasible_trial_ends_without_a_champion_and_can_get_one(begun: Ledger) -> None:  # noqa: F811
    limited = begun.load("synthetic").spec
    objective = limited.objective.model_copy(update={"at_least": {"val_accuracy": 0.9999}})
    spec = limited.model_copy(update={"objective": objective})
    begun.delete("synthetic")
    from hpsearch.testing.synthetic import make_record as synthetic

    begun.create(replace(synthetic(spec), study_file=Path("synthetic.toml").read_text()))
    with pytest.raises(StudyError) as caught:
        study.resume("synthetic", ledger=begun.uri)
    assert caught.value.code == "study.no-feasible-trial"
    found = study.load("synthetic", ledger=begun.uri)
    nearest = caught.value.values["trial"]
    assert (found.record.state, found.champion, found.best) == (StudyState.FAILED, None, None)
    assert "No trial keeps the limits" in (found.folder / "report.html").read_text()
    champion = found.crown(nearest)
    assert champion.rechosen is False, "no test score was known"
    assert found.record.state is StudyState.FINISHED
    assert any("although it breaks a limit (val_accuracy" in one for one in found.record.notes)
    again = study.resume("synthetic", ledger=begun.uri)
    assert again.champion.trial == nearest
