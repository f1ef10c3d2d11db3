"""What the user's model code, or Keras on its behalf, raises: turned into errors that say where to look."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hpsearch.errors import HpsearchError, ModelError


@contextmanager
def as_model_errors(
    explain: Callable[[Exception], ModelError], *, let_through: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Around calls into the user's code.

    Args:
        explain: Makes the error to raise.
        let_through: Classes of exceptions that are passed on as they are.

    Raises:
        HpsearchError: The code raised it itself, or what `explain` returned.
    """
    try:
        yield
    except HpsearchError:
        raise
    except let_through:
        raise
    except Exception as error:  # the user's code may raise anything
        raise explain(error) from error
