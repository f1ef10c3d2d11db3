"""Data sources: from a study file's ``[data]`` section to rows and targets."""

from typing import TYPE_CHECKING

from hpsearch.core.foreign import errors_as, said
from hpsearch.core.words import LONGEST_PATH, cut
from hpsearch.data.dataset import Dataset
from hpsearch.data.prepare import prepare
from hpsearch.data.sources import read_source
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec


def load_dataset(spec: "StudySpec") -> Dataset:
    """Read the study's data source, check it, and convert rows and targets to their common form.

    ``Dataset.test`` is the source's own test split, or None if it has none.

    Raises:
        DataError: The source is unknown, missing, unreadable or unusable for the study.
    """

    def explain(error: Exception) -> DataError:
        return DataError(
            f"{cut(spec.data.source, LONGEST_PATH)} cannot be used: {said(error)}",
            code="unusable-data",
            hint="hpsearch does not understand why; please report it, with some rows if you may",
            source=spec.data.source,
        )

    with errors_as(explain):
        return prepare(read_source(spec), spec)
