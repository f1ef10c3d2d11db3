"""Where the numbers come from: data, splits, seed, versions, machine, study file, and the model's layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpsearch.core.trial import Champion
from hpsearch.ledger.record import StudyRecord


@dataclass(frozen=True, slots=True)
class ProvenanceInfo:
    """All that is needed to check or repeat a study.

    Attributes:
        study: Its name.
        state: Its state.
        created: Unix time, seconds.
        seed: The study's seed.
        data: Label → value in words: source, rows, fingerprint …
        splits: Label → value in words: method, folds, their sizes.
        search: Label → value in words: tuner, pruning, engine …
        versions: Package → version.
        machine: Label → value in words: device, host, git commit.
        study_file: The text as given.
        notes: What happened that the user should know.
    """

    study: str
    state: str
    created: float
    seed: int
    data: dict[str, str]
    splits: dict[str, str]
    search: dict[str, str]
    versions: dict[str, str]
    machine: dict[str, str]
    study_file: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as ``model.summary()`` lists it."""

    name: str
    type: str
    output_shape: str
    params: int


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The champion's model.

    Attributes:
        reason: Why there is nothing to show; empty otherwise.
        layers: In order; empty where the list is not at hand.
        parameters: Number of weights.
        size_bytes: Size of the file.
        path: The saved ``.keras`` file.
        sha256: Digest of that file.
        model_uri: ``models:/…`` in MLflow's registry; empty before.
        trial: Number of the trial that it was refitted from.
        epochs: Epochs trained.
        seconds: Training time of the refit.
        test: Test metrics.
    """

    reason: str
    layers: tuple[Layer, ...] = ()
    parameters: int | None = None
    size_bytes: int | None = None
    path: str = ""
    sha256: str = ""
    model_uri: str = ""
    trial: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    test: Mapping[str, float] | None = None


def provenance_info(record: StudyRecord) -> ProvenanceInfo:
    """Where a study's numbers come from; what is not known is left out."""
    facts = record.facts
    data = facts.get("data", {})
    plan = facts.get("plan", {})
    spec = record.spec
    pruning = spec.pruning.method
    return ProvenanceInfo(
        study=record.name,
        state=str(record.state),
        created=record.created,
        seed=spec.seed,
        data=_told(
            {
                "source": data.get("source", spec.data.source),
                "rows searched": _count(data.get("rows")),
                "rows held out": _count(data.get("test_rows")),
                "fingerprint": data.get("fingerprint"),
                "task": data.get("task"),
                "classes": _some(data.get("classes")),
                "columns": _some([column.get("name", "") for column in data.get("columns") or ()]),
                "input shape": data.get("input"),
            }
        ),
        splits=_told(
            {
                "method": spec.validation.method or _default_method(data.get("task")),
                "folds": len(data["folds"]) if data.get("folds") else None,
                "repeats": spec.validation.repeats if spec.validation.repeats > 1 else None,
                "training / validation rows": _some([f"{train} / {val}" for train, val in data.get("folds") or ()], 5),
            }
        ),
        search=_told(
            {
                "tuner": f"{spec.search.tuner} {spec.search.algorithm}",
                "trials": spec.search.trials,
                "pruning": pruning if pruning != "none" else None,
                "engine": plan.get("engine"),
                "because": plan.get("reason"),
                "backend": facts.get("backend") or plan.get("backend"),
            }
        ),
        versions={str(name): str(version) for name, version in (facts.get("versions") or {}).items()},
        machine=_told(
            {"device": facts.get("device"), "host": _host(facts.get("host")), "git commit": facts.get("git_commit")}
        ),
        study_file=record.study_file,
        notes=tuple(record.notes),
    )


def model_info(record: StudyRecord, layers: Sequence[Layer] = (), *, missing: str = "") -> ModelInfo:
    """The champion's model.

    Args:
        record: The study.
        layers: Its layers, where they are at hand.
        missing: Why they are not, in words.
    """
    champion: Champion | None = record.champion
    if champion is None:
        return ModelInfo("the winner has not been refitted" if record.best else "no trial is complete")
    return ModelInfo(
        reason="" if layers else missing or "the list of layers is not there (deleted?)",
        layers=tuple(layers),
        parameters=champion.parameters,
        size_bytes=champion.size_bytes,
        path=champion.path,
        sha256=champion.sha256,
        model_uri=champion.model_uri,
        trial=champion.trial,
        epochs=champion.epochs,
        seconds=champion.seconds,
        test=dict(champion.test),
    )


def _default_method(task: str | None) -> str | None:
    return None if task is None else "kfold" if task == "regression" else "stratified"


def _told(values: Mapping[str, Any]) -> dict[str, str]:
    return {label: str(value) for label, value in values.items() if value not in (None, "", [])}


def _count(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _some(items: Sequence[str] | None, limit: int = 12) -> str | None:
    """At most `limit` of the items in one line; equal items are told once."""
    if not items:
        return None
    if len(set(items)) == 1 and len(items) > 1:
        return f"{items[0]} each"
    rest = f" and {len(items) - limit:,} more" if len(items) > limit else ""
    return ", ".join(str(item) for item in items[:limit]) + rest


def _host(host: object) -> str | None:
    if isinstance(host, Mapping):
        return ", ".join(f"{value} {name}" if name == "cores" else str(value) for name, value in host.items())
    return None if host is None else str(host)
