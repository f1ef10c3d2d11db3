"""A small study, and what the events of a bundle must look like: shared by the checks of executors and engines."""

from collections.abc import Sequence

from hpsearch.core.events import Bundle, BundleFinished, EpochFinished, Event, Lane, lane_of
from hpsearch.core.space import Config
from hpsearch.spec import StudySpec, parse_spec

_STUDY = """
name = "contract"
data = { source = "sklearn:iris" }
validation = { folds = 2 }
model = { family = "mlp", layers = 1, units = 8, dropout = 0.0, optimizer = "adam", batch_size = 16 }
objective = { metric = "val_accuracy", direction = "maximize" }
resources = { engine = "fit" }
"""

CONFIG: Config = {
    "learning_rate": 0.01,
    "batch_size": 16,
    "optimizer": "adam",
    "layers": 1,
    "units": 8,
    "dropout": 0.0,
    "activation": "relu",
    "batch_norm": False,
}

UNKNOWN_OPTIMIZER: Config = {**CONFIG, "epochs": 2, "optimizer": "nonsense"}
"""A config that the model's code refuses."""


def make_spec() -> StudySpec:
    """A study of two folds on 120 rows."""
    return parse_spec(_STUDY)


def make_bundle(*, epochs: int, folds: Sequence[int] = (0, 1)) -> Bundle:
    """One trial's lanes."""
    return Bundle(0, tuple(Lane(0, fold, {**CONFIG, "epochs": epochs}) for fold in folds))


def check_events(bundle: Bundle, events: Sequence[Event]) -> None:
    """Each lane has its epochs in order, then exactly one end."""
    ends = [found for event in events if (found := lane_of(event)) is not None]
    for lane in bundle.lanes:
        address = (lane.trial, lane.fold)
        assert ends.count(address) == 1, (
            f"a lane must end exactly once, but fold {lane.fold} ended {ends.count(address)}×"
        )
        mine = [one for one in events if isinstance(one, EpochFinished) and (one.trial, one.fold) == address]
        epochs = [event.epoch for event in mine]
        assert epochs == list(range(len(epochs))), f"epochs must come as 0, 1, 2, …, but fold {lane.fold} has {epochs}"
        assert all("val_accuracy" in event.metrics for event in mine), "an epoch must have its validation metrics"
        last = max((i for i, event in enumerate(events) if event in mine), default=-1)
        end = next(i for i, event in enumerate(events) if lane_of(event) == address)
        assert last < end, f"a lane's end must follow its epochs, but fold {lane.fold} goes on after it"


def is_finished(events: Sequence[Event]) -> bool:
    """Whether the last event says that the bundle is over."""
    return bool(events) and isinstance(events[-1], BundleFinished)
