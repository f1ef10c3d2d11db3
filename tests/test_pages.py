"""What users see in a real browser: MLflow's pages of a real study and of one with failed trials, and the report."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hpsearch.core.trial import Failure, FailureKind
from hpsearch.errors import SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.report.pdf import find_browser
from hpsearch.testing.browsing import new_page, opened_browser, served
from hpsearch.testing.synthetic import SyntheticExecutor
from hpsearch.tracking import sync
from hpsearch.tracking.mlflow.trial_view import run_name
from hpsearch.tracking.mlflow.ui import study_page
from tests.search.drive import drive

pytestmark = pytest.mark.slow

EVIL = "<script>alert(1)<img src=x onerror=alert(2)>"  # a name cannot contain a slash

STUDY = """
name = "flowers"
seed = 5
[data]
source = "sklearn:iris"
[validation]
folds = 3
[model]
family = "mlp"
layers = 1
[space]
learning_rate = { low = 0.005, high = 0.05, log = true }
dropout = { low = 0.0, high = 0.4, step = 0.1 }
units = 16
optimizer = "adam"
batch_size = 16
epochs = 4
[objective]
metric = "val_accuracy"
direction = "maximize"
[search]
trials = 4
[resources]
engine = "fused"
"""


@dataclass
class Site:
    """Two studies on one server: a finished one with real training, and one with failed, diverged and pruned trials."""

    flowers: StudyRecord
    evil: StudyRecord
    folder: Path
    server: str
    pages: dict[str, str]
    browser: Any

    def open(self, address: str, **options: Any) -> Any:
        """A page. ``page.alerts`` has the alerts that it shows, which only a foreign script would cause."""
        page = new_page(self.browser, **options)
        page.set_default_timeout(60_000)  # machines may be busy
        page.alerts = []
        page.on("dialog", lambda dialog: (page.alerts.append(dialog.message), dialog.dismiss()))
        page.goto(address if "://" in address else f"{self.server}/#{address}")
        return page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    import hpsearch

    try:
        find_browser()
    except SpecError as error:
        pytest.skip(error.what)
    folder = tmp_path_factory.mktemp("pages")
    (folder / "flowers.toml").write_text(STUDY)
    command = [sys.executable, "-m", "hpsearch", "run", "flowers.toml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    evil = make_evil(folder)
    flowers = hpsearch.load("flowers", ledger=f"sqlite:///{folder}/mlruns/ledger.db").record
    with opened_browser() as browser, served(folder, "flowers") as url:
        server = url.partition("/#")[0]
        yield Site(flowers, evil, folder, server, {"flowers": url, "evil": study_page(server, EVIL)}, browser)


def make_evil(folder: Path) -> StudyRecord:
    def fate(trial: int, fold: int) -> Failure | None:
        if (trial, fold) == (3, 1):
            return Failure(FailureKind.ERROR, f"ValueError: {EVIL}", fold=1, epoch=1, traceback=f"Traceback\n{EVIL}")
        return Failure(FailureKind.DIVERGED, "loss is nan", fold=1, epoch=1) if (trial, fold) == (6, 1) else None

    record = drive(
        f"sqlite:///{folder}/evil.db",
        SyntheticExecutor(fate=fate),
        name=EVIL,
        uri=f"sqlite:///{folder}/mlruns/mlflow.db",
        algorithm="random",
        pruning="successive-halving",
        trials=10,
        epochs=8,
    )
    assert {trial.state.value for trial in record.trials} == {"complete", "pruned", "failed", "diverged"}
    sync(record)
    return record


def cells(page: Any, column: str) -> list[str]:
    """A column's texts from top to bottom. In the document, MLflow's table has its rows in any order."""
    page.wait_for_selector(f".ag-row [col-id='{column}']")
    script = """column => [...document.querySelectorAll(`.ag-row [col-id='${column}']`)]
        .map(cell => [+cell.closest('.ag-row').getAttribute('row-index'), cell.innerText.trim().split("\\n").pop()])
        .sort((a, b) => a[0] - b[0]).map(pair => pair[1])"""
    return page.evaluate(script, column)


def headings(page: Any) -> list[str]:
    script = """() => [...document.querySelectorAll('.ag-header-cell[col-id]')].filter(cell => cell.innerText.trim())
        .sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x).map(c => c.innerText.trim())"""
    return page.evaluate(script)


def test_trials_are_readable_without_setting_anything_up(site: Site) -> None:
    page = site.open(site.pages["flowers"])
    page.wait_for_selector(".ag-row [col-id='metrics.`score`']")
    names = cells(page, "attributes.`Run Name`")
    assert names == [*(run_name(trial) for trial in site.flowers.ranked), "flowers"]
    scores = [float(text.rstrip("…")) for text in cells(page, "metrics.`score`")[:-1]]
    assert scores == pytest.approx([trial.score for trial in site.flowers.ranked], abs=1e-4)
    first = ["Run Name", "Created", "score", "score_std", "learning_rate", "dropout", "epochs"]
    assert headings(page)[:7] == first
    assert not page.get_by_text("MLflow Assistant").is_visible()
    page.close()


def test_charts_are_drawn_in_groups(site: Site) -> None:
    page = site.open(site.pages["flowers"] + "&compareRunsMode=CHART", height=2400)
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length > 6")
    groups = ("Score", "Mean over folds", "Every fold")
    order = [page.get_by_text(name, exact=True).first.bounding_box()["y"] for name in groups]
    assert order == sorted(order)
    assert page.get_by_text("fold_0/val_accuracy vs fold_1/val_accuracy").first.is_visible()
    assert page.get_by_text("Parallel Coordinates").is_visible()
    page.close()


def run_path(site: Site, record: StudyRecord, name: str) -> str:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{site.folder}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name(record.name).experiment_id
    (run,) = [one for one in client.search_runs([experiment]) if one.info.run_name == name]
    return f"/experiments/{experiment}/runs/{run.info.run_id}"


def test_from_the_study_to_a_trial_and_back(site: Site) -> None:
    best = run_name(site.flowers.best)
    parent, child = (f"a[href='#{run_path(site, site.flowers, name)}']" for name in ("flowers", best))
    page = site.open(site.pages["flowers"])
    page.locator(f".ag-row {parent}").click()
    page.get_by_text("Child runs", exact=True).wait_for()
    page.locator(child).click()
    page.get_by_role("heading", name=best).wait_for()
    page.get_by_text("Parent run").wait_for()
    page.locator(parent).click()
    page.get_by_role("heading", name="flowers").wait_for()
    page.get_by_text("Child runs", exact=True).wait_for()
    assert run_path(site, site.flowers, "flowers") in page.url
    assert page.alerts == []
    page.close()


def test_the_studys_run_carries_description_charts_report_and_leaderboard(site: Site) -> None:
    path = run_path(site, site.flowers, "flowers")
    page = site.open(path)
    page.get_by_text("State: finished").first.wait_for()
    page.get_by_text("Show more").click()
    page.get_by_text("The champion:").first.wait_for()
    page.get_by_text("Model metrics").click()
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length > 6")
    page.get_by_text("Artifacts").click()
    page.get_by_text("leaderboard.json").click()
    page.get_by_role("columnheader", name="rank").wait_for()
    page.get_by_text("report.html").click()
    report = page.frame_locator("iframe")
    report.get_by_role("heading", name="flowers").wait_for()
    assert report.get_by_text(f"Trial {site.flowers.best.number} is the best").first.is_visible()
    page.close()


def test_the_champion_is_registered_with_signature_alias_and_metrics(site: Site) -> None:
    page = site.open("/models/flowers")
    page.get_by_text("@ champion").wait_for()
    assert page.get_by_text("running").count() == 0, "the model's description must not say that the study is running"
    page.get_by_role("link", name="Version 1").click()
    page.get_by_text("Schema").wait_for()
    page.get_by_text("Inputs (1)").wait_for()
    page.get_by_text("Outputs (5)").wait_for()  # prediction, probability, and one per class
    page.close()
    page = site.open(site.pages["flowers"].partition("/runs?")[0] + "/models")
    page.locator("a[href*='/models/m-']").first.click()
    page.get_by_text("test_accuracy").first.wait_for()
    page.get_by_text(str(site.flowers.champion.test["accuracy"])).first.wait_for()  # as the float32 that it is
    page.close()


def test_trials_without_a_result_are_marked_and_html_in_names_is_harmless(site: Site) -> None:
    page = site.open(site.pages["evil"])
    names = cells(page, "attributes.`Run Name`")
    ranked = len(site.evil.ranked)
    assert names[:ranked] == [run_name(trial) for trial in site.evil.ranked]
    assert {"t003 · failed", "t006 · diverged"} <= set(names[ranked:])
    assert {name.split(" · ")[1] for name in names[ranked:] if " · " in name} == {"failed", "diverged", "pruned"}
    assert EVIL in names
    page.wait_for_timeout(500)
    assert page.alerts == []
    page.close()
    page = site.open(run_path(site, site.evil, "t003 · failed"))
    page.get_by_text("ValueError: <script>").first.wait_for()
    page.get_by_text("Failed", exact=True).first.wait_for()
    page.wait_for_timeout(500)
    assert page.alerts == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_from_its_file(site: Site, scheme: str) -> None:
    path = site.folder / "mlruns/studies/flowers/report.html"
    trouble: list[str] = []
    page = new_page(site.browser, color_scheme=scheme)
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: trouble.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelectorAll('.main-svg').length > 10")
    undrawn = "[...document.querySelectorAll('.figure')].filter(f => !f.querySelector('.main-svg')).map(f => f.id)"
    assert page.evaluate(undrawn) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert trouble == []
    page.close()
