"""Calls into code that is not ours, such as the user's build function. It may raise anything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hpsearch.errors import HpsearchError


@contextmanager
def errors_as(explain: Callable[[Exception], HpsearchError]) -> Iterator[None]:
    """Raise what the block raises as one of our errors. Our own errors pass as they are.

    >>> with errors_as(lambda error: ModelError(f"build raised {error}", code="build-failed")):
    ...     model = build(config, data)

    Args:
        explain: Makes the error to raise. While it runs, ``traceback.format_exc()`` gives the traceback.
    """
    try:
        yield
    except HpsearchError:
        raise
    except Exception as error:  # the one place that catches everything the user's code may raise
        raise explain(error) from error
