"""Errors by code and values; their prose may change in any release."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hpsearch.errors import HpsearchError


@contextmanager
def raises(code: str, **values: object) -> Iterator["pytest.ExceptionInfo[HpsearchError]"]:
    """Like ``pytest.raises``, for an error with this code (family included) and at least these values."""
    with pytest.raises(HpsearchError) as caught:
        yield caught
    error = caught.value
    assert error.code == code, f"{error.code}: {error}"
    assert {name: error.values.get(name) for name in values} == values
