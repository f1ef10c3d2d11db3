"""The page as PDF, printed by a Chromium that is already there."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from hpsearch.errors import SpecError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
TIMEOUT_S = 120


def find_browser() -> str:
    """Path of a browser that can print.

    Raises:
        SpecError: There is none.
    """
    for name in (*BROWSERS, *APPLICATIONS):
        found = shutil.which(name)
        if found:
            return found
    raise SpecError(
        f"a PDF report needs a browser to print it, but none of {', '.join(BROWSERS)} was found",
        hint="install Chromium or Google Chrome (Debian and Ubuntu: `apt install chromium`; macOS: Google Chrome in "
        "Applications), or use --format html and print the page",
    )


def print_pdf(page: bytes) -> bytes:
    """Print a self-contained page.

    Raises:
        SpecError: No browser is there, or it fails; the message holds its last words.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="hpsearch-pdf-", ignore_cleanup_errors=True) as folder:
        source, target = Path(folder) / "report.html", Path(folder) / "report.pdf"
        source.write_bytes(page)
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={folder}/profile",
            "--virtual-time-budget=20000",
            "--no-pdf-header-footer",
            f"--print-to-pdf={target}",
            source.as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise SpecError(
                f"{browser} has not printed the report within {TIMEOUT_S} s",
                hint="use --format html and print the page",
            ) from None
        if not target.is_file():
            words = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise SpecError(
                f"{browser} printed nothing (exit code {done.returncode}): {words[0]}",
                hint="use --format html and print the page",
            )
        return target.read_bytes()
