"""The study's best score among those of searches with permuted targets."""

from dataclasses import replace

import pytest

from hpsearch.analysis import null_info, verdict_info
from hpsearch.core.facts import NullScores, StudyFacts
from hpsearch.report import content, markdown
from hpsearch.testing.factories import make_record, make_trials


def made():
    return make_record(make_trials(10))


def controlled(*scores: float, how: str = "", trials: int | None = None):
    record = made()
    null = NullScores(scores, record.spec.search.trials if trials is None else trials, how)
    return replace(record, facts=replace(record.facts, null=null))


def around(*steps: float) -> list[float]:
    """Scores that are so much better than the study's best."""
    record = made()
    sign = 1 if record.objective.direction == "maximize" else -1
    return [record.best.score + sign * step for step in steps]


@pytest.mark.parametrize(
    ("steps", "reached"),
    [((-0.1, -0.2, -0.3), 0), ((-0.1, 0.0, -0.3), 1), ((0.1, 0.0, -0.3), 2), ((0.1, 0.2, 0.3), 3)],
)
def test_the_p_value_counts_the_study_among_the_searches(steps: tuple[float, ...], reached: int) -> None:
    info = null_info(controlled(*around(*steps)))
    assert (info.reached, info.p) == (reached, (reached + 1) / 4)
    assert list(info.scores) == around(*sorted(steps, reverse=True))


def test_what_is_said_of_few_many_and_too_good_searches() -> None:
    few = " ".join(null_info(controlled(*around(-0.1, -0.2))).sentences)
    assert few.startswith("None of 2 searches with permuted targets scores as well as this one")
    assert "That is the least that 2 can show: 19 can show 0.05." in few
    enough = " ".join(null_info(controlled(*around(*[-0.1] * 19))).sentences)
    assert "(p = 0.05)" in enough
    assert "least" not in enough
    assert "may tell nothing" not in enough
    noise = " ".join(null_info(controlled(*around(0.1, -0.1, 0.2, 0.0), how="of whole groups")).sentences)
    assert noise.startswith("3 of 4 searches with permuted targets (of whole groups) score as well")
    assert "So the inputs may tell nothing about the targets." in noise
    one = null_info(controlled(*around(0.1))).sentences[0]
    assert one.startswith("The search with permuted targets scores as well as this one: its best val_accuracy is ")
    for said in (few, enough, noise):
        assert "a leak would look like skill" in said


def test_a_study_that_has_grown_since_says_so() -> None:
    said = null_info(controlled(*around(-0.1), trials=3)).sentences[-1]
    assert "3 trials each" in said
    assert "--null 1" in said
    assert not any("trials each" in one for one in null_info(controlled(*around(-0.1))).sentences)


def test_verdict_and_report_have_it_and_old_facts_do_not() -> None:
    record = controlled(*around(-0.1, -0.2))
    verdict = verdict_info(record)
    assert verdict.null == null_info(record)
    assert any("None of 2 searches" in sentence for sentence in verdict.sentences)
    assert "Best scores with permuted targets" in markdown.render_markdown(content.gather(record))
    facts = StudyFacts.from_json(record.facts.to_json())
    assert facts == record.facts
    older = {name: value for name, value in record.facts.to_json().items() if name != "null"}
    assert null_info(replace(record, facts=StudyFacts.from_json(older))) is None


def test_a_null_search_says_what_it_is() -> None:
    record = made()
    validation = record.spec.validation.model_copy(update={"null": 3})
    record = replace(record, spec=record.spec.model_copy(update={"validation": validation}), champion=None)
    assert verdict_info(record).sentences[0].startswith("This is a null search, with permuted targets: ")
    assert not any("refitted" in sentence for sentence in verdict_info(record).sentences)
