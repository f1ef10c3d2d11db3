"""The page as PDF, printed by an installed Chromium."""

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
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=20000",
    "--no-pdf-header-footer",
)
TIMEOUT_S = 120
_BY_HAND = "use --format html and print the page yourself"


def find_browser() -> str:
    """Path of a browser that can print.

    Raises:
        SpecError: There is no such browser.
    """
    for name in (*BROWSERS, *APPLICATIONS):
        found = shutil.which(name)
        if found:
            return found
    raise SpecError(
        f"a PDF report needs a browser to print it, but found none of {', '.join(BROWSERS)}",
        code="no-browser",
        hint=f"install Chromium or Google Chrome (`apt install chromium` on Debian and Ubuntu), or {_BY_HAND}",
        browsers=BROWSERS,
    )


def print_pdf(page: bytes) -> bytes:
    """Print a self-contained page.

    Raises:
        SpecError: There is no browser, or it fails. The message has its last line of output.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="hpsearch-pdf-", ignore_cleanup_errors=True) as folder:
        source, target = Path(folder) / "report.html", Path(folder) / "report.pdf"
        source.write_bytes(page)
        command = [browser, *OPTIONS, f"--user-data-dir={folder}/profile", f"--print-to-pdf={target}", source.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise SpecError(
                f"{browser} did not print the report within {TIMEOUT_S} s",
                code="browser-timeout",
                hint=_BY_HAND,
                browser=browser,
                timeout_s=TIMEOUT_S,
            ) from None
        if not target.is_file():
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise SpecError(
                f"{browser} printed nothing (exit code {done.returncode}): {last}",
                code="browser-failed",
                hint=_BY_HAND,
                browser=browser,
                exit_code_of_browser=done.returncode,
            )
        return target.read_bytes()
