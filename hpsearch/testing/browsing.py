"""A real browser on a study's pages, for pictures and tests: Chromium by Playwright, MLflow by ``hpsearch ui``."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.report.pdf import find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader"),
]

WITHOUT_ASSISTANT = """
    localStorage.setItem('mlflow.workflowType_v1', '"machine_learning"');
    localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
    addEventListener('DOMContentLoaded', () => {
        const style = document.createElement('style');
        style.textContent = '[data-assistant-ui] { display: none !important; }';
        document.head.append(style);
    });
"""
"""MLflow opens its assistant's panel on everybody's first visit, and runs in its GenAI mode.

Afterwards a round button stays of the one, and a switch above the menu of the other.
"""


@contextmanager
def opened_browser() -> "Iterator[Browser]":
    """A headless Chromium.

    Raises:
        SpecError: There is none on this machine.
        ImportError: The playwright package is not there.
    """
    from playwright.sync_api import sync_playwright

    path = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: "Browser", *, width: int = 1400, height: int = 900, **options: Any) -> "Page":
    """A page of that size, pixels, without MLflow's assistant."""
    page = browser.new_page(viewport={"width": width, "height": height}, **options)
    page.add_init_script(WITHOUT_ASSISTANT)
    return page


@contextmanager
def served(folder: Path, study: str) -> Iterator[str]:
    """``hpsearch ui STUDY`` while the block runs; yields the address that it prints.

    Raises:
        RuntimeError: It printed none.
    """
    command = [sys.executable, "-m", "hpsearch", "ui", study]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise RuntimeError(f"`hpsearch ui {study}` in {folder} printed no address")
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
