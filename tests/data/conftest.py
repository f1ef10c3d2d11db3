"""Study specs for data tests, without files of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hpsearch.data import load_dataset
from hpsearch.data.dataset import Dataset
from hpsearch.spec import StudySpec

Load = Callable[..., Dataset]


def make_spec(source: str, folder: Path | str = ".", seed: int = 0, **data: object) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "data-test",
            "seed": seed,
            "data": {"source": source, **data},
            "model": {"family": "mlp"},
            "objective": {"metric": "val_loss", "direction": "minimize"},
            "folder": str(folder),
        }
    )


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a source, relative files and modules in the test's own folder."""

    def _load(source: str, **data: object) -> Dataset:
        return load_dataset(make_spec(source, tmp_path, **data))

    return _load
