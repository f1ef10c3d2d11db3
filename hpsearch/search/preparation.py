"""From a checked study file to workers that are ready: data, space, a rehearsal of the model, the engine."""

import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain

from hpsearch.core import hardware
from hpsearch.core.asked import Asked
from hpsearch.core.facts import DataFacts, EnginePlan, HostFacts, MachineFacts, StudyFacts
from hpsearch.core.files import make_folder
from hpsearch.core.out_of_fold import predictions_folder
from hpsearch.core.output_metrics import known_metrics
from hpsearch.core.registries import TUNERS
from hpsearch.core.rehearsed import Undefined
from hpsearch.core.schedule import Schedule
from hpsearch.core.space import Config, Parameter, Space
from hpsearch.core.transfer import Transferred
from hpsearch.core.user_code import source_digest
from hpsearch.core.words import did_you_mean, listed
from hpsearch.errors import DataError, ModelError, SpecError
from hpsearch.executors import make_executor
from hpsearch.executors.base import Executor
from hpsearch.ledger import workspace
from hpsearch.ledger.record import StudyRecord, with_task_as_begun
from hpsearch.pruning import make_pruner
from hpsearch.search.feasibility import check_limited
from hpsearch.search.first_trials import check_tries, default_config, first_configs
from hpsearch.search.stopping import check_folds
from hpsearch.search.suggesting import Suggester
from hpsearch.search.transfer import doubts_about, other_study, take
from hpsearch.spec import AnyUri, StudySpec, make_space
from hpsearch.spec import doubts as doubts_about_space
from hpsearch.spec.messages import Mistakes
from hpsearch.training.protocol import WorkerProtocol
from hpsearch.tuners import make_tuner
from hpsearch.tuners.base import TunerProvider, TunerSettings

Note = Callable[[str], object]
"""Told what the user should know."""

_AHEAD = 4
"""Bundles to suggest ahead per slot if suggestions do not depend on results."""

_BATCH, _BATCH_ON_GPU = 4, 8
"""Trials that are suggested together when suggestions depend on results: docs/search-quality.md has what that costs."""


@dataclass(frozen=True, slots=True)
class PreparedStudy:
    """A study that is ready to start: what its workers have found out before the first trial.

    Attributes:
        executor: Ready to train.
        spec: The study file as the workers have it; ``resources.engine`` may have been chosen by now.
        space: The effective space.
        facts: What is known of data, engine and machine.
        discovered: Whether the space was found by building KerasTuner code, so that there may be more.
        doubts: What a rehearsal and the other study make doubtful, one sentence each.
    """

    executor: Executor
    spec: StudySpec
    space: Space
    facts: StudyFacts
    discovered: bool = False
    doubts: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that the user should know before the search: of the objective, the data, the model and the space."""
        found = self.spec.make_objective().warnings(), self.facts.data.warnings, self.doubts
        return tuple(chain(*found, doubts_about_space(self.spec, self.space), self.spec.tracking.doubts()))


def prepare_study(
    spec: StudySpec, stack: ExitStack, like: StudyFacts | None = None, note: Note | None = None
) -> PreparedStudy:
    """Load the data, find the space, rehearse the model and choose the engine.

    Args:
        spec: The study file.
        stack: Closes the executor that is returned.
        like: Facts of a study that differs in its targets only: task, engine, bundles, schedule and what it has taken
            of another study are the same.
        note: Told what the user should know, such as that workers are awaited.

    Raises:
        HpsearchError: The data, the model or the space cannot be used. Nothing has been written.
    """
    if like is not None:
        return _try_backend(
            with_engine(with_task_as_begun(spec, like), like.plan.engine), like.backend, stack, None, like, note
        )
    resources, other = spec.resources, other_study(spec)
    if resources.engine == "fit" or resources.backend == "tensorflow":
        return _try_backend(
            spec, "tensorflow" if resources.backend == "auto" else resources.backend, stack, other, note=note
        )
    with ExitStack() as attempt:
        try:
            prepared = _try_backend(spec, "jax", attempt, other, note=note)
        except ModelError as error:
            if resources.engine != "auto":
                raise
            reason = _in_one_line(error)
        else:
            if prepared.facts.plan.engine == "fused" or (resources.engine, resources.backend) != ("auto", "auto"):
                stack.push(attempt.pop_all())
                return prepared
            reason = prepared.facts.plan.reason
    # The model may need TensorFlow itself, or only some configs may fail. If all do, the same mistake shows again.
    backend = "tensorflow" if resources.backend == "auto" else "jax"
    prepared = _try_backend(with_engine(spec, "fit"), backend, stack, other, note=note)
    return replace(prepared, facts=replace(prepared.facts, plan=replace(prepared.facts.plan, reason=reason)))


def _in_one_line(error: ModelError) -> str:
    """Why JAX was given up, as the reason of a plan."""
    reason = f"on JAX, {error.what.splitlines()[0]}"
    return f"{reason}, {error.hint}" if error.hint else reason


def _try_backend(
    spec: StudySpec,
    backend: str,
    stack: ExitStack,
    other: StudyRecord | None,
    like: StudyFacts | None = None,
    note: Note | None = None,
) -> PreparedStudy:
    executor = stack.enter_context(open_executor(spec, backend, note=note))
    data, space, discovered = _checked(spec, executor)
    taken = None if other is None else take(other, spec, space)
    with suppress(OSError):  # JAX would make it for everybody to read, and does without
        make_folder(workspace.cache_folder(spec.tracking.resolved().ledger), shared=spec.tracking.shared)
    rehearsal = executor.call(WorkerProtocol.rehearse, smallest_config(space))
    metric = spec.objective.curve
    if metric not in rehearsal.metrics:
        computed = tuple(f"val_{name}" for name in known_metrics(data) if f"val_{name}" not in rehearsal.metrics)
        meant = did_you_mean(metric, (*rehearsal.metrics, *computed))
        raise SpecError(
            f"objective.metric: the model records no {metric!r}{meant}; it records {listed(rehearsal.metrics)}, and "
            f"{listed(computed)} can be computed from its predictions",
            code="no-such-metric",
            key="objective.metric",
            hint="scikit-learn's scorers are named as sklearn:roc_auc, functions of yours as module:function",
            metric=metric,
            recorded=rehearsal.metrics,
            computed=computed,
        )
    check_limited(spec, rehearsal.metrics, data)
    doubts = (*rehearsal.doubts, *(_undefined(spec, one, data.n_folds) for one in rehearsal.undefined))
    if other is not None and taken is not None:
        doubts = (*doubts, *doubts_about(taken, other, spec, data))
    check_folds(spec, data, rehearsal.undefined)
    plan = like.plan if like else executor.call(WorkerProtocol.plan)
    machine = executor.call(WorkerProtocol.describe_machine)
    facts = StudyFacts(
        data=data,
        plan=plan,
        machine=machine,
        backend=backend,
        schedule=like.schedule if like else _schedule(spec, space, plan, executor, machine),
        host=HostFacts(platform.platform(), os.cpu_count(), hardware.processor(), hardware.memory_bytes()),
        git_commit=_git_commit(),
        model_source=source_digest(spec.model.build, spec.folder) if spec.model.build else None,
        undefined=rehearsal.undefined,
        baselines=rehearsal.baselines,
        default=_default(spec, space, executor) if discovered or spec.model.family else {},
        taken=like.taken if like else taken,
    )
    return PreparedStudy(executor, spec, space, facts, doubts=doubts, discovered=bool(discovered))


def _checked(spec: StudySpec, executor: Executor) -> tuple[DataFacts, Space, Mapping[str, Parameter]]:
    """Data, space, and what the model's code declares. Their mistakes are raised at once.

    Raises:
        HpsearchError: There are some. What follows from others is not among them.
    """
    mistakes = Mistakes(spec.name)
    data = mistakes.of(executor.call, WorkerProtocol.describe_data)
    discovered: Mapping[str, Parameter] | None = {}
    if spec.model.build and data is None:
        mistakes.of(executor.call, WorkerProtocol.find_build)  # the space of KerasTuner code depends on the data
        discovered = None
    elif spec.model.build:
        discovered = mistakes.of(executor.call, WorkerProtocol.discover_space)
    space = None if discovered is None else mistakes.of(make_space, spec, discovered)
    if space is not None:
        mistakes.of(check_tries, spec, space)
        # Fails early if the algorithm or the pruning rule cannot work, before anything is written.
        tuner = mistakes.of(make_tuner, spec.search.tuner, spec.search.algorithm, tuner_settings(spec, space))
        if tuner is not None:
            tuner.close()
    if data is not None:
        mistakes.of(make_pruner, spec.pruning, spec.make_objective(), validation_ratio=data.validation_ratio)
    mistakes.end()
    assert data is not None
    assert space is not None
    return data, space, discovered or {}


def _schedule(spec: StudySpec, space: Space, plan: EnginePlan, executor: Executor, machine: MachineFacts) -> Schedule:
    on_gpu = machine.device.startswith("gpu")
    return new_schedule(spec, tuner_settings(spec, space), plan, executor.width, on_gpu=on_gpu)


def _default(spec: StudySpec, space: Space, executor: Executor) -> Config:
    """The config of trial 0. A grid has its own order."""
    if spec.search.algorithm == "grid":
        return {}
    asked = executor.call(WorkerProtocol.asked, {}) if spec.model.build else None
    return default_config(spec, space, asked.values if asked else {})


def new_schedule(spec: StudySpec, settings: TunerSettings, plan: EnginePlan, slots: int, *, on_gpu: bool) -> Schedule:
    """The schedule of a new study: as wide as results allow, and the same for any number of workers up to a batch."""
    algorithm, provider = spec.search.algorithm, TUNERS.load_class(spec.search.tuner, TunerProvider)()
    if algorithm in provider.independent:
        return Schedule(lag=slots * plan.trials_per_bundle * _AHEAD - 1)
    startup = provider.startup(algorithm, settings)
    batch = spec.search.batch or (_BATCH_ON_GPU if on_gpu and plan.trials_per_bundle > 1 else _BATCH)
    if slots > batch:  # so many workers should not wait for the slowest of them
        return Schedule(startup, lag=slots - 1)
    return Schedule(startup, batch)


def _undefined(spec: StudySpec, found: Undefined, n_folds: int) -> str:
    """A sentence about a metric that has no value in some folds.

    Raises:
        DataError: It is the objective's or has a limit, and no fold has a value.
    """
    metric, limits = spec.objective.curve, spec.make_objective().constraints.each
    kinds = {one.quantity: f"objective.{one.kind}" for one in limits} | {metric: "objective.metric"}
    folds = f"fold{'s' * (len(found.folds) > 1)} {listed(found.folds, most=10)}"
    rest = n_folds - len(found.folds)
    if rest:
        one = len(found.folds) == 1
        left_out = (
            f"{folds} {'validates' if one else 'validate'} on {found.reason} and {'is' if one else 'are'} left out"
        )
        counted = f"the score is the mean of the other {rest}" if rest > 1 else "one fold alone makes the score"
        said = f"; {counted}" if found.metric == metric else ""
        return f"{found.metric} has no value in some folds: {left_out}{said}"
    key = kinds.get(found.metric)
    if key is None:
        return f"{found.metric} has no value in any fold, with {found.reason} to validate on"
    raise DataError(
        f"{key}: {found.metric} has no value in any fold, with {found.reason} to validate on",
        code="undefined-metric",
        hint="use another [validation] method, fewer folds, or a metric that such rows have, such as val_loss",
        key=key,
        metric=found.metric,
        folds=found.folds,
        reason=found.reason,
    )


def smallest_config(space: Space) -> Config:
    """A config to rehearse with: the first value of everything, so the cheapest one in most spaces."""
    return next(iter(space.grid(2)))


@contextmanager
def open_executor(
    spec: StudySpec, backend: str, *, ledger: AnyUri | None = None, note: Note | None = None
) -> Iterator[Executor]:
    """The study's executor; the end of the block closes it.

    Args:
        spec: The study file.
        backend: The Keras backend.
        ledger: Address of the ledger, if it is another than the study file's; the compiled programs are beside it.
        note: Told what the user should know, such as that workers are awaited.
    """
    uri = ledger or spec.tracking.resolved().ledger
    cache = str(workspace.cache_folder(uri).resolve())
    keeps = spec.tracking.predictions != "none" and not spec.is_null
    predictions = str(predictions_folder(workspace.study_folder(uri, spec.name)).resolve()) if keeps else ""
    executor = make_executor(spec, backend=backend, cache=cache, predictions=predictions, note=note)
    try:
        yield executor
    finally:
        executor.close()


def tuner_settings(spec: StudySpec, space: Space, guide: Transferred | None = None) -> TunerSettings:
    """The settings of the study's tuner; `guide` is what its model follows of another study."""
    search = spec.search
    return TunerSettings(
        space=space,
        direction=spec.objective.direction,
        seed=spec.seed,
        startup_trials=search.startup_trials,
        grid_points=search.grid_points,
        taken=guide,
        constraints=spec.make_objective().constraints,
    )


def make_suggester(spec: StudySpec, space: Space, facts: StudyFacts, executor: Executor) -> Suggester:
    """The study's tuner, its first configs, and for a build function the way to ask it what it uses."""

    def ask(config: Config) -> Asked | None:
        return executor.call(WorkerProtocol.asked, config)

    settings = tuner_settings(spec, space, facts.guide)
    first = first_configs(spec, facts)
    return Suggester(spec.search.tuner, spec.search.algorithm, settings, ask if spec.model.build else None, first=first)


def with_engine(spec: StudySpec, engine: str) -> StudySpec:
    """The same study file with another engine."""
    return spec.model_copy(update={"resources": spec.resources.model_copy(update={"engine": engine})})


def _git_commit() -> str | None:
    """Commit of the working directory, with ``-dirty`` where tracked files have changes; None outside git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
