"""Opens a study's pages in Chromium, for tests and pictures. Needs the playwright package."""

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
"""A script that hides MLflow's assistant and selects the machine-learning mode.

On a first visit, MLflow opens the panel of its assistant and starts in its GenAI mode. A round button and a switch
above the menu remain.
"""


@contextmanager
def opened_browser() -> "Iterator[Browser]":
    """Open a headless Chromium.

    Raises:
        SpecError: This machine has no Chromium.
        ImportError: The playwright package is not installed.
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
    """Open a page of this size, in pixels, without MLflow's assistant."""
    page = browser.new_page(viewport={"width": width, "height": height}, **options)
    page.add_init_script(WITHOUT_ASSISTANT)
    return page


@contextmanager
def served(folder: Path, study: str) -> Iterator[str]:
    """Run ``hpsearch ui STUDY`` inside the block, and yield the address that it prints.

    Raises:
        RuntimeError: It prints no address.
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
