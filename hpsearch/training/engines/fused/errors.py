"""Why a model, or several configs of it, cannot be trained by one program."""

from collections.abc import Iterator
from contextlib import contextmanager

from hpsearch.core.words import first_line
from hpsearch.errors import HpsearchError
from hpsearch.training.engines.base import CannotTrainError


class UnfusableError(CannotTrainError):
    """A fused program cannot train this model. The text says why, in the user's words."""


class UntraceableError(UnfusableError):
    """The model's own code raised something when a step was built or traced."""


class NotDynamicError(Exception):
    """Hyperparameters that were taken for mere numbers decide the program after all.

    Attributes:
        names: Their names.
    """

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(names)))
        self.names = names


@contextmanager
def tracing() -> Iterator[None]:
    """Around code that builds or traces models.

    Raises:
        UntraceableError: It raised something that is none of hpsearch's own errors.
    """
    try:
        yield
    except (UnfusableError, NotDynamicError, HpsearchError):
        raise
    except Exception as error:  # the user's layers, losses and metrics may raise anything
        raise UntraceableError(f"a step of it cannot be traced: {type(error).__name__}: {first_line(error)}") from error
