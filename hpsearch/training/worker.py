"""A worker: describes the problem, trains bundles and refits the winner, all in one process.

Every failure of a lane comes back as an event, every failure of a call as an :class:`~hpsearch.errors.HpsearchError`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from hpsearch.core.asked import Asked
from hpsearch.core.events import Bundle, BundleFinished, BundleStarted, Event, lane_of
from hpsearch.core.facts import DataFacts, EnginePlan, FoldSize, MachineFacts
from hpsearch.core.measured import Measured
from hpsearch.core.rehearsed import Rehearsal
from hpsearch.core.space import Config, Parameter
from hpsearch.core.trial import Champion
from hpsearch.data.equal_rows import count_equal_rows, warnings_of
from hpsearch.spec import StudySpec
from hpsearch.training.engines import make_engine
from hpsearch.training.engines.base import Engine, Stopped
from hpsearch.training.engines.failures import failed
from hpsearch.training.environment import describe_machine, free_memory, resident_bytes
from hpsearch.training.model_limits import measure_models
from hpsearch.training.problem import Problem, find_builder
from hpsearch.training.protocol import Exported, RefitOrder, WorkerProtocol


class Worker(WorkerProtocol):
    """Does the work of one process for one study.

    Args:
        spec: The study file; ``resources.engine`` names the engine.
        predictions: Folder for every trial's predictions of its validation rows; empty to keep none.
    """

    def __init__(self, spec: StudySpec, *, predictions: str = "") -> None:
        self.spec = spec
        self._predictions = predictions

    @cached_property
    def problem(self) -> Problem:
        """Data, folds and model, loaded once per worker."""
        return Problem.load(self.spec, predictions=self._predictions)

    @cached_property
    def engine(self) -> Engine:
        """The engine of the study."""
        return make_engine(self.problem)

    def describe_data(self) -> DataFacts:
        dataset, problem = self.problem.dataset, self.problem
        test_rows = 0 if dataset.test is None else len(dataset.test)
        equal = count_equal_rows(dataset.train, dataset.test, problem.folds)
        follows_time = dataset.train.time is not None or self.spec.validation.method == "time-series"
        doubts = warnings_of(
            equal, rows=len(dataset.train), test_rows=test_rows, time=follows_time, own_test=problem.own_test
        )
        plain = {name: value for name, value in dataset.extra.items() if isinstance(value, bool | int | float | str)}
        return DataFacts(
            source=dataset.name,
            rows=len(dataset.train),
            test_rows=test_rows,
            fingerprint=dataset.fingerprint(),
            task=dataset.task,
            classes=dataset.classes,
            columns=dataset.columns,
            input_shape=dataset.input_shape,
            folds=tuple(FoldSize(len(fold.train), len(fold.validation)) for fold in self.problem.folds),
            extra=plain,
            schema=dataset.schema,
            class_counts=dataset.class_counts(),
            warnings=(*dataset.warnings, *doubts),
            equal_rows=equal,
            permuted=problem.permuted,
            outputs=dataset.outputs,
        )

    def discover_space(self) -> Mapping[str, Parameter]:
        return self.problem.discover_space()

    def find_build(self) -> None:
        find_builder(self.spec)

    def asked(self, config: Config) -> Asked | None:
        return self.problem.asked(config)

    def rehearse(self, config: Config) -> Rehearsal:
        from hpsearch.training.rehearsal import rehearse

        return rehearse(self.problem, config)

    def plan(self) -> EnginePlan:
        return self.engine.plan()

    def measure(self, configs: Sequence[Config]) -> Measured:
        from hpsearch.training.measuring import measure

        return measure(self.problem, self.engine, configs)

    def describe_machine(self) -> MachineFacts:
        assert self.problem.builder  # what the user's code sets when it is imported counts
        return describe_machine()

    def train(self, bundle: Bundle, stopped: Stopped) -> Iterator[Event]:
        """Train a bundle. A lane's failure is an event, and so is whatever else goes wrong."""
        ended: set[tuple[int, int]] = set()
        try:
            self._load()
            yield BundleStarted(bundle.id)
            for event in self._events(bundle, stopped):
                if (finished := lane_of(event)) is not None:
                    ended.add(finished)
                yield event
        except Exception as error:  # a defect of an engine must not end the worker: other bundles may still train
            for lane in bundle.lanes:
                if (lane.trial, lane.fold) not in ended:
                    yield failed(lane, error)
        free_memory()
        yield BundleFinished(bundle.id, resident_bytes(), self.engine.take_compile_seconds(), self.engine.take_notes())

    def _events(self, bundle: Bundle, stopped: Stopped) -> Iterator[Event]:
        """What of a bundle may be trained, trained."""
        if bundle.measure:
            told, bundle = measure_models(self.problem, bundle)
            yield from told
        if bundle.lanes:
            yield from self.engine.train(bundle, stopped)

    def _load(self) -> None:
        """Load what the first bundle of a worker would have to wait for: Keras, the data and the user's code."""
        import keras

        assert keras.backend.backend()
        assert self.problem.builder
        assert self.engine

    def refit(self, order: RefitOrder) -> Champion:
        from hpsearch.training.mlflow_model import mlflow_imported_ahead
        from hpsearch.training.refit import refit

        with mlflow_imported_ahead():
            return refit(self.problem, order)

    def refit_model(self, order: RefitOrder) -> Path:
        from hpsearch.training.refit import refit_model

        return refit_model(self.problem, order)

    def write_mlflow_model(self, champion: Champion, folder: Path) -> Champion:
        from hpsearch.training.refit import add_mlflow_model

        return add_mlflow_model(self.problem, champion, folder)

    def export_model(self, champion: Champion, folder: Path, data: DataFacts) -> tuple[Exported, ...]:
        from hpsearch.training.exporting import export_model

        return export_model(self.spec, champion, folder, data)
