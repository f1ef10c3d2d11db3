"""Stores the figures of a benchmark, for the page that another benchmark writes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import commit

FOLDER = Path("build/benchmarks")


def keep(name: str, *, key: str, value: Mapping[str, Any]) -> None:
    """Store `value` under `key` of a benchmark. It replaces an earlier value."""
    path = FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept(name) | {key: {"commit": commit(), **value}}, indent=2), encoding="utf-8")


def kept(name: str) -> dict[str, Any]:
    """The stored figures of a benchmark, by key; empty if it has not run yet."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
