"""From a checked study file to workers that are ready: data, space, a rehearsal of the model, the engine."""

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from hpsearch.core.facts import EnginePlan
from hpsearch.core.space import Space
from hpsearch.core.user_code import source_digest
from hpsearch.errors import ModelError, SpecError
from hpsearch.executors import make_executor
from hpsearch.executors.base import Executor
from hpsearch.ledger import workspace
from hpsearch.spec import StudySpec, closest, make_space
from hpsearch.training.worker import smallest_config
from hpsearch.tuners import make_tuner
from hpsearch.tuners.base import TunerSettings

INDEPENDENT = frozenset({"random", "grid", "qmc"})
"""Algorithms whose suggestions do not depend on results, so that more of them may be asked for ahead."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A study made ready: what its workers found out before the first trial.

    Attributes:
        executor: Ready to train.
        spec: The study file as the workers have it: its engine may have been chosen by now.
        space: The effective space.
        facts: See :class:`~hpsearch.ledger.record.StudyRecord`.
    """

    executor: Executor
    spec: StudySpec
    space: Space
    facts: Mapping[str, Any]


def prepare_study(spec: StudySpec, stack: ExitStack) -> Setting:
    """Load data, find the space, rehearse the model, choose the engine."""
    resources = spec.resources
    if resources.engine == "fit" or resources.backend == "tensorflow":
        backend = "tensorflow" if resources.backend == "auto" else resources.backend
        return _try_backend(spec, backend, stack)
    with ExitStack() as attempt:
        try:
            setting = _try_backend(spec, "jax", attempt)
        except ModelError as error:
            if resources.engine != "auto":
                raise
            reason = _in_a_line(error)
        else:
            if setting.facts["plan"]["engine"] == "fused" or resources.backend != "auto":
                stack.push(attempt.pop_all())
                return setting
            reason = setting.facts["plan"]["reason"]
    # The model may need TensorFlow itself, or only some configs may fail. If all do, the same mistake shows again.
    backend = "tensorflow" if resources.backend == "auto" else "jax"
    turned = _try_backend(with_engine(spec, "fit"), backend, stack)
    return replace(turned, facts={**turned.facts, "plan": {**turned.facts["plan"], "reason": reason}})


def _in_a_line(error: ModelError) -> str:
    """Why JAX was given up, as the reason of a plan."""
    told = f"on JAX, {error.what.splitlines()[0]}"
    return f"{told}, {error.hint}" if error.hint else told


def _try_backend(spec: StudySpec, backend: str, stack: ExitStack) -> Setting:
    executor = stack.enter_context(open_executor(spec, backend))
    data = executor.request("data_facts")
    space = make_space(spec, executor.request("discover") if spec.model.build else None)
    # Fails early where the algorithm cannot work, before anything is written.
    make_tuner(spec.search.tuner, spec.search.algorithm, tuner_settings(spec, space)).close()
    rehearsal = executor.request("rehearse", smallest_config(space))
    if spec.objective.metric not in rehearsal["metrics"]:
        legal = rehearsal["metrics"]
        raise SpecError(
            f"objective.metric: the model records no {spec.objective.metric!r}{closest(spec.objective.metric, legal)}; "
            f"it records {', '.join(legal)}"
        )
    plan: EnginePlan = executor.request("plan")
    per_bundle = plan.trials_per_bundle
    ahead = 4 if spec.search.algorithm in INDEPENDENT else 1
    facts = {
        "data": data,
        "plan": {
            "engine": plan.engine,
            "reason": plan.reason,
            "lifted": sorted(plan.lifted),
            "trials_per_bundle": per_bundle,
            "window": executor.slots * per_bundle * ahead,
            "backend": backend,
        },
        **executor.request("machine_facts"),
        "host": {"platform": platform.platform(), "cores": os.cpu_count()},
        "git_commit": _git_commit(),
        "model_source": spec.model.build and source_digest(spec.model.build, spec.folder),
    }
    return Setting(executor, spec, space, facts)


@contextmanager
def open_executor(spec: StudySpec, backend: str) -> Iterator[Executor]:
    """The study's executor, closed at the end of the block."""
    cache = str(workspace.cache_folder(spec.tracking.resolved().ledger).resolve())
    executor = make_executor(spec, backend=backend, cache=cache)
    try:
        yield executor
    finally:
        executor.close()


def tuner_settings(spec: StudySpec, space: Space) -> TunerSettings:
    """What the study's tuner is made of."""
    search = spec.search
    return TunerSettings(
        space=space,
        direction=spec.objective.direction,
        seed=spec.seed,
        startup_trials=search.startup_trials,
        grid_points=search.grid_points,
    )


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
