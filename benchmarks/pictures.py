"""Takes screenshots of a study's report and MLflow pages, and records a terminal session for the README.

    python -m benchmarks.pictures [STUDY_FOLDER] [--study digits]

Without a folder that holds a finished study, it runs ``studies/digits.toml`` in a temporary folder and replaces the
recording in the README. It needs Chromium on the path (Debian's package chromium) and the playwright package.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.pages import put
from hpsearch.testing.browsing import new_page, opened_browser, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
README = ROOT / "README.md"
COLUMNS = 120
"""Width of the recorded terminal, in characters."""

TRIAL = re.compile(r"\[\d+/\d+\] ")
"""The start of the line of a finished trial."""

DRAWN = "document.querySelectorAll('.main-svg').length > {}"


def record(study: str, folder: Path) -> str:
    """Run a documented study in `folder` as ``make study`` does, and return the terminal's output."""
    file = (ROOT / "studies" / f"{study}.toml").relative_to(ROOT)
    (folder / "studies").symlink_to(ROOT / "studies")
    command = [sys.executable, "-m", "hpsearch", "run", str(file)]
    environment = {**os.environ, "COLUMNS": str(COLUMNS)}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    return done.stdout


def shorten(output: str) -> str:
    """Replace most trials, and the ends of their long lines, with ``…``; wrap prose."""
    lines = [line.rstrip() for line in output.rstrip().splitlines()]
    trials = [number for number, line in enumerate(lines) if TRIAL.match(line)]
    if len(trials) > 5:
        lines[trials[2] : trials[-1]] = ["…"]
    return "\n".join(line if len(line) <= COLUMNS else _fitted(line) for line in lines)


def _fitted(line: str) -> str:
    return line[: COLUMNS - 1] + "…" if TRIAL.match(line) else "\n".join(textwrap.wrap(line, COLUMNS))


def take_report(browser: "Browser", report: Path) -> None:
    """Take the report's first screen, and the learning curves of the best trial."""
    page = new_page(browser, width=1200, height=800)
    page.goto(report.resolve().as_uri())
    page.wait_for_function(DRAWN.format(10))
    keep(page.screenshot(), "report")
    box = page.locator("#curves").bounding_box()
    assert box is not None
    clip: FloatRect = {"x": box["x"], "y": box["y"], "width": box["width"], "height": min(box["height"], 560)}
    keep(page.screenshot(clip=clip, full_page=True), "report-curves")
    page.close()


def take_mlflow(browser: "Browser", url: str) -> None:
    """Take the table of trials, their charts, and the study's own run."""
    page = new_page(browser, width=1400, height=800)
    page.goto(url)
    page.wait_for_selector(".ag-row [col-id='metrics.`score`']")
    page.wait_for_timeout(1500)
    keep(page.screenshot(), "mlflow-trials")
    page.locator(".ag-row [col-id='attributes.`Run Name`'] a").last.click()
    page.get_by_text("Show more").click()
    page.wait_for_timeout(1000)
    keep(page.screenshot(), "mlflow-run")
    page.close()
    # A new page, because MLflow has added to the address of the first one and would ignore the view's mode.
    page = new_page(browser, width=1400, height=900)
    page.goto(url + "&compareRunsMode=CHART")
    page.wait_for_function(DRAWN.format(6))
    page.wait_for_timeout(2000)
    keep(page.screenshot(), "mlflow-charts")
    page.close()


def keep(picture: bytes, name: str) -> None:
    """Write a screenshot and print its size."""
    path = IMAGES / f"{name}.png"
    path.write_bytes(picture)
    print(f"{path.relative_to(ROOT)}: {len(picture) // 1024} kB")


def main() -> None:
    """Write all pictures to ``docs/images``, and the recording to the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--study", default="digits")
    options = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if options.folder is None:
            output = record(options.study, folder)
            put(README, "recording", ["", "```text", "$ make study", shorten(output), "```", ""])
        with opened_browser() as browser:
            take_report(browser, folder / "mlruns" / "studies" / options.study / "report.html")
            with served(folder, options.study) as url:
                take_mlflow(browser, url)


if __name__ == "__main__":
    main()
