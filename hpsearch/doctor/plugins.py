"""Packages, plug-ins and Keras' private parts."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from hpsearch.core.registries import DATA_SOURCES, ENGINES, EXECUTORS, MODEL_FAMILIES, PRUNERS, TUNERS
from hpsearch.core.registry import Entry, Registry
from hpsearch.doctor.findings import Finding, Findings, Health, broken, from_json
from hpsearch.errors import HpsearchError


def versions() -> Iterator[Finding]:
    """Python's and those of the packages that results depend on."""
    from hpsearch.training.environment import PACKAGES

    yield Finding("python", detail=platform.python_version())
    for package in PACKAGES:
        try:
            yield Finding(package, detail=version(package))
        except PackageNotFoundError:
            hint = f"install it: pip install {package}"
            yield Finding(package, Health.BROKEN, "", "it is not installed", "doctor.package-missing", hint)


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


def try_entries(registry: Registry, load: Load) -> Iterator[Finding]:
    """Import all entries of a registry."""
    for name, entry in registry.entries.items():
        try:
            load(name)
        except HpsearchError as error:
            yield broken(name, error, entry.package)
        else:
            yield Finding(name, detail=entry.package)
    yield from map(_hidden(registry), registry.hidden)


def skipped(registry: Registry) -> Iterator[Finding]:
    """The entries of a registry whose import takes seconds."""
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
    return {ENGINES.group: tuple(try_entries(ENGINES, load)), "keras": tuple(found)}


def keras_in_child() -> Findings:
    """Keras' findings from a process of its own: whatever Keras does when it is imported, it does not do it here."""
    code = "from hpsearch.doctor import plugins, findings; print(findings.as_json(plugins.keras_findings()))"
    environment = {"KERAS_BACKEND": "jax", **os.environ}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        failed = Finding(
            "import", Health.BROKEN, "", reason, "doctor.keras-unusable", "reinstall Keras and its backend"
        )
        return {ENGINES.group: (), "keras": (failed,)}
    return from_json(done.stdout.strip().splitlines()[-1])
