"""Where the numbers come from: data, splits, seed, versions, machine, study file and model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hpsearch.analysis import words
from hpsearch.core.facts import HostFacts, StudyFacts
from hpsearch.core.transfer import Transferred
from hpsearch.core.words import listed, readable_address
from hpsearch.ledger.record import StudyRecord


@dataclass(frozen=True, slots=True)
class ProvenanceInfo:
    """What it takes to check or repeat a study.

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
        notes: See :class:`~hpsearch.ledger.record.StudyRecord`.
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
        layers: In order; empty if the list is missing.
        parameters: Number of weights.
        size_bytes: Size of the file.
        path: The saved ``.keras`` file.
        sha256: Digest of that file.
        model_uri: ``models:/…`` in MLflow's registry; empty until registered.
        trial: Number of the trial that it was refitted from.
        epochs: Epochs trained.
        seconds: Training time of the refit.
        test: Test metrics.
        kind: Its kind, of ``[champion]``.
        made: How it was made; see :attr:`~hpsearch.core.trial.Champion.made`.
        compared: Kind of champion → its test metrics, of all kinds that were compared.
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
    kind: str = ""
    made: str = ""
    compared: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def provenance_info(record: StudyRecord) -> ProvenanceInfo:
    """Where a study's numbers come from. Unknown values are left out."""
    facts = record.facts
    return ProvenanceInfo(
        study=record.name,
        state=str(record.state),
        created=record.created,
        seed=record.spec.seed,
        data=_data(facts),
        splits=_splits(record),
        search=_search(record),
        versions=dict(facts.machine.versions),
        machine=_known(
            {"device": facts.machine.device, "host": _host(facts.host), "git commit": facts.git_commit or ""}
        ),
        study_file=record.study_file,
        notes=tuple(record.notes),
    )


def _data(facts: StudyFacts) -> dict[str, str]:
    data = facts.data
    return _known(
        {
            "source": readable_address(data.source),
            "rows searched": f"{data.rows:,}",
            "rows held out": f"{data.test_rows:,}",
            "fingerprint": data.fingerprint,
            "task": data.task.value,
            "classes": _shortened(data.classes),
            "columns": _shortened([column.name for column in data.columns]),
            "input shape": " × ".join(map(str, data.input_shape)),
        }
    )


def _splits(record: StudyRecord) -> dict[str, str]:
    data, validation = record.facts.data, record.spec.validation
    sizes = [f"{fold.train} / {fold.validation}" for fold in data.folds]
    return _known(
        {
            "method": validation.method or ("stratified" if data.task.has_classes else "kfold"),
            "folds": str(data.n_folds),
            "repeats": str(validation.repeats) if validation.repeats > 1 else "",
            "trainings of each fold": str(validation.seeds) if validation.seeds > 1 else "",
            "training / validation rows": _shortened(sizes, 5),
            "equal rows": _equal_rows(record),
        }
    )


def _equal_rows(record: StudyRecord) -> str:
    found = record.facts.data.equal_rows
    if found is None:
        return ""
    crossing = {"validation": found.validation, "test": found.test}
    counts = [f"{count:,} {part} rows are equal to a training row" for part, count in crossing.items() if count]
    kept = ["kept together"] if record.spec.data.duplicates == "group" else []
    return ", ".join([*kept, *counts]) or "none on both sides of a split"


def suggestions(record: StudyRecord) -> str:
    """How many configs results have led to; empty if the algorithm does not use them."""
    schedule, count = record.facts.schedule, len(record.trials)
    if not schedule.startup:
        return ""
    blind = min(count, schedule.startup)
    return f"{blind} made without results, {count - blind} with those of the trials before"


def begins_with(taken: Transferred | None) -> str:
    """What a study has taken from another one; empty if nothing."""
    if taken is None:
        return ""
    count = len(taken.configs)
    parts = [
        f"study {taken.study}, {words.several(taken.trials, 'complete trial')} by {taken.metric}: its best "
        + (f"{count} configs are" if count > 1 else "config is" if count else "configs are not in this space")
        + (" trained first" if count else "")
        + (", and its results guide the model" if taken.model else "")
    ]
    for label, names in (
        ("not searched here", taken.dropped),
        ("not searched there", taken.opened),
        ("moved", taken.moved),
        ("left out", taken.left_out),
    ):
        if names:
            parts.append(f"{label}: {listed(names, most=10)}")
    return "; ".join(parts)


def _search(record: StudyRecord) -> dict[str, str]:
    spec, facts = record.spec, record.facts
    return _known(
        {
            "tuner": f"{spec.search.tuner} {spec.search.algorithm}",
            "trials": str(spec.search.trials),
            "ended": facts.stopped.text if facts.stopped else "",
            "suggestions": suggestions(record),
            "from": begins_with(facts.taken),
            "pruning": spec.pruning.method if spec.pruning.method != "none" else "",
            "engine": facts.plan.engine,
            "because": facts.plan.reason,
            "backend": facts.machine.backend or facts.backend,
        }
    )


def model_info(record: StudyRecord, layers: Sequence[Layer] = (), *, missing: str = "") -> ModelInfo:
    """The champion's model.

    Args:
        record: The study.
        layers: Its layers, if they are known.
        missing: Why they are missing, in words.
    """
    champion = record.champion
    if champion is None:
        return ModelInfo("the winner has not been refitted" if record.best else "no trial is complete")
    return ModelInfo(
        reason="" if layers else missing or "the list of layers is missing (deleted?)",
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
        kind=champion.kind,
        made=champion.made,
        compared=champion.compared,
    )


def _known(values: Mapping[str, str]) -> dict[str, str]:
    return {label: value for label, value in values.items() if value}


def _shortened(items: Sequence[str], limit: int = 12) -> str:
    """At most `limit` of the items on one line. If all items are equal, one stands for all."""
    if len(set(items)) == 1 and len(items) > 1:
        return f"{items[0]} each"
    rest = f" and {len(items) - limit:,} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + rest


def _host(host: HostFacts) -> str:
    cores = "" if host.cores is None else f"{host.cores} cores"
    memory = "" if host.memory_bytes is None else f"{words.size(host.memory_bytes)} memory"
    return ", ".join(part for part in (host.processor, cores, memory, host.platform) if part)
