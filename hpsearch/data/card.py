"""What a champion takes and returns, for whoever predicts with it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from hpsearch.core.facts import Column, Schema, Task
from hpsearch.core.output_metrics import Targets
from hpsearch.core.trial import Champion
from hpsearch.portable.columns import OutputCard
from hpsearch.portable.predictor import Card


class Described(Targets, Protocol):
    """The part of a data set, or of a study's facts about it, that predicting needs."""

    @property
    def columns(self) -> tuple[Column, ...]: ...
    @property
    def input_shape(self) -> tuple[int, ...]: ...
    @property
    def extra(self) -> Mapping[str, object]: ...
    @property
    def schema(self) -> Schema | None: ...


def card_of(
    data: Described,
    champion: Champion,
    unit: float | None,
    *,
    backend: str = "",
    modules: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Card:
    """The card of a champion.

    Args:
        data: Its study's data.
        champion: The champion.
        unit: ``[data] unit``.
        backend: The Keras backend that trained it.
        modules: See :class:`Card`.
        names: See :class:`Card`.
    """
    schema, words = data.schema or Schema(), data.extra.get("words")
    return Card(
        backend=backend,
        classes=data.classes,
        columns=data.columns,
        input_shape=data.input_shape,
        categories=schema.categories,
        packed=schema.packed,
        in_order=schema.in_order,
        dtype=schema.dtype or "float32",
        value_range=schema.value_range,
        words=words if isinstance(words, int) and schema.dtype else None,
        modules=modules,
        names=names,
        labels=data.task is Task.MULTILABEL,
        logits=champion.logits,
        unit=unit,
        outputs=[OutputCard(one.name, one.classes, one.task is Task.MULTILABEL) for one in data.outputs],
    )
