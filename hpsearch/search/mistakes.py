"""All mistakes of one study file in one round: those of its text, its data and its build function together."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hpsearch.errors import SpecError
from hpsearch.executors import check_elsewhere, is_local
from hpsearch.search.forecast import Forecast, forecast
from hpsearch.search.preparation import Note, PreparedStudy, open_executor, prepare_study
from hpsearch.spec import StudySpec, load_spec
from hpsearch.spec.drafts import Draft
from hpsearch.spec.messages import Mistakes, SpecProblem, broken_rules, problems_of
from hpsearch.training.protocol import WorkerProtocol

_ROLES = ("data.target", "data.ignore", "data.group", "data.time", "data.task", "data.labels", "data.duplicates")
"""Keys that decide what a column is used for. Without them, nothing can be said about its cells."""

_OF_THE_SOURCE = frozenset(
    f"data.{code}"
    for code in (
        "no-file", "unknown-source", "unreadable-file", "unknown-column", "no-header", "one-column", "bad-encoding",
        "ragged-row", "duplicate-column", "other-format", "empty-file", "unknown-option", "bad-option",
        "missing-arrays", "no-rows", "is-a-folder", "no-module", "no-such-name", "import-failed",
    )
)  # fmt: skip
"""Codes that do not depend on the columns' roles."""


@contextmanager
def every_mistake() -> Iterator[None]:
    """Add to what the block finds in a study file what is wrong with its data and its build function.

    Raises:
        HpsearchError: What the block raises; a ``SpecError`` for a study file, with all problems.
    """
    try:
        yield
    except SpecError as error:
        draft = error.values.pop("draft", None)
        if not isinstance(draft, Draft):
            raise
        further = _further(draft)
        if not further:
            raise
        raise broken_rules(str(error.values["origin"]), [*problems_of(error), *further]) from None


def check(file: str | Path, *, measure: bool, note: Note | None = None) -> tuple[PreparedStudy, Forecast]:
    """What ``hpsearch check`` finds out about a study file. The executor of the prepared study is closed.

    Args:
        file: The study file.
        measure: Whether to compile and train for a moment, to estimate what the study costs.
        note: Told what the user should know.

    Raises:
        HpsearchError: The file, its data or its model have mistakes.
    """
    with every_mistake():
        spec, _ = load_spec(file)
    if not is_local(spec):
        check_elsewhere(spec)
        spec = _here(spec)
        if note is not None:
            note("checked on this machine, with its Keras and its speed; the study's workers run elsewhere")
    with ExitStack() as stack:
        prepared = prepare_study(spec, stack)
        return prepared, forecast(prepared, measure=measure)


def _here(spec: StudySpec) -> StudySpec:
    """The same study with workers on this machine: whoever looks for mistakes waits for nobody and submits no jobs."""
    if is_local(spec):
        return spec
    changed = {"executor": "processes", "workers": "auto", "gpus": "auto"}
    return spec.model_copy(update={"resources": spec.resources.model_copy(update=changed)})


def _further(draft: Draft) -> list[SpecProblem]:
    """What a worker finds out about the rest of a study file, without training."""
    if draft.is_broken("data.source", "data.options") and draft.is_broken("model"):
        return []
    mistakes = Mistakes(draft.spec.name)
    mistakes.of(_look, draft, mistakes)
    problems = [one for error in mistakes.found for one in problems_of(error)]
    return [one for one in problems if not _follows(one, draft)]


def _look(draft: Draft, mistakes: Mistakes) -> None:
    with open_executor(_here(draft.spec), "jax") as executor:
        if not draft.is_broken("data.source", "data.options"):
            mistakes.of(executor.call, WorkerProtocol.describe_data)
        if draft.spec.model.build is not None and not draft.is_broken("model.family", "model.build"):
            mistakes.of(executor.call, WorkerProtocol.find_build)


def _follows(problem: SpecProblem, draft: Draft) -> bool:
    """Whether a problem may come from the defaults that stand for mistakes."""
    if draft.is_broken(problem.key) and problem.key != "data.source":
        return True
    if draft.is_broken(*_ROLES) and problem.code.startswith("data.") and problem.code not in _OF_THE_SOURCE:
        return True
    return problem.key.startswith("validation.") and draft.is_broken("validation", "data")
