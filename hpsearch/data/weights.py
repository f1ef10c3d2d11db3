"""How much each row counts in the loss and in weighted metrics: read and checked."""

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.words import quoted
from hpsearch.data.dataset import Array
from hpsearch.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def weight_column(source: str, frame: "pd.DataFrame", name: str) -> Array:
    """The column of a table that ``[data] weight`` names, as float64; an empty cell is NaN.

    Raises:
        DataError: A cell is no number.
    """
    import pandas as pd

    numbers = pd.to_numeric(frame[name], errors="coerce")
    odd = (numbers.isna() & frame[name].notna()).to_numpy()
    if odd.any():
        row = int(odd.argmax())
        raise DataError(
            f"{source}: weight names column {quoted(name)}, but row {row} has {quoted(frame[name].iloc[row])}",
            code="bad-weight",
            hint="weights are numbers of 0 or more",
            source=source,
            column=name,
            row=row,
        )
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def checked_weights(source: str, weights: Array | None, rows: int, what: str = "sample_weight") -> Array | None:
    """Weights as float32 of shape ``(rows,)``; None if there are none.

    Args:
        source: For messages.
        weights: As they were given; a second axis of length 1 is dropped.
        rows: How many rows there are.
        what: Their name, for messages.

    Raises:
        DataError: They are not one finite number of 0 or more per row, or all of them are 0.
    """
    if weights is None:
        return None
    weights = weights[:, 0] if weights.ndim == 2 and weights.shape[1] == 1 else weights
    if weights.shape != (rows,) or weights.dtype.kind not in "biuf":
        raise DataError(
            f"{source}: {what} has shape {weights.shape} and dtype {weights.dtype}, but there are {rows} rows",
            code="weight-shape",
            hint="give one number per row",
            source=source,
            shape=weights.shape,
            rows=rows,
        )
    numbers = weights.astype(np.float64)
    bad = ~(np.isfinite(numbers) & (numbers >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{source}: {what} is {numbers[row]:g} in row {row}, and below 0, infinite or missing in {int(bad.sum())} "
            f"of {rows} rows",
            code="bad-weight",
            hint="weights are numbers of 0 or more; a row of weight 0 is ignored in training and scoring",
            source=source,
            row=row,
            count=int(bad.sum()),
        )
    if not numbers.any():
        raise DataError(
            f"{source}: {what} is 0 in all {rows} rows",
            code="bad-weight",
            hint="some rows must count",
            source=source,
            count=rows,
        )
    return numbers.astype(np.float32)
