"""The null control: the same search with permuted targets, several times."""

from hpsearch.core.facts import NullScores
from hpsearch.ledger.record import StudyRecord
from hpsearch.ledger.store import Ledger
from hpsearch.search import starting
from hpsearch.search.changes import check_unchanged, with_trials
from hpsearch.search.observer import Observer
from hpsearch.spec import AnyUri, StudySpec


def null_scores(record: StudyRecord, count: int, uri: AnyUri, observer: Observer) -> NullScores:
    """Search with permuted targets, each time with as many trials as the study has.

    Each search is a study of its own (``name.null0`` …), so it can be interrupted and goes on where it stopped. It has
    the study's seed: all that differs is what the targets are. It has no refit and no report, and no tracker knows it.

    Args:
        record: The study, at its end.
        count: Number of searches. Those that are there are kept.
        uri: The ledger.
        observer: Told of everything that happens, search by search.

    Raises:
        HpsearchError: As for any search.
    """
    scores, how = [], ""
    for index in range(count):
        validation = record.spec.validation.model_copy(update={"null": index})
        spec = record.spec.model_copy(update={"name": f"{record.name}.null{index}", "validation": validation})
        found = _search(spec, record, uri, observer)
        trials = [trial for trial in found.ranked if trial.number < spec.search.trials]
        scores += [trial.score for trial in trials[:1] if trial.score is not None]
        how = found.facts.data.permuted
    return NullScores(tuple(scores), record.spec.search.trials, how)


def _search(spec: StudySpec, record: StudyRecord, uri: AnyUri, observer: Observer) -> StudyRecord:
    """The null search at its end. The study may have another number of trials since it was made."""
    ledger, asked = Ledger(uri), spec.search.trials
    if not ledger.has(spec.name):
        return starting.start(spec, record.study_file, observer, record.facts)
    begun = ledger.load(spec.name)
    check_unchanged(begun, with_trials(spec, begun.spec.search.trials))
    more = asked if asked > begun.spec.search.trials else None
    return starting.resume(spec.name, uri, observer=observer, trials=more)
