"""What all tests stand on."""

import atexit
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import pytest

from tests.postgresql import database, server  # noqa: F401 - fixtures

# A shell that starts the tests in the background has Ctrl-C ignored, and every child would inherit that: studies and
# servers that tests interrupt would go on for ever.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Most of the time goes into compiling the same small programs. All processes of a run share them, this one's children
# too. No program is kept from one run to the next: what a test compiles must not depend on what somebody ran before.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="hpsearch-programs-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

# One process has one backend of Keras, whichever test imports it first.
os.environ.setdefault("KERAS_BACKEND", "jax")

# Champions are sealed with a key of these tests, not with the developer's own.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="hpsearch-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

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
