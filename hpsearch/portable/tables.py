"""What a model returns, as tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .columns import OutputCard
from .outputs import label_probabilities, probabilities


def predictions_table(
    predicted: NDArray[np.generic], classes: Sequence[str], index: pd.Index, logits: bool | None = None
) -> pd.DataFrame:
    """What a model returns as a table.

    Args:
        predicted: Shape ``(n_rows,)`` or ``(n_rows, n_outputs)``.
        classes: Names of the classes; empty for regression.
        index: The table's index.
        logits: See :class:`Card`.
    """
    values = predicted.reshape(len(index), -1)
    if not classes:
        names = ["prediction"] if values.shape[1] == 1 else [f"prediction_{i}" for i in range(values.shape[1])]
        return pd.DataFrame(values, columns=names, index=index)
    values = probabilities(values, logits).astype(np.result_type(values.dtype, np.float16))
    best = [classes[i] for i in values.argmax(axis=1)]
    front = pd.DataFrame({"prediction": best, "probability": values.max(axis=1)}, index=index)
    shares = pd.DataFrame(values, columns=[f"p({name})" for name in classes], index=index)
    return pd.concat([front, shares], axis=1)


def labels_table(
    predicted: NDArray[np.generic], labels: Sequence[str], index: pd.Index, logits: bool | None = None
) -> pd.DataFrame:
    """What a model of labels returns as a table: whether a row has each label, and with which probability.

    Args:
        predicted: Probabilities or logits, shape ``(n_rows, n_labels)``.
        labels: Their names.
        index: The table's index.
        logits: See :class:`Card`.
    """
    values = label_probabilities(predicted.reshape(len(index), -1), logits)
    said = pd.DataFrame(values > 0.5, columns=[*labels], index=index)
    shares = pd.DataFrame(values, columns=[f"p({name})" for name in labels], index=index)
    return pd.concat([said, shares], axis=1)


def outputs_table(
    outputs: Mapping[str, NDArray[np.generic]], known: Sequence[OutputCard], index: pd.Index
) -> pd.DataFrame:
    """What several outputs return as one table: the columns of each begin with its name.

    Args:
        outputs: Name → what the model returns.
        known: What the outputs are; one of another name has values.
        index: The table's index.
    """
    cards = {one.name: one for one in known}
    tables = []
    for name, values in outputs.items():
        one = cards.get(name, OutputCard(name))
        make = labels_table if one.labels else predictions_table
        table = make(np.asarray(values), one.classes, index)
        tables.append(table.rename(columns=lambda column, of=name: _of_output(of, str(column))))
    return pd.concat(tables, axis=1)


def _of_output(name: str, column: str) -> str:
    return f"{name}{column.removeprefix('prediction')}" if column.startswith("prediction") else f"{name} {column}"
