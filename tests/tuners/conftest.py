from collections.abc import Iterator

import pytest

from hpsearch.tuners.keras_tuner import OracleProcess


@pytest.fixture(scope="session")
def child() -> Iterator[OracleProcess]:
    process = OracleProcess()
    yield process
    process.close()
