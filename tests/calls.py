"""Calls of ``hpsearch.run`` as a notebook's cell makes them."""

from types import FunctionType

import numpy as np

from hpsearch.arguments import study_file
from hpsearch.given import PARTS

X, Y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2

CODE = """
import math

WIDTH = {width}

def half(x):
    return x / {half}

def build(config, data):
    return half(math.floor(WIDTH))
"""


def typed(*, width: int = 8, half: int = 2, above: str = "", name: str = "notebook.py") -> FunctionType:
    """The build function of a notebook's cell."""
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(above + CODE.format(width=width, half=half), name, "exec"), names)
    found = names["build"]
    assert isinstance(found, FunctionType)
    return found


def spec_of(build: object = typed, **given: object):
    parts = {name: given.pop(name) for name in PARTS if name in given}
    callbacks = given.pop("callbacks", None)
    return study_file(build() if build is typed else build, parts, given, callbacks=callbacks)[0]
