"""Screenshots of a real study's report and MLflow pages, for README and docs.

    python -m benchmarks.pictures [STUDY_FOLDER] [--study digits]

Searches ``studies/digits.toml`` in a temporary folder first if no folder with a finished study is given. Needs
Debian's chromium (or any Chromium on the path) and the playwright package.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
WITHOUT_ASSISTANT = (
    "localStorage.setItem('mlflow.workflowType_v1', '\"machine_learning\"');"
    "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');"
)


def find_browser() -> str | None:
    """Path of a Chromium, or None."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def serve(folder: Path, study: str) -> "tuple[subprocess.Popen[str], str]":
    """Start ``hpsearch ui`` and wait for the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hpsearch", "ui", study], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    if found is None:
        process.kill()
        raise SystemExit("hpsearch ui printed no address")
    return process, found[0]


def main() -> None:
    """Take all pictures into ``docs/images``."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--study", default="digits")
    options = parser.parse_args()
    browser_path = find_browser()
    if browser_path is None:
        raise SystemExit(f"no Chromium found; looked for {', '.join(BROWSERS)}")
    folder = options.folder
    if folder is None:
        folder = Path(tempfile.mkdtemp())
        study_file = ROOT / "studies" / f"{options.study}.toml"
        subprocess.run([sys.executable, "-m", "hpsearch", "run", str(study_file)], cwd=folder, check=True)
    IMAGES.mkdir(parents=True, exist_ok=True)
    server, url = serve(folder, options.study)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            report = (folder / "mlruns" / "studies" / options.study / "report.html").resolve()
            page.goto(report.as_uri())
            page.wait_for_timeout(3000)
            page.screenshot(path=IMAGES / "report.png")
            page.add_init_script(WITHOUT_ASSISTANT)
            page.goto(url)
            page.wait_for_timeout(6000)
            page.screenshot(path=IMAGES / "mlflow-trials.png")
            page.goto(url.replace("/runs", "/runs").split("?")[0] + "?compareRunsMode=CHART")
            page.wait_for_timeout(6000)
            page.screenshot(path=IMAGES / "mlflow-charts.png")
            browser.close()
    finally:
        server.terminate()
        server.wait()
    for image in sorted(IMAGES.glob("*.png")):
        print(f"{image.relative_to(ROOT)}: {image.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
