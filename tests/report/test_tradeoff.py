"""Limits, Pareto fronts and champions by hand in the report, the terminal and the model card."""

import json
import re
from dataclasses import replace

import pytest

from hpsearch.analysis import pareto_info
from hpsearch.errors import StudyError
from hpsearch.report import ReportArtifacts
from hpsearch.report.console import make_console
from hpsearch.report.content import gather, plain
from hpsearch.report.markdown import render_markdown
from hpsearch.report.model_card import model_card
from hpsearch.report.page import render_page
from hpsearch.report.pareto_figures import pareto
from hpsearch.report.terminal import pareto as terminal_pareto
from hpsearch.testing.factories import make_champion, make_record
from tests.analysis.test_pareto import limited, study, trial


def text_of(renderable: object) -> str:
    console = make_console()
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def section(page: str) -> str:
    return re.search(r'<section id="tradeoff">(.*?)</section>', page, re.DOTALL)[1]


def test_the_page_draws_the_front_the_limits_and_infeasible_trials_in_grey() -> None:
    page = section(render_page(gather(study())))
    assert "parameters at most 500" in page
    assert "1 infeasible trial, the nearest first" in page
    drawn = re.search(r'data-figure="figure-pareto_parameters">(.*?)</script>', page, re.DOTALL)[1]
    figure = json.loads(drawn)
    traces = {one["name"]: one for one in figure["data"]}
    assert traces["Pareto front"]["x"] == [50, 100, 300]
    assert (traces["infeasible"]["x"], traces["infeasible"]["marker"]["color"]) == ([9000], "#c5cbd5")
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [500]
    assert "at most 500" in drawn


def test_a_limit_on_the_score_is_a_line_too() -> None:
    record = limited(*(trial(n) for n in range(4)), at_least={"val_accuracy": 0.8})
    info = pareto_info(record)
    shapes = pareto(info, info.fronts[0]).layout.shapes
    assert [shape.y0 for shape in shapes] == [0.8]


def test_without_a_front_the_page_and_markdown_say_why_and_draw_nothing() -> None:
    record = make_record([trial(0), trial(1)])
    page, markdown = render_page(gather(record)), render_markdown(gather(record))
    reason = "only 2 trials have a score and a size, and a plot needs 3"
    assert f"There is no Pareto front: {reason}." in section(page)
    assert "figure-pareto" not in page
    assert f"There is no Pareto front: {reason}." in markdown
    info = pareto_info(record)
    with pytest.raises(StudyError, match=reason):
        pareto(info, info.fronts[0])
    assert f"no Pareto front: {reason}" in text_of(terminal_pareto(info))


def test_markdown_and_terminal_have_the_front_as_a_table() -> None:
    markdown = render_markdown(gather(study()))
    assert re.search(r"\| 4 \| 0\.7000 ± \S+ \| 50 \|", markdown)
    assert "| 5 | 0.9900 | 9,000 parameters, at most 500 |" in markdown
    shown = text_of(terminal_pareto(pareto_info(study())))
    assert re.search(r"^ +3 +0\.9500 ± \S+ +300 ", shown, re.MULTILINE)
    assert "limit: parameters at most 500" in shown
    assert "left out: 1 trial with a score that break" in shown


def test_all_of_it_is_json() -> None:
    found = plain(gather(study()))
    assert [one["trial"] for one in found["pareto"]["fronts"][0]["front"]] == [4, 0, 3]
    assert found["limits"]["infeasible"][0]["trial"] == 5


def test_page_markdown_and_card_say_that_a_champion_was_chosen_by_hand() -> None:
    champion = replace(make_champion(trial(3)), crowned=1_767_225_600.0, rechosen=True)
    record = replace(study(), champion=champion)
    said = "Trial 3 was made the champion by hand on 2026-01-01 00:00 UTC"
    page, markdown, card = (
        render_page(gather(record)),
        render_markdown(gather(record)),
        model_card(record, ReportArtifacts()),
    )
    assert said in page
    assert "Hyperparameters of trial 3, the champion chosen by hand" in page
    assert said in markdown
    assert "trial 3, the champion chosen by hand" in markdown
    assert said in card
    assert "It is trial 3, chosen by hand among 5 complete trials of a hyperparameter search" in card
    assert "as searched" not in card, "that score is the winner's"
    assert "not unbiased" in card
