"""Which of a model's outputs is for which targets."""

import numpy as np
import pytest

from hpsearch.core.records import records
from hpsearch.training.named_outputs import is_named, named_outputs, storable

A, B, C = (np.full((3, width), float(width)) for width in (1, 2, 3))
NAMED = records({"price": A[:, 0], "kind": B[:, 0]})
IN_ORDER = records({"output_0": A[:, 0], "output_1": B[:, 0]})
ONE = A[:, 0]


@pytest.mark.parametrize(
    ("predicted", "y", "own", "wanted"),
    [
        ({"kind": B, "price": A}, NAMED, ("kind", "price"), {"price": A, "kind": B}),
        ([B, A], NAMED, ("kind", "price"), {"price": A, "kind": B}),
        ([A, B], NAMED, ("dense", "dense_1"), {"price": A, "kind": B}),
        ([A, C, B], NAMED, ("price", "emb", "kind"), {"price": A, "kind": B}),
        ({"emb": C, "kind": B, "price": A}, NAMED, ("emb", "kind", "price"), {"price": A, "kind": B}),
        ([A, B], IN_ORDER, ("dense", "dense_1"), {"output_0": A, "output_1": B}),
        ([A, B], IN_ORDER, ("output_1", "output_0"), {"output_0": A, "output_1": B}),  # Keras goes by the order
    ],
)
def test_outputs_are_found_by_name_and_else_in_order(predicted, y, own, wanted) -> None:
    found = named_outputs(predicted, y, own)
    assert is_named(found, y)
    assert list(found) == list(wanted)
    assert all(found[name] is wanted[name] for name in wanted)
    kept = storable(found, y)
    assert kept is not None
    assert kept.dtype.names == y.dtype.names
    assert kept[kept.dtype.names[0]].shape == (3,)  # a single column has no axis of its own


@pytest.mark.parametrize("predicted", [{"amount": A, "sort": B}, [A, B, C]])
def test_outputs_with_other_names_are_left_as_they_are(predicted) -> None:
    found = named_outputs(predicted, NAMED, ())
    assert found is predicted
    assert not is_named(found, NAMED)
    assert storable(found, NAMED) is None


@pytest.mark.parametrize("predicted", [B, {"v": B}, [B]])
def test_one_output_is_one_array_however_it_is_returned(predicted) -> None:
    found = named_outputs(predicted, ONE, ("v",))
    assert found is B
    assert storable(found, ONE) is B


def test_several_outputs_for_one_target_are_not_stored() -> None:
    several = {"z": A, "r": B}
    assert named_outputs(several, ONE, ("z", "r")) is several
    assert storable(several, ONE) is None
