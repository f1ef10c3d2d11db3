"""Reports: the same numbers in every format, no text of a user becomes markup, large studies stay small."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hpsearch import analysis, report
from hpsearch.analysis import words
from hpsearch.analysis.out_of_fold import row_scores
from hpsearch.core.out_of_fold import lane_file, predictions_folder
from hpsearch.core.rehearsed import Baseline
from hpsearch.core.safe_text import code_block
from hpsearch.core.safe_text import for_markdown as text
from hpsearch.core.trial import TrialState
from hpsearch.errors import SpecError
from hpsearch.report.content import gather, plain
from hpsearch.report.images import png
from hpsearch.report.markdown import render_markdown
from hpsearch.report.page import render_page
from hpsearch.testing.factories import make_record, make_trial, make_trials
from hpsearch.testing.searched import make_searched

from .evil import EVIL, IMAGE, artifacts, evil_record


class Scripts(HTMLParser):
    """Collects what a browser would take for scripts and handlers."""

    def __init__(self):
        super().__init__()
        self.kinds, self.handlers, self.outside = [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "script":
            self.kinds.append(attributes.get("type", "code"))
        self.handlers += [name for name in attributes if name.startswith("on")]
        self.outside += [v for name, v in attrs if name in ("src", "href") and not (v or "").startswith(("#", "data:"))]


def test_page_of_markup_has_no_script_but_its_own():
    record = evil_record()
    page = render_page(gather(record, artifacts(record, name=EVIL)), {0: IMAGE})
    found = Scripts()
    found.feed(page)
    assert found.kinds.count("code") == 2  # plotly.js and the page's own
    assert set(found.kinds) == {"code", "application/json"}
    assert found.handlers == []
    assert found.outside == []
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_markdown_of_markup_has_none_outside_code():
    record = evil_record()
    rendered = render_markdown(gather(record, artifacts(record, name=EVIL)))
    prose = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", rendered, flags=re.DOTALL | re.MULTILINE)
    assert EVIL in rendered
    assert "&lt;script&gt;" in prose
    assert "<" not in prose


def test_markdown_escapes():
    assert text("a|b *c* [d](e)\n`f` & <g>") == "a\\|b \\*c\\* \\[d\\](e) \\`f\\` &amp; &lt;g&gt;"
    assert code_block("x ``` y") == "````\nx ``` y\n````"


def test_every_format_shows_the_same_numbers(tmp_path):
    record = make_searched(20)
    given = artifacts(record)
    data = json.loads(report.write(record, tmp_path, given, format="json").read_text(encoding="utf-8"))
    page = report.write(record, tmp_path, given).read_text(encoding="utf-8")
    markdown = report.write(record, tmp_path, given, format="md").read_text(encoding="utf-8")
    assert data["verdict"]["score"] == record.best.score
    assert len(data["leaderboard"]["rows"]) == len(record.ranked)
    assert data["leaderboard"]["rows"][0]["fold_scores"] == list(record.best.fold_scores)
    assert data["predictions"]["n_rows"] == 60
    for sentence in data["verdict"]["sentences"]:
        assert sentence in page
        assert text(sentence) in markdown
    shown = re.search(r"overstates its score by about ([\d.]+)", page)[1]
    assert float(shown) == pytest.approx(data["optimism"]["optimism"], abs=1e-4)
    assert page.count('<img src="data:image/png;base64,') == 20


def test_json_has_no_nan():
    assert json.dumps(plain({"a": (float("nan"), 1.5, np.float64("inf")), "b": TrialState.FAILED})) == (
        '{"a": [null, 1.5, null], "b": "failed"}'
    )
    with pytest.raises(TypeError, match="but got set"):
        plain({1})


@pytest.mark.parametrize(
    ("trials", "says"),
    [
        ((), "No trial has started yet."),
        ((make_trial(0, TrialState.RUNNING),), "No trial is complete, so there is no winner: 1 running."),
        ((make_trial(0, TrialState.FAILED), make_trial(1, TrialState.DIVERGED)), "1 diverged and 1 failed"),
        ((make_trial(0),), "There is no other trial to compare with."),
        (make_trials(3, folds=1), "a single validation split has no spread"),
        (make_trials(3, epochs=1), "Too few epochs (1) to show a trend."),
    ],
)
def test_reports_of_studies_with_few_results_say_so(trials, says):
    content = gather(make_record(trials))
    assert says in render_page(content)
    assert render_markdown(content).startswith("# digits")
    json.dumps(plain(content), allow_nan=False)


def test_losses_that_are_not_finite_do_not_stop_a_report():
    trials = list(make_trials(12))
    fold = trials[0].folds[0]
    broken = replace(fold, curves={**fold.curves, "val_loss": (float("nan"),) * fold.epochs})
    trials[0] = replace(trials[0], folds=(broken, *trials[0].folds[1:]))
    trials[1] = replace(trials[1], score=float("inf"))
    page = render_page(gather(make_record(trials)))
    assert f"Trial {trials[1].number} is the best" in page


def test_regression_report_shows_residuals():
    record = make_searched(15, regression=True)
    truth = np.linspace(0, 100, 50)
    given = report.ReportArtifacts(analysis.Predictions(truth, truth + 2, np.arange(50)))
    page = render_page(gather(record, given))
    assert 'id="figure-test_values"' in page
    assert 'id="figure-test_residuals"' in page
    assert "Prediction minus truth: 2.000 on average" in page


def kept_of(record, *, repeats=1):
    """Predictions of the best trial's folds, of ten classes, whose every tenth row is wrong; sure after each epoch."""
    best, rng, folds = record.best, np.random.default_rng(1), []
    for place, fold in enumerate(best.folds):
        rows = np.arange(30) + 30 * (place % (len(best.folds) // repeats))
        y = rng.integers(0, 10, 30)
        right = np.eye(10, dtype=np.float32)[np.where(rows % 10, y, (y + 1) % 10)]
        predicted = np.zeros((fold.epochs, 30, 10), dtype=np.float32)
        predicted[:, :, 0] = 1  # any other epoch would say 0 for all rows
        predicted[best.epoch - 1] = right
        folds.append(analysis.FoldPredictions(rows, y, predicted))
    return {best.number: folds}


def test_the_naive_forecast_is_said_to_know_targets_of_the_rows_that_are_scored():
    record = make_searched(12)
    given = replace(artifacts(record), out_of_fold=kept_of(record))
    before = Baseline("the target of the time step before", 0.5, (0.5,) * 5, looks_back=True)
    plain_page = render_page(gather(record, given))
    assert "learnt from the targets alone." in plain_page
    assert "naive forecast" not in plain_page
    timed = render_page(gather(replace(record, facts=replace(record.facts, baselines=(before,))), given))
    assert "targets alone; among them is the naive forecast, which knows" in timed
    assert "also within the validation rows." in timed


def test_the_searchs_own_predictions_are_shown_with_and_without_a_test_part():
    record = make_searched(12)
    given = replace(artifacts(record), out_of_fold=kept_of(record))
    both = gather(record, given)
    without = replace(record, facts=replace(record.facts, data=replace(record.facts.data, test_rows=0)))
    alone = gather(without, report.ReportArtifacts(out_of_fold=given.out_of_fold))
    for content in (both, alone):
        page, markdown = render_page(content), render_markdown(content)
        for rendered in (page, markdown):
            assert "The search's own predictions of 150 validation rows" in rendered.replace("&#39;", "'")
            assert "after epoch" in rendered
            assert "so this is a little too good" in rendered
        assert 'id="figure-search_confusion"' in page
        assert 'id="figure-search_calibration"' in page
        assert plain(content)["out_of_fold"]["trial"] == record.best.number
    assert 'id="figure-test_confusion"' in render_page(both)
    assert 'id="figure-test_confusion"' not in render_page(alone)
    assert "There are no predictions of held-out rows: there are no test rows." in render_page(alone)


def test_predictions_that_are_not_kept_are_said_to_be_missing_where_they_would_be():
    record = make_searched(12)
    for rendered in (render_page(gather(record)), render_markdown(gather(record))):
        assert f"the study's folder has none of trial {record.best.number}" in rendered.replace("&#39;", "'")
    tracking = record.spec.tracking.model_copy(update={"predictions": "none"})
    page = render_page(gather(replace(record, spec=record.spec.model_copy(update={"tracking": tracking}))))
    section = page[page.index('<section id="predictions">') :]
    assert "predictions = &#34;none&#34;; with &#34;top&#34;, the default, a study keeps" in section
    assert "figure-search" not in page


def test_the_expected_score_on_new_rows_has_a_tile():
    content = gather(make_searched(20))
    tiles = re.findall(r'<div class="card">.*?</div></div>', render_page(content))
    [tile] = [one for one in tiles if "expected on new rows" in one]
    assert words.number(content.optimism.corrected) in tile
    assert "corrected for picking the best of" in tile
    assert "range" not in tile, "the folds alone give no range"
    ranged = replace(content, optimism=replace(content.optimism, low=0.9, high=0.96))
    assert "95 % range 0.9000 to 0.9600; corrected for picking" in render_page(ranged)
    lone = gather(make_record((make_trial(0),)))
    assert "expected on new rows" not in render_page(lone), "nothing was picked"


def test_report_of_5000_trials_stays_below_8_mb_and_says_what_it_leaves_out(tmp_path):
    record = make_searched(5000, folds=3, epochs=6)
    path = report.write(record, tmp_path)
    page = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 8e6
    total = f"{len(record.ranked):,}"
    assert f"1,000 of {total} complete trials are shown" in page
    assert f"400 of {total} complete trials are shown" in page
    assert f"The best 25 of {total} complete trials" in page


def test_artifacts_are_read_back_and_missing_ones_have_a_reason(tmp_path):
    record = make_searched(12)
    layer = {"name": "a", "type": "Dense", "output_shape": "(4,)", "params": 8}
    card = {"sha256": record.champion.sha256, "layers": [layer]}
    (tmp_path / "champion.json").write_text(json.dumps(card))
    arrays = {"y_true": [1, 0], "y_pred": [0.9, 0.2], "rows": [0, 1], "samples": [IMAGE], "sample_rows": [1]}
    np.savez(tmp_path / "predictions.npz", **arrays)
    found = report.load_artifacts(record, tmp_path)
    assert found.missing == ""
    assert found.layers == (analysis.Layer("a", "Dense", "(4,)", 8),)
    assert list(found.predictions.samples) == [1]

    (tmp_path / "predictions.npz").write_bytes(b"not a zip file")
    damaged = report.load_artifacts(record, tmp_path)
    assert damaged.predictions is None
    assert "predictions.npz cannot be read" in damaged.missing

    (tmp_path / "inputs.npz").write_bytes(b"half a file")
    half = report.load_artifacts(record, tmp_path)
    assert half.inputs is None
    assert "inputs.npz cannot be read" in half.missing

    (tmp_path / "inputs.npz").unlink()
    (tmp_path / "predictions.npz").unlink()
    (tmp_path / "champion.json").unlink()
    gone = report.load_artifacts(record, tmp_path)
    assert "champion.json is missing (deleted?)" in render_page(gather(record, gone))

    (tmp_path / "champion.json").write_text(json.dumps({**card, "sha256": "other"}))
    assert "describes another model" in report.load_artifacts(record, tmp_path).missing


def test_what_cannot_be_written_has_a_code(tmp_path, monkeypatch):
    record = make_record()
    with pytest.raises(SpecError) as caught:
        report.write(record, tmp_path, format="docx")
    assert caught.value.code == "study-file.unknown-report-format"
    assert caught.value.values == {"format": "docx", "formats": ("html", "md", "pdf", "json")}
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError) as caught:
        report.write(record, tmp_path / "file", format="json")
    assert caught.value.code == "study-file.cannot-write"
    assert caught.value.values == {"path": str(tmp_path / "file" / "report.json")}
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("hpsearch.report.pdf.APPLICATIONS", ())
    with pytest.raises(SpecError) as caught:
        report.write(record, tmp_path, format="pdf")
    assert caught.value.code == "study-file.no-browser"
    assert "apt install chromium" in caught.value.hint


def test_pictures_for_mlflow(tmp_path):
    files = report.write_artifacts(make_searched(12), tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "report.html",
        "report.md",
        "pictures/curves.png",
        "pictures/importance.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files[2:])
    assert not list(tmp_path.rglob(".*"))


def test_png_is_what_an_imaging_library_reads():
    image = pytest.importorskip("matplotlib.image")
    import io

    colors = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(np.round(image.imread(io.BytesIO(png(colors))) * 255).astype(np.uint8), colors)
    grey = image.imread(io.BytesIO(png(np.linspace(-1, 1, 12).reshape(3, 4))))
    assert grey.min() == 0.0
    assert grey.max() == 1.0
    faint = image.imread(io.BytesIO(png(np.arange(17, dtype=np.uint8).reshape(1, 17))))  # digits go from 0 to 16
    assert faint.max() == 1.0
    with pytest.raises(ValueError, match=r"\(height, width, 1 or 3\), but got \(2, 2, 2\)"):
        png(np.zeros((2, 2, 2)))


def test_importing_the_package_draws_nothing():
    import subprocess
    import sys

    heavy = ("plotly", "jinja2", "matplotlib", "scipy", "optuna", "keras", "mlflow")
    code = f"import sys, hpsearch.report, hpsearch.report.terminal; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"


def test_the_winner_is_not_counted_among_its_ties() -> None:
    content = gather(make_searched(20))
    others = words.several(content.verdict.n_tied - 1, "other trial")
    for rendered in (render_page(content), render_markdown(content)):
        assert f"{others} {'are' if content.verdict.n_tied > 2 else 'is'} statistically tied with it" in rendered
        assert f"Of {content.leaderboard.total} complete trials" in rendered
        assert "statistically tied with the best" in rendered


def test_the_leaderboard_says_of_which_folds_its_scores_are():
    record = make_searched(12)
    trials = []
    for trial in record.trials:
        folds = [
            replace(fold, curves={name: curve for name, curve in fold.curves.items() if name != "val_accuracy"})
            if fold.fold == 1
            else fold
            for fold in trial.folds
        ]
        scores = (*trial.fold_scores[:1], *trial.fold_scores[2:])
        trials.append(replace(trial, folds=tuple(folds), fold_scores=scores))
    page = render_page(gather(replace(record, trials=tuple(trials))))
    assert "Fold scores are those of folds 0, 2, 3, 4." in page
    assert "Mean over the folds in which a metric has a value" in page


def test_predictions_of_trials_are_read_one_by_one_and_a_damaged_one_is_missing(tmp_path, monkeypatch):
    record = make_searched(12)
    number, *others = (trial.number for trial in record.ranked)
    folder = predictions_folder(tmp_path)
    for trial in record.ranked[:2]:
        for fold in trial.folds:
            path = lane_file(folder, trial.number, fold.fold)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, rows=np.arange(3), y=np.zeros(3), predicted=np.zeros((2, 3, 1)))
    read, load = [], np.load
    monkeypatch.setattr(np, "load", lambda path, **options: read.append(path) or load(path, **options))
    kept = report.load_artifacts(record, tmp_path).out_of_fold
    assert sorted(kept) == sorted([number, others[0]])
    assert not [path for path in read if path.is_relative_to(folder)]
    assert [one.predicted.shape for one in kept[number]] == [(2, 3, 1)] * len(record.ranked[0].folds)
    lane_file(folder, number, 0).write_bytes(b"PK")
    assert kept.get(number) is None
    assert row_scores(record.ranked, kept, record.objective.metric, last_epoch=False) is None


def test_kinds_of_champion_are_compared_where_they_were_trained() -> None:
    record = make_searched(10)
    assert "Kinds of champion" not in render_page(gather(record))
    test = dict(record.champion.test)
    compared = {"refit": test, "folds": {name: value + 0.0123 for name, value in test.items()}, "top-5": {}}
    champion = replace(record.champion, kind="folds", models=5, compared=compared)
    content = gather(replace(record, champion=champion))
    page, markdown = render_page(content), render_markdown(content)
    table = re.search(r"Kinds of champion</h3>(.*?)</table>", page, re.DOTALL)[1]
    assert re.findall(r"<tr><td>(\S+?)(?:</td>| <span)", table) == ["refit", "folds", "top-5"]
    assert table.count("(the champion)") == 1
    assert "| folds |" in markdown
    (said,) = [one for one in content.verdict.sentences if "reaches a test" in one]
    epochs = f"{champion.epochs} epochs"
    assert said.startswith(
        f"The champion, the mean of the 5 fold models of trial {champion.trial}, trained for {epochs},"
    )
    assert "For comparison: refit " in said
    assert said.endswith("and top-5 –.")
    assert "may be the best of several" not in said
    changed = gather(replace(record, champion=replace(champion, rechosen=True)))
    assert any(one.endswith("its score may be the best of several.") for one in changed.verdict.sentences)
