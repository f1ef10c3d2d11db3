"""What a study's result is worth: nested validation, and searches with permuted targets."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace

from hpsearch import analysis, report
from hpsearch.arguments import Source, study_file
from hpsearch.core.facts import NestedScores, StudyFacts
from hpsearch.errors import HpsearchError, SpecError
from hpsearch.given import PARTS
from hpsearch.ledger.record import with_task_as_begun
from hpsearch.ledger.store import Ledger
from hpsearch.live import watching
from hpsearch.search.mistakes import every_mistake
from hpsearch.search.null_control import null_scores
from hpsearch.search.observer import Observer
from hpsearch.spec import OuterSection, StudySpec
from hpsearch.spoken import speaking_python
from hpsearch.study import Study, start


def run_nested(
    source: Source,
    x: object = None,
    y: object = None,
    *,
    outer: int = 5,
    verbose: int = 1,
    observer: Observer | None = None,
    **arguments: object,
) -> Study:
    """Nested validation: search again without each outer fold in turn, and test every winner on the fold left out.

    Each outer fold is a study of its own (``name.outer0`` …), so it can be interrupted and resumed. The study
    itself is run too. What was measured joins its facts, and so its verdict.

    >>> hpsearch.run_nested("studies/digits.toml", outer=3)
    >>> hpsearch.run_nested(build, x, y, outer=3, folds=5, trials=10)

    Args:
        source: As for :func:`hpsearch.run`.
        x: As for :func:`hpsearch.run`.
        y: As for :func:`hpsearch.run`.
        outer: Number of outer folds, at least 2.
        verbose: 0 shows no progress.
        observer: Told of everything that happens, study by study, instead of showing progress.
        arguments: Further arguments of :func:`hpsearch.run`, but not ``join`` and ``overwrite``: what was searched
            already is continued.

    Raises:
        HpsearchError: As for :func:`hpsearch.run`.
    """

    def measured(study: Study, spec: StudySpec, text: str, told: Observer | None) -> StudyFacts:
        nested = _nested_scores(study, spec, text, outer, told)
        return replace(_facts_now(study), nested=nested)

    return _measured(source, x, y, arguments, verbose, observer, measured)


def run_null(
    source: Source,
    x: object = None,
    y: object = None,
    *,
    searches: int = 19,
    verbose: int = 1,
    observer: Observer | None = None,
    **arguments: object,
) -> Study:
    """Null control: search again with permuted targets, several times, and compare the best scores.

    Each of these searches is a study of its own (``name.null0`` …), so it can be interrupted and resumed. The study
    itself is run too, unless it is complete. What was measured joins its facts, and so its verdict.

    Args:
        source: As for :func:`hpsearch.run`.
        x: As for :func:`hpsearch.run`.
        y: As for :func:`hpsearch.run`.
        searches: Number of searches with permuted targets, at least 1.
        verbose: 0 shows no progress.
        observer: Told of everything that happens, study by study, instead of showing progress.
        arguments: Further arguments of :func:`hpsearch.run`, but not ``join`` and ``overwrite``: what was searched
            already is continued.

    Raises:
        HpsearchError: As for :func:`hpsearch.run`.
    """

    def measured(study: Study, _spec: StudySpec, _text: str, told: Observer | None) -> StudyFacts:
        found = null_scores(study.record, searches, study.ledger_uri, told or Observer())
        return replace(_facts_now(study), null=found)

    return _measured(source, x, y, arguments, verbose, observer, measured)


_Measure = Callable[[Study, StudySpec, str, Observer | None], StudyFacts]


def _measured(
    source: Source,
    x: object,
    y: object,
    arguments: dict[str, object],
    verbose: int,
    observer: Observer | None,
    measure: _Measure,
) -> Study:
    """The study, run and then measured: with facts and a report that say so."""
    parts = {"x": x, "y": y} | {name: arguments.pop(name) for name in PARTS if name in arguments}
    callbacks = arguments.pop("callbacks", None)
    for name in ("join", "overwrite"):
        if given := arguments.pop(name, False):
            raise SpecError(
                f"{name}={given!r} is for hpsearch.run() alone",
                code="unknown-argument",
                hint="leave it out: searches that were made already are continued; hpsearch.delete(name) deletes them",
                argument=name,
            )
    with speaking_python(source, y):
        with every_mistake():
            spec, text = study_file(source, parts, arguments, callbacks=callbacks)
        with nullcontext(observer) if observer is not None or not verbose else watching() as told:
            study = start(spec, text, told)
            facts = measure(study, spec, text, told)
    ledger = Ledger(study.ledger_uri)
    ledger.set_facts(study.name, facts)
    record = ledger.load(study.name)
    with suppress(HpsearchError):  # the report says less than the ledger; `hpsearch report` writes it again
        report.write_artifacts(record, study.folder, report.load_artifacts(record, study.folder))
    return Study(record, study.ledger_uri)


def _facts_now(study: Study) -> StudyFacts:
    """Others may have added to them meanwhile."""
    return Ledger(study.ledger_uri).load(study.name).facts


def _nested_scores(study: Study, spec: StudySpec, text: str, folds: int, observer: Observer | None) -> NestedScores:
    scores, searched, metric = [], [], ""
    spec = with_task_as_begun(spec, study.record.facts)
    for index in range(folds):
        validation = spec.validation.model_copy(update={"outer": OuterSection(folds=folds, index=index)})
        inner = spec.model_copy(update={"name": f"{study.name}.outer{index}", "validation": validation})
        outcome = start(inner, text, observer)
        metric = metric or analysis.test_metric(outcome.record)
        assert outcome.champion is not None
        assert outcome.best is not None
        assert outcome.best.score is not None
        if metric in outcome.champion.test:  # it may have no value on the rows of an outer fold
            scores.append(outcome.champion.test[metric])
            searched.append(outcome.best.score)
    return NestedScores(metric, tuple(scores), tuple(searched))
