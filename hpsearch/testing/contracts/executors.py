"""What every executor must promise. Trains a few small models."""

import time
from collections.abc import Callable, Sequence

from hpsearch.core.events import BundleFinished, EpochFinished, Event, LaneFinished, LaneStopped, WorkerDied
from hpsearch.errors import ExecutorError, HpsearchError
from hpsearch.executors.base import Executor
from hpsearch.spec import StudySpec
from hpsearch.testing.contracts.lanes import UNKNOWN_OPTIMIZER, check_events, make_bundle, make_spec
from hpsearch.training.environment import WorkerSettings
from hpsearch.training.protocol import WorkerProtocol

LIMIT_S = 300
"""How long a bundle may take."""


def check_executor(
    executor: Callable[[StudySpec, Sequence[WorkerSettings]], Executor], *, backend: str = "jax"
) -> None:
    """Check an executor against all of :data:`EXECUTOR_RULES`.

    Args:
        executor: The class that the entry point names, or a function that makes one with what it needs around it.
        backend: Keras backend of the workers.

    Raises:
        AssertionError: A rule is broken; the text says which.
    """
    made = executor(make_spec(), [WorkerSettings(backend)])
    try:
        for rule in EXECUTOR_RULES:
            rule(made)
    finally:
        made.close()


def begins_idle(executor: Executor) -> None:
    """All slots wait, and nothing has happened. Workers elsewhere may still have to come."""
    assert executor.slots >= executor.local, f"an executor must have a slot, but has {executor.slots}"
    assert executor.width >= 1, f"an executor must plan for a slot, but plans for {executor.width}"
    assert executor.idle == executor.slots, f"all {executor.slots} slots must be idle, but {executor.idle} are"
    assert not executor.events(0.0), "there must be no event before a bundle is submitted"


def returns_what_the_worker_returns(executor: Executor) -> None:
    """A call waits for its answer."""
    facts = executor.call(WorkerProtocol.describe_data)
    assert (facts.rows, facts.test_rows) == (120, 30), f"describe_data must describe 120 + 30 rows, but got {facts}"


def raises_what_the_worker_raises(executor: Executor) -> None:
    """An error of the user's crosses as itself, and the worker goes on."""
    raised: HpsearchError | None = None
    try:
        executor.call(WorkerProtocol.rehearse, UNKNOWN_OPTIMIZER)
    except HpsearchError as error:
        raised = error
    assert raised is not None, "an unknown optimizer must raise, but the call returned"
    assert not isinstance(raised, ExecutorError), f"an error must keep its class, but got {raised!r}"
    returns_what_the_worker_returns(executor)


def trains_a_bundle(executor: Executor) -> None:
    """Events come in order; ``BundleFinished`` is the last one, and frees the slot."""
    bundle = make_bundle(epochs=2)
    executor.submit(bundle)
    busy = executor.slots - executor.idle
    assert busy == 1, f"a submitted bundle must take one slot, but {busy} are busy"
    events = _collect(executor, lambda event: isinstance(event, BundleFinished))
    check_events(bundle, events)
    finished = [event for event in events if isinstance(event, LaneFinished)]
    assert len(finished) == 2, f"both lanes must finish, but got {events}"
    executor.events(0.0)
    assert executor.idle == executor.slots, "a finished bundle must free its slot"


def stops_trials(executor: Executor) -> None:
    """A stopped trial's lanes end after the epoch that they are in."""
    epochs = 500
    executor.submit(make_bundle(epochs=epochs, folds=(0,)))
    _collect(executor, lambda event: isinstance(event, EpochFinished))
    executor.stop(frozenset({0}))
    events = _collect(executor, lambda event: isinstance(event, BundleFinished))
    stopped = [event for event in events if isinstance(event, LaneStopped)]
    assert len(stopped) == 1, f"the lane must end with LaneStopped, but got {events[-2:]}"
    trained = stopped[0].result.epochs
    assert 1 <= trained < epochs, f"a stopped lane must keep the epochs that it has trained, but has {trained}"
    executor.events(0.0)


def ends_workers_that_it_says_it_can_end(executor: Executor) -> None:
    """A bundle whose worker is ended comes back as lost, and the next one trains."""
    if not executor.ends_workers:
        return
    bundle = make_bundle(epochs=5000, folds=(0,))
    executor.submit(bundle)
    _collect(executor, lambda event: isinstance(event, EpochFinished))
    executor.end(bundle.id, "it took too long")
    *_, died = _collect(executor, lambda event: isinstance(event, WorkerDied))
    assert isinstance(died, WorkerDied), f"WorkerDied must be the last event, but got {died}"
    found = died.bundle, died.reason, died.ended
    assert found == (bundle, "it took too long", True), f"it must say which bundle was ended and why, but got {died}"
    trains_a_bundle(executor)


EXECUTOR_RULES: tuple[Callable[[Executor], None], ...] = (
    begins_idle,
    returns_what_the_worker_returns,
    raises_what_the_worker_raises,
    trains_a_bundle,
    stops_trials,
    ends_workers_that_it_says_it_can_end,
)
"""All rules for executors, in the order in which one executor is put through them."""


def _collect(executor: Executor, is_last: Callable[[Event], bool]) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        events += executor.events(0.2)
        if any(is_last(event) for event in events):
            return events
    raise AssertionError(f"the awaited event must come within {LIMIT_S} s, but there are only {events}")
