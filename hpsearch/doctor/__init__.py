"""What ``hpsearch doctor`` finds out about this installation. Imports no Keras, Optuna or MLflow unless it must."""

from pathlib import Path

from hpsearch.core.addresses import Uri
from hpsearch.core.registries import ENGINES
from hpsearch.doctor import plugins
from hpsearch.doctor.choices import choices, slots_of
from hpsearch.doctor.findings import Finding, Findings, Health, as_json, broken, is_broken
from hpsearch.doctor.machine import cores, devices, memory, workspace
from hpsearch.doctor.storage import fast_paths, ledger_of, mlflow_of, ray_of
from hpsearch.doctor.throughput import throughput
from hpsearch.errors import HpsearchError
from hpsearch.ledger.places import root_of
from hpsearch.spec import ResourcesSection, StudySpec, TrackingSection, load_spec

__all__ = ["Finding", "Findings", "Health", "as_json", "examine", "is_broken"]


def examine(*, ledger: str, file: Path | None = None, keras: bool, storage: bool, measure: bool) -> Findings:
    """Look at everything.

    Args:
        ledger: Address of the ledger; a study file's own goes before it.
        file: A study file: its ``[resources]`` are looked at, and its ledger, MLflow and Ray are connected to.
        keras: Whether to import Keras, in a child process, to look at its private parts and to try the engines.
        storage: Whether to import Optuna and MLflow, to see whether their tables are the tested ones.
        measure: Whether to train for some seconds.
    """
    spec, study = _read(file)
    resources = ResourcesSection() if spec is None else spec.resources
    section = TrackingSection(ledger=Uri(ledger)) if spec is None else spec.tracking
    found: dict[str, tuple[Finding, ...]] = {
        "versions": tuple(plugins.versions()),
        "devices": tuple(devices()),
        "machine": (cores(), memory()),
        **({} if study is None else {"study": (study, *_ray(spec))}),
    }
    slots, missing = slots_of(resources)
    found["choices"] = tuple(choices(resources, slots)) if missing is None else (missing,)
    if measure and slots:
        found["throughput"] = (throughput(resources, slots[0]),)
    else:
        hint = "leave out --no-measure" * (not measure)
        found["throughput"] = (
            Finding("training", Health.SKIPPED, "", "it takes some 15 s" if slots else "", hint=hint),
        )
    on_keras = plugins.keras_in_child() if keras else {}
    for registry, load in plugins.loaders():
        if registry is ENGINES:
            found[registry.group] = on_keras.get(ENGINES.group) or tuple(plugins.skipped(registry))
        else:
            found[registry.group] = tuple(plugins.try_entries(registry, load))
    found["storage"] = _storage(section, connect=spec is not None or storage, fast=storage)
    if keras:
        found["keras"] = on_keras["keras"]
    return found


def _read(file: Path | None) -> tuple[StudySpec | None, Finding | None]:
    """The study file, and how it is with it."""
    if file is None:
        return None, None
    try:
        spec, _ = load_spec(file)
    except HpsearchError as error:
        return None, broken("file", error)  # which names it
    return spec, Finding("file", detail=f"{file}: study {spec.name!r}", values={"study": spec.name})


def _ray(spec: StudySpec | None) -> tuple[Finding, ...]:
    if spec is None or spec.resources.executor != "ray":
        return ()
    section = getattr(spec.resources, "ray", None)
    return (ray_of(str(getattr(section, "address", None) or "")),)


def _storage(section: TrackingSection, *, connect: bool, fast: bool) -> tuple[Finding, ...]:
    try:
        uri = section.resolved().ledger
    except HpsearchError as error:
        return (broken("ledger", error),)
    databases = ledger_of(uri, connect=connect), mlflow_of(section, connect=connect)
    return (workspace(root_of(uri)), *databases, *(fast_paths(section, databases) if fast else ()))
