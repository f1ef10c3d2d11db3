"""What may change in a study file between two starts of a study, and what may not."""

from collections.abc import Mapping

from hpsearch.core.wire import Json
from hpsearch.errors import LedgerError, SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.spec import StudySpec
from hpsearch.spec.limits import read_toml

CHANGEABLE = (
    "champion.",
    "tracking.",
    "search.max_",
    "search.stop",
    *(f"resources.{name}" for name in ("executor", "workers", "gpus", "gpu_share", "threads", "max_retries")),
    *(f"resources.{name}" for name in ("epoch_timeout", "trial_timeout", "files", "remote", "ray", "slurm")),
)
"""Keys that the search does not depend on, as prefixes: a study file may change them between two starts."""


_IN_MEMORY = {"data.source": "what is given as data", "model.build": "the build function, or what it refers to,"}
"""Keys that data and code of :mod:`hpsearch.given` may stand for."""


def with_defaults_as_begun(record: StudyRecord, spec: StudySpec, study_file: str) -> StudySpec:
    """A study goes on as it began if a later hpsearch has another default for what its file leaves open.

    So it does if the file now names the task that the study found in its data.

    Args:
        record: The study.
        spec: What its file says now.
        study_file: The file's text.
    """
    sections = read_toml(study_file, "the study file")
    begun = record.spec.search
    if record.spec.data.task is None and spec.data.task == record.facts.data.task.value:
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"task": None})})
    if any(not {"tuner", "algorithm"}.isdisjoint(one.get("search", {})) for one in (record.sections, sections)):
        return spec
    search = spec.search.model_copy(update={"tuner": begun.tuner, "algorithm": begun.algorithm})
    return spec.model_copy(update={"search": search})


def check_unchanged(record: StudyRecord, spec: StudySpec) -> None:
    """A study keeps its file: another one under the same name would mix results that cannot be compared.

    Raises:
        SpecError: `spec` differs from the study's in more than :data:`CHANGEABLE` keys; all of them are listed.
    """
    old, new = _keys(record.spec), _keys(spec)
    changed = [name for name in differing_keys(record.spec, spec) if not name.startswith(CHANGEABLE)]
    if not changed:
        return
    lines = "\n".join(f"  - {_told(name, old.get(name), new.get(name))}" for name in changed)
    raise SpecError(
        f"study {spec.name!r} is in the ledger with another study file:\n{lines}",
        code="study-changed",
        hint=_ways_to(record, spec.search.trials)
        if changed == ["search.trials"]
        else "give the changed study a name of its own: --name, or `name = …` in the file; or delete the old one with "
        "its trials: --overwrite",
        study=spec.name,
        changed=tuple(changed),
    )


def differing_keys(was: StudySpec, now: StudySpec) -> list[str]:
    """The keys in which two study files differ, such as ``search.trials``."""
    old, new = _keys(was), _keys(now)
    return [name for name in {**old, **new} if _differs(name, old.get(name), new.get(name))]


def check_data(record: StudyRecord, found: str) -> None:
    """A study keeps its data.

    Raises:
        LedgerError: Their fingerprint is another one than when it began.
    """
    before = record.facts.data.fingerprint
    if found != before:
        raise LedgerError(
            f"the data of study {record.name!r} have changed: their fingerprint is {found}, but was {before}",
            code="data-changed",
            hint="scores would not be comparable: put the old data back, or start a study with another name",
            study=record.name,
            before=before,
            found=found,
        )


def _differs(key: str, was: Json, now: Json) -> bool:
    """Of data and code in memory, each is compared alone."""
    return _digest_in(key, was) != _digest_in(key, now)


def _digest_in(key: str, value: Json) -> Json:
    if key not in _IN_MEMORY or not str(value).startswith("given_"):
        return value
    digests = str(value).partition(":")[0].split("_")[1:]
    return digests[0] if key == "data.source" else digests[-1]


def _told(key: str, was: Json, now: Json) -> str:
    if key in _IN_MEMORY and str(was).startswith("given_") and str(now).startswith("given_"):
        return f"{key}: {_IN_MEMORY[key]} in memory is not what the study began with"
    return f"{key}: was {was!r}, is {now!r}"


def _ways_to(record: StudyRecord, trials: int) -> str:
    """How to get another number of trials."""
    begun, now = len(record.trials), record.spec.search.trials
    command = f"`{record.command('resume', f'--trials {max(trials, begun)}')}`"
    if trials > now:
        return f"{command} extends it"
    if trials >= begun:
        return f"{command} ends the search there and refits the best trial"
    if begun < now:
        return f"it has {begun} trials already: {command} ends the search with these and refits the best one"
    return f"it has {begun} trials already: put back `trials = {now}`, or give the changed study a name of its own"


def with_trials(spec: StudySpec, trials: int) -> StudySpec:
    """The same study file with another number of trials."""
    return spec.model_copy(update={"search": spec.search.model_copy(update={"trials": trials})})


def _keys(spec: StudySpec) -> dict[str, Json]:
    return _flat(spec.model_dump(mode="json", by_alias=True))


def _flat(values: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    flat: dict[str, Json] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
