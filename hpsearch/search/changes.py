"""What may change in a study file between two starts of a study, and what may not."""

import tomllib
from collections.abc import Mapping

from hpsearch.core.wire import Json
from hpsearch.errors import SpecError
from hpsearch.ledger.record import StudyRecord
from hpsearch.spec import StudySpec

CHANGEABLE = (
    "champion.",
    "tracking.",
    "search.max_",
    "search.stop",
    *(f"resources.{name}" for name in ("executor", "workers", "gpus", "threads", "max_retries")),
)
"""Keys that the search does not depend on, as prefixes: a study file may change them between two starts."""


def with_defaults_as_begun(record: StudyRecord, spec: StudySpec, study_file: str) -> StudySpec:
    """A study goes on as it began if a later hpsearch has another default for what its file leaves open.

    Args:
        record: The study.
        spec: What its file says now.
        study_file: The file's text.
    """
    begun = record.spec.search
    if _names_its_algorithm(record.study_file) or _names_its_algorithm(study_file):
        return spec
    search = spec.search.model_copy(update={"tuner": begun.tuner, "algorithm": begun.algorithm})
    return spec.model_copy(update={"search": search})


def _names_its_algorithm(study_file: str) -> bool:
    return not {"tuner", "algorithm"}.isdisjoint(tomllib.loads(study_file).get("search", {}))


def check_unchanged(record: StudyRecord, spec: StudySpec) -> None:
    """A study keeps its file: another one under the same name would mix results that cannot be compared.

    Raises:
        SpecError: `spec` differs from the study's in more than :data:`CHANGEABLE` keys; all of them are listed.
    """
    old, new = (_flat(one.model_dump(mode="json", by_alias=True)) for one in (record.spec, spec))
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    changed = [name for name in changed if not name.startswith(CHANGEABLE)]
    if not changed:
        return
    lines = "\n".join(f"  - {name}: was {old.get(name)!r}, is {new.get(name)!r}" for name in changed)
    raise SpecError(
        f"study {spec.name!r} is in the ledger with another study file:\n{lines}",
        code="study-changed",
        hint=_ways_to(record, spec.search.trials)
        if changed == ["search.trials"]
        else "give the changed study a name of its own: `name = …` in the file, or --name",
        study=spec.name,
        changed=tuple(changed),
    )


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


def _flat(values: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    flat: dict[str, Json] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
