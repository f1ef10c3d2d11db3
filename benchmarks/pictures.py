"""Takes the pictures and recordings of README and docs: terminal, report, notebook and MLflow pages.

    python -m benchmarks.pictures [--only terminal report first-hour notebook mlflow]

It runs ``studies/digits.toml`` as ``make study`` does, and the README's program and a table as a new user does, in a
temporary folder. It needs Chromium on the path (Debian's package chromium) and the packages of the extra ``test``.
"""

import argparse
import html
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.pages import put
from benchmarks.recordings import Terminal, moving, picture
from hpsearch.testing.browsing import new_page, opened_browser, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
README = ROOT / "README.md"
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
KINDS = ("terminal", "report", "first-hour", "notebook", "mlflow")
COLUMNS = 120
"""Width of the terminal that the README shows as text, in characters."""
WIDTHS = (60, 80, 120, 200)
"""Widths of the pictures of a leaderboard."""
COMMAND = (sys.executable, "-m", "hpsearch")

TRIAL = re.compile(r"[✓✂∞✗] t\d+ ")
"""The start of the line of a finished trial."""

DRAWN = "document.querySelectorAll('.main-svg').length > {}"


def record(study: str, folder: Path) -> str:
    """Run a documented study in `folder` as ``make study`` does, and return what the terminal shows at the end."""
    file = (ROOT / "studies" / f"{study}.toml").relative_to(ROOT)
    (folder / "studies").symlink_to(ROOT / "studies")
    terminal = Terminal(folder, columns=COLUMNS, rows=160)
    terminal.run([*COMMAND, "run", str(file)], "make study")
    return terminal.screens[-1].text


def shorten(output: str) -> str:
    """Replace most trials with ``…``."""
    lines = [line.rstrip() for line in output.rstrip().splitlines()]
    trials = [number for number, line in enumerate(lines) if TRIAL.match(line)]
    if len(trials) > 5:
        lines[trials[2] : trials[-1]] = ["…"]
    return "\n".join(lines)


def take_terminal(browser: "Browser", folder: Path, study: str) -> None:
    """Take a study's leaderboard at several widths."""
    for columns in WIDTHS:
        terminal = Terminal(folder, columns=columns, rows=120)
        terminal.run([*COMMAND, "show", study], f"hpsearch show {study}")
        keep(picture(browser, terminal.screens[-1]), f"terminal-{columns}")


def take_first_hour(browser: "Browser", folder: Path) -> None:
    """Record the README's program, and a table's first study in two commands."""
    from sklearn.datasets import load_breast_cancer

    (program,) = re.findall(r"```python\n(import hpsearch\nimport keras\n.*?)```", README.read_text("utf-8"), re.DOTALL)
    (folder / "mine.py").write_text(program, encoding="utf-8")
    terminal = Terminal(folder, rows=24)
    terminal.run([sys.executable, "mine.py"], "KERAS_BACKEND=jax python mine.py", KERAS_BACKEND="jax")
    terminal.run([*COMMAND, "show", "mine"], "hpsearch show mine")
    keep(moving(browser, terminal.screens), "first-hour-python", "gif")
    table = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "benign"})
    table.to_csv(folder / "tumours.csv", index=False)
    terminal = Terminal(folder, rows=36)
    terminal.run([*COMMAND, "init", "--data", "tumours.csv", "--target", "benign"],
                 "hpsearch init --data tumours.csv --target benign")  # fmt: skip
    terminal.run([*COMMAND, "run", "tumours.toml"], "hpsearch run tumours.toml")
    keep(moving(browser, terminal.screens), "first-hour-table", "gif")


def take_notebook(browser: "Browser", notebook: Path) -> None:
    """Take the first screen of the committed notebook, as an editor shows it."""
    page = new_page(browser, width=1000, height=1150)
    page.set_content(NOTEBOOK_PAGE + "".join(_cells(notebook)))
    page.wait_for_timeout(1000)
    keep(page.screenshot(), "notebook")
    page.close()


NOTEBOOK_PAGE = """<!doctype html><meta charset="utf-8"><style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 20px 28px; }
pre { font: 13px/1.4 "DejaVu Sans Mono", Menlo, monospace; white-space: pre-wrap; }
pre.code { background: #f6f7f9; border: 1px solid #dfe2e7; padding: 8px 12px; }
img { max-width: 100%; }
</style>"""


def _cells(notebook: Path) -> Iterator[str]:
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = html.escape("".join(cell["source"]))
        if cell["cell_type"] == "markdown":
            yield "<p>" + re.sub(r"^#+ (.*)", r"<b>\1</b>", source, flags=re.MULTILINE) + "</p>"
            continue
        yield f'<pre class="code">{source}</pre>'
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "text/html" in data:
                yield "".join(data["text/html"])
            elif "image/png" in data:
                yield f'<img src="data:image/png;base64,{"".join(data["image/png"])}">'
            else:
                yield f"<pre>{html.escape(''.join(data.get('text/plain', output.get('text', ''))))}</pre>"


def take_report(browser: "Browser", report: Path) -> None:
    """Take the report's first screen at its sizes and in its colours, and the curves of the best trial."""
    page = new_page(browser, width=1200, height=800)
    page.goto(report.resolve().as_uri())
    page.wait_for_function(DRAWN.format(10))
    keep(page.screenshot(), "report")
    box = page.locator("#curves").bounding_box()
    assert box is not None
    clip: FloatRect = {"x": box["x"], "y": box["y"], "width": box["width"], "height": min(box["height"], 560)}
    keep(page.screenshot(clip=clip, full_page=True), "report-curves")
    page.close()
    sizes: tuple[tuple[str, int, int, Literal["light", "dark"]], ...] = (
        ("report-dark", 1200, 800, "dark"),
        ("report-narrow", 390, 844, "light"),
        ("report-narrow-dark", 390, 844, "dark"),
    )
    for name, width, height, scheme in sizes:
        page = new_page(browser, width=width, height=height, color_scheme=scheme)
        page.goto(report.resolve().as_uri())
        page.wait_for_function(DRAWN.format(10))
        keep(page.screenshot(), name)
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


def keep(picture: bytes, name: str, form: str = "png") -> None:
    """Write a picture and print its size."""
    path = IMAGES / f"{name}.{form}"
    path.write_bytes(picture)
    print(f"{path.relative_to(ROOT)}: {len(picture) // 1024} kB")


def main() -> None:
    """Write all pictures to ``docs/images``, and the recording to the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--study", default="digits")
    options = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, opened_browser() as browser:
        folder = Path(temporary)
        if {"terminal", "report", "mlflow"} & set(options.only):
            output = record(options.study, folder)
        if "terminal" in options.only:
            put(README, "recording", ["", "```text", shorten(output), "```", ""])
            take_terminal(browser, folder, options.study)
        if "report" in options.only:
            take_report(browser, folder / "mlruns" / "studies" / options.study / "report.html")
        if "mlflow" in options.only:
            with served(folder, options.study) as url:
                take_mlflow(browser, url)
        if "first-hour" in options.only:
            take_first_hour(browser, folder)
        if "notebook" in options.only:
            take_notebook(browser, NOTEBOOK)


if __name__ == "__main__":
    main()
