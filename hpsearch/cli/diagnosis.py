"""What ``hpsearch doctor`` finds out about this installation, as plain values. Imports no Keras, Optuna or MLflow
unless it is asked to."""

import contextlib
import json
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version

from hpsearch.cli.printing import say
from hpsearch.core.addresses import DEFAULT_TRACKING, Uri, sqlite_path
from hpsearch.core.registries import DATA_SOURCES, ENGINES, EXECUTORS, MODEL_FAMILIES, PRUNERS, TUNERS
from hpsearch.core.registry import Entry, Registry
from hpsearch.core.words import first_line
from hpsearch.errors import HpsearchError


class Health(StrEnum):
    """How it is with one thing."""

    OK = "ok"
    ABSENT = "absent"
    """It is not there, and need not be."""
    SKIPPED = "skipped"
    """It was not tried, because that takes seconds."""
    REDUCED = "reduced"
    """It works, by a slower way."""
    HIDDEN = "hidden"
    """Another entry has its name."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one thing.

    Attributes:
        name: The thing.
        health: How it is.
        detail: For example a version, or the package that brings it.
        reason: Why it is not well; empty if it is.
        code: Code of the error, if there is one.
        hint: What to do.
    """

    name: str
    health: Health = Health.OK
    detail: str = ""
    reason: str = ""
    code: str = ""
    hint: str = ""


Findings = Mapping[str, tuple[Finding, ...]]
"""Section → what was found out, in the order in which it is shown."""


def examine(*, ledger: str, keras: bool, storage: bool) -> Findings:
    """Look at everything.

    Args:
        ledger: Address of the ledger.
        keras: Whether to import Keras, in a child process, to look at its private parts and to try the engines.
        storage: Whether to import Optuna and MLflow, to see whether their tables are the tested ones.
    """
    from hpsearch.executors.gpus import list_gpus

    gpus = list_gpus()
    devices = Finding("GPUs", Health.OK if gpus else Health.ABSENT, ", ".join(map(str, gpus)) or "none")
    on_keras = _in_child() if keras else {}
    tried: dict[str, tuple[Finding, ...]] = {}
    for registry, load in loaders():
        if registry is ENGINES:
            tried[registry.group] = on_keras.get(ENGINES.group) or tuple(_skipped(registry))
        else:
            tried[registry.group] = tuple(_try_entries(registry, load))
    found: dict[str, tuple[Finding, ...]] = {
        "versions": tuple(_versions()),
        "devices": (devices, _backend()),
        **tried,
        "storage": (_ledger(ledger), _mlflow()),
    }
    if keras:
        found["keras"] = on_keras["keras"]
    if storage:
        found["storage"] += tuple(_fast_paths(ledger, found["storage"]))
    return found


def is_broken(findings: Findings) -> bool:
    """Whether anything is."""
    return any(one.health is Health.BROKEN for section in findings.values() for one in section)


def _versions() -> Iterator[Finding]:
    from hpsearch.training.environment import PACKAGES

    yield Finding("python", detail=platform.python_version())
    for package in PACKAGES:
        try:
            yield Finding(package, detail=version(package))
        except PackageNotFoundError:
            hint = f"install it: pip install {package}"
            yield Finding(package, Health.BROKEN, "", "it is not installed", "doctor.package-missing", hint)


def _backend() -> Finding:
    chosen = os.environ.get("KERAS_BACKEND")
    said = f"{chosen} (KERAS_BACKEND)" if chosen else "KERAS_BACKEND is not set"
    return Finding("Keras backend", detail=f"{said}; workers follow [resources] backend")


# Registries

Load = Callable[[str], object]


def loaders() -> tuple[tuple[Registry, Load], ...]:
    """Each registry, with what imports one of its names and checks that it is what it must be."""
    from hpsearch.data.source import Source
    from hpsearch.executors.base import Executor
    from hpsearch.pruning.base import Pruner
    from hpsearch.spec.families import Family
    from hpsearch.tuners.base import TunerProvider

    def load_engine(name: str) -> object:
        from hpsearch.training.engines.base import Engine

        return ENGINES.load_class(name, Engine)

    return (
        (TUNERS, lambda name: TUNERS.load_class(name, TunerProvider)),
        (PRUNERS, lambda name: PRUNERS.load_class(name, Pruner)),
        (ENGINES, load_engine),
        (EXECUTORS, lambda name: EXECUTORS.load_class(name, Executor)),
        (MODEL_FAMILIES, lambda name: MODEL_FAMILIES.load_object(name, Family)),
        (DATA_SOURCES, lambda name: DATA_SOURCES.load_object(name, Source)),
    )


def _try_entries(registry: Registry, load: Load) -> Iterator[Finding]:
    for name, entry in registry.entries.items():
        try:
            load(name)
        except HpsearchError as error:
            yield _broken(name, error, entry.package)
        else:
            yield Finding(name, detail=entry.package)
    yield from map(_hidden(registry), registry.hidden)


def _skipped(registry: Registry) -> Iterator[Finding]:
    for name, entry in registry.entries.items():
        yield Finding(
            name, Health.SKIPPED, entry.package, "it imports Keras", hint="`hpsearch doctor --keras` tries it"
        )
    yield from map(_hidden(registry), registry.hidden)


def _hidden(registry: Registry) -> Callable[[Entry], Finding]:
    def describe(entry: Entry) -> Finding:
        owner = registry.entries[entry.name].package
        return Finding(
            entry.name, Health.HIDDEN, entry.package, f"{owner} has the same name", hint="rename its entry point"
        )

    return describe


def _broken(name: str, error: HpsearchError, detail: str = "") -> Finding:
    return Finding(name, Health.BROKEN, detail, error.what, error.code, error.hint)


# Storage


def _ledger(uri: str) -> Finding:
    counted = "SELECT count(*) FROM studies"
    return _database("ledger", uri, counted, "studies", code="ledger.unreadable")


def _mlflow() -> Finding:
    counted = "SELECT count(*) FROM experiments"
    return _database("MLflow", DEFAULT_TRACKING, counted, "experiments", code="tracking.unreadable")


def _database(name: str, uri: str, query: str, what: str, *, code: str) -> Finding:
    path, shown = sqlite_path(uri), str(Uri(uri))
    if path is None:
        return Finding(name, Health.SKIPPED, shown, "it is no file", hint="`hpsearch doctor --storage` connects to it")
    if not path.exists():
        return Finding(name, Health.ABSENT, shown, "`hpsearch run` creates it")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            (count,) = database.execute(query).fetchone()
    except sqlite3.Error as error:
        hint = f"restore a copy of {path}, or move it away to start anew"
        return Finding(name, Health.BROKEN, shown, f"it cannot be read: {first_line(error)}", code, hint)
    return Finding(name, detail=f"{shown}: {count} {what}")


def _fast_paths(uri: str, databases: tuple[Finding, ...]) -> Iterator[Finding]:
    """Whether hpsearch writes rows straight into the tables. It does if it was tested with exactly these tables."""
    ledger, mlflow = databases
    if ledger.health in (Health.OK, Health.SKIPPED):
        yield _fast_path("fast path of the ledger", lambda: _ledger_difference(uri))
    if mlflow.health is Health.OK:
        yield _fast_path("fast path of MLflow", _mlflow_difference)


def _fast_path(name: str, find_difference: Callable[[], str]) -> Finding:
    try:
        difference = find_difference()
    except HpsearchError as error:
        return _broken(name, error)
    return Finding(name, Health.REDUCED, "", difference) if difference else Finding(name, detail="recognised")


def _ledger_difference(uri: str) -> str:
    from hpsearch.ledger.store import Ledger

    return "; ".join(Ledger(uri).remarks)


def _mlflow_difference() -> str:
    from hpsearch.spec import TrackingSection
    from hpsearch.tracking.mlflow.address import resolve_address
    from hpsearch.tracking.mlflow.client import connect, quiet

    with quiet():
        from hpsearch.tracking.mlflow.tables import unrecognised

        unknown = unrecognised(connect(resolve_address(TrackingSection())))
    return (
        f"rows are written through MLflow's public interface, which is slower, because of {unknown}" if unknown else ""
    )


# Keras


def keras_findings() -> Findings:
    """What needs Keras: the engines, and which of Keras' private parts it grants. For a child process."""
    (load,) = (load for registry, load in loaders() if registry is ENGINES)
    from hpsearch.keras_internals.capabilities import Capability, capabilities

    missing = capabilities().missing
    found = [
        Finding(one.name.lower().replace("_", "-"), Health.REDUCED, one.value, missing[one])
        if one in missing
        else Finding(one.name.lower().replace("_", "-"), detail=one.value)
        for one in Capability
    ]
    return {ENGINES.group: tuple(_try_entries(ENGINES, load)), "keras": tuple(found)}


def _in_child() -> Findings:
    """Keras' findings from a process of its own: whatever Keras does when it is imported, it does not do it here."""
    code = "from hpsearch.cli import diagnosis; diagnosis.write_json(diagnosis.keras_findings())"
    environment = {"KERAS_BACKEND": "jax", **os.environ}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        failed = Finding(
            "import", Health.BROKEN, "", reason, "doctor.keras-unusable", "reinstall Keras and its backend"
        )
        return {ENGINES.group: (), "keras": (failed,)}
    sections = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        name: tuple(Finding(**{**one, "health": Health(one["health"])}) for one in findings)
        for name, findings in sections.items()
    }


def write_json(findings: Findings, *, indent: int | None = None) -> None:
    """Print the findings as one JSON object."""
    sections = {name: [asdict(one) for one in section] for name, section in findings.items()}
    say(json.dumps(sections, indent=indent, ensure_ascii=False))
