"""Each kind of model runs with the engine that is said, as Keras trains it, is saved, comes back, and predicts."""

from pathlib import Path

import pytest

from .check import KINDS, Kind, check

NOISY = {"structured", "transformer", "text_convolutions", "convnet", "augmented"}
"""Builds that draw noise while they train: the fused engine draws its own."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=[kind.build for kind in KINDS])
def test_a_kind_of_model(kind: Kind, tmp_path: Path) -> None:
    found = check(kind, tmp_path)
    assert (found.engine, found.kept, found.predicted) == (kind.engine, "file", 3), found.reason
    assert found.equal is (None if kind.build in NOISY else True), found.gap
