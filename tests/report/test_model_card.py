"""The champion's card."""

from dataclasses import replace

from hpsearch import analysis, report
from hpsearch.core.rehearsed import Baseline
from hpsearch.core.safe_text import for_markdown as text
from hpsearch.testing.searched import make_searched

from .evil import EVIL, artifacts, evil_record


def test_the_card_has_data_scores_limits_and_how_to_use_the_model() -> None:
    record = make_searched(12)
    card = report.model_card(record, report.ReportArtifacts())
    assert card.startswith(f"# Model card: {record.name}\n")
    headings = [line for line in card.splitlines() if line.startswith("## ")]
    assert headings == ["## Data", "## Scores", "## Limits", "## Use", "## Training", "## Made with"]
    assert f"the best of {len(record.ranked)} complete trials" in card
    assert record.champion.sha256 in card
    assert f"hpsearch predict {record.name} data.csv" in card
    assert "was not tested" in card


def test_no_text_of_a_user_becomes_markup() -> None:
    record = evil_record()
    outside = report.model_card(record, artifacts(record)).split("```")[::2]
    assert EVIL not in "".join(outside)


def test_the_card_says_what_the_verdict_says_first() -> None:
    record = make_searched(12)
    guessing = Baseline("the commonest class", 0.999, (0.999,) * 5)
    blind = replace(record, facts=replace(record.facts, baselines=(guessing,)))
    first = analysis.verdict_info(blind).sentences[0]
    assert "no better than" in first
    assert text(first) in report.model_card(blind, report.ReportArtifacts())
