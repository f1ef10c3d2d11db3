"""Pareto fronts and limits as plain numbers, and what is said of them."""

from dataclasses import replace

import pytest

from hpsearch.analysis import leaderboard_info, limits_info, pareto_info, trials_table, verdict_info
from hpsearch.core.trial import Failure, FailureKind, Trial, TrialState
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.spec.objective import ObjectiveSection
from hpsearch.testing.factories import make_champion, make_record, make_trial

SIZES = {0: (100, 0.90), 1: (400, 0.95), 2: (200, 0.89), 3: (300, 0.95), 4: (50, 0.70), 5: (9000, 0.99)}
"""Trial → number of weights, and score."""


def trial(number: int, *, state: TrialState = TrialState.COMPLETE, **changes: object) -> Trial:
    size, score = SIZES[number]
    made = replace(make_trial(number), state=state, score=score, parameters=size, measured={"parameters": float(size)})
    return replace(made, **changes)


def limited(*trials: Trial, state: StudyState = StudyState.FINISHED, **limits: dict[str, float]) -> StudyRecord:
    record = make_record(trials, state=state)
    objective = ObjectiveSection(
        metric="val_accuracy", direction="maximize", **(limits or {"at_most": {"parameters": 500}})
    )
    return replace(record, spec=record.spec.model_copy(update={"objective": objective}))


def too_large(number: int) -> Trial:
    return trial(
        number, state=TrialState.INFEASIBLE, failure=Failure(FailureKind.INFEASIBLE, "9,000 parameters, at most 500")
    )


def study() -> StudyRecord:
    return limited(*(trial(number) for number in range(5)), too_large(5))


def test_the_front_has_the_trials_that_no_other_one_beats_in_both() -> None:
    by_size, by_time = pareto_info(study()).fronts
    assert [one.trial for one in by_size.front] == [4, 0, 3], "1 is larger than 3 and no better; 2 loses to 0; 5 breaks"
    assert by_size.limit == 500
    assert by_time.limit is None
    assert by_size.sentence == (
        "3 trials of 5 are on the front: no other one is as small and scores as well. Trial 3 has the best "
        f"val_accuracy, 0.9500 ± {study().trials[3].std:.4f}, with 300 parameters; trial 4 reaches 0.7000 ± "
        f"{study().trials[4].std:.4f} with 50 parameters."
    )
    assert by_time.front[-1].score == 0.95
    seconds = [one.seconds for one in by_time.front]
    assert seconds == sorted(seconds)


def test_a_front_of_an_error_goes_down() -> None:
    record = study()
    objective = ObjectiveSection(metric="val_loss", direction="minimize")
    record = replace(record, spec=record.spec.model_copy(update={"objective": objective}))
    assert [one.trial for one in pareto_info(record).fronts[0].front] == [4]


def test_infeasible_trials_are_points_and_never_on_the_front() -> None:
    info = pareto_info(study())
    assert {one.trial: one.broken for one in info.points if not one.feasible} == {5: "9,000 parameters, at most 500"}
    untrained = replace(too_large(5), score=None, folds=())
    assert len(pareto_info(limited(*(trial(n) for n in range(5)), untrained)).points) == 5


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        ((), "no trial has a score and a size, and a plot needs 3"),
        ((trial(0),), "only 1 trial has a score and a size, and a plot needs 3"),
        ((trial(0), trial(1)), "only 2 trials have a score and a size, and a plot needs 3"),
        (
            tuple(trial(n, parameters=1234) for n in range(3)),
            "all trials have 1,234 parameters, so there is nothing to trade",
        ),
        ((too_large(0), too_large(1), too_large(2)), "no trial keeps the study's limits"),
    ],
)
def test_a_plot_that_would_show_nothing_is_words(trials: tuple[Trial, ...], reason: str) -> None:
    front = pareto_info(limited(*trials)).fronts[0]
    assert (front.reason, front.front, front.sentence) == (reason, (), "")


def test_trials_that_break_a_limit_are_neither_ranked_nor_compared() -> None:
    record = study()
    assert record.best.number == 1
    assert [row.trial for row in leaderboard_info(record).rows] == [1, 3, 0, 2, 4]
    verdict = verdict_info(record)
    assert verdict.winner == 1
    assert verdict.sentences[0].startswith("Trial 1 is the best of 5 complete trials")
    said = (
        "Limits: parameters at most 500; 1 trial breaks them and is neither ranked nor compared with the others. "
        "Trial 1 has parameters 400."
    )
    assert said in verdict.sentences


def test_without_limits_nothing_is_said_of_them() -> None:
    info = limits_info(make_record([trial(0)]))
    assert (info.rows, info.infeasible, info.sentences) == ((), (), ())


def test_a_latency_is_said_to_be_this_machines() -> None:
    measured = {"latency_ms": 1.5}
    record = limited(trial(0, measured=measured), at_most={"latency_ms": 2.0})
    assert (
        limits_info(record)
        .sentences[1]
        .startswith("Its latency was measured on the machine that trained it: it is noisy")
    )
    (row,) = limits_info(record).rows
    assert (row.text, row.winner, row.broken_by) == ("latency_ms at most 2", 1.5, 0)
    assert "predict_on_batch" in row.about


def test_if_none_keeps_the_limits_the_verdict_says_so_and_names_the_nearest() -> None:
    record = limited(too_large(5), replace(too_large(1), measured={"parameters": 600.0}), state=StudyState.FAILED)
    verdict = verdict_info(record)
    assert verdict.winner is None
    assert verdict.sentences == (
        "No trial keeps the limits (parameters at most 500), so there is no winner: 2 trials are infeasible. The "
        "nearest is trial 1: 9,000 parameters, at most 500.",
        "`hpsearch crown digits 1` makes trial 1 the champion all the same.",
    )


def test_the_table_of_trials_has_what_limits_are_on_and_by_how_much_they_are_broken() -> None:
    table = trials_table(study()).set_index("number")
    assert table.loc[5, "state"] == "infeasible"
    assert table.loc[5, "limited.parameters"] == 9000
    assert table.loc[5, "violation"] == pytest.approx(17.0)
    assert table.loc[1, "violation"] == 0
    assert "violation" not in trials_table(make_record([trial(0)]))


@pytest.mark.parametrize("rechosen", [True, False])
def test_a_champion_chosen_by_hand_is_said_to_be_one_with_date_and_what_its_test_is_worth(rechosen: bool) -> None:
    champion = replace(make_champion(trial(3)), crowned=1_767_225_600.0, rechosen=rechosen)
    verdict = verdict_info(replace(study(), champion=champion))
    assert (verdict.winner, verdict.crowned) == (1, 3)
    assert verdict.config == dict(trial(3).config)
    said = " ".join(verdict.sentences)
    assert "Trial 3 was made the champion by hand on 2026-01-01 00:00 UTC; the search's best is trial 1." in said
    assert ("so its own is not unbiased" in said) is rechosen
    assert ("No test score was known when it was chosen." in said) is not rechosen
    assert "This kind was asked for" not in said


def test_a_crowned_trial_that_breaks_a_limit_is_said_to() -> None:
    record = replace(study(), champion=replace(make_champion(trial(5)), crowned=1_767_225_600.0))
    assert "It breaks a limit of the study: 9,000 parameters, at most 500." in verdict_info(record).sentences
