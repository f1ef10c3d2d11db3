"""What went wrong in a lane, as a value."""

import traceback
from typing import TYPE_CHECKING

from hpsearch.core.events import Lane, LaneFailed
from hpsearch.core.trial import Failure, FailureKind
from hpsearch.core.words import first_line

if TYPE_CHECKING:
    from hpsearch.training.engines.loop import DivergedError

_OUT_OF_MEMORY = (
    "RESOURCE_EXHAUSTED",
    "out of memory",
    "OOM when allocating",
    "failed to allocate",
    "can't start new thread",
)

_DEVICE = (
    "CUDA_ERROR_",
    "cudaError",
    "CUDA error:",
    "GPU is lost",
    "fallen off the bus",
    "device is lost",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether host or device memory ran out. TensorFlow, JAX and Python each have words of their own for it.

    A thread that cannot start has no memory for its stack, or the system has no more threads.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    text = str(error).lower()
    if any(mark.lower() in text for mark in _OUT_OF_MEMORY):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def is_device_error(error: BaseException) -> bool:
    """Whether the device itself failed, and not what it was given. No program runs in such a process any more."""
    text = str(error).lower()
    if any(mark.lower() in text for mark in _DEVICE):
        return True
    return error.__cause__ is not None and is_device_error(error.__cause__)


def _kind(error: BaseException) -> FailureKind:
    if is_out_of_memory(error):  # CUDA has a CUDA_ERROR_ of its own for it
        return FailureKind.OUT_OF_MEMORY
    return FailureKind.WORKER if is_device_error(error) else FailureKind.ERROR


def failed(lane: Lane, error: Exception, *, epoch: int | None = None) -> LaneFailed:
    """The event for an exception that ended a lane, with the first line of its text and the traceback."""
    kind = _kind(error)
    message = f"{type(error).__name__}: {first_line(error)}" if str(error).strip() else type(error).__name__
    text = "".join(traceback.format_exception(error))
    return LaneFailed(lane.trial, lane.fold, Failure(kind, message, fold=lane.fold, epoch=epoch, traceback=text))


def diverged(lane: Lane, error: "DivergedError") -> LaneFailed:
    """The event for a lane whose loss is not finite."""
    return LaneFailed(
        lane.trial, lane.fold, Failure(FailureKind.DIVERGED, str(error), fold=lane.fold, epoch=error.epoch)
    )
