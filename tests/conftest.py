"""What all tests stand on."""

import signal
import threading
from pathlib import Path

import pytest

# A shell that starts the tests in the background has Ctrl-C ignored, and every child would inherit that: studies and
# servers that tests interrupt would go on for ever.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

_LONGEST = (
    "engines/test_fuzzing.py",
    "test_docs.py",
    "tracking/test_server.py",
    "engines/test_dynamic.py",
    "test_cli.py",
    "test_pages.py",
    "tracking/test_champion.py",
    "plugins/test_extras.py",
)
"""Files that take longest. They come first, so that no process is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {Path(__file__).parent / name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
